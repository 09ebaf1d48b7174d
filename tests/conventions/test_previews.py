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


@given(_JSON)
def test_any_json_can_be_shown(value: object) -> None:
    stored = json.dumps(value)
    assert isinstance(previews.asked(stored), str)
    assert isinstance(previews.answered(stored), str)
