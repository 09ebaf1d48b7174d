# SPDX-License-Identifier: Apache-2.0
"""A trace has its log records as events of its spans: messages, exceptions, and whatever else was said."""

import json
import time
from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clickhouse_server import ClickHouseServer
from log_requests import pairs_of, record, request
from otel_loggedmodel.conventions.messages import messages_of
from otel_loggedmodel.genai.found_traces import trace_of_stored
from otel_loggedmodel.pages.waterfall import rows_of
from otel_loggedmodel.server.log_checking import check_logs
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.store import open_database
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.reading import TraceFilter
from otel_loggedmodel.store.trace_results import Span, Trace

NOW = time.time_ns()
TRACE = "0af7651916cd43dd8448eb211c80319c"
ENTRY, CALL, SAID, OLD = (f"{number:016x}" for number in (1, 2, 3, 4))


def spans() -> bytes:
    made = ExportTraceServiceRequest()
    target = made.resource_spans.add().scope_spans.add().spans
    for number, (span, attributes) in enumerate(
        [
            (ENTRY, {"logged_model.id": "m-1"}),
            (CALL, {"gen_ai.operation.name": "chat"}),
            (
                SAID,
                {"gen_ai.input.messages": json.dumps(said("user", "on the span")), "gen_ai.request.model": "gpt-4o"},
            ),
            (OLD, {"gen_ai.operation.name": "chat"}),
        ]
    ):
        one = target.add(
            trace_id=bytes.fromhex(TRACE),
            span_id=bytes.fromhex(span),
            parent_span_id=b"" if span == ENTRY else bytes.fromhex(ENTRY),
            name="chat",
            start_time_unix_nano=NOW + number,
            end_time_unix_nano=NOW + 1000,
        )
        one.attributes.extend(pairs_of(attributes))
        # It failed, and does not say why.
        one.status.code = 2 if span == ENTRY else 0
    return made.SerializeToString()


def said(role: str, text: str) -> list[dict[str, object]]:
    return [{"role": role, "parts": [{"type": "text", "content": text}]}]


def logged() -> bytes:
    details = "gen_ai.client.inference.operation.details"
    messages = {"gen_ai.input.messages": said("user", "hello"), "gen_ai.output.messages": said("assistant", "hi")}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "an old answer"}}
    sent = request(
        record(None, trace=TRACE, span=CALL, event=details, at=NOW + 10, attributes=messages),
        record(None, trace=TRACE, span=SAID, event=details, at=NOW + 10, attributes=messages),
        record({"content": "an old question"}, trace=TRACE, span=OLD, event="gen_ai.user.message", at=NOW + 11),
        # Of an SDK without a field for the name of an event.
        record(choice, trace=TRACE, span=OLD, at=NOW + 12, attributes={"event.name": "gen_ai.choice"}),
        record(
            "it failed",
            trace=TRACE,
            span=CALL,
            at=NOW + 13,
            severity_text="ERROR",
            attributes={"exception.type": "ValueError", "exception.message": "no"},
        ),
        record("a line", trace=TRACE, span=CALL, at=NOW + 14, severity_text="INFO"),
        record('{"not": "whole', trace=TRACE, span="f" * 16, at=NOW + 15),
        record("x" * 2**20, trace=TRACE, at=NOW + 16),
        record("elsewhere", trace="f" * 32, span=CALL, at=NOW + 17),
    )
    # As a receiver hands them over: lists and maps are texts.
    return check_logs(sent.SerializeToString(), Settings(keep_all_logs=True), time.time_ns()).payload


@pytest.fixture(scope="module")
def store(clickhouse_server: ClickHouseServer) -> Iterator[Store]:
    with clickhouse_server.new_database() as name:
        store = open_database(f"clickhouse://127.0.0.1:{clickhouse_server.port}/{name}")
        store.writer.insert([spans()])
        before = store.reader.trace(TRACE)
        assert not any(span.events for span in before.spans)
        # Stored twice, as after an acknowledgement that was lost.
        store.log_writer.insert([logged(), logged()])
        yield store
        store.close()


@pytest.fixture(scope="module")
def trace(store: Store) -> Trace:
    return store.reader.trace(TRACE)


def span(trace: Trace, span_id: str) -> Span:
    return next(one for one in trace.spans if one.span_id == span_id)


def texts(one: Span) -> list[tuple[str, str]]:
    return [(message.role, message.parts[0].text) for message in messages_of(one.attributes, one.events)]


def test_messages_are_those_of_the_span_of_the_call(trace: Trace) -> None:
    assert texts(span(trace, CALL)) == [("user", "hello"), ("assistant", "hi")]
    assert texts(span(trace, OLD)) == [("user", "an old question"), ("assistant", "an old answer")]


def test_what_the_span_says_itself_is_not_said_twice(trace: Trace) -> None:
    assert texts(span(trace, SAID)) == [("user", "on the span"), ("assistant", "hi")]


def test_scorers_of_stored_traces_read_them(trace: Trace) -> None:
    call = trace_of_stored(trace).search_spans(span_id=CALL)[0]
    assert call.outputs == "hi"


def test_a_list_of_traces_has_what_was_asked_and_answered(store: Store) -> None:
    """What a span says comes first; no span says what was answered."""
    (listed,) = store.reader.traces("m-1", TraceFilter())
    assert (listed.input, listed.output) == ("on the span", "an old answer")


def test_a_list_of_traces_has_why_one_failed(store: Store) -> None:
    (listed,) = store.reader.traces("m-1", TraceFilter())
    assert (listed.error, listed.reason) == (True, "no")


def test_exceptions_and_lines_are_events_of_their_span(trace: Trace) -> None:
    events = {event.name: event for event in span(trace, CALL).events}
    assert list(events) == ["gen_ai.client.inference.operation.details", "exception", "log record"]
    assert events["exception"].attributes == {
        "exception.type": "ValueError",
        "exception.message": "no",
        "body": "it failed",
        "severity_text": "ERROR",
    }
    assert events["log record"].attributes == {"body": "a line", "severity_text": "INFO"}
    assert events["log record"].time_ns == NOW + 14


def test_what_names_no_span_of_the_trace_is_on_its_entry(trace: Trace) -> None:
    bodies = [event.attributes["body"] for event in span(trace, ENTRY).events]
    assert bodies == ['{"not": "whole', "x" * 2**20]


def test_spans_stay_what_they_were(trace: Trace) -> None:
    assert [row.span.span_id for row in rows_of(trace)] == [ENTRY, CALL, SAID, OLD]
