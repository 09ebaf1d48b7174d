# SPDX-License-Identifier: Apache-2.0
"""The order in which the spans of a trace are shown."""

from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.presenting.spans import first_of, in_tree_order
from otel_loggedmodel.store.results import Span


def span(span_id: str, parent: str | None = None, **attributes: str) -> Span:
    return Span(
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
        span_id=span_id,
        parent_span_id=parent,
        name=span_id,
        kind="Internal",
        service="api",
        start_ns=0,
        duration_ns=1,
        status="Unset",
        attributes=attributes,
    )


def paths(*spans: Span) -> list[tuple[str, str]]:
    """Each span with its way from the root: `i` for a child that has siblings after it, `L` for the last."""
    order = in_tree_order(spans, "", lambda parent, is_last: parent + ("L" if is_last else "i"))
    return [(each.span_id, path) for each, path in order]


def test_children_follow_their_parent_in_the_given_order() -> None:
    tree = (span("a"), span("b", "a"), span("c", "a"), span("d", "b"), span("e", "a"), span("f"))
    assert paths(*tree) == [("a", ""), ("b", "i"), ("d", "iL"), ("c", "i"), ("e", "L"), ("f", "")]


def test_a_span_whose_parent_is_elsewhere_is_a_root() -> None:
    assert paths(span("b", "a"), span("c", "b")) == [("b", ""), ("c", "L")]


def test_a_circle_begins_with_its_first_span() -> None:
    assert paths(span("a", "b"), span("b", "a"), span("c", "c")) == [("c", ""), ("a", ""), ("b", "L")]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdefg") | st.none()), max_size=12))
def test_every_span_comes_once(ids: list[tuple[str, str | None]]) -> None:
    assert sorted(each for each, _ in paths(*[span(*each) for each in ids])) == sorted(each for each, _ in ids)


def test_the_first_attribute_that_says_something_counts() -> None:
    said = span("a", new="", old="3", other="4")
    assert first_of(said, ("new", "old", "other")) == "3"
    assert first_of(said, ("new", "none")) is None
