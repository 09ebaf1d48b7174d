# SPDX-License-Identifier: Apache-2.0
"""The questions of the command line, asked in Python. What needs the extra `server` is loaded when one is asked."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_loggedmodel.asked import ComparisonResult, Versions


def compare(
    *versions: str,
    since: str | None = None,
    until: str | None = None,
    service: str | None = None,
    attributes: Mapping[str, str] | None = None,
    dataset: str | None = None,
    production: bool = False,
    store: str | None = None,
    token: str | None = None,
) -> ComparisonResult:
    """Compare versions: latency, errors, tokens, cost, scores, and which differences are real.

    Needs the extra `server`.

    Args:
        *versions: Ids, what is shown of them, or names. The first is what the others are held against.
        since: Traces that began then or later: `7d`, a date, or an RFC 3339 time.
        until: Traces that began before, written alike.
        service: Of this `service.name`.
        attributes: Whose entry span, or its resource, has these.
        dataset: Of rows of this data set, by name or digest.
        production: Leave out rows of data sets.
        store: Where: a running backend, a directory or a cluster, as for the command line. By default
            OTEL_LOGGEDMODEL_STORE, else the backend on this machine, else its data directory.
        token: What a backend wants; by default OTEL_LOGGEDMODEL_TOKEN.

    Raises:
        ImportError: The extra `server` is not installed.
        ValueError: A time cannot be understood.
        ReadingError: There is no such version, or the store cannot be read.
    """
    asked, addresses = _module("asked"), _module("pages.addresses")
    chosen = addresses.Chosen(
        since=since,
        until=until,
        service=service,
        attributes=tuple(f"{key}={value}" for key, value in (attributes or {}).items()),
        dataset=dataset,
        production=production,
    )
    result: ComparisonResult = asked.compared(versions, chosen, store, token)
    return result


def list_versions(
    *,
    name: str | None = None,
    tags: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    max_results: int = 100,
    store: str | None = None,
    token: str | None = None,
) -> Versions:
    """The versions that a store has, those that were used or made last first, with how much each was used.

    Needs the extra `server`. `search_logged_models` answers as MLflow does.

    Args:
        name: Of this name.
        tags: With these tags.
        params: With these params.
        max_results: At most so many.
        store: Where, as for `compare`.
        token: What a backend wants; by default OTEL_LOGGEDMODEL_TOKEN.

    Raises:
        ImportError: The extra `server` is not installed.
        ReadingError: The store cannot be read.
    """
    asked, reading = _module("asked"), _module("store.reading")
    which = reading.VersionFilter(name=name, tags=dict(tags or {}), params=dict(params or {}), limit=max_results)
    result: Versions = asked.found(which, store, token)
    return result


def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"otel_loggedmodel.{name}")
    except ImportError as error:
        raise ImportError(f"reading a store needs: pip install 'otel-loggedmodel[server]' ({error})") from None
