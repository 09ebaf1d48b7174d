# SPDX-License-Identifier: Apache-2.0
"""What MLflow keeps under `mlflow.tracing`, and what its spans say: blocks, headers, documents, statuses."""

import dataclasses
import json
import re

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanContext, TraceFlags

import otel_loggedmodel as mlflow
from otel_loggedmodel.entities import Document, LiveSpan, Session, SpanEvent, SpanStatusCode, SpanType, TraceState
from otel_loggedmodel.genai.traces import Trace, TraceSpan


def test_a_block_says_whose_traces_begin_in_it_whoever_makes_their_spans(global_traced) -> None:
    tracer = global_traced.provider.get_tracer("an instrumentation")
    with mlflow.tracing.context(session_id="s-1", user="ada", tags={"team": "a", "project": "x"}):
        with tracer.start_as_current_span("outer"), tracer.start_as_current_span("child"):
            pass
        with mlflow.context(tags={"team": "b"}, metadata={"mlflow.trace.session": "s-2"}), mlflow.start_span("inner"):
            pass
    with tracer.start_as_current_span("after"):
        pass
    found = {span.name: span.attributes for span in global_traced.memory.get_finished_spans()}
    assert {key: found["outer"][key] for key in ("session.id", "user.id", "mlflow.traceTag.team")} == {
        "session.id": "s-1",
        "user.id": "ada",
        "mlflow.traceTag.team": "a",
    }
    assert "session.id" not in found["child"]
    assert found["inner"]["session.id"] == "s-2"
    assert found["inner"]["user.id"] == "ada"
    assert found["inner"]["mlflow.traceTag.team"] == "b"
    assert found["inner"]["mlflow.traceTag.project"] == "x"
    assert not {"session.id", "user.id", "mlflow.traceTag.team"} & set(found["after"])


def test_a_block_that_is_to_make_no_spans_says_what_does() -> None:
    with pytest.raises(NotImplementedError, match="suppress_instrumentation"), mlflow.tracing.context(enabled=False):
        pass
    with suppress_instrumentation():
        pass
    with pytest.raises(TypeError), mlflow.tracing.context(session_id=7):  # type: ignore[arg-type]
        pass


def test_a_trace_goes_on_by_the_headers_of_a_request(global_traced) -> None:
    with mlflow.start_span("client") as client:
        headers = mlflow.tracing.get_tracing_context_headers_for_http_request()
    assert headers["traceparent"].split("-")[1:3] == [client.trace_id, client.span_id]
    received = {key.title(): value for key, value in headers.items()}  # as Flask has them
    with mlflow.tracing.set_tracing_context_from_http_request_headers(received), mlflow.start_span("server") as server:
        assert server.trace_id == client.trace_id
    assert mlflow.get_current_active_span() is None
    assert mlflow.tracing.get_tracing_context_headers_for_http_request() == {}


def test_documents_of_a_retriever_are_recorded_with_their_fields(global_traced) -> None:
    found = [Document("Paris is the capital.", {"doc_uri": "a.md"}, "1")]

    @mlflow.trace(span_type=SpanType.RETRIEVER, record_result=True)
    def retrieve() -> list[Document]:
        return found

    retrieve()
    with mlflow.start_span("by hand", SpanType.RETRIEVER) as span:
        span.set_outputs(found)
        span.add_event(SpanEvent("cache", attributes={"hit": True}))
        span.add_event(SpanEvent.from_exception(ValueError("no such page")))
        assert isinstance(span, LiveSpan)
    for recorded in global_traced.memory.get_finished_spans():
        assert json.loads(recorded.attributes["output.value"]) == [dataclasses.asdict(found[0])] == [found[0].to_dict()]
    events = global_traced.memory.get_finished_spans()[-1].events
    assert [event.name for event in events] == ["cache", "exception"]
    assert events[0].attributes == {"hit": True}
    assert events[1].attributes["exception.type"] == "ValueError"


def test_models_of_pydantic_are_recorded_with_their_fields_and_others_as_texts(global_traced) -> None:
    pydantic = pytest.importorskip("pydantic")
    city = pydantic.create_model("City", name=(str, ...))

    class Odd:
        def __repr__(self) -> str:
            return "odd"

        def model_dump(self, mode: str) -> None:
            raise RuntimeError

    with mlflow.start_span("models") as span:
        span.set_outputs({"city": city(name="Rome"), "odd": Odd(), "kind": Document})
    recorded = json.loads(global_traced.memory.get_finished_spans()[0].attributes["output.value"])
    assert recorded["city"] == {"name": "Rome"}
    assert recorded["odd"] == "odd"
    assert "Document" in recorded["kind"]


def test_statuses_are_texts_with_mlflows_names() -> None:
    context = SpanContext(1, 1, False, TraceFlags(1))
    span = TraceSpan("a", f"{context.trace_id:032x}", f"{context.span_id:016x}", None, 0, 1, {}, "ERROR")
    trace = Trace([span])
    assert span.status == "ERROR"
    assert span.status.status_code is SpanStatusCode.ERROR
    assert span.status == SpanStatusCode.ERROR == str(SpanStatusCode.ERROR)
    assert trace.info.state == TraceState.ERROR
    assert json.loads(trace.to_json())["data"]["spans"][0]["status"] == "ERROR"
    assert Session("s", [trace]).id == "s"


def test_a_trace_is_looked_into_under_mlflows_names() -> None:
    def span(name: str, number: int, parent: int | None, attributes: dict[str, object]) -> TraceSpan:
        parent_id = None if parent is None else f"{parent:016x}"
        return TraceSpan(name, "1" * 32, f"{number:016x}", parent_id, number, number + 1, attributes, "OK")

    said = {
        "input.value": "x" * 2000,
        "mlflow.traceTag.team": "a",
        "logged_model.trace.metadata.response_preview": "short",
    }
    call = {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 4}
    score = {"gen_ai.evaluation.name": "good", "gen_ai.evaluation.score.label": "pass"}
    expected = {"logged_model.evaluation.expected": '{"city": "Paris"}'}
    results = [span("gen_ai.evaluation.result", 9, 2, score)]
    trace = Trace([span("answer", 1, None, said | expected), span("chat model", 2, 1, call)], results=results)
    assert trace.info.request_id == "1" * 32
    assert trace.info.request_metadata == trace.info.trace_metadata
    assert (len(trace.info.request_preview), trace.info.response_preview) == (1000, "short")
    assert trace.info.client_request_id is None
    assert trace.info.token_usage == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    assert Trace(trace.spans[:1]).info.token_usage is None
    assert [found.name for found in trace.search_spans(name=re.compile("^chat"))] == ["chat model"]
    assert [found.name for found in trace.search_spans(name="answer")] == ["answer"]
    assert [one.name for one in trace.search_assessments(type="feedback")] == ["good"]
    assert [one.name for one in trace.search_assessments(type="expectation")] == ["city"]
    assert [one.name for one in trace.search_assessments("good", span_id=f"{2:016x}", all=True)] == ["good"]
    assert trace.search_assessments("good", span_id=f"{1:016x}") == []
    assert trace.data.spans[1].to_dict()["parent_id"] == f"{1:016x}"
    assert json.loads(trace.to_json(pretty=True)) == json.loads(trace.to_json())


def test_whether_a_tracking_uri_is_set(monkeypatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert not mlflow.is_tracking_uri_set()
    mlflow.set_tracking_uri("http://localhost:5000")
    assert mlflow.is_tracking_uri_set() is mlflow.tracking.is_tracking_uri_set() is True


def test_a_run_is_an_active_run() -> None:
    with mlflow.start_run() as run:
        assert isinstance(run, mlflow.ActiveRun)
        assert run.info.status == "RUNNING"
    assert mlflow.get_run(run.info.run_id).info.status == "FINISHED"
