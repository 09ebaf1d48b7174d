# SPDX-License-Identifier: Apache-2.0
"""The spans of a trace in the order of their tree, and what of their attributes is shown.

Parents come from whoever sent the spans. A span whose parent is not there is a root, and so is one of each circle of
parents: every span is shown exactly once, however they refer to one another.

Zipkin's client and server share the id of one call (https://github.com/openzipkin/b3-propagation): the server is below
its client.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from otel_loggedmodel.attributes import EVALUATION_RESULT, EXPECTATION, TRACE_TAG
from otel_loggedmodel.conventions.reading import count_of, name_of
from otel_loggedmodel.conventions.status import CONSUMER_KINDS, SERVER_KINDS
from otel_loggedmodel.conventions.things import Thing
from otel_loggedmodel.store.trace_results import Span

_CALLEES: Final = (*SERVER_KINDS, *CONSUMER_KINDS)

State = TypeVar("State")

# What is said of a trace later: its time is not the trace's.
_SAID: Final = (EVALUATION_RESULT, TRACE_TAG, EXPECTATION)


def is_said_later(span: Span) -> bool:
    """Whether a span is a result, a tag or an expectation, and no work of the trace's."""
    return span.name in _SAID


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
    # Spans that no root leads to are in a circle, or below one. The earliest of them is taken for a root.
    for start in [*children.get(None, []), *range(len(spans))]:
        stack = [(start, root)]
        while stack:
            index, place = stack.pop()
            if index in shown:
                continue
            shown.add(index)
            yield spans[index], place
            offspring = [child for child in children.get(index, []) if child not in shown]
            last = len(offspring) - 1
            stack += [(offspring[number], below(place, number == last)) for number in range(last, -1, -1)]


def tokens_of(span: Span) -> tuple[int | None, int | None]:
    """Tokens in and out, each where the span says it."""
    return count_of(span.attributes, Thing.INPUT_TOKENS), count_of(span.attributes, Thing.OUTPUT_TOKENS)


def llm_of(span: Span) -> str | None:
    """Which model was called, if any."""
    return name_of(span.attributes, Thing.RESPONSE_MODEL, Thing.REQUEST_MODEL)


def _children_of(spans: Sequence[Span]) -> dict[int | None, list[int]]:
    """The children of each span, by their numbers; those of None are the roots."""
    by_id: dict[str, list[int]] = defaultdict(list)
    for index, span in enumerate(spans):
        by_id[span.span_id].append(index)
    children: dict[int | None, list[int]] = defaultdict(list)
    for index, span in enumerate(spans):
        children[_parent_of(index, span, spans, by_id)].append(index)
    return children


def _parent_of(index: int, span: Span, spans: Sequence[Span], by_id: Mapping[str, Sequence[int]]) -> int | None:
    halves = by_id[span.span_id]
    if len(halves) > 1 and span.kind in _CALLEES:
        caller = next((half for half in halves if spans[half].kind not in _CALLEES), None)
        if caller is not None:
            return caller
    parents = by_id.get(span.parent_span_id or "", ()) if span.parent_span_id != span.span_id else ()
    if len(parents) < 2:
        return parents[0] if parents else None

    # Spans below a call that both ends share are the server's work, unless they are of the client's service.
    def preference(parent: int) -> tuple[bool, bool]:
        return spans[parent].service == span.service, spans[parent].kind in _CALLEES

    return max(parents, key=preference)
