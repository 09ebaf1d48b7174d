# SPDX-License-Identifier: Apache-2.0
"""LoggedModelLogRecordExporter: passes log records on, and keeps what does not get through."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from otel_loggedmodel import environment
from otel_loggedmodel._errors import swallow
from otel_loggedmodel.delivery.bounded import shut_down
from otel_loggedmodel.delivery.log_restamping import restamped
from otel_loggedmodel.delivery.log_types import LogRecordExporter, LogRecordExportResult
from otel_loggedmodel.uninstrumented import is_uninstrumented

if TYPE_CHECKING:
    from otel_loggedmodel.delivery.durable import DurableExporter
    from otel_loggedmodel.delivery.spool import Pending


class LoggedModelLogRecordExporter(LogRecordExporter):  # type: ignore[misc]  # its name depends on the SDK's release
    """Wraps an exporter of log records, to be handed to a `BatchLogRecordProcessor` in its place.

    Records pass through. One that lost the id of its version to the SDK's limits gets it back. What an OTLP exporter
    cannot deliver now is kept on disk, and delivered when the backend answers again, as `LoggedModelExporter` does with
    spans and in the same directory. It is not known where other exporters send to, so what they cannot deliver is kept
    only if `spool_dir` is given.

    Args:
        exporter: Any exporter of log records. By default OTLP, over HTTP or gRPC as OTEL_EXPORTER_OTLP_LOGS_PROTOCOL or
            OTEL_EXPORTER_OTLP_PROTOCOL say, set up by the standard OTEL_EXPORTER_OTLP_* variables.
        spool: Whether to keep what cannot be delivered now; by default as OTEL_LOGGEDMODEL_SPOOL says, else yes.
        spool_dir: Where to keep it; by default OTEL_LOGGEDMODEL_SPOOL_DIR, else the user's state directory.
        spool_max_bytes: Bytes of disk for one destination; by default OTEL_LOGGEDMODEL_SPOOL_MAX_BYTES, else 512 MiB.
        spool_max_age: Seconds after which a record is not worth delivering; by default OTEL_LOGGEDMODEL_SPOOL_MAX_AGE,
            else 48 hours.

    Raises:
        TypeError: What is to be wrapped is no exporter.
        ValueError: A bound is not positive, or `spool=True` for an exporter that needs `spool_dir`.
    """

    def __init__(
        self,
        exporter: Any = None,
        *,
        spool: bool | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_max_bytes: int | None = None,
        spool_max_age: float | None = None,
    ) -> None:
        for name, bound in (("spool_max_bytes", spool_max_bytes), ("spool_max_age", spool_max_age)):
            if bound is not None and not bound > 0:
                raise ValueError(f"{name} is {bound!r}: it has to be more than 0; spool=False keeps nothing")
        exporter = otlp_log_exporter_from_environment() if exporter is None else exporter
        if isinstance(exporter, type) or not callable(getattr(exporter, "export", None)):
            raise TypeError(
                f"{exporter!r} is no exporter of log records: pass an object with an export method, OTLPLogExporter()"
            )
        self._exporter = exporter
        self._durable: DurableExporter | None = None
        if environment.is_spool_wanted() or spool_dir is not None if spool is None else spool:
            from otel_loggedmodel.delivery.keeping import Bounds, durable
            from otel_loggedmodel.delivery.signals import log_records

            self._durable = durable(exporter, Bounds(spool_dir, spool_max_bytes, spool_max_age), log_records())
            if self._durable is None and spool:
                name = type(exporter).__qualname__
                raise ValueError(f"nothing tells where {name} sends to: give it a directory of its own as spool_dir")

    @property
    def wrapped(self) -> Any:
        """The exporter that does the sending."""
        return self._exporter

    def export(self, batch: Sequence[Any]) -> Any:
        """Export log records. Returns SUCCESS if they were delivered or are kept.

        What is logged while this library delivers is not exported: each delivery would log more.
        """
        if is_uninstrumented():
            return LogRecordExportResult.SUCCESS
        try:
            batch = restamped(batch)
        except Exception:
            swallow("looking at the versions of log records")
        return (self._durable or self._exporter).export(batch)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver what was kept, as far as the time goes, and flush the wrapped exporter.

        Returns:
            Whether nothing is left to deliver.
        """
        # Some exporters, against the interface, return nothing; they did not say that anything is left. Others have no
        # such method: the SDK asked for it only since 1.39.
        flush = getattr(self._durable or self._exporter, "force_flush", None)
        return flush is None or flush(timeout_millis) is not False

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Keep what cannot be delivered, and shut the wrapped exporter down.

        Args:
            timeout_millis: How long to wait for what is under way.
        """
        deadline = time.monotonic() + timeout_millis / 1000
        if self._durable is not None:
            self._durable.shutdown(max(0.0, 1000 * (deadline - time.monotonic())))
        else:
            shut_down(self._exporter, max(0.0, deadline - time.monotonic()))

    def __getattr__(self, name: str) -> Any:
        """What this exporter does not have is the wrapped exporter's."""
        if name in ("_exporter", "__setstate__"):  # not there yet, while an exporter is made or copied
            raise AttributeError(name)
        return getattr(self._exporter, name)

    def unwrap(self) -> Any:
        """Let go of the wrapped exporter, which somebody else will use from now on, without shutting it down."""
        if self._durable is not None:
            self._durable.close()
        return self._exporter

    @property
    def pending(self) -> Pending:
        """What is kept to be delivered later. Its `spans` are log records."""
        from otel_loggedmodel.delivery.spool import Pending

        return Pending() if self._durable is None else self._durable.pending


def otlp_log_exporter_from_environment() -> Any:
    """An OTLP exporter of log records as the standard environment variables describe it."""
    # Imported here: either takes longer to import than all of this library, and one of them is never needed.
    if environment.otlp_logs_protocol() == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcExporter

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpExporter

    return HttpExporter()
