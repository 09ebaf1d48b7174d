# SPDX-License-Identifier: Apache-2.0
"""The spans of a trace in the order of their tree, each with what is shown of it in a line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.attributes import CONVERSATION, EVALUATION_EXPLANATION, EVALUATION_LABEL, EVALUATION_RESULT
from otel_loggedmodel.conventions.status import is_error
from otel_loggedmodel.presenting.spans import in_tree_order, is_said_later, llm_of, tokens_of
from otel_loggedmodel.store.trace_results import Span, Trace

_DEEPEST: Final = 24
# More than these cannot be told apart in a line.
_MOST_PARTS: Final = 50


@dataclass(frozen=True)
class Row:
    """A span in a waterfall.

    Attributes:
        span: The span.
        key: Its id, and its kind beside it where another span before it has that id.
        depth: How many it is below.
        offset: When it began, as a share of the trace.
        width: How long it took, as a share of the trace.
        own: When it worked itself and did not wait for spans below: beginnings and lengths, as shares of the trace.
        own_ns: How long that was.
        failed: Whether it failed.
        input_tokens: As it says them.
        output_tokens: As it says them.
        llm: Which model was called.
    """

    span: Span
    key: str
    depth: int
    offset: float
    width: float
    own: Sequence[tuple[float, float]]
    own_ns: int
    failed: bool
    input_tokens: int | None
    output_tokens: int | None
    llm: str | None


@dataclass(frozen=True)
class Evaluation:
    """What was said of a span.

    Attributes:
        span_id: Which.
        name: Of the evaluation.
        value: The score.
        label: What it amounts to.
        explanation: Why.
        source: Who says it: `human`, `code`, `llm`.
        conversation: The conversation that it says it of as a whole, or empty.
    """

    span_id: str
    name: str
    value: str
    label: str
    explanation: str
    source: str
    conversation: str = ""


def failed(span: Span) -> bool:
    """Whether a span failed, in whichever spelling."""
    return is_error(span.status)


def rows_of(trace: Trace) -> list[Row]:
    """The spans in order; without what was said of the trace later, which says nothing of its time."""
    spans = [span for span in trace.spans if not is_said_later(span)]
    begin = min((span.start_ns for span in spans), default=0)
    taken_ids: set[str] = set()
    whole = max(max((span.start_ns + span.duration_ns for span in spans), default=0) - begin, 1)
    ordered = list(in_tree_order(spans, 0, lambda depth, _: depth + 1))
    own_times = _own_times(ordered)
    return [
        Row(
            span=span,
            key=_key(span, taken_ids),
            depth=min(depth, _DEEPEST),
            offset=(span.start_ns - begin) / whole,
            width=span.duration_ns / whole,
            own=[((start - begin) / whole, (end - start) / whole) for start, end in own[:_MOST_PARTS]],
            own_ns=sum(end - start for start, end in own),
            failed=failed(span),
            input_tokens=taken,
            output_tokens=given,
            llm=llm_of(span),
        )
        for (span, depth), own in zip(ordered, own_times, strict=True)
        for taken, given in (tokens_of(span),)
    ]


def _own_times(ordered: Sequence[tuple[Span, int]]) -> list[list[tuple[int, int]]]:
    """When each span worked itself: the parts of its time in which no span directly below it ran.

    Args:
        ordered: Spans in the order of their tree, with how deep they are.
    """
    below: list[list[tuple[int, int]]] = [[] for _ in ordered]
    path: list[int] = []
    for place, (span, depth) in enumerate(ordered):
        del path[depth:]
        if path:
            below[path[-1]].append((span.start_ns, span.start_ns + span.duration_ns))
        path.append(place)
    return [
        _without(span.start_ns, span.start_ns + span.duration_ns, sorted(children))
        for (span, _), children in zip(ordered, below, strict=True)
    ]


def _without(start: int, end: int, taken: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The parts between two times that nothing takes; what is taken is in order of its beginning."""
    parts = []
    for taken_start, taken_end in taken:
        if taken_start > start:
            parts.append((start, min(taken_start, end)))
        start = max(start, taken_end)
        if start >= end:
            break
    if start < end:
        parts.append((start, end))
    return [(first, last) for first, last in parts if first < last]


def _key(span: Span, taken_ids: set[str]) -> str:
    key = f"{span.span_id}-{span.kind.lower()}" if span.span_id in taken_ids else span.span_id
    taken_ids.add(span.span_id)
    return key


def evaluations_of(trace: Trace) -> list[Evaluation]:
    """The results of evaluations, as spans and as events, in the order of their time."""
    found = []
    for span in trace.spans:
        if span.name == EVALUATION_RESULT:
            found.append((span.start_ns, span.parent_span_id or "", span.attributes))
        found += [
            (event.time_ns, span.span_id, event.attributes) for event in span.events if event.name == EVALUATION_RESULT
        ]
    return [
        Evaluation(
            span_id=span_id,
            name=attributes.get("gen_ai.evaluation.name", ""),
            value=attributes.get("gen_ai.evaluation.score.value", ""),
            label=attributes.get(EVALUATION_LABEL, ""),
            explanation=attributes.get(EVALUATION_EXPLANATION, ""),
            source=attributes.get("logged_model.evaluation.source", ""),
            conversation=attributes.get(CONVERSATION, ""),
        )
        for _, span_id, attributes in sorted(found, key=lambda one: one[0])
    ]
