# SPDX-License-Identifier: Apache-2.0
"""The spans of a trace in the order of their tree, each with what is shown of it in a line.

Parents come from whoever sent the spans. A span whose parent is not there is a root, and so is one of each circle of
parents: every span is shown once, however they refer to one another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.store.results import Span, Trace
from otel_loggedmodel.store.schema import EVALUATION_NAME

# The spellings of the conventions, past and present, and of OpenInference; the first that a span has counts.
_INPUT_TOKENS: Final = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_OUTPUT_TOKENS: Final = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
_MODELS: Final = ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "embedding.model_name")
_DEEPEST: Final = 24


@dataclass(frozen=True)
class Row:
    """A span in a waterfall.

    Attributes:
        span: The span.
        depth: How many it is below.
        offset: When it began, as a share of the trace.
        width: How long it took, as a share of the trace.
        failed: Whether it failed.
        input_tokens: As it says them.
        output_tokens: As it says them.
        llm: Which model was called.
    """

    span: Span
    depth: int
    offset: float
    width: float
    failed: bool
    input_tokens: str | None
    output_tokens: str | None
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
    """

    span_id: str
    name: str
    value: str
    label: str
    explanation: str
    source: str


def failed(span: Span) -> bool:
    """Whether a span failed, in the Collector's spelling or OTLP's."""
    return span.status.lower() in ("error", "status_code_error")


def rows_of(trace: Trace) -> list[Row]:
    """The spans in order; without the results of evaluations, which say nothing of the trace's time."""
    spans = [span for span in trace.spans if span.name != EVALUATION_NAME]
    begin = min((span.start_ns for span in spans), default=0)
    whole = max(max((span.start_ns + span.duration_ns for span in spans), default=0) - begin, 1)
    return [
        Row(
            span=span,
            depth=min(depth, _DEEPEST),
            offset=(span.start_ns - begin) / whole,
            width=span.duration_ns / whole,
            failed=failed(span),
            input_tokens=_first(span, _INPUT_TOKENS),
            output_tokens=_first(span, _OUTPUT_TOKENS),
            llm=_first(span, _MODELS),
        )
        for span, depth in _in_tree_order(spans)
    ]


def evaluations_of(trace: Trace) -> list[Evaluation]:
    """The results of evaluations, as spans and as events, in the order of their time."""
    found = []
    for span in trace.spans:
        if span.name == EVALUATION_NAME:
            found.append((span.start_ns, span.parent_span_id or "", span.attributes))
        found += [
            (event.time_ns, span.span_id, event.attributes) for event in span.events if event.name == EVALUATION_NAME
        ]
    return [
        Evaluation(
            span_id=span_id,
            name=attributes.get("gen_ai.evaluation.name", ""),
            value=attributes.get("gen_ai.evaluation.score.value", ""),
            label=attributes.get("gen_ai.evaluation.score.label", ""),
            explanation=attributes.get("gen_ai.evaluation.explanation", ""),
            source=attributes.get("logged_model.evaluation.source", ""),
        )
        for _, span_id, attributes in sorted(found, key=lambda one: one[0])
    ]


def _in_tree_order(spans: Sequence[Span]) -> Iterator[tuple[Span, int]]:
    """Each span once, with its depth; without recursion, as traces can be deeper than the stack."""
    children: dict[str | None, list[int]] = {}
    ids = {span.span_id for span in spans}
    for index, span in enumerate(spans):
        is_child = span.parent_span_id in ids and span.parent_span_id != span.span_id
        children.setdefault(span.parent_span_id if is_child else None, []).append(index)
    shown: set[int] = set()
    # Whatever the roots do not lead to is part of a circle: it starts at its earliest span.
    for start in [*children.get(None, []), *range(len(spans))]:
        stack = [(start, 0)]
        while stack:
            index, depth = stack.pop()
            if index in shown:
                continue
            shown.add(index)
            yield spans[index], depth
            stack += [(child, depth + 1) for child in reversed(children.get(spans[index].span_id, []))]


def _first(span: Span, names: Sequence[str]) -> str | None:
    return next((value for name in names if (value := span.attributes.get(name))), None)
