# SPDX-License-Identifier: Apache-2.0
"""Traces: spans by hand, what is said of a trace, and traces searched for and read back from a backend."""

import json
import uuid

import pytest
from opentelemetry import trace as trace_api
from opentelemetry.trace import StatusCode

import otel_loggedmodel as mlflow
from effort import only_in_full
from otel_loggedmodel.entities import AssessmentSource, Expectation, Feedback, Link, SpanLogLevel, SpanType
from waiting import wait_until


@pytest.fixture
def name() -> str:
    """Of a version that no other test has."""
    return f"app-{uuid.uuid4().hex[:12]}"


# Spans by hand


def test_a_span_by_hand_has_inputs_outputs_and_a_kind(global_traced) -> None:
    mlflow.set_active_model(name="v1")
    with mlflow.start_span("retrieve", span_type=SpanType.RETRIEVER, attributes={"k": 3, "of": {"a": 1}}) as span:
        span.set_inputs({"query": "x"})
        span.set_outputs("found")
        span.set_attributes({"list": ["a", "b"]})
        span.add_event("looked", {"in": "index"})
        assert mlflow.get_current_active_span().span_id == span.span_id
        assert span.get_attribute("k") == 3
    found = global_traced.spans["retrieve"]
    assert f"{found.context.trace_id:032x}" == span.trace_id == mlflow.get_last_active_trace_id()
    assert mlflow.get_last_active_trace_id(thread_local=True) == span.trace_id
    values = dict(found.attributes)
    assert values.pop("logged_model.id") == mlflow.get_active_model_id()
    assert values.pop("logged_model.name") == "v1"
    assert values == {
        "openinference.span.kind": "RETRIEVER",
        "k": 3,
        "of": '{"a": 1}',
        "input.value": '{"query": "x"}',
        "input.mime_type": "application/json",
        "output.value": "found",
        "output.mime_type": "text/plain",
        "list": ("a", "b"),
    }
    assert [event.name for event in found.events] == ["looked"]
    assert mlflow.get_current_active_span() is None


def test_an_exception_fails_the_span_and_is_raised(global_traced) -> None:
    with pytest.raises(RuntimeError), mlflow.start_span():
        raise RuntimeError("broken")
    assert global_traced.spans["span"].status.status_code is StatusCode.ERROR
    with mlflow.start_span("mine") as span:
        span.set_status("ERROR")
        with pytest.raises(ValueError, match="pass 'OK' or 'ERROR'"):
            span.set_status("fine")
    assert global_traced.spans["mine"].status.status_code is StatusCode.ERROR


def test_what_is_said_of_the_trace_is_on_its_first_span(global_traced) -> None:
    @mlflow.trace(name="inner")
    def inner() -> None:
        mlflow.update_current_trace(
            tags={"team": "support"},
            metadata={"mlflow.trace.session": "s-1", "mlflow.trace.user": "u-1", "release": "7"},
            client_request_id="r-1",
        )

    @mlflow.trace(name="outer")
    def outer() -> None:
        inner()

    outer()
    assert not {key for key in global_traced.spans["inner"].attributes if "trace" in key.lower()}
    said = global_traced.spans["outer"].attributes
    assert said["mlflow.traceTag.team"] == "support"
    assert (said["session.id"], said["user.id"]) == ("s-1", "u-1")
    assert said["logged_model.trace.metadata.release"] == "7"
    assert said["logged_model.trace.metadata.client_request_id"] == "r-1"


def test_without_a_trace_nothing_is_said_and_a_warning_is(global_traced, caplog) -> None:
    mlflow.update_current_trace(tags={"a": "b"})
    assert "no span is being recorded here" in caplog.text
    with pytest.raises(TypeError, match='"a" is int 1'):
        mlflow.update_current_trace(tags={"a": 1})
    with pytest.raises(ValueError, match=r"use_model\(model_id=...\)"):
        mlflow.update_current_trace(model_id="m-1")


def test_a_span_has_links_a_level_and_a_description(global_traced) -> None:
    far = Link("tr-" + "a" * 32, "b" * 16, {"why": "asked by"})
    own = trace_api.Link(trace_api.SpanContext(1, 2, is_remote=True))

    @mlflow.trace(links=[far, own], log_level="debug", description="Looks it up.")
    def decorated() -> None:
        mlflow.get_current_active_span().add_link(Link("c" * 32, "d" * 16))

    decorated()
    with mlflow.start_span("by hand", links=[far], log_level=SpanLogLevel.INFO, description="Looks.") as span:
        span.set_log_level("WARNING")
    made = global_traced.spans["test_a_span_has_links_a_level_and_a_description.decorated"]
    assert [(link.context.trace_id, link.context.span_id) for link in made.links] == [
        (int("a" * 32, 16), int("b" * 16, 16)),
        (1, 2),
        (int("c" * 32, 16), int("d" * 16, 16)),
    ]
    assert made.links[0].attributes == {"why": "asked by"}
    assert made.attributes["mlflow.spanLogLevel"] == 10
    assert made.attributes["mlflow.spanDescription"] == "Looks it up."
    by_hand = global_traced.spans["by hand"]
    assert (by_hand.attributes["mlflow.spanLogLevel"], len(by_hand.links)) == (30, 1)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"log_level": "loud"}, ValueError, "pass one of DEBUG, INFO"),
        ({"log_level": 20}, ValueError, "pass one of DEBUG, INFO"),
        ({"links": ["a" * 32]}, TypeError, r"pass Link\(trace_id, span_id\)"),
        ({"links": [Link("a" * 32, "b")]}, ValueError, "pass 16 hex digits"),
        ({"trace_destination": "1"}, ValueError, "the exporter of the tracer provider says where"),
    ],
)
def test_what_a_span_cannot_be_given_is_refused(given, error, said) -> None:
    with pytest.raises(error, match=said):
        mlflow.trace(**given)
    with pytest.raises(error, match=said), mlflow.start_span("never", **given):
        pass


def test_what_only_one_of_the_two_takes_says_what_to_do_instead() -> None:
    with pytest.raises(ValueError, match="the sampler of the tracer provider"):
        mlflow.trace(sampling_ratio_override=0.5)
    with pytest.raises(ValueError, match="evaluate says the run of its traces"), mlflow.start_span(run_id="r"):
        pass


# Read back


def three_traces(name: str) -> list[str]:
    ids = []
    with mlflow.use_model(name=name):
        for number in range(3):
            with mlflow.start_span(f"request {number}") as span:
                span.set_inputs({"question": f"q{number}"})
                span.set_outputs(f"a{number}")
                mlflow.update_current_trace(tags={"number": str(number)}, session_id=f"s{number % 2}")
                if number == 2:
                    span.set_status("ERROR")
                ids.append(span.trace_id)
    return ids


def search(name: str, *arguments, **more):
    return mlflow.search_traces(name, *arguments, **more)


@only_in_full
def test_traces_are_searched_by_what_is_said_of_them(backend, name) -> None:
    ids = three_traces(name)
    wait_until(lambda: len(search(name)) == 3)

    def found(filter_string: str, **more: object) -> list[int]:
        return sorted(ids.index(trace.info.trace_id) for trace in search(name, filter_string, **more))

    assert found("status = 'ERROR'") == [2]
    assert found("trace.status = 'OK'") == [0, 1]
    assert found("tags.number = '1'") == [1]
    assert found("tags.`number` IN ('0', '2') AND name LIKE 'request %'") == [0, 2]
    assert found("metadata.`mlflow.trace.session` = 's0'") == [0, 2]
    assert found("attributes.`session.id` = 's1'") == [1]
    assert found("timestamp_ms > 1000 AND execution_time_ms >= 0") == [0, 1, 2]
    assert found("timestamp_ms < 1000") == []
    assert found(f"trace_id = '{ids[1]}'") == [1]
    assert [trace.trace_id for trace in search(name, order_by=["timestamp_ms ASC"])] == ids
    assert len(search(name, max_results=2)) == 2
    for filter_string, said in (("colour = 'x'", "cannot be searched by 'colour'"), ("tags.a = b", "cannot be read")):
        with pytest.raises(ValueError, match=said):
            search(name, filter_string)


def test_what_is_found_is_a_list_and_a_table(backend, name) -> None:
    pytest.importorskip("pandas")
    ids = three_traces(name)
    wait_until(lambda: len(search(name)) == 3)
    found = search(name, order_by=["timestamp_ms ASC"])
    assert len(found) == 3
    assert found[0].trace_id == ids[0]
    assert [trace.trace_id for trace in found[1:]] == ids[1:]
    assert list(found["trace_id"]) == list(found.trace_id) == ids
    assert list(found.to_df()["response"]) == ["a0", "a1", "a2"]
    assert found.iloc[0]["tags"] == {"number": "0"}
    assert [row["state"] for _, row in found.iterrows()] == ["OK", "OK", "ERROR"]
    listed = search(name, return_type="list")
    assert (type(listed), len(listed)) == (list, 3)
    table = search(name, return_type="pandas")
    assert set(table["trace_id"]) == set(ids)

    @mlflow.genai.scorer
    def numbered(outputs) -> bool:
        return outputs.startswith("a")

    for data in (found, listed, table):
        result = mlflow.genai.evaluate(data, [numbered], tracer_provider=backend)
        assert (result.count, result.error_count, result.metrics) == (3, 0, {"numbered/mean": 1.0})


def test_nothing_is_read_before_it_is_needed(monkeypatch) -> None:
    monkeypatch.setenv("OTEL_LOGGEDMODEL_STORE", "http://127.0.0.1:9")
    found = mlflow.search_traces("nobody")
    assert not hasattr(found, "dataset_id")
    assert not hasattr(found, "spanned")
    with pytest.raises(Exception, match="nothing answers at"):
        len(found)


def test_one_trace_is_read_with_all_that_was_said_of_it(backend, name) -> None:
    trace_id = three_traces(name)[0]
    mlflow.set_trace_tag(trace_id, "reviewed", "yes")
    mlflow.set_trace_tag(f"tr-{trace_id}", "number", "seven")
    said = mlflow.log_feedback(trace_id=trace_id, name="helpful", value=False, source="human", rationale="Too short.")
    wanted = mlflow.log_expectation(trace_id=trace_id, name="expected_response", value={"text": "a"}, source="human")

    def read():
        trace = mlflow.get_trace(trace_id)
        return trace if trace is not None and len(trace.info.assessments) == 2 else None

    trace = wait_until(read)
    assert trace.info.tags == {"number": "seven", "reviewed": "yes"}
    assert trace.info.trace_metadata["mlflow.trace.session"] == "s0"
    assert trace.info.trace_metadata["mlflow.modelId"] == trace.model_id
    assert [span.name for span in trace.data.spans] == ["request 0"]
    assert (trace.data.request, trace.data.response) == ({"question": "q0"}, "a0")
    (feedback,) = trace.search_assessments("helpful")
    assert (feedback.value, feedback.rationale, feedback.source.source_type) == (False, "Too short.", "HUMAN")
    assert feedback.assessment_id == said.assessment_id
    (expectation,) = trace.search_assessments("expected_response")
    assert isinstance(expectation, Expectation)
    assert (expectation.value, expectation.assessment_id) == ({"text": "a"}, wanted.assessment_id)
    assert json.loads(trace.to_json())["info"]["tags"]["reviewed"] == "yes"
    mlflow.delete_trace_tag(trace_id, "reviewed")
    wait_until(lambda: mlflow.get_trace(trace_id).info.tags == {"number": "seven"})
    assert mlflow.get_trace("f" * 32) is None

    @mlflow.genai.scorer
    def as_expected(outputs, expectations) -> bool:
        return expectations == {"expected_response": {"text": "a"}}

    result = mlflow.genai.evaluate([trace], [as_expected], tracer_provider=backend)
    assert result.metrics == {"as_expected/mean": 1.0}


def test_feedback_is_overridden_updated_and_deleted(backend, serving, name) -> None:
    trace_id = three_traces(name)[0]

    def scores() -> dict[str, float]:
        backend.force_flush()
        wait_until(lambda: serving.get("/api/v1/versions", {"name": name})["versions"])
        found = serving.get("/api/v1/compare", {"version": name})["versions"][0]["scores"]
        return {key: (one["mean"], one["count"]) for key, one in found.items()}

    judged = mlflow.log_feedback(trace_id=trace_id, name="correct", value=False, source="llm")
    other = mlflow.log_feedback(trace_id=trace_id, name="correct", value=False, source="llm")
    wait_until(lambda: scores() == {"correct": (0.0, 2)})
    mlflow.override_feedback(
        trace_id=trace_id, assessment_id=judged.assessment_id, value=True, source=AssessmentSource("HUMAN", "anna")
    )
    wait_until(lambda: scores() == {"correct": (0.5, 2)})
    mlflow.update_assessment(trace_id, other.assessment_id, Feedback(value=True, rationale="It is, after all."))
    wait_until(lambda: scores() == {"correct": (1.0, 2)})
    assert mlflow.get_assessment(trace_id, other.assessment_id).rationale == "It is, after all."
    mlflow.delete_assessment(trace_id, other.assessment_id)
    wait_until(lambda: scores() == {"correct": (1.0, 1)})
    mlflow.delete_assessment(trace_id, judged.assessment_id)
    wait_until(lambda: "correct" not in scores() or scores()["correct"][1] == 0)
    with pytest.raises(LookupError, match="has no assessment 'a-1'"):
        mlflow.get_assessment(trace_id, "a-1")
    with pytest.raises(TypeError, match="pass a Feedback or an Expectation"):
        mlflow.log_assessment(trace_id, "fine")
    assert isinstance(mlflow.log_assessment(trace_id, Expectation("answer", "42")), Expectation)


def test_traces_of_a_run_are_found_by_its_id(backend, name) -> None:
    result = mlflow.genai.evaluate([{"inputs": {"x": 1}}], [], lambda x: x, name, tracer_provider=backend)
    wait_until(lambda: len(mlflow.search_traces(run_id=result.run_id)) == 1)
    (trace,) = mlflow.search_traces(run_id=result.run_id)
    assert trace.info.trace_metadata["mlflow.sourceRun"] == result.run_id
    assert len(mlflow.search_traces(filter_string=f"run_id = '{result.run_id}'", model_id=name)) == 1


def test_traces_are_of_the_experiment_of_their_version(backend, name) -> None:
    model = mlflow.create_external_model(name, experiment_id=f"of-{name}")
    with mlflow.use_model(model), trace_api.get_tracer_provider().get_tracer("t").start_as_current_span("request"):
        pass
    wait_until(lambda: len(mlflow.search_traces([f"of-{name}"])) == 1)
    assert len(mlflow.search_traces(locations=[f"of-{name}"])) == 1
    assert not mlflow.search_traces(experiment_ids=["of-nobody"])
    wait_until(lambda: mlflow.search_logged_models([f"of-{name}"], output_format="list"))
