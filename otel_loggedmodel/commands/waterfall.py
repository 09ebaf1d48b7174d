# SPDX-License-Identifier: Apache-2.0
"""One trace on a terminal: its spans as a tree, each with a bar that shows when it ran."""

import itertools
import sys
from collections.abc import Callable
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from otel_loggedmodel.commands.printing import console_for
from otel_loggedmodel.commands.tables import plain_table
from otel_loggedmodel.conventions.status import is_error
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.spans import in_tree_order, is_said_later, llm_of, tokens_of
from otel_loggedmodel.presenting.texts import clean
from otel_loggedmodel.store.trace_results import Span, Trace

_BAR_CHARACTERS: Final = 24
_DEEPEST_INDENT: Final = 24

# The lines that lead to a span, and those in front of its children.
_Guides = tuple[str, str]


def rendered(trace: Trace, limit: int | None = None, offset: int = 0) -> list[RenderableType]:
    """The spans of a trace, in the order of their tree and, among siblings, of their start.

    Args:
        trace: The trace.
        limit: At most so many spans. The default is all.
        offset: Leave out so many.
    """
    spans = trace.spans
    # What was said of the trace later is shown, but its time is not the trace's.
    work = [span for span in spans if not is_said_later(span)] or spans
    begin = min((span.start_ns for span in work), default=0)
    end = max((span.start_ns + span.duration_ns for span in work), default=0)
    errors = sum(is_error(span.status) for span in spans)
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
    in_order = in_tree_order(spans, ("", ""), _guides_below(ascii_only))
    for span, (guides, _) in itertools.islice(in_order, offset, None if limit is None else offset + limit):
        table.add_row(
            Text.assemble((guides, "dim"), (clean(span.name), "bold" if span.is_entry else "")),
            formatting.milliseconds(span.duration_ns / 1_000_000),
            Text(_bar(span, begin, end, ascii_only), "red" if is_error(span.status) else "cyan"),
            Text(clean(_tokens(span))),
            _remarks(span),
        )
    return [head, table]


def _guides_below(ascii_only: bool) -> Callable[[_Guides, bool], _Guides]:
    branch, last_branch, trunk = ("|- ", "`- ", "|  ") if ascii_only else ("├─ ", "└─ ", "│  ")

    def below(parent: _Guides, is_last: bool) -> _Guides:
        _, lead = parent
        own = lead + (last_branch if is_last else branch)
        return own, lead if len(lead) >= _DEEPEST_INDENT else lead + ("   " if is_last else trunk)

    return below


def _bar(span: Span, begin: int, end: int, ascii_only: bool) -> str:
    whole = max(end - begin, 1)
    left = min(_BAR_CHARACTERS - 1, max(0, span.start_ns - begin) * _BAR_CHARACTERS // whole)
    length = max(1, min(_BAR_CHARACTERS - left, round(span.duration_ns * _BAR_CHARACTERS / whole)))
    bar = " " * left + ("#" if ascii_only else "━") * length
    return bar.ljust(_BAR_CHARACTERS)


def _tokens(span: Span) -> str:
    taken, given = tokens_of(span)
    return f"{taken or 0} in, {given or 0} out" if taken is not None or given is not None else ""


def _remarks(span: Span) -> Text:
    remarks = Text()
    if is_error(span.status):
        remarks.append(f"error: {clean(span.status_message)}" if span.status_message else "error", "red")
    model = llm_of(span)
    if model:
        remarks.append(f"{'  ' if remarks else ''}{clean(model)}")
    if span.is_entry and span.model_id:
        remarks.append(f"{'  ' if remarks else ''}version {clean(span.model_id)}", "dim")
    return remarks
