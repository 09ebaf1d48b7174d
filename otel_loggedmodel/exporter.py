# SPDX-License-Identifier: Apache-2.0
"""LoggedModelExporter: exports spans as the exporter it wraps does, and with them what versions they belong to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_loggedmodel import attributes, environment
from otel_loggedmodel._errors import swallow
from otel_loggedmodel.restamping import restamped
from otel_loggedmodel.shipping import REPEAT_AFTER_SECONDS, RecordShipper, check_exporter

if TYPE_CHECKING:
    from otel_loggedmodel.durable import DurableExporter
    from otel_loggedmodel.spool import Pending


class LoggedModelExporter(SpanExporter):
    """Wraps a span exporter, to be handed to a span processor in its place.

    Spans pass through. With the first spans of a version go the version's own records, once; again when the backend
    refused them, and every twelve hours while spans refer to it, so that no backend's retention forgets it. A span that
    lost its stamp to the SDK's attribute limit gets it back.

    What an OTLP exporter cannot deliver now is kept on disk, and delivered when the backend answers again: see
    `durable`. Of other exporters nothing tells where they send to, so theirs is kept only where `spool_dir` is given.

    Args:
        exporter: Any span exporter. By default OTLP, over HTTP or gRPC as OTEL_EXPORTER_OTLP_TRACES_PROTOCOL or
            OTEL_EXPORTER_OTLP_PROTOCOL say, set up by the standard OTEL_EXPORTER_OTLP_* variables.
        spool: Whether to keep what cannot be delivered now; by default as OTEL_LOGGEDMODEL_SPOOL says, else yes.
        spool_dir: Where to keep it; by default OTEL_LOGGEDMODEL_SPOOL_DIR, else the user's state directory. Exporters
            that are not OTLP's and share a class share what is in a directory: give each its own.
        spool_max_bytes: Of disk for one destination; by default OTEL_LOGGEDMODEL_SPOOL_MAX_BYTES, else 512 MiB.
        spool_max_age: Seconds after which something is not worth delivering; by default OTEL_LOGGEDMODEL_SPOOL_MAX_AGE,
            else 48 hours.
        repeat_after: Seconds after which a version that is still in use is announced again.

    Raises:
        TypeError: What is to be wrapped is no span exporter.
        ValueError: A bound is not positive, or `spool=True` for an exporter that needs `spool_dir`.
    """

    def __init__(
        self,
        exporter: SpanExporter | None = None,
        *,
        spool: bool | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_max_bytes: int | None = None,
        spool_max_age: float | None = None,
        repeat_after: float = REPEAT_AFTER_SECONDS,
    ) -> None:
        for name, bound in (("spool_max_bytes", spool_max_bytes), ("spool_max_age", spool_max_age)):
            if bound is not None and not bound > 0:
                raise ValueError(f"{name} is {bound!r}: it has to be more than 0; spool=False keeps nothing")
        if exporter is None:
            exporter = otlp_exporter_from_environment()
        check_exporter(exporter)
        self._exporter = exporter
        self._durable: DurableExporter | None = None
        is_wanted = environment.is_spool_wanted() or spool_dir is not None if spool is None else spool
        if is_wanted:
            self._durable = _durable(exporter, spool_dir, spool_max_bytes, spool_max_age)
            if self._durable is None and spool:
                name = type(exporter).__qualname__
                raise ValueError(f"nothing tells where {name} sends to: give it a directory of its own as spool_dir")
        self._shipper = RecordShipper(self._durable or exporter, repeat_after)

    @property
    def wrapped(self) -> SpanExporter:
        """The exporter that does the sending."""
        return self._exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export spans, with the records that are due. The result is the wrapped exporter's, for the spans."""
        model_ids: dict[str, None] = {}
        try:
            spans = _stamped(spans, model_ids)
        except Exception:
            swallow("looking at the versions of spans")
        return self._shipper.export(spans, model_ids)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver the records that are due and what was kept, as far as the time goes, and flush the wrapped exporter.

        Returns:
            Whether nothing is left to deliver.
        """
        delivered = self._shipper.flush(timeout_millis / 1000)
        return (self._durable or self._exporter).force_flush(timeout_millis) and delivered

    def shutdown(self) -> None:
        """Deliver what is due, keep what cannot be delivered, and shut the wrapped exporter down."""
        self._shipper.shutdown()
        (self._durable or self._exporter).shutdown()

    def unwrap(self) -> SpanExporter:
        """Let go of the wrapped exporter, which somebody else will use from now on, without shutting it down."""
        self._shipper.release()
        if self._durable is not None:
            self._durable.close()
        return self._exporter

    @property
    def pending(self) -> Pending:
        """What is kept to be delivered later."""
        if self._durable is not None:
            return self._durable.pending
        from otel_loggedmodel.spool import Pending

        return Pending()


def otlp_exporter_from_environment() -> SpanExporter:
    """An OTLP exporter as the standard environment variables describe it."""
    # Imported here: either takes longer to import than all of this library, and one of them is never needed.
    if environment.otlp_traces_protocol() == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

    return HttpExporter()


def _durable(
    exporter: SpanExporter,
    directory: str | os.PathLike[str] | None,
    max_bytes: int | None,
    max_age: float | None,
) -> DurableExporter | None:
    """What keeps for an exporter, or None where nothing tells where it sends to."""
    # Imported here: it is half of this library, and who only says which version is active needs none of it.
    from otel_loggedmodel.durable import DurableExporter
    from otel_loggedmodel.otlp_sending import destination_of, unnamed_destination_of

    destination = destination_of(exporter)
    if destination is None:
        if directory is None:
            return None
        destination = unnamed_destination_of(exporter)
    return DurableExporter(
        exporter,
        environment.spool_directory() if directory is None else Path(directory).expanduser().absolute(),
        destination,
        max_bytes=environment.spool_max_bytes() if max_bytes is None else max_bytes,
        max_age=environment.spool_max_age() if max_age is None else max_age,
    )


def _stamped(spans: Sequence[ReadableSpan], model_ids: dict[str, None]) -> Sequence[ReadableSpan]:
    """The spans with lost stamps put back; their versions are added to `model_ids`."""
    replaced: dict[int, ReadableSpan] = {}
    for index, span in enumerate(spans):
        present = span.attributes
        model_id = present.get(attributes.ID) if present else None
        if span.dropped_attributes:
            replacement = restamped(span)
            if replacement is not span:
                replaced[index] = replacement
                model_id = (replacement.attributes or {}).get(attributes.ID)
        if isinstance(model_id, str):
            model_ids[model_id] = None
    if not replaced:
        return spans
    return [replaced.get(index, span) for index, span in enumerate(spans)]
