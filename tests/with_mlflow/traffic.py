# SPDX-License-Identifier: Apache-2.0
"""Traces as any OpenTelemetry set-up sends them: plain OTLP over HTTP, without anything of this library."""

import dataclasses
import os
import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import format_trace_id

from otel_loggedmodel.mlflow_server.rest import Server
from otel_loggedmodel.mlflow_server.traces import TraceLink


@dataclasses.dataclass(frozen=True)
class SentTrace:
    """A trace of two spans, and its link."""

    spans: tuple[ReadableSpan, ...]
    link: TraceLink

    @property
    def id_there(self) -> str:
        """Its id on the server."""
        return f"tr-{format_trace_id(self.link.trace_id)}"


def make_trace(model_id: str, model_name: str | None = None, *, is_error: bool = False) -> SentTrace:
    """A trace that is not sent yet."""
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("shop")
    start = time.time_ns()
    with tracer.start_as_current_span("answer", start_time=start, end_on_exit=False) as root:
        child = tracer.start_span("call a model", attributes={"gen_ai.usage.input_tokens": 7})
        child.end()
    root.end(end_time=start + 250_000_000)
    trace_id = root.get_span_context().trace_id
    link = TraceLink(trace_id, start, start + 250_000_000, is_error, model_id, model_name)
    return SentTrace((root, child), link)


def send(server: Server, *traces: SentTrace) -> None:
    """Send them as a stock exporter does."""
    exporter = OTLPSpanExporter(endpoint=server.otlp_endpoint, headers=server.otlp_headers(), timeout=30)
    for trace in traces:
        assert exporter.export(trace.spans) is SpanExportResult.SUCCESS
    exporter.shutdown()


def random_id() -> str:
    """An id of a version that nobody has."""
    return f"m-{os.urandom(16).hex()}"
