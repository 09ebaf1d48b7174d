# SPDX-License-Identifier: Apache-2.0
"""What an exchange with an MLflow server decides by itself: what is missing, whose work a trace is, what was said."""

import dataclasses

from otel_loggedmodel.commands.exchange.judging import assessments_of, responsible_span, root_of
from otel_loggedmodel.mlflow_server.importing import missing
from otel_loggedmodel.store.trace_results import Span, SpanEvent, Trace
from otel_loggedmodel.versions.model import LoggedModel, LoggedModelStatus
from otel_loggedmodel.versions.records import fold

V1, V2 = "m-" + "1" * 32, "m-" + "2" * 32
TRACE = "0af7651916cd43dd8448eb211c80319c"
NOW = 1_800_000_000_000_000_000
MODEL = LoggedModel(
    V1,
    "agent",
    experiment_id="7",
    creation_timestamp=1_700_000_000_123,
    model_type="rag",
    source_run_id="r1",
    tags={"team": "a", "x": "1"},
    params={"llm": "gpt"},
)


def span(span_id: str, start: int, parent: str | None = None, **more: object) -> Span:
    values = {"trace_id": TRACE, "span_id": span_id * 16, "parent_span_id": parent and parent * 16, "name": "work"}
    return Span(**{**values, "kind": "", "service": "", "start_ns": start, "duration_ns": 1, "status": "", **more})


def trace(*spans: Span) -> Trace:
    return Trace(trace_id=TRACE, spans=tuple(sorted(spans, key=lambda span: span.start_ns)))


def responsible(*spans: Span) -> str | None:
    found = responsible_span(trace(*spans))
    return found and found.span_id[0]


def test_a_model_that_is_not_known_is_created_as_it_was_made() -> None:
    event = missing(MODEL, None, NOW)
    assert event is not None
    assert event == missing(MODEL, None, NOW + 1), "the same however often it is told"
    model = fold([event])[V1].model
    assert dataclasses.replace(model, last_updated_timestamp=0) == MODEL


def test_a_model_that_is_known_needs_nothing() -> None:
    assert missing(MODEL, MODEL, NOW) is None


def test_only_what_changed_is_told() -> None:
    changed = dataclasses.replace(
        MODEL, tags={"team": "b", "x": "1"}, params={"llm": "gpt", "k": "5"}, status=LoggedModelStatus.FAILED
    )
    event = missing(changed, MODEL, NOW)
    assert event is not None
    assert (event.kind, event.tags, event.params, event.status) == ("updated", {"team": "b"}, {"k": "5"}, "FAILED")
    assert event.time_ns == NOW


def test_what_was_said_here_alone_is_left() -> None:
    known = dataclasses.replace(MODEL, tags={**MODEL.tags, "mine": "yes"}, params={"llm": "other"})
    assert missing(MODEL, known, NOW) is None


def test_a_trace_is_the_work_of_the_version_of_its_root() -> None:
    root = span("a", 1, model_id=V1, is_entry=True)
    assert responsible(root, span("b", 2, "a", model_id=V2, is_entry=True)) == "a"
    with_another_clock = span("b", 0, "a", model_id=V2, is_entry=True)
    assert responsible(root, with_another_clock) == "a"


def test_without_a_version_at_the_root_the_earliest_entry_span_counts() -> None:
    root = span("a", 1)
    assert responsible(root, span("c", 3, "a", model_id=V2, is_entry=True)) == "c"
    late, early = span("b", 4, "a", model_id=V1, is_entry=True), span("c", 3, "a", model_id=V2, is_entry=True)
    assert responsible(root, late, early) == "c"


def test_of_entry_spans_of_one_moment_the_outer_one_counts() -> None:
    inner = span("b", 2, "c", model_id=V2, is_entry=True)
    assert responsible(span("a", 1), inner, span("c", 2, "a", model_id=V1, is_entry=True)) == "c"


def test_a_trace_without_versions_is_nobodys() -> None:
    assert responsible(span("a", 1)) is None


def test_results_in_events_of_spans_are_recognised_again() -> None:
    said = {"gen_ai.evaluation.name": "relevance", "gen_ai.evaluation.score.value": "0.5"}
    event = SpanEvent(time_ns=7, name="gen_ai.evaluation.result", attributes=said)
    judged = span("a", 1, events=(SpanEvent(time_ns=6, name="other"), event, event))
    first, second = assessments_of(trace(judged))
    assert (first.name, first.value, first.time_ns) == ("relevance", 0.5, 7)
    assert (first.trace_id, first.judged_span_id) == (int(TRACE, 16), int("a" * 16, 16))
    assert first.span_id != second.span_id
    assert [first, second] == list(assessments_of(trace(judged)))


def test_a_result_is_no_root() -> None:
    result = span("b", 1, name="gen_ai.evaluation.result", model_id=V1)
    assert root_of(trace(result)) is None
    assert root_of(trace(result, span("a", 2))).span_id == "a" * 16
