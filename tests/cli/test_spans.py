# SPDX-License-Identifier: Apache-2.0
"""The order in which the spans of a trace are shown."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.presenting.spans import in_tree_order, llm_of, tokens_of
from otel_loggedmodel.store.trace_results import Span


def span(span_id: str, parent: str | None = None) -> Span:
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


def test_what_shares_an_id_is_a_client_above_its_server() -> None:
    client = dataclasses.replace(span("x", "a"), name="client", kind="Client", service="shop")
    server = dataclasses.replace(span("x", "a"), name="server", kind="Server", service="stock")
    of_server = dataclasses.replace(span("s", "x"), service="stock")
    of_client = dataclasses.replace(span("c", "x"), service="shop")
    of_neither = dataclasses.replace(span("n", "x"), service="elsewhere")
    for spans in ((client, server), (server, client)):
        order = in_tree_order((span("a"), *spans, of_server, of_client, of_neither), 0, lambda depth, _: depth + 1)
        found = sorted((each.name, depth) for each, depth in order)
        assert found == [("a", 0), ("c", 2), ("client", 1), ("n", 3), ("s", 3), ("server", 2)]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdefg") | st.none()), max_size=12))
def test_every_span_comes_once(ids: list[tuple[str, str | None]]) -> None:
    assert sorted(each for each, _ in paths(*[span(*each) for each in ids])) == sorted(each for each, _ in ids)
    kinds = [
        dataclasses.replace(span(*each), kind="Server" if number % 2 else "Client") for number, each in enumerate(ids)
    ]
    assert sorted(each for each, _ in paths(*kinds)) == sorted(each for each, _ in ids)


def test_the_first_spelling_that_says_something_counts() -> None:
    said = attributed({"gen_ai.usage.input_tokens": "", "llm.token_count.prompt": "3", "llm.model_name": "m"})
    assert tokens_of(said) == (3, None)
    assert llm_of(said) == "m"
    assert llm_of(span("a")) is None


def test_mlflows_spellings_come_last() -> None:
    mlflow = {"mlflow.chat.tokenUsage": '{"input_tokens": 5, "output_tokens": 0}', "mlflow.llm.model": '"gpt-4o"'}
    assert tokens_of(attributed(mlflow)) == (5, 0)
    assert llm_of(attributed(mlflow)) == "gpt-4o"
    both = attributed({**mlflow, "gen_ai.usage.input_tokens": "7", "gen_ai.request.model": "o3"})
    assert tokens_of(both) == (7, 0)
    assert llm_of(both) == "o3"


def attributed(attributes: dict[str, str]) -> Span:
    return dataclasses.replace(span("a"), attributes=attributes)
