# SPDX-License-Identifier: Apache-2.0
"""JSON that was cut off says all that came before the cut."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.conventions.messages import messages_of
from otel_loggedmodel.conventions.messages.mending import mended

_JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


def is_beginning(part: object, whole: object) -> bool:
    """Whether one value is what came first of another."""
    if isinstance(part, list) and isinstance(whole, list):
        return len(part) <= len(whole) and all(map(is_beginning, part, whole))
    if isinstance(part, dict) and isinstance(whole, dict):
        return part.keys() <= whole.keys() and all(is_beginning(part[key], whole[key]) for key in part)
    if isinstance(part, str) and isinstance(whole, str):
        return whole.startswith(part)
    return part == whole


@given(st.lists(_JSON) | st.dictionaries(st.text(max_size=3), _JSON), st.data(), st.booleans())
def test_up_to_the_cut_it_is_the_same(value: object, data: st.DataObject, is_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii)
    cut = text[: data.draw(st.integers(1, len(text)))]
    found = mended(cut)
    assert is_beginning(found, value)
    if cut == text:
        assert found == value


def test_no_text_is_lost_before_the_cut() -> None:
    said = "The parcel left Graz at noon. " * 20
    text = json.dumps([{"role": "user", "parts": [{"type": "text", "content": said}]}])
    for end in range(text.index("The parcel") + 1, text.index(said) + len(said)):
        (message,) = messages_of({"gen_ai.input.messages": text[:end]})
        assert message.role == "user"
        assert message.is_cut
        assert message.parts[0].text == said[: end - text.index("The parcel")]


@pytest.mark.parametrize("is_ascii", [True, False])
def test_a_cut_within_an_escape_leaves_no_half_character(is_ascii: bool) -> None:
    said = 'a "quoted" \\ and \\\\ path\n\u00e4 \U0001f600 end'
    text = json.dumps([{"content": said}], ensure_ascii=is_ascii)
    start = text.index('"a ') + 1
    for end in range(start, len(text)):
        found = mended(text[:end])
        assert is_beginning(found, [{"content": said}]), text[:end]
        assert found[0].get("content") is not None
        assert not any("\ud800" <= character <= "\udfff" for character in found[0]["content"])


@pytest.mark.parametrize("text", ["[hello", "{'role': 'user'", "[1 2", "{]", "[}", '{"a" "b"', "{1", "[,", '{"a":,'])
def test_what_is_no_json_is_none(text: str) -> None:
    assert mended(text) in (None, [], {}, [1])
    (message,) = messages_of({"gen_ai.input.messages": text})
    assert message.parts[0].text == text
    assert not message.is_cut


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, '[{"content":"' + "\\" * 400_001, "[" + "1," * 400_000, '["' * 100_000],
    ids=["lists", "objects", "escapes", "numbers", "quotes"],
)
def test_a_hostile_text_takes_no_longer_than_its_length_asks_for(text: str) -> None:
    started = time.process_time()
    messages_of({"gen_ai.input.messages": text})
    # What takes the square of their length takes minutes.
    assert time.process_time() - started < 20
