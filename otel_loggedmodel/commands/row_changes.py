# SPDX-License-Identifier: Apache-2.0
"""The rows that changed most, one after the other: what was asked and answered, and in which traces."""

import sys
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from otel_loggedmodel.commands.comparison_tables import label_of
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.texts import clean
from otel_loggedmodel.store.results import Comparison
from otel_loggedmodel.store.row_results import RowChange, RowResult

# On a terminal. A pipe gets all that the store gives.
_CHARACTERS: Final = 400
_NOTHING: Final = "(not recorded)"


def rendered(comparison: Comparison, changes: Sequence[RowChange]) -> list[RenderableType]:
    """A paragraph for each row, by version and evaluation.

    Args:
        comparison: The comparison of the same versions.
        changes: The rows, in order.
    """
    if not changes:
        return ["", Text("No row that these versions have in common changed.", "dim")]
    labels = {version.model_id: label_of(place) for place, version in enumerate(comparison.versions)}
    parts: list[RenderableType] = []
    for (model_id, score), rows in groupby(changes, key=lambda change: (change.model_id, change.score)):
        label = labels.get(model_id, clean(model_id))
        title = Text.assemble(
            "score ", (clean(score), "bold"), f", A to {label}", _of_how_many(comparison, model_id, score)
        )
        parts += ["", title]
        for change in rows:
            parts += _paragraph(change, label)
    return parts


def _of_how_many(comparison: Comparison, model_id: str, score: str) -> str:
    for differences in comparison.differences:
        difference = differences.metrics.get(f"scores.{score}")
        if differences.model_id == model_id and difference is not None and difference.evaluation is not None:
            found = difference.evaluation
            return f": {found.higher} of {found.pairs} rows higher, {found.lower} lower, {found.equal} the same"
    return ""


def _paragraph(change: RowChange, label: str) -> list[RenderableType]:
    head = Text.assemble(
        ("row ", "dim"),
        (clean(change.row), "bold"),
        f"  {formatting.score(change.base.value)} to {formatting.score(change.candidate.value)}  ",
        (f"{change.delta:+.4g}", "green" if change.delta > 0 else "red"),
    )
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row(Text("input", "dim"), _text(change.input))
    if change.expected is not None:
        grid.add_row(Text("expected", "dim"), _text(change.expected))
    for name, result in (("A", change.base), (label, change.candidate)):
        grid.add_row(Text(name, "bold"), _text(result.output))
        if result.explanation:
            grid.add_row(Text(), Text(_cut(result.explanation), "dim"))
        grid.add_row(Text(), _where(result))
    return [Padding(head, (0, 0, 0, 2)), Padding(grid, (0, 0, 0, 4))]


def _text(text: str | None) -> Text:
    return Text(_NOTHING, "dim") if text is None else Text(_cut(text))


def _where(result: RowResult) -> Text:
    label = f"{clean(result.label)}, " if result.label else ""
    return Text(f"{label}trace {clean(result.trace_id)}", "dim")


def _cut(text: str) -> str:
    shown = clean(text)
    if sys.stdout.isatty() and len(shown) > _CHARACTERS:
        return f"{shown[:_CHARACTERS]}..."
    return shown
