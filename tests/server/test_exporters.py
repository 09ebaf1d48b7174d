# SPDX-License-Identifier: Apache-2.0
"""The exporters of OpenTelemetry, and the whole library before them, against a backend."""

import logging
import math
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import otel_loggedmodel
from otel_loggedmodel.store.reading import StoreUnavailableError
from waiting import wait_until

from .backends import Backend

TOKEN = "a-secret"


def over_http(backend: Backend, **options: Any) -> SpanExporter:
    return HttpExporter(backend.addresses.http + "/v1/traces", **options)


def over_grpc(backend: Backend, **options: Any) -> SpanExporter:
    return GrpcExporter(backend.addresses.grpc, insecure=True, **options)


@pytest.fixture
def spans() -> list[ReadableSpan]:
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("scope", "1.0")
    with tracer.start_as_current_span("parent", attributes={"list": ["a", "b"], "number": 7}):
        for number in range(20):
            with tracer.start_as_current_span(f"child {number}") as span:
                span.add_event("event", {"key": "value"})
    provider.shutdown()
    return list(memory.get_finished_spans())


@pytest.fixture
def use() -> Iterator[Callable[..., SpanExporter]]:
    used: list[SpanExporter] = []

    def use(exporter: SpanExporter) -> SpanExporter:
        used.append(exporter)
        return exporter

    yield use
    for exporter in used:
        exporter.shutdown()


@pytest.mark.parametrize(
    "make",
    [
        over_http,
        lambda backend: over_http(backend, compression=Compression.Gzip),
        lambda backend: over_http(backend, compression=Compression.Deflate),
        over_grpc,
        lambda backend: over_grpc(backend, compression=grpc.Compression.Gzip),
    ],
    ids=["http", "http gzip", "http deflate", "grpc", "grpc gzip"],
)
def test_an_exporter_delivers(serve: Any, use: Any, spans: list[ReadableSpan], make: Any) -> None:
    backend = serve()
    exporter = use(make(backend))
    assert exporter.export(spans) is SpanExportResult.SUCCESS
    stored = {span.name: span for span in backend.writer.spans}
    assert set(stored) == {"parent", *(f"child {number}" for number in range(20))}
    assert stored["child 3"].parent_span_id == stored["parent"].span_id
    attributes = {attribute.key: attribute.value for attribute in stored["parent"].attributes}
    assert attributes["list"].string_value == '["a","b"]'
    assert attributes["number"].int_value == 7


@pytest.mark.parametrize(
    "make",
    [
        lambda backend, token: over_http(backend, headers={"Authorization": f"Bearer {token}"}),
        lambda backend, token: over_grpc(backend, headers=(("authorization", f"Bearer {token}"),)),
    ],
    ids=["http", "grpc"],
)
def test_an_exporter_needs_the_token(
    serve: Any, use: Any, spans: list[ReadableSpan], make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    backend = serve(token=TOKEN)
    assert use(make(backend, "wrong")).export(spans) is SpanExportResult.FAILURE
    assert backend.writer.spans == []
    assert "nauthorized" in caplog.text or "UNAUTHENTICATED" in caplog.text
    assert use(make(backend, TOKEN)).export(spans) is SpanExportResult.SUCCESS
    assert len(backend.writer.spans) == 21


@pytest.mark.parametrize("make", [over_http, over_grpc], ids=["http", "grpc"])
def test_an_exporter_tries_again_until_the_store_is_back(
    serve: Any, use: Any, spans: list[ReadableSpan], make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    backend = serve()
    failures = [StoreUnavailableError("away")]

    def script(requests: Any) -> None:
        if failures:
            raise failures.pop()

    backend.writer.script = script
    assert use(make(backend, timeout=20)).export(spans) is SpanExportResult.SUCCESS
    assert len(backend.writer.spans) == 21
    assert not failures


@pytest.mark.parametrize("make", [over_http, over_grpc], ids=["http", "grpc"])
def test_versions_arrive_with_the_spans_that_refer_to_them(serve: Any, make: Any) -> None:
    backend = serve()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(otel_loggedmodel.LoggedModelSpanProcessor())
    provider.add_span_processor(BatchSpanProcessor(otel_loggedmodel.LoggedModelExporter(make(backend))))
    model = otel_loggedmodel.create_external_model(name="agent", params={"llm": "small"})
    with otel_loggedmodel.use_model(model), provider.get_tracer("t").start_as_current_span("work"):
        pass
    provider.shutdown()
    wait_until(lambda: len(backend.writer.spans) >= 2)
    stamped = {
        span.name: {attribute.key: attribute.value.string_value for attribute in span.attributes}
        for span in backend.writer.spans
    }
    assert stamped["work"]["logged_model.id"] == model.model_id
    created = [values for values in stamped.values() if values.get("logged_model.event") == "created"]
    assert [values["logged_model.param.llm"] for values in created] == ["small"]


# Metrics


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_the_exporters_of_metrics_log_nothing_though_none_are_stored(
    shared: Backend, caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    """Distributions export metrics each minute."""
    if transport == "http":
        exporter: MetricExporter = HttpMetricExporter(shared.addresses.http + "/v1/metrics")
    else:
        exporter = GrpcMetricExporter(shared.addresses.grpc, insecure=True)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)
    meters = MeterProvider([reader], shutdown_on_exit=False)
    meter = meters.get_meter("app")
    for number in range(3):
        meter.create_histogram("gen_ai.client.operation.duration").record(0.5, {"number": number})
        assert meters.force_flush()
    meters.shutdown()
    assert not [entry for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert shared.metric(
        "otel_loggedmodel_requests_total", transport=transport, code="200" if transport == "http" else "OK"
    )
    assert shared.writer.inserts == []
