# SPDX-License-Identifier: Apache-2.0
"""One trace on a terminal: its spans as a tree, each with a bar that shows when it ran.

Parents come from whoever sent the spans. A span whose parent is not there is a root, and so is one of each circle of
parents: every span is shown exactly once, however they refer to one another.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from otel_loggedmodel import mlflow_spans
from otel_loggedmodel.commands.printing import console_for
from otel_loggedmodel.commands.tables import plain_table
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.texts import clean
from otel_loggedmodel.store.results import Span, Trace

# The spellings of the conventions, past and present, and of OpenInference; the first that a span has counts. MLflow's
# come after them.
_INPUT_TOKENS: Final = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_OUTPUT_TOKENS: Final = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
_BAR_CHARACTERS: Final = 24
_DEEPEST_INDENT: Final = 24


def rendered(trace: Trace) -> list[RenderableType]:
    """The spans of a trace, in the order of their tree and, among siblings, of their start."""
    spans = trace.spans
    begin = min((span.start_ns for span in spans), default=0)
    end = max((span.start_ns + span.duration_ns for span in spans), default=0)
    errors = sum(span.status.lower() == "error" for span in spans)
    head = Text.assemble(
        ("trace ", "bold"),
        clean(trace.trace_id),
        f"  {formatting.instant(begin / 1_000_000)}  {formatting.count(len(spans))} spans, ",
        formatting.milliseconds((end - begin) / 1_000_000),
        (f", {errors} with errors" if errors else "", "red"),
    )
    ascii_only = console_for(sys.stdout).options.ascii_only
    table = plain_table()
    table.add_column("span", overflow="fold", min_width=16)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("when", no_wrap=True)
    table.add_column("tokens", no_wrap=True)
    table.add_column("what", overflow="fold")
    for guides, span in _in_tree_order(spans, ascii_only):
        table.add_row(
            Text.assemble((guides, "dim"), (clean(span.name), "bold" if span.is_entry else "")),
            formatting.milliseconds(span.duration_ns / 1_000_000),
            Text(_bar(span, begin, end, ascii_only), "red" if _has_failed(span) else "cyan"),
            Text(clean(_tokens(span))),
            _remarks(span),
        )
    return [head, table]


def _in_tree_order(spans: Sequence[Span], ascii_only: bool) -> Iterator[tuple[str, Span]]:
    """Each span once, with the lines that lead to it; without recursion, as traces can be deeper than the stack."""
    branch, last_branch, trunk = ("|- ", "`- ", "|  ") if ascii_only else ("├─ ", "└─ ", "│  ")
    children: dict[str | None, list[int]] = {}
    ids = {span.span_id for span in spans}
    for index, span in enumerate(spans):
        is_child = span.parent_span_id in ids and span.parent_span_id != span.span_id
        children.setdefault(span.parent_span_id if is_child else None, []).append(index)
    shown: set[int] = set()
    # Whatever the roots do not lead to is part of a circle: it starts at its earliest span.
    for start in [*children.get(None, []), *range(len(spans))]:
        stack: list[tuple[int, str, str]] = [(start, "", "")]
        while stack:
            index, own_guides, below = stack.pop()
            if index in shown:
                continue
            shown.add(index)
            span = spans[index]
            yield own_guides, span
            offspring = [child for child in children.get(span.span_id, []) if child not in shown]
            is_deep = len(below) >= _DEEPEST_INDENT
            for place, child in reversed(list(enumerate(offspring))):
                is_last = place == len(offspring) - 1
                lines = below if is_deep else below + ("   " if is_last else trunk)
                stack.append((child, below + (last_branch if is_last else branch), lines))


def _bar(span: Span, begin: int, end: int, ascii_only: bool) -> str:
    whole = max(end - begin, 1)
    left = min(_BAR_CHARACTERS - 1, (span.start_ns - begin) * _BAR_CHARACTERS // whole)
    length = max(1, min(_BAR_CHARACTERS - left, round(span.duration_ns * _BAR_CHARACTERS / whole)))
    bar = " " * left + ("#" if ascii_only else "━") * length
    return bar.ljust(_BAR_CHARACTERS)


def _tokens(span: Span) -> str:
    of_mlflow = mlflow_spans.tokens_of(span.attributes)
    taken, given = _first(span, _INPUT_TOKENS) or of_mlflow[0], _first(span, _OUTPUT_TOKENS) or of_mlflow[1]
    return f"{taken or 0} in, {given or 0} out" if taken or given else ""


def _remarks(span: Span) -> Text:
    remarks = Text()
    if _has_failed(span):
        remarks.append(f"error: {clean(span.status_message)}" if span.status_message else "error", "red")
    model = _first(span, ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name"))
    model = model or mlflow_spans.text_of(span.attributes, mlflow_spans.MODEL)
    if model:
        remarks.append(f"{'  ' if remarks else ''}{clean(model)}")
    if span.is_entry and span.model_id:
        remarks.append(f"{'  ' if remarks else ''}version {clean(span.model_id)}", "dim")
    return remarks


def _has_failed(span: Span) -> bool:
    return span.status.lower() == "error"


def _first(span: Span, names: Sequence[str]) -> str | None:
    return next((value for name in names if (value := span.attributes.get(name))), None)
