# SPDX-License-Identifier: Apache-2.0
"""Inputs and outputs are shown as what was asked and answered, whatever JSON is around that."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.conventions import previews

_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["role", "content", "type", "parts", "x"]), inner),
    max_leaves=20,
)
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "parts": [{"type": "text", "content": "Where is it?"}]},
]


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (None, ""),
        ("How much?", "How much?"),
        ('"How much?"', "How much?"),
        ('{"question": "How much?", "k": 4}', "How much?"),
        ('{"inputs": {"question": "How much?"}}', "How much?"),
        (json.dumps(MESSAGES), "Where is it?"),
        (json.dumps({"messages": MESSAGES}), "Where is it?"),
        ('{"messages": [["system", "Be brief."], ["user", "Where is it?"]]}', "Be brief.\nWhere is it?"),
        ('{"messages": [["user", "Where is it?"]]}', "Where is it?"),
        ('["two", "words"]', "two\nwords"),
        ('{"a": 1, "b": 2}', '{"a": 1, "b": 2}'),
        ("[1, 2", "[1, 2"),
        ("42", "42"),
    ],
)
def test_what_was_asked(stored: str | None, shown: str) -> None:
    assert previews.asked(stored) == shown


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ('{"answer": "Two."}', "Two."),
        ('[{"role": "assistant", "parts": [{"type": "text", "content": "Two."}], "finish_reason": "stop"}]', "Two."),
        ('{"choices": [{"message": {"role": "assistant", "content": "Two."}}]}', "Two."),
        ('[{"type": "text", "text": "One."}, {"type": "text", "text": "Two."}]', "One.\nTwo."),
        ("true", "true"),
    ],
)
def test_what_was_answered(stored: str, shown: str) -> None:
    assert previews.answered(stored) == shown


# What OpenInference 0.1 for LangChain wrote of a call, and of a graph of LangGraph around it.
CALLED = {
    "output.value": (
        '{"generations": [[{"text": "Two.", "generation_info": {"finish_reason": "stop"}, "type": "ChatGeneration",'
        ' "message": {"lc": 1, "type": "constructor", "kwargs": {"content": "Two."}}}]], "run": null}'
    ),
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "Two.",
    "openinference.span.kind": "LLM",
}
GRAPH = {
    "input.value": '{"messages": [["user", "How many?"]]}',
    "output.value": (
        '{"messages": [{"type": "human", "data": {"content": "How many?", "type": "human"}},'
        ' {"type": "ai", "data": {"content": "Two.", "type": "ai", "tool_calls": []}}]}'
    ),
    "openinference.span.kind": "CHAIN",
}


@pytest.mark.parametrize("attributes", [CALLED, GRAPH], ids=["a call", "a graph"])
def test_what_a_framework_wrapped_is_read_from_its_messages(attributes: dict[str, str]) -> None:
    assert previews.answered_in(attributes) == "Two."


def test_a_graph_was_asked_what_its_user_wrote() -> None:
    assert previews.asked_in(GRAPH) == "How many?"


def test_json_of_which_no_message_is_known_is_shown_as_it_is() -> None:
    attributes = {"output.value": '{"a": 1, "b": 2}', "openinference.span.kind": "CHAIN"}
    assert previews.answered_in(attributes) == '{"a": 1, "b": 2}'


@given(_JSON)
def test_any_json_can_be_shown(value: object) -> None:
    stored = json.dumps(value)
    assert isinstance(previews.asked(stored), str)
    assert isinstance(previews.answered(stored), str)
