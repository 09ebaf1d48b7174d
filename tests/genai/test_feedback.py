# SPDX-License-Identifier: Apache-2.0
"""Feedback on traces: what is sent of it, and whose work it counts for."""

import pytest
from opentelemetry.trace import format_span_id, format_trace_id

import otel_loggedmodel
from otel_loggedmodel.entities import AssessmentSource, AssessmentSourceType, Feedback

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"


@pytest.fixture
def log(traced):
    def call(**arguments):
        return otel_loggedmodel.log_feedback(**{"trace_id": TRACE_ID, "tracer_provider": traced.provider, **arguments})

    return call


def test_feedback_is_a_span_of_the_trace_it_is_about(log, results) -> None:
    feedback = log(
        span_id=SPAN_ID,
        name="helpful",
        value=True,
        source=AssessmentSource("human", "ann@example.com"),
        rationale="It answers the question.",
        model_id="m-1",
    )
    assert isinstance(feedback, Feedback)
    (span,) = results()
    assert format_trace_id(span.context.trace_id) == TRACE_ID
    assert format_span_id(span.parent.span_id) == SPAN_ID
    assert dict(span.attributes) == {
        "logged_model.evaluation.assessment": feedback.assessment_id,
        "gen_ai.evaluation.name": "helpful",
        "gen_ai.evaluation.score.value": 1.0,
        "gen_ai.evaluation.score.label": "pass",
        "gen_ai.evaluation.explanation": "It answers the question.",
        "logged_model.id": "m-1",
        "logged_model.evaluation.source": "human",
        "logged_model.evaluation.source_id": "ann@example.com",
        "sampling.priority": 1,
    }


def test_feedback_on_an_older_trace_is_not_booked_for_the_version_that_is_active_now(log, results) -> None:
    otel_loggedmodel.set_active_model(name="newer-version")
    log(value=1)
    assert "logged_model.id" not in results()[0].attributes


def test_a_trace_without_a_span_gets_no_second_root(log, results) -> None:
    log(value=1)
    log(value=2)
    first, second = results()
    assert first.parent.span_id == second.parent.span_id != 0
    assert first.context.span_id != second.context.span_id


def test_feedback_on_the_current_trace_is_on_the_current_span_and_its_version(log, results, traced) -> None:
    with otel_loggedmodel.use_model(name="v1") as model, traced.tracer.start_as_current_span("request") as span:
        context = span.get_span_context()
        log(trace_id=format_trace_id(context.trace_id), value=0.5)
    (result,) = results()
    assert result.parent.span_id == context.span_id
    assert result.attributes["logged_model.id"] == model.model_id


@pytest.mark.parametrize(
    ("source", "sent"), [("human", "human"), ("LLM_JUDGE", "llm"), ("llm", "llm"), ("code", "code"), (None, "code")]
)
def test_sources(log, results, source, sent) -> None:
    log(value="formal", source=source)
    assert results()[0].attributes["logged_model.evaluation.source"] == sent
    assert results()[0].attributes["gen_ai.evaluation.score.label"] == "formal"
    assert AssessmentSource("ai_judge").source_type is AssessmentSourceType.LLM_JUDGE


def test_an_error_is_feedback_without_a_value(log, results) -> None:
    log(name="faithful", error=TimeoutError("no answer"))
    (span,) = results()
    assert (span.attributes["error.type"], span.attributes["gen_ai.evaluation.explanation"]) == (
        "TimeoutError",
        "no answer",
    )
    assert "gen_ai.evaluation.score.value" not in span.attributes


def test_ids_of_mlflow_are_understood(log, results) -> None:
    log(trace_id="tr-" + TRACE_ID, value=1)
    assert format_trace_id(results()[0].context.trace_id) == TRACE_ID


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"value": None}, "pass a value"),
        ({"value": 1, "trace_id": "abc"}, "32 hex digits"),
        ({"value": 1, "trace_id": "0" * 32}, "not all 0"),
        ({"value": 1, "span_id": "x" * 16}, "16 hex digits"),
        ({"value": 1, "source": "crowd"}, "pass one of HUMAN, CODE, LLM_JUDGE"),
        ({"value": float("inf")}, "no number to compare"),
        ({"value": 1, "name": ""}, "name is empty"),
    ],
)
def test_mistakes_raise_at_once(log, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        log(**arguments)
    with pytest.raises(TypeError, match="trace_id is int"):
        log(value=1, trace_id=3)
    with pytest.raises(TypeError, match="source is int"):
        log(value=1, source=3)
