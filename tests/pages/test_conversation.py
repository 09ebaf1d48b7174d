# SPDX-License-Identifier: Apache-2.0
"""Messages, in whichever convention and however broken."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.pages.conversation import Message, Part, messages_of
from otel_loggedmodel.store.results import Span, SpanEvent

from . import sent


def span_of(attributes: dict[str, object], *events: SpanEvent) -> Span:
    return Span(
        trace_id="t",
        span_id="s",
        parent_span_id=None,
        name="n",
        kind="Client",
        service="x",
        start_ns=0,
        duration_ns=1,
        status="Ok",
        attributes={key: str(value) for key, value in attributes.items()},
        events=events,
    )


def event(name: str, **attributes: str) -> SpanEvent:
    return SpanEvent(time_ns=0, name=name, attributes=attributes)


def test_opentelemetry_messages_on_the_span_or_on_an_event() -> None:
    on_span = messages_of(span_of(dict(sent.OTEL)))
    assert [message.role for message in on_span] == ["system", "user", "assistant", "tool", "assistant"]
    assert on_span[2].parts == (Part("tool call", '{\n  "parcel": "P-77"\n}', "track"),)
    assert on_span[3].parts == (Part("tool result", "in Graz", "1"),)
    assert on_span[4] == Message("assistant", (Part("text", "It is in Graz."),), is_output=True)
    details = SpanEvent(time_ns=0, name="gen_ai.client.inference.operation.details", attributes=dict(sent.OTEL))
    assert messages_of(span_of({}, details)) == on_span


def test_events_of_earlier_releases() -> None:
    calls = json.dumps([{"id": "1", "type": "function", "function": {"name": "track", "arguments": '{"a": 1}'}}])
    found = messages_of(
        span_of(
            {},
            event("gen_ai.system.message", content="Be brief."),
            event("gen_ai.user.message", content="Where?"),
            event("gen_ai.assistant.message", tool_calls=calls),
            event("gen_ai.choice", message=json.dumps({"content": "Graz."}), index="0"),
        )
    )
    assert found == [
        Message("system", (Part("text", "Be brief."),)),
        Message("user", (Part("text", "Where?"),)),
        Message("assistant", (Part("tool call", '{\n  "a": 1\n}', "track"),)),
        Message("assistant", (Part("text", "Graz."),), is_output=True),
    ]


@pytest.mark.parametrize("attributes", [sent.OPENINFERENCE, sent.OPENLLMETRY], ids=["OpenInference", "OpenLLMetry"])
def test_numbered_messages(attributes: dict[str, object]) -> None:
    system, user, answer = messages_of(span_of(dict(attributes)))
    assert system == Message("system", (Part("text", "Be brief."),))
    assert user == Message("user", (Part("text", "Where is my parcel?"),))
    assert answer.is_output
    assert [part.kind for part in answer.parts] == ["text", "tool call"]
    assert answer.parts[1].name == "track"


def test_numbers_are_numbers() -> None:
    attributes = {f"gen_ai.prompt.{number}.content": f"message {number}" for number in reversed(range(12))}
    assert [message.parts[0].text for message in messages_of(span_of(attributes))] == [
        f"message {number}" for number in range(12)
    ]


def test_what_a_step_took_and_gave_where_there_are_no_messages() -> None:
    found = messages_of(span_of({"input.value": '{"question": "Where?"}', "output.value": "Graz."}))
    assert found == [
        Message("input", (Part("text", '{\n  "question": "Where?"\n}'),)),
        Message("output", (Part("text", "Graz."),), is_output=True),
    ]


@pytest.mark.parametrize("text", ['[{"role": "user", "parts": [{"type": "te', "{", "plain", "[" * 5000])
def test_what_is_no_json_is_shown_as_it_is(text: str) -> None:
    assert messages_of(span_of({"gen_ai.input.messages": text})) == [Message("user", (Part("text", text),))]


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["role", "parts", "content", "type", "tool_calls", "function", "arguments"]), inner
        )
    ),
    max_leaves=20,
)
_KEYS = st.sampled_from(
    [
        *("gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.prompt.0.content"),
        *("llm.input_messages.1.message.content", "gen_ai.completion.2.tool_calls.0.arguments", "input.value"),
    ]
)


@given(st.dictionaries(_KEYS, _JSON.map(json.dumps) | st.text()))
def test_whatever_a_span_says_becomes_texts(attributes: dict[str, object]) -> None:
    for message in messages_of(span_of(attributes)):
        assert isinstance(message.role, str)
        for part in message.parts:
            assert all(isinstance(text, str) for text in (part.kind, part.text, part.name))
