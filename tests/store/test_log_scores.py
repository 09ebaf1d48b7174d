# SPDX-License-Identifier: Apache-2.0
"""Scores that arrive as log records count as those on spans do, once each, for the version of what they are about."""

import math
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from clickhouse_server import ClickHouseServer
from log_requests import pairs_of, record, request, score
from otel_loggedmodel.genai.found_traces import trace_of_stored
from otel_loggedmodel.server.log_checking import check_logs
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.store import open_database
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.reading import Selection, TraceFilter
from otel_loggedmodel.store.writing import RefusedError

NOW = time.time_ns() // 10**9 * 10**9
OLD, NEW, OTHER = "v-old", "v-new", "v-other"


def trace_of(number: int) -> str:
    return f"{number:032x}"


def span_of(number: int) -> str:
    return f"{number:016x}"


# Traces 1 to 4 are of OLD, 11 to 14 of NEW: an entry span with a call of a model below it, which has a response id.
# Trace 21 has no version. The calls of 31 and 32 say the same response id.
def spans() -> bytes:
    made = ExportTraceServiceRequest()
    target = made.resource_spans.add().scope_spans.add().spans

    def add(trace: int, span: int, parent: int = 0, **attributes: object) -> None:
        one = target.add(
            trace_id=bytes.fromhex(trace_of(trace)),
            span_id=bytes.fromhex(span_of(span)),
            parent_span_id=bytes.fromhex(span_of(parent)) if parent else b"",
            name=attributes.pop("name", "step"),
            start_time_unix_nano=NOW - (100 - trace) * 10**9 + span,
            end_time_unix_nano=NOW - (100 - trace) * 10**9 + span + 10**6,
        )
        one.attributes.extend(pairs_of(attributes))

    for version, traces in ((OLD, range(1, 5)), (NEW, range(11, 15)), ("", (21,)), (OTHER, (31, 32))):
        stamp = {"logged_model.id": version} if version else {}
        for trace in traces:
            add(trace, trace * 100, **stamp)
            response = {"gen_ai.response.id": f"r-{min(trace, 31)}", "gen_ai.operation.name": "chat"}
            add(trace, trace * 100 + 1, trace * 100, **stamp, **response)
    # The same result as a span, and as an event of the span that is judged.
    shared = {"gen_ai.evaluation.name": "shared", "gen_ai.evaluation.score.value": 0.5}
    add(1, 190, 101, name="gen_ai.evaluation.result", **shared, **{"logged_model.id": OLD})
    judged = next(one for one in target if one.span_id.hex() == span_of(201))
    event = judged.events.add(name="gen_ai.evaluation.result", time_unix_nano=NOW)
    event.attributes.extend(pairs_of(shared))
    return made.SerializeToString()


def logged() -> list[bytes]:
    def at_call(name: str, value: float | None, trace: int, **more: object) -> object:
        return score(name, value, trace=trace_of(trace), span=span_of(trace * 100 + 1), **more)

    by_response = {"attributes": {"gen_ai.response.id": "r-3"}}
    again = at_call("exact", 0.25, 2, at=NOW)
    records = [
        at_call("exact", 0.75, 1),
        again,
        at_call("exact", 1.0, 11),
        score("response", 0.5, **by_response),
        # In the context of a span of no version: what it is about says the response.
        score("response", 0.5, trace=trace_of(21), span=span_of(2100), attributes={"gen_ai.response.id": "r-12"}),
        # The span is not known, the trace is.
        score("trace alone", 1.0, trace=trace_of(4), span="ffffffffffffffff"),
        score("trace alone", 0.0, trace=trace_of(14)),
        score("two calls", 0.5, attributes={"gen_ai.response.id": "r-31"}),
        at_call("shared", 0.5, 1),
        at_call("shared", 0.5, 2),
        at_call("shared", 0.5, 3),
        at_call("passed", None, 1, attributes={"gen_ai.evaluation.score.label": "pass"}),
        at_call("passed", None, 2, attributes={"gen_ai.evaluation.score.label": "fail"}),
        # Of a process that evaluates, whose own version is another.
        at_call("by another process", 1.0, 1, attributes={"logged_model.id": NEW}),
        score("own version", 0.5, attributes={"logged_model.id": NEW}),
        at_call("failed", None, 1, attributes={"error.type": "timeout"}),
        at_call("", 1.0, 1),
        at_call("not a number", math.nan, 1),
        score("of nothing", 1.0),
        score("of a span that never came", 1.0, trace="f" * 32, span="f" * 16),
        at_call("of no version", 1.0, 21),
    ]
    data = {
        "logged_model.evaluation.dataset": "d" * 16,
        "logged_model.evaluation.dataset_name": "quiz",
        "logged_model.evaluation.row": "row-1",
    }
    records.append(at_call("on rows", 0.5, 1, attributes=data))
    records.append(at_call("on rows", 0.75, 11, attributes=data))
    sent = request(*records, *(said(trace) for trace in (1, 11)))
    # As a receiver hands them over: lists and maps are texts.
    checked = check_logs(sent.SerializeToString(), Settings(), time.time_ns()).payload
    return [checked, request(again).SerializeToString()]


def said(trace: int) -> LogRecord:
    """The messages of a call."""

    def messages(role: str, text: str) -> list[dict[str, object]]:
        return [{"role": role, "parts": [{"type": "text", "content": text}]}]

    return record(
        None,
        trace=trace_of(trace),
        span=span_of(trace * 100 + 1),
        event="gen_ai.client.inference.operation.details",
        attributes={
            "gen_ai.input.messages": messages("user", "what is tea"),
            "gen_ai.output.messages": messages("assistant", f"answer {trace}"),
        },
    )


@pytest.fixture(scope="module")
def store(clickhouse_server: ClickHouseServer) -> Iterator[Store]:
    with clickhouse_server.new_database() as name:
        opened = open_database(f"clickhouse://127.0.0.1:{clickhouse_server.port}/{name}")
        opened.writer.insert([spans()])
        assert not opened.reader.compare([OLD]).versions[0].scores.keys() - {"shared"}
        opened.log_writer.insert(logged())
        yield opened
        opened.close()


def scores(store: Store, version: str, selection: Selection | None = None) -> dict[str, tuple[float | None, int]]:
    found = store.reader.compare([version], selection or Selection()).versions[0].scores
    return {name: (score.mean, score.count) for name, score in found.items()}


def test_they_count_for_the_version_of_what_they_are_about(store: Store) -> None:
    assert scores(store, OLD) == {
        "exact": (0.5, 2),  # one of them came twice
        "response": (0.5, 1),
        "trace alone": (1.0, 1),
        "shared": (0.5, 3),  # one as a span and as a log record, one as an event and as a log record, one alone
        "passed": (0.5, 2),
        "by another process": (1.0, 1),
        "on rows": (0.5, 1),
        "failed": (None, 0),  # the scorer failed
    }
    assert scores(store, NEW) == {
        "exact": (1.0, 1),
        "response": (0.5, 1),
        "trace alone": (0.0, 1),
        "own version": (0.5, 1),
        "on rows": (0.75, 1),
    }


def test_of_two_calls_with_one_response_id_the_first_gets_it(store: Store) -> None:
    assert scores(store, OTHER) == {"two calls": (0.5, 1)}
    found = store.reader.traces(OTHER, TraceFilter())
    assert {one.trace_id: dict(one.scores) for one in found} == {
        trace_of(31): {"two calls": 0.5},
        trace_of(32): {},
    }


def test_those_about_nothing_that_is_known_are_told_of(store: Store) -> None:
    notes = store.reader.compare([OLD, NEW]).notes
    assert [note for note in notes if "log records" in note] == [
        "Of the evaluations that came as log records, 3 are not counted, as no span or response of a version is known"
        " that they could be about."
    ]


def test_a_selection_of_traces_selects_them(store: Store) -> None:
    since = datetime.fromtimestamp(NOW / 1e9, timezone.utc) - timedelta(seconds=98.5)
    assert scores(store, OLD, Selection(since=since))["exact"] == (0.25, 1)
    assert scores(store, OLD, Selection(dataset="quiz")) == {"on rows": (0.5, 1)}


def test_traces_show_them_and_are_ordered_by_them(store: Store) -> None:
    found = store.reader.traces(OLD, TraceFilter(order="worst"))
    assert found[0].trace_id == trace_of(2)
    assert found[0].scores == {"exact": 0.25, "passed": 0.0, "shared": 0.5}


def test_their_data_sets_and_rows_are_found(store: Store) -> None:
    assert [(one.digest, one.name) for one in store.reader.datasets()] == [("d" * 16, "quiz")]
    (change,) = store.reader.rows([OLD, NEW])
    assert (change.score, change.row, change.delta) == ("on rows", "row-1", 0.25)
    assert (change.base.trace_id, change.base.span_id) == (trace_of(1), span_of(101))


def test_rows_have_the_inputs_and_outputs_that_came_as_log_records(store: Store) -> None:
    (change,) = store.reader.rows([OLD, NEW])
    assert (change.input, change.base.output, change.candidate.output) == ("what is tea", "answer 1", "answer 11")


def test_a_list_of_traces_has_the_messages_that_came_as_log_records(store: Store) -> None:
    shown = {one.trace_id: (one.input, one.output) for one in store.reader.traces(OLD, TraceFilter())}
    assert shown[trace_of(1)] == ("what is tea", "answer 1")
    assert shown[trace_of(2)] == (None, None)


def test_assessments_of_a_trace_are_those_that_came_as_log_records_too(store: Store) -> None:
    def assessed(trace: int) -> dict[str, object]:
        found = trace_of_stored(store.reader.trace(trace_of(trace)))
        assert len({one.assessment_id for one in found.assessments}) == len(found.assessments)
        assert {one.trace_id for one in found.assessments} == {trace_of(trace)}
        assert {one.span_id for one in found.assessments} <= {span.span_id for span in found.spans}
        return {one.name: one.error.error_code if one.error else one.value for one in found.assessments}

    # What has no name, or a value that is no number, says nothing.
    assert assessed(1) == {
        "exact": 0.75,
        "shared": 0.5,
        "passed": True,
        "by another process": 1.0,
        "failed": "timeout",
        "on rows": 0.5,
    }
    assert assessed(2) == {"exact": 0.25, "shared": 0.5, "passed": False}
    assert assessed(12) == {"response": 0.5}


def test_a_trace_has_each_on_the_span_that_it_is_about(store: Store) -> None:
    def shown(trace: int) -> list[tuple[str, str]]:
        return sorted(
            (span.span_id, event.attributes["gen_ai.evaluation.name"])
            for span in store.reader.trace(trace_of(trace)).spans
            for event in span.events
            if event.name == "gen_ai.evaluation.result"
        )

    # "shared" is there as a span, in the first trace, and as an event, in the second.
    called = ["", "by another process", "exact", "failed", "not a number", "on rows", "passed"]
    assert shown(1) == [(span_of(101), name) for name in called]
    assert shown(2) == [(span_of(201), name) for name in ("exact", "passed", "shared")]
    assert shown(3) == [(span_of(301), name) for name in ("response", "shared")]
    assert shown(4) == [(span_of(400), "trace alone")]
    assert shown(12) == [(span_of(1201), "response")]


@pytest.mark.parametrize("columns", ["LogAttributes Map(String, String)", "LogAttributes String, EventName String"])
def test_a_table_of_another_shape_is_left_alone(clickhouse_server: ClickHouseServer, columns: str) -> None:
    """As an earlier release of the Collector's exporter has made it, or one that was told to make JSON."""
    with clickhouse_server.new_database() as name:
        with clickhouse_server.client(name) as client:
            client.command(f"CREATE TABLE otel_logs (TraceId String, {columns}) ENGINE = MergeTree ORDER BY TraceId")
        opened = open_database(f"clickhouse://127.0.0.1:{clickhouse_server.port}/{name}")
        try:
            opened.writer.insert([spans()])
            assert opened.reader.compare([OLD]).versions[0].traces == 4
            assert opened.reader.trace(trace_of(1)).spans
            with pytest.raises(RefusedError, match="has no EventName, or its attributes are not in maps"):
                opened.log_writer.insert(logged())
        finally:
            opened.close()


def test_the_revision_tells_when_log_records_have_arrived(store: Store) -> None:
    before = store.reader.revision()
    store.log_writer.insert([request(score("late", 1.0)).SerializeToString()])
    assert store.reader.revision() != before
