# SPDX-License-Identifier: Apache-2.0
"""Where an exporter sends to, and what keeps its spans that cannot be delivered now, as user or environment say.

The code that keeps spans is imported when it is asked for. It is half of this library, and an application that only
says which version is active needs none of it.
"""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from otel_loggedmodel import environment

if TYPE_CHECKING:
    from pathlib import Path

    from otel_loggedmodel.delivery.announced import Announced
    from otel_loggedmodel.delivery.durable import DurableExporter
    from otel_loggedmodel.delivery.signals import Signal


class Bounds:
    """Where to keep what cannot be delivered, and how much and for how long; None for what the environment says."""

    # No dataclass: making one would be a good part of what importing this library takes.
    __slots__ = ("_directory", "_max_age", "_max_bytes")

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        max_bytes: int | None = None,
        max_age: float | None = None,
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._max_age = max_age

    @property
    def has_directory(self) -> bool:
        """Whether the user has named one."""
        return self._directory is not None

    @property
    def path(self) -> Path | None:
        """The directory; None if there is no place for one."""
        if self._directory is None:
            return environment.spool_directory()
        from pathlib import Path

        return Path(self._directory).expanduser().absolute()

    @property
    def bytes(self) -> int | None:
        """Of disk for one destination; None for the default."""
        return environment.spool_max_bytes() if self._max_bytes is None else self._max_bytes

    @property
    def seconds(self) -> float | None:
        """After which something is not worth delivering; None for the default."""
        return environment.spool_max_age() if self._max_age is None else self._max_age


def durable(exporter: Any, bounds: Bounds, signal: Signal | None = None) -> DurableExporter | None:
    """What keeps an exporter's spans, or another signal's things; None if it is not known where they are sent to."""
    from otel_loggedmodel.delivery.destinations import destination_of, unnamed_destination_of
    from otel_loggedmodel.delivery.durable import DurableExporter

    destination = destination_of(exporter)
    if destination is None:
        if not bounds.has_directory:
            return None
        destination = unnamed_destination_of(exporter)
    return DurableExporter(
        exporter, bounds.path, destination, max_bytes=bounds.bytes, max_age=bounds.seconds, signal=signal
    )


def announced_beside(exporter: object, bounds: Bounds) -> Announced | None:
    """What the processes of this host have told where an exporter sends to; None if it is not known or not written."""
    from otel_loggedmodel.delivery.announced import DIRECTORY, Announced
    from otel_loggedmodel.delivery.destinations import destination_of

    destination, path = destination_of(exporter), bounds.path
    return None if destination is None or path is None else Announced(path / DIRECTORY / destination.key)


def place_of(exporter: object) -> Hashable | None:
    """A value that is equal for exporters that send to the same place as the same tenant; None if that is not known."""
    from otel_loggedmodel.delivery.destinations import destination_of

    destination = destination_of(exporter)
    return None if destination is None else destination.key
