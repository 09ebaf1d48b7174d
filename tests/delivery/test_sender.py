# SPDX-License-Identifier: Apache-2.0
"""LoggedModelSpanProcessor(exporter=...): records from a thread of the processor's own."""

import threading
import time
from collections.abc import Iterator

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

import otel_loggedmodel as mlflow
from doubles import ScriptedExporter
from otlp_receiver import OtlpReceiver
from waiting import wait_until


@pytest.fixture
def inner() -> ScriptedExporter:
    return ScriptedExporter()


@pytest.fixture
def provider(inner: ScriptedExporter) -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False, resource=Resource({"service.name": "shop"}))
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor(inner))
    yield provider
    provider.shutdown()


def test_records_are_delivered_without_any_span(provider, inner) -> None:
    model = mlflow.create_external_model("a")
    wait_until(lambda: inner.events == [("created", model.model_id)])
    mlflow.set_active_model("a")
    wait_until(lambda: len(inner.events) == 2)


def test_spans_are_not_delivered_by_it(provider, inner) -> None:
    mlflow.set_active_model("a")
    provider.get_tracer("x").start_span("own").end()
    provider.force_flush()
    assert [event for event, _ in inner.events] == ["created", "activated"]
    assert all(span.name.startswith("logged_model.") for batch in inner.batches for span in batch)


def test_records_carry_the_providers_resource_once_there_was_a_span(provider, inner) -> None:
    mlflow.set_active_model("a")
    provider.get_tracer("x").start_span("own").end()
    wait_until(lambda: len(inner.events) >= 2)
    mlflow.create_external_model("b")
    wait_until(lambda: len(inner.events) == 3)
    assert inner.batches[-1][-1].resource.attributes["service.name"] == "shop"


def test_the_caller_never_waits_for_the_backend(inner) -> None:
    blocked, release = threading.Event(), threading.Event()

    class Hanging(ScriptedExporter):
        def export(self, spans):
            blocked.set()
            release.wait(30)
            return super().export(spans)

    hanging = Hanging()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor(hanging))
    mlflow.set_active_model("a")
    assert blocked.wait(10)
    tracer = provider.get_tracer("x")
    started = time.perf_counter()
    for number in range(200):
        with mlflow.use_model(f"m{number}"):
            tracer.start_span("own").end()
        mlflow.create_external_model("b", params={"n": str(number)})
    assert time.perf_counter() - started < 20  # nothing like the 30 s that the backend hangs
    release.set()
    provider.shutdown()
    assert len(hanging.events) == 2 + 2 * 200 + 200


def test_refused_records_are_sent_again(provider, inner) -> None:
    sender = provider._active_span_processor._span_processors[0]._sender
    sender._shipper._retry_seconds = 0.05
    inner.refuse = lambda batch: len(inner.attempts) < 3
    mlflow.set_active_model("a")
    wait_until(lambda: len(inner.events) == 2)
    assert len(inner.attempts) >= 3


def test_spans_of_a_known_version_do_not_wake_the_thread(provider, inner) -> None:
    sender = provider._active_span_processor._span_processors[0]._sender
    mlflow.set_active_model("a")
    provider.get_tracer("x").start_span("first").end()
    wait_until(lambda: len(inner.events) == 2 and not sender._wake.is_set())
    for _ in range(100):
        provider.get_tracer("x").start_span("more").end()
        assert not sender._wake.is_set()


def test_a_version_in_use_is_announced_again(monkeypatch, inner) -> None:
    monkeypatch.setattr("otel_loggedmodel.delivery.sender._LOOK_SECONDS", 0.02)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(mlflow.LoggedModelSpanProcessor(inner))
    provider._active_span_processor._span_processors[0]._sender._shipper._repeat_after = 0.1
    mlflow.set_active_model("a")

    def uses_until_repeated() -> bool:
        provider.get_tracer("x").start_span("own").end()
        return len(inner.events) >= 4

    wait_until(uses_until_repeated)
    provider.shutdown()
    assert [kind for kind, _ in inner.events[:4]] == ["created", "activated", "created", "created"]


def test_shutdown_delivers_what_is_left_and_ends_the_thread(provider, inner) -> None:
    mlflow.create_external_model("a")
    provider.shutdown()
    assert len(inner.events) == 1
    assert inner.is_shut_down
    assert not [thread for thread in threading.enumerate() if thread.name == "OtelLoggedModelRecordSender"]


def test_over_real_otlp() -> None:
    with OtlpReceiver() as receiver:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(mlflow.LoggedModelSpanProcessor(OTLPSpanExporter(receiver.traces_endpoint)))
        model = mlflow.create_external_model("a", params={"k": "v"})
        receiver.wait_for(lambda spans: len(spans) == 1, timeout=60)
        provider.shutdown()
        (created,) = receiver.spans()
        assert created.trace_id == model.model_id[2:]
