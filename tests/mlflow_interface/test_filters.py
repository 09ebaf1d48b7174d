# SPDX-License-Identifier: Apache-2.0
"""Filters as MLflow writes them: what is written is read, and anything else is refused with a ValueError."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.genai.filtering import Condition, conditions_of, ordered_by

names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,10}", fullmatch=True).filter(lambda name: name.upper() not in WORDS)
WORDS = {"IN", "LIKE", "ILIKE", "NOT", "IS", "AND"}
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="'"), max_size=10)
keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="`\n"), min_size=1, max_size=10)
numbers = st.integers(-(10**9), 10**9)
comparisons = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])


@st.composite
def written(draw: st.DrawFn) -> tuple[str, Condition]:
    kind, key = draw(st.sampled_from(["", "tags", "metadata"])), draw(names)
    shown = key
    if kind and draw(st.booleans()):
        key = draw(keys.filter(lambda text: text == text.strip().strip('`"')))
        shown = f"`{key}`"
    prefix = f"{kind}." if kind else ""
    if draw(st.booleans()):
        values = tuple(draw(st.lists(texts, min_size=1, max_size=4)))
        listed = ", ".join(f"'{value}'" for value in values)
        return f"{prefix}{shown} IN ({listed})", Condition(kind, key, "IN", values)
    comparison = draw(comparisons)
    value = draw(texts | numbers)
    shown_value = f"'{value}'" if isinstance(value, str) else str(value)
    return f"{prefix}{shown} {comparison} {shown_value}", Condition(kind, key, comparison, value)


@given(st.lists(written(), max_size=4))
def test_what_is_written_is_read(found: list[tuple[str, Condition]]) -> None:
    text = " AND ".join(text for text, _ in found)
    assert conditions_of(text) == [condition for _, condition in found]


@given(st.text(st.sampled_from("abIN AND()'\"`.,=<>!12-"), max_size=60))
def test_any_other_text_is_refused(text: str) -> None:
    try:
        conditions_of(text)
    except ValueError as error:
        assert "the filter cannot be read from" in str(error)  # noqa: PT017 - it need not be refused


def test_a_long_list_that_is_not_closed_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        conditions_of("name IN (" + "'a' , " * 2000 + " 'b' ; ")


@pytest.mark.parametrize(
    ("text", "found", "holds"),
    [
        ("a = 'x'", "x", True),
        ("a = 'x'", None, False),
        ("a != 'x'", "y", True),
        ("a > 3", "4.5", True),
        ("a > 3", "x", False),
        ("a LIKE 'x%'", "xyz", True),
        ("a LIKE 'X%'", "xyz", False),
        ("a ILIKE 'X_z'", "xyz", True),
        ("a NOT IN ('x', 'y')", "z", True),
        ("a IN (1, 2)", 2, True),
        ("a IS NULL", None, True),
        ("a is not null", "", True),
    ],
)
def test_conditions_hold_or_do_not(text, found, holds) -> None:
    (condition,) = conditions_of(text)
    assert condition.holds(found) is holds


def test_what_has_no_value_comes_last_in_any_order() -> None:
    items = [3, None, 1, 2]
    assert ordered_by(items, ["v DESC"], lambda item, _: item) == [3, 2, 1, None]
    assert ordered_by(items, [{"field_name": "v", "ascending": True}], lambda item, _: item) == [1, 2, 3, None]
