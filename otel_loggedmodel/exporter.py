# SPDX-License-Identifier: Apache-2.0
"""LoggedModelExporter: exports spans as the exporter it wraps does, and with them what versions they belong to."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_loggedmodel import attributes, environment
from otel_loggedmodel._errors import swallow
from otel_loggedmodel.restamping import restamped
from otel_loggedmodel.shipping import REPEAT_AFTER_SECONDS, RecordShipper, check_exporter


class LoggedModelExporter(SpanExporter):
    """Wraps a span exporter, to be handed to a span processor in its place.

    Spans pass through. With the first spans of a version go the version's own records, once; again when the backend
    refused them, and every twelve hours while spans refer to it, so that no backend's retention forgets it. A span that
    lost its stamp to the SDK's attribute limit gets it back.

    Args:
        exporter: Any span exporter. By default OTLP, over HTTP or gRPC as OTEL_EXPORTER_OTLP_TRACES_PROTOCOL or
            OTEL_EXPORTER_OTLP_PROTOCOL say, set up by the standard OTEL_EXPORTER_OTLP_* variables.
        repeat_after: Seconds after which a version that is still in use is announced again.

    Raises:
        TypeError: What is to be wrapped is no span exporter.
    """

    def __init__(self, exporter: SpanExporter | None = None, *, repeat_after: float = REPEAT_AFTER_SECONDS) -> None:
        if exporter is None:
            exporter = otlp_exporter_from_environment()
        check_exporter(exporter)
        self._exporter = exporter
        self._shipper = RecordShipper(exporter, repeat_after)

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
        """Deliver the records that are due, and flush the wrapped exporter."""
        delivered = self._shipper.flush(timeout_millis / 1000)
        return self._exporter.force_flush(timeout_millis) and delivered

    def shutdown(self) -> None:
        """Deliver the records that are due, and shut the wrapped exporter down."""
        self._shipper.shutdown()
        self._exporter.shutdown()


def otlp_exporter_from_environment() -> SpanExporter:
    """An OTLP exporter as the standard environment variables describe it."""
    # Imported here: either takes longer to import than all of this library, and one of them is never needed.
    if environment.otlp_traces_protocol() == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

    return HttpExporter()


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
