# SPDX-License-Identifier: Apache-2.0
"""Scorers see inputs, outputs and messages in whichever convention they are, of this process and of a store."""

import json
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_loggedmodel.conventions.messages import Message, Part
from otel_loggedmodel.genai.assessed import assessment_of
from otel_loggedmodel.genai.found_traces import trace_of_finished, trace_of_stored
from otel_loggedmodel.genai.traces import Trace, TraceSpan
from otel_loggedmodel.store import trace_results

ASKED = json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Where?"}]}])
ANSWERED = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "In Graz."}]}])


def in_this_process(attributes: dict[str, Any], *events: tuple[str, dict[str, Any]]) -> Trace:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("chat") as span:
        span.set_attributes(attributes)
        for name, fields in events:
            span.add_event(name, fields)
    provider.shutdown()
    return trace_of_finished(exporter.get_finished_spans())


def in_a_store(attributes: dict[str, str], *events: tuple[str, dict[str, str]]) -> Trace:
    span = trace_results.Span(
        trace_id="1" * 32,
        span_id="2" * 16,
        parent_span_id=None,
        name="chat",
        kind="Client",
        service="s",
        start_ns=0,
        duration_ns=1,
        status="Ok",
        attributes=attributes,
        events=tuple(trace_results.SpanEvent(time_ns=0, name=name, attributes=fields) for name, fields in events),
    )
    return trace_of_stored(trace_results.Trace(trace_id=span.trace_id, spans=(span,)))


def test_messages_of_the_conventions() -> None:
    attributes = {"gen_ai.input.messages": ASKED, "gen_ai.output.messages": ANSWERED}
    for trace in (in_this_process(attributes), in_a_store(attributes)):
        assert trace.inputs == [{"role": "user", "content": "Where?"}]
        assert trace.outputs == "In Graz."
        assert trace.root is not None
        assert trace.root.messages == [
            Message("user", (Part("text", "Where?"),)),
            Message("assistant", (Part("text", "In Graz."),), is_output=True),
        ]


def test_messages_that_are_events() -> None:
    events = (
        ("gen_ai.user.message", {"content": '[{"text": "Where?"}]'}),
        ("gen_ai.choice", {"message": '[{"text": "In Graz."}]', "finish_reason": "end_turn"}),
    )
    for trace in (in_this_process({}, *events), in_a_store({}, *events)):
        assert trace.inputs == [{"role": "user", "content": "Where?"}]
        assert trace.outputs == "In Graz."


def test_values_come_before_messages() -> None:
    attributes = {"input.value": '{"question": "Where?"}', "gen_ai.output.messages": ANSWERED, "output.value": "Graz"}
    for trace in (in_this_process(attributes), in_a_store(attributes)):
        assert (trace.inputs, trace.outputs) == ({"question": "Where?"}, "Graz")


def test_a_span_that_says_nothing_has_none() -> None:
    for trace in (in_this_process({"a": 1}), in_a_store({"a": "1"})):
        assert (trace.inputs, trace.outputs) == (None, None)
        assert trace.root is not None
        assert trace.root.messages == []


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ({"gen_ai.evaluation.score.value": "0.5"}, 0.5),
        ({"gen_ai.evaluation.score.value": "true"}, 1.0),
        ({"gen_ai.evaluation.score.value": 1}, 1.0),
        ({"gen_ai.evaluation.score.value": 0.25, "gen_ai.evaluation.score.label": "fail"}, False),
        ({"gen_ai.evaluation.score.label": "so so"}, "so so"),
        *(({"gen_ai.evaluation.score.value": odd}, None) for odd in ("NaN", "inf", "good", "", "[1]", None)),
    ],
)
def test_a_result_of_another_sender_has_its_value_where_it_has_one(said: dict[str, Any], value: object) -> None:
    span = TraceSpan("gen_ai.evaluation.result", "1" * 32, "2" * 16, "3" * 16, 5, 5, said, "UNSET")
    found = assessment_of({"gen_ai.evaluation.name": "exact", **said}, span)
    assert (found.name, found.value, found.span_id) == ("exact", value, "3" * 16)
    assert assessment_of(said, span) is None
