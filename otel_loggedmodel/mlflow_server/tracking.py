# SPDX-License-Identifier: Apache-2.0
"""Tracking: what an exporter tells a tracking server, beside exporting.

What the server has to know is written at once to a spool of its own, and a thread delivers it. So the exporting thread
asks the server for nothing. All exporters of a process that have the same server share one `Tracking`. Each trace is
linked once, however many exporters and providers there are.
"""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_loggedmodel._errors import swallow
from otel_loggedmodel.delivery import otlp_payloads
from otel_loggedmodel.delivery.destinations import Destination
from otel_loggedmodel.delivery.durable import DurableExporter
from otel_loggedmodel.delivery.otlp_answers import Verdict
from otel_loggedmodel.delivery.otlp_payloads import is_record
from otel_loggedmodel.delivery.shipping import RecordShipper
from otel_loggedmodel.delivery.spool import Pending
from otel_loggedmodel.mlflow_server.linking import TraceLinker, is_result
from otel_loggedmodel.mlflow_server.otlp import destination_in
from otel_loggedmodel.mlflow_server.sending import TrackingSender
from otel_loggedmodel.mlflow_server.settings import Settings

PROTOCOL: Final = "mlflow"


class TrackingExporter(SpanExporter):
    """Sends records, links and evaluation results to a tracking server. It is an exporter, as the spool expects one.

    Args:
        settings: The settings of the server.
    """

    component_type: Final = "otel_loggedmodel_mlflow_exporter"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sender: TrackingSender | None = None

    @property
    def destination(self) -> Destination:
        """The server and the experiment."""
        return destination_in(self._settings, self._settings.uri, PROTOCOL)

    def make_sender(self) -> TrackingSender:
        """What sends. It is made anew in a forked child."""
        self._sender = TrackingSender(self._settings)
        return self._sender

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Try once."""
        sender = self._sender or self.make_sender()
        is_delivered = sender.send(otlp_payloads.encoded(spans)).verdict is Verdict.DELIVERED
        return SpanExportResult.SUCCESS if is_delivered else SpanExportResult.FAILURE

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held here."""
        return True

    def shutdown(self) -> None:
        """Close the connections."""
        if self._sender is not None:
            self._sender.close()


@dataclasses.dataclass(frozen=True)
class Keeping:
    """Where to keep what is not delivered yet (None for memory), and its bounds (None for the defaults)."""

    directory: Path | None = None
    max_bytes: int | None = None
    max_age: float | None = None


class Tracking:
    """Tells a tracking server of versions, of the traces that belong to them and of evaluation results.

    Args:
        settings: The settings of the server.
        keeping: Where what is not delivered yet is kept.
        repeat_after: Seconds after which a version that is still in use is announced again; None for the default.
    """

    def __init__(self, settings: Settings, keeping: Keeping, repeat_after: float | None) -> None:
        self._linker = TraceLinker()
        exporter = TrackingExporter(settings)
        self._durable = DurableExporter(
            exporter,
            keeping.directory,
            exporter.destination,
            max_bytes=keeping.max_bytes,
            max_age=keeping.max_age,
            is_deferred=True,
        )
        self._shipper = RecordShipper(self._durable, repeat_after, is_whole=True)
        self._users = 0
        self._shared_as: tuple[object, ...] = ()

    @classmethod
    def shared(cls, settings: Settings, keeping: Keeping, repeat_after: float | None) -> Tracking:
        """The one of this process for a server and a place. Each that asks for it calls `shutdown` or `leave` once."""
        key = (settings, keeping)
        with _sharing:
            tracking = _shared.get(key)
            if tracking is None:
                tracking = _shared[key] = cls(settings, keeping, repeat_after)
                tracking._shared_as = key
            tracking._users += 1
            return tracking

    def note(self, spans: Sequence[ReadableSpan], model_ids: Iterable[str]) -> None:
        """Keep what the server has to know of exported spans and of the versions they belong to. Never raises."""
        try:
            self._shipper.export(self._linker.pick(spans), model_ids)
        except Exception:
            swallow("noting what the tracking server has to know")

    @property
    def pending(self) -> Pending:
        """What the server has not been told yet."""
        return self._durable.pending

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Tell the server what it has not been told, until time is up. Returns whether nothing is left."""
        kept = self._shipper.flush(timeout_millis / 1000)
        return self._durable.force_flush(timeout_millis) and kept

    def shutdown(self, timeout_seconds: float = 30.0) -> None:
        """Tell the server what can be told now, and leave the rest to the next process."""
        if self._is_last():
            deadline = time.monotonic() + timeout_seconds
            self._shipper.shutdown(timeout_seconds)
            self._durable.shutdown(max(0.0, 1000 * (deadline - time.monotonic())))

    def leave(self) -> None:
        """Leave to the next process what the server has not been told."""
        if self._is_last():
            self._shipper.release()
            if self._durable.close():
                self._durable.wrapped.shutdown()

    def _is_last(self) -> bool:
        with _sharing:
            self._users -= 1
            if self._users > 0:
                return False
            _shared.pop(self._shared_as, None)
            return True


_sharing = threading.RLock()
_shared: Final[dict[tuple[object, ...], Tracking]] = {}


def _after_fork() -> None:
    global _sharing  # noqa: PLW0603 - another thread of the parent may have held it
    _sharing = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class SpansAlone:
    """Stands in for a `RecordShipper` if spans go to the tracking server itself.

    The server is told of versions and evaluation results in other ways. As spans they would be meaningless traces
    there.

    Args:
        exporter: Where spans go.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan], model_ids: Iterable[str]) -> SpanExportResult:
        """Export the spans that are the application's own."""
        spans = [span for span in spans if not is_record(span) and not is_result(span)]
        return self._exporter.export(spans) if spans else SpanExportResult.SUCCESS

    def flush(self, timeout_seconds: float = 30.0) -> bool:
        """Nothing is due."""
        return True

    def shutdown(self, timeout_seconds: float = 30.0) -> None:
        """Nothing is due."""

    def release(self) -> None:
        """Nothing is held."""
