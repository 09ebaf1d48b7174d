# SPDX-License-Identifier: Apache-2.0
"""Spans such as GenAI applications make, and processors and exporters for measuring with."""

from collections.abc import Callable, Sequence

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.util.types import AttributeValue

SPANS_PER_TRACE = 8

_RESOURCE = Resource(
    {
        "service.name": "support-agent",
        "service.version": "2.3.1",
        "deployment.environment.name": "production",
        "host.name": "worker-17",
        "telemetry.sdk.language": "python",
    }
)


class NullExporter(SpanExporter):
    """Takes everything and keeps nothing."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class InBatches(SpanProcessor):
    """Hands ended spans over in batches, in the thread that ends them, so that no span is ever dropped."""

    def __init__(self, take: Callable[[Sequence[ReadableSpan]], object], batch: int = 512) -> None:
        self._take = take
        self._batch = batch
        self._spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self._spans.append(span)
        if len(self._spans) >= self._batch:
            self.force_flush()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        spans, self._spans = self._spans, []
        self._take(spans)
        return True


def tracer_with(*processors: SpanProcessor, id_generator: IdGenerator | None = None) -> trace.Tracer:
    """A tracer of a provider of its own."""
    provider = TracerProvider(resource=_RESOURCE, shutdown_on_exit=False, id_generator=id_generator)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider.get_tracer("opentelemetry.instrumentation.openai_v2", "2.3")


def chat_attributes(number: int) -> dict[str, AttributeValue]:
    """The twelve attributes of a chat span by the GenAI conventions."""
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5-mini",
        "gen_ai.response.model": "gpt-5-mini-2026-08-07",
        "gen_ai.response.id": f"chatcmpl-{number:032x}",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.request.temperature": 0.7,
        "gen_ai.request.max_tokens": 4096,
        "gen_ai.usage.input_tokens": 1200 + number % 97,
        "gen_ai.usage.output_tokens": 300 + number % 31,
        "gen_ai.conversation.id": f"conv-{number // SPANS_PER_TRACE:032x}",
        "url.full": "https://support-eu-west.openai.azure.com/openai/deployments/gpt-5-mini/chat/completions"
        "?api-version=2026-06-01",
    }


def make_trace(
    tracer: trace.Tracer, number: int, attributes_of: Callable[[int], dict[str, AttributeValue]] = chat_attributes
) -> None:
    """A request with the chat calls that it makes."""
    with tracer.start_as_current_span("POST /chat", kind=trace.SpanKind.SERVER, attributes=attributes_of(number)):
        for child in range(1, SPANS_PER_TRACE):
            tracer.start_span(
                "chat gpt-5-mini", kind=trace.SpanKind.CLIENT, attributes=attributes_of(number + child)
            ).end()


def make_overfull_span(tracer: trace.Tracer, keys: Sequence[str]) -> None:
    """A span with more attributes than the SDK keeps, as flattened messages make them: its stamp is dropped."""
    span = tracer.start_span("invoke_agent")
    span.set_attributes(dict.fromkeys(keys, "the quick brown fox jumps over the lazy dog"))
    span.end()
