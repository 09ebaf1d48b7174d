# SPDX-License-Identifier: Apache-2.0
"""Spans to send: made by the SDK, each with a name of its own."""

from collections.abc import Sequence

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def make_spans(*names: str, scope: str = "test", **attributes: object) -> Sequence[ReadableSpan]:
    """Ended spans of these names."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer(scope, "1.0")
    for name in names:
        tracer.start_span(name, attributes=attributes).end()
    return memory.get_finished_spans()


def make_records(*names: str) -> Sequence[ReadableSpan]:
    """Spans that look like the records of models."""
    return make_spans(*names, **{"logged_model.event": "created", "logged_model.id": "m"})


def numbered(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]
