# SPDX-License-Identifier: Apache-2.0
"""Links and assessments of traces that came over plain OTLP, seen through MLflow's own client."""

import dataclasses

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import AssessmentSourceType, Trace
from mlflow.entities import TraceState as ServerState
from opentelemetry.sdk.resources import Resource

from otel_loggedmodel.genai import Feedback
from otel_loggedmodel.genai.assessments import AssessmentSource
from otel_loggedmodel.genai.recording import Judged, result_span
from otel_loggedmodel.mlflow_server.assessments import RESULT_SPAN, Assessment
from otel_loggedmodel.mlflow_server.models import Models, UnknownModelError
from otel_loggedmodel.mlflow_server.rest import Server, ServerError
from otel_loggedmodel.mlflow_server.traces import Traces

from .test_models import created
from .traffic import SentTrace, make_trace, random_id, send


def of_model(server_id: str, experiment_id: str) -> dict[str, Trace]:
    """What `mlflow.search_traces` finds for a LoggedModel."""
    found = mlflow.search_traces(locations=[experiment_id], model_id=server_id, return_type="list")
    return {trace.info.trace_id: trace for trace in found}


@pytest.mark.parametrize("spans_first", [True, False])
@pytest.mark.usefixtures("client")
def test_traces_of_plain_otlp_are_found_by_their_version(
    models: Models, traces: Traces, rest: Server, experiment_id: str, spans_first: bool
) -> None:
    event, other = created("agent", params={"a": "1"}), created("agent", params={"a": "2"})
    models.apply(event)
    models.apply(other)
    first, failed = make_trace(event.model_id), make_trace(event.model_id, is_error=True)
    elsewhere, unlinked = make_trace(other.model_id), make_trace(other.model_id)
    if spans_first:
        send(rest, first, failed, elsewhere, unlinked)
    for trace in (first, failed, elsewhere, first):
        traces.link(trace.link)
    if not spans_first:
        send(rest, first, failed, elsewhere, unlinked)
    found = of_model(models.id_of(event.model_id), experiment_id)
    assert set(found) == {first.id_there, failed.id_there}
    assert set(of_model(models.id_of(other.model_id), experiment_id)) == {elsewhere.id_there}
    info = found[first.id_there].info
    assert (info.state, found[failed.id_there].info.state) == (ServerState.OK, ServerState.ERROR)
    assert info.request_time == first.link.start_ns // 1_000_000
    assert info.execution_duration == 250
    assert [span.name for span in found[first.id_there].data.spans] == ["answer", "call a model"]
    assert info.token_usage["input_tokens"] == 7


def test_a_version_that_only_its_traces_tell_of_is_made_by_name(
    client: MlflowClient, models: Models, traces: Traces, rest: Server, experiment_id: str
) -> None:
    trace = make_trace(random_id(), "agent-v1.0")
    send(rest, trace)
    traces.link(trace.link)
    (made,) = client.search_logged_models([experiment_id])
    assert made.name == "agent-v1-0"
    assert made.model_id == models.id_of(trace.link.model_id)
    assert set(of_model(made.model_id, experiment_id)) == {trace.id_there}


@pytest.mark.usefixtures("client")
def test_a_link_to_an_unknown_version_waits_or_is_made_as_it_is(
    traces: Traces, rest: Server, experiment_id: str
) -> None:
    trace = make_trace(random_id())
    with pytest.raises(UnknownModelError):
        traces.link(trace.link)
    assert traces.known([trace.link.trace_id]) == set()
    traces.link(trace.link, as_it_is=True)
    assert traces.known([trace.link.trace_id]) == {trace.link.trace_id}
    send(rest, trace)
    assert set(of_model(trace.link.model_id, experiment_id)) == {trace.id_there}


def test_which_traces_are_there_can_be_asked_for_many(traces: Traces, rest: Server) -> None:
    made = [make_trace("m") for _ in range(3)]
    send(rest, *made[:2])
    absent = [make_trace("m").link.trace_id for _ in range(150)]
    ids = [trace.link.trace_id for trace in made]
    assert traces.known([*absent, *ids, *ids]) == set(ids[:2])
    assert traces.infos(ids)[ids[0]]["trace_location"]["mlflow_experiment"]["experiment_id"] == rest.experiment_id
    assert traces.known([]) == set()


def result_of(trace: SentTrace, feedback: Feedback, *, on_span: bool = True, scorer: str | None = "s1") -> Assessment:
    """A result as it comes from this library's own span."""
    judged = Judged(
        trace.link.trace_id,
        trace.spans[0].get_span_context().span_id if on_span else None,
        dataset="d1",
        dataset_name="questions",
        row="r1",
    )
    span = result_span(feedback, judged, Resource.get_empty(), scorer, time_ns=1_700_000_000_123_456_789)
    context, parent = span.get_span_context(), span.parent
    assert parent is not None
    found = Assessment.of_span(
        span.attributes or {}, context.trace_id, context.span_id, parent.span_id, span.start_time or 0
    )
    assert found is not None
    return found


@pytest.mark.parametrize("value", [0.75, 3.0, True, False, "good", "ünïcødé 🚀"])
def test_a_result_is_an_assessment_on_its_trace(
    client: MlflowClient, traces: Traces, rest: Server, value: float | bool | str
) -> None:
    trace = make_trace("m")
    send(rest, trace)
    judge = AssessmentSource("LLM_JUDGE", "gpt-4o")
    result = result_of(trace, Feedback("correctness", value, rationale="because", source=judge))
    for _ in range(3):  # a delivery that is not known to have succeeded is repeated
        traces.assess(result)
    (found,) = client.get_trace(trace.id_there).info.assessments
    assert (found.name, found.rationale) == ("correctness", "because")
    assert found.feedback.value == value
    assert type(found.feedback.value) is type(value)
    assert (found.source.source_type, found.source.source_id) == (AssessmentSourceType.LLM_JUDGE, "gpt-4o")
    assert found.span_id == f"{trace.spans[0].get_span_context().span_id:016x}"
    assert found.create_time_ms == 1_700_000_000_123
    assert found.metadata == {
        RESULT_SPAN: f"{result.span_id:016x}",
        "logged_model.evaluation.scorer": "s1",
        "logged_model.evaluation.dataset": "d1",
        "logged_model.evaluation.dataset_name": "questions",
        "logged_model.evaluation.row": "r1",
    }


def test_results_of_people_and_errors_are_told_as_such(client: MlflowClient, traces: Traces, rest: Server) -> None:
    trace = make_trace("m")
    send(rest, trace)
    person = AssessmentSource("HUMAN", "anna@example.com")
    traces.assess(result_of(trace, Feedback("thumbs", True, source=person), on_span=False, scorer=None))
    traces.assess(result_of(trace, Feedback("toxicity", error=TimeoutError("the judge is away"))))
    thumbs, toxicity = sorted(client.get_trace(trace.id_there).info.assessments, key=lambda found: found.name)
    assert (thumbs.source.source_type, thumbs.source.source_id) == (AssessmentSourceType.HUMAN, "anna@example.com")
    assert thumbs.span_id is None
    assert toxicity.feedback.value is None
    assert toxicity.feedback.error.error_code == "TimeoutError"
    assert toxicity.feedback.error.error_message == "the judge is away"


def test_two_results_of_one_name_are_two(client: MlflowClient, traces: Traces, rest: Server) -> None:
    trace = make_trace("m")
    send(rest, trace)
    for value in (0.1, 0.2):
        traces.assess(result_of(trace, Feedback("correctness", value), scorer=None))
    found = client.get_trace(trace.id_there).info.assessments
    assert sorted(one.feedback.value for one in found) == [0.1, 0.2]


def test_an_assessment_survives_the_link_that_comes_after_it(
    client: MlflowClient, models: Models, traces: Traces, rest: Server
) -> None:
    event = created("agent")
    models.apply(event)
    trace = make_trace(event.model_id)
    send(rest, trace)
    traces.assess(result_of(trace, Feedback("correctness", 1.0)))
    traces.link(trace.link)
    assert len(client.get_trace(trace.id_there).info.assessments) == 1


def test_a_result_of_a_trace_that_is_not_there_says_so(traces: Traces) -> None:
    with pytest.raises(ServerError) as caught:
        traces.assess(result_of(make_trace("m"), Feedback("correctness", 1.0)))
    assert caught.value.is_absent


def test_spans_without_a_result_make_no_assessment() -> None:
    assert Assessment.of_span({}, 1, 2, 3, 4) is None
    assert Assessment.of_span({"gen_ai.evaluation.name": "n"}, 1, 2, 3, 4) is None
    texts = {"gen_ai.evaluation.name": "n", "gen_ai.evaluation.score.value": "0.5", "error.type": ""}
    found = Assessment.of_span(texts, 1, 2, 3, 4)
    assert found == Assessment(1, 2, "n", 0.5, judged_span_id=3, time_ns=4)
    labelled = Assessment.of_span({**texts, "gen_ai.evaluation.score.label": "fair"}, 1, 2, 0, 4)
    assert labelled == dataclasses.replace(
        found, judged_span_id=None, metadata={"gen_ai.evaluation.score.label": "fair"}
    )
