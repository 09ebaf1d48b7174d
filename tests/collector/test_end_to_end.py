# SPDX-License-Identifier: Apache-2.0
"""An application with the library in it, the real Collector, and back: the same model comes out that went in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

import otel_loggedmodel as mlflow
from otel_loggedmodel.versions import arriving, records
from otlp_receiver import MalformedError, ReceivedSpan, parse_file
from programs import finish, start
from waiting import wait_until

from .conftest import RunCollector
from .running import Collector

ANYONES_CONFIG = Path(__file__).parent / "anyones-sampler.yaml"


def over_http(collector: Collector) -> SpanExporter:
    return HttpExporter(f"{collector.url}/v1/traces")


def over_grpc(collector: Collector) -> SpanExporter:
    return GrpcExporter(f"http://{collector.grpc_address}")


def arrived(collector: Collector, count: int) -> list[ReceivedSpan]:
    """All spans, once so many of them are there beside those that continue others."""

    def spans() -> list[ReceivedSpan]:
        try:
            found = parse_file(collector.output)
        except (FileNotFoundError, MalformedError):  # not there yet, or in the middle of being written
            return []
        return found if sum(span.name != "logged_model.continued" for span in found) >= count else []

    return wait_until(spans, f"{count} spans")


def folded(spans: list[ReceivedSpan]) -> dict[str, records.FoldedModel]:
    return records.fold(
        arriving.events_of(arriving.Arrived(span.attributes, span.start_ns, int(span.span_id, 16)) for span in spans)
    )


@pytest.mark.parametrize("exporter", [over_http, over_grpc])
def test_the_same_model_comes_out_that_went_in(
    run_collector: RunCollector, exporter: Callable[[Collector], SpanExporter]
) -> None:
    with run_collector() as collector:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
        provider.add_span_processor(BatchSpanProcessor(mlflow.LoggedModelExporter(exporter(collector))))
        tracer = provider.get_tracer("application")
        model = mlflow.create_external_model(
            "my-agent-v1.0",
            model_type="rag",
            params={"llm": "gpt-4", "prompt": 'Say "ü"\n\n🚀 <b>' + "x" * 100_000},
            tags={"team": "a", "gone": "soon"},
        )
        with mlflow.set_active_model(model_id=model.model_id), tracer.start_as_current_span("request") as request:
            request.set_attributes({f"k{number}": number for number in range(500)})
            tracer.start_span("step").end()
        mlflow.log_model_params({"late": "1"}, model.model_id)
        mlflow.set_logged_model_tags(model.model_id, {"team": "b", "new": "2"})
        mlflow.delete_logged_model_tag(model.model_id, "gone")
        mlflow.finalize_logged_model(model.model_id, "FAILED")
        now = mlflow.get_logged_model(model.model_id)
        provider.shutdown()
        spans = arrived(collector, 8)

    assert folded(spans)[model.model_id].model == now
    assert len(folded(spans)[model.model_id].activations) == 1
    by_name = {span.name: span for span in spans}
    created, request, step = by_name["logged_model.created"], by_name["request"], by_name["step"]
    assert request.attributes["logged_model.id"] == step.attributes["logged_model.id"] == model.model_id
    assert request.attributes["logged_model.name"] == "my-agent-v1.0"
    assert [tuple(link)[:2] for link in request.links] == [(created.trace_id, created.span_id)]
    assert not step.links
    assert created.trace_id == model.model_id[2:]
    assert len([span for span in spans if span.name != "logged_model.continued"]) == 8


def test_a_reference_by_name_comes_out_as_one(run_collector: RunCollector) -> None:
    with run_collector() as collector:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(mlflow.LoggedModelSpanProcessor(over_http(collector)))
        mlflow.set_active_model("my-agent")
        provider.shutdown()
        spans = arrived(collector, 2)
    (created,) = [span for span in spans if span.name == "logged_model.created"]
    assert created.attributes["logged_model.reference"] == "name"


def test_many_processes_on_one_version_leave_one_root_span(run_collector: RunCollector) -> None:
    program = """
        model = mlflow.create_external_model("agent", params={"k": "v"})
        mlflow.set_active_model(model_id=model.model_id)
        tracer.start_span("work").end()
    """
    with run_collector() as collector:
        for process in [start(program, collector.url) for _ in range(4)]:
            finish(process)
        spans = arrived(collector, 12)
    roots = {(span.trace_id, span.span_id) for span in spans if span.name == "logged_model.created"}
    assert len(roots) == 1
    (model,) = folded(spans).values()
    assert len(model.activations) == 4


def test_one_environment_variable_is_enough(run_collector: RunCollector) -> None:
    with run_collector() as collector:
        finish(start('tracer.start_span("work").end()', collector.url, MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0"))
        spans = arrived(collector, 2)
    assert {span.name: span.attributes["logged_model.id"] for span in spans} == {
        "logged_model.activated": "my-agent-v1.0",
        "work": "my-agent-v1.0",
    }


@pytest.mark.parametrize("mode", ["hash_seed", "proportional", "equalizing"])
def test_real_records_survive_anyones_sampler(run_collector: RunCollector, mode: str) -> None:
    with run_collector({"MODE": mode}, config=ANYONES_CONFIG) as collector:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(mlflow.LoggedModelSpanProcessor())
        provider.add_span_processor(BatchSpanProcessor(mlflow.LoggedModelExporter(over_http(collector))))
        made = {mlflow.create_external_model("agent", params={"n": str(number)}).model_id for number in range(100)}
        mlflow.set_active_model("agent")
        tracer = provider.get_tracer("application")
        for _ in range(1000):
            tracer.start_span("work").end()
        provider.shutdown()
        spans = arrived(collector, 101)
    assert {span.attributes["logged_model.id"] for span in spans if span.name == "logged_model.created"} == made
    assert len([span for span in spans if span.name == "work"]) < 100
