# SPDX-License-Identifier: Apache-2.0
"""The spans of a trace in the order of their tree, and what of their attributes is shown.

Parents come from whoever sent the spans. A span whose parent is not there is a root, and so is one of each circle of
parents: every span is shown exactly once, however they refer to one another.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from otel_loggedmodel.conventions.reading import count_of, name_of
from otel_loggedmodel.conventions.things import Thing
from otel_loggedmodel.store.results import Span

State = TypeVar("State")


def in_tree_order(
    spans: Sequence[Span], root: State, below: Callable[[State, bool], State]
) -> Iterator[tuple[Span, State]]:
    """Each span once, with its place in the tree; without recursion, as traces can be deeper than the stack.

    Args:
        spans: Of one trace, in the order that siblings are to have.
        root: The place of a root.
        below: The place of a child, from that of its parent and whether it is the last one there.
    """
    children = _children_of(spans)
    shown: set[int] = set()
    # Whatever the roots do not lead to is part of a circle: it starts at its earliest span.
    for start in [*children.get(None, []), *range(len(spans))]:
        stack = [(start, root)]
        while stack:
            index, place = stack.pop()
            if index in shown:
                continue
            shown.add(index)
            yield spans[index], place
            offspring = [child for child in children.get(spans[index].span_id, []) if child not in shown]
            last = len(offspring) - 1
            stack += [(offspring[number], below(place, number == last)) for number in range(last, -1, -1)]


def tokens_of(span: Span) -> tuple[int | None, int | None]:
    """Tokens in and out, each where the span says it."""
    return count_of(span.attributes, Thing.INPUT_TOKENS), count_of(span.attributes, Thing.OUTPUT_TOKENS)


def llm_of(span: Span) -> str | None:
    """Which model was called, if any."""
    return name_of(span.attributes, Thing.RESPONSE_MODEL, Thing.REQUEST_MODEL)


def _children_of(spans: Sequence[Span]) -> dict[str | None, list[int]]:
    children: dict[str | None, list[int]] = {}
    ids = {span.span_id for span in spans}
    for index, span in enumerate(spans):
        is_child = span.parent_span_id in ids and span.parent_span_id != span.span_id
        children.setdefault(span.parent_span_id if is_child else None, []).append(index)
    return children
