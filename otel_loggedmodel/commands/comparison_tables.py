# SPDX-License-Identifier: Apache-2.0
"""A comparison as tables: the versions, their metrics, how what they are made of differs, and how to read it."""

import sys
from collections.abc import Sequence
from typing import Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from otel_loggedmodel.commands.printing import console_for
from otel_loggedmodel.commands.tables import Column, fits, fitted, plain_table
from otel_loggedmodel.presenting import deciding, formatting, labels
from otel_loggedmodel.presenting.metrics import Metric, change_of, compared_of, metrics_of, value_of
from otel_loggedmodel.presenting.naming import Title, short_id, titles_of
from otel_loggedmodel.presenting.texts import clean, where_they_differ
from otel_loggedmodel.store.results import (
    Comparison,
    Difference,
    Verdict,
    VersionDifferences,
    VersionMetrics,
)

HOW_TO_READ: Final = (
    "Each version is held against A. better, worse: a difference that chance does not explain (95 %, corrected for the "
    "number of metrics) and that is larger than what hardly matters. same: within what hardly matters. unknown: "
    "neither, for the reason beside it."
)
_LABEL_CHARACTERS: Final = 24
NOTHING_TO_COMPARE: Final = "There is nothing to compare it with: name a second version, which is then held against it."
_SYMBOLS: Final = {
    "better": ("✓", "+", "green"),
    "worse": ("✗", "!", "red"),
    "mixed": ("±", "~", "magenta"),
    "same": ("=", "=", "dim"),
    "unknown": ("?", "?", "yellow"),
}


def rendered(comparison: Comparison, *, details: bool = False) -> list[RenderableType]:
    """Everything there is to say about a comparison.

    Args:
        comparison: What to show.
        details: Whether to show intervals, effect sizes and p-values.
    """
    console = console_for(sys.stdout)
    titles = titles_of(comparison)
    parts: list[RenderableType] = [
        *_decisions(comparison, titles.calls, console),
        *_legend(comparison.versions, titles.titles, console),
        *_metric_tables(comparison, console),
    ]
    if len(comparison.versions) == 1:
        parts.append(Text(NOTHING_TO_COMPARE, "dim"))
    if details and comparison.differences:
        parts += _detail_tables(comparison, console)
    if comparison.differences:
        parts.append(Text(HOW_TO_READ, "dim"))
    if comparison.labels:
        parts += ["", _label_table(comparison)]
    if comparison.configuration:
        parts += ["", _configuration_table(comparison)]
    parts += [Text(f"Note: {clean(note)}", "yellow") for note in comparison.notes]
    return parts


def _label_table(comparison: Comparison) -> RenderableType:
    """Which part of the results of an evaluation has which label, and whether the shares differ."""
    rows: list[list[str]] = []
    for one in comparison.labels:
        rows.append(
            [one.name, "", *("" if place == 0 else labels.told(one, place) for place in range(len(one.totals)))]
        )
        rows += [
            ["", label.label or labels.OTHERS, *(labels.share(one, label, place) for place in range(len(one.totals)))]
            for label in one.labels
        ]
    columns = [
        Column("labels", [row[0] for row in rows]),
        Column("", [row[1] for row in rows]),
        *(
            Column(label_of(place), [row[place + 2] for row in rows], number=True)
            for place in range(len(comparison.versions))
        ),
    ]
    return fitted(columns)[0]


def _decisions(comparison: Comparison, calls: Sequence[str], console: Console) -> list[RenderableType]:
    """What it comes to in words, and a verdict on each group of metrics."""
    parts: list[RenderableType] = []
    for place, differences in enumerate(comparison.differences, start=1):
        groups = deciding.groups_of(differences)
        parts.append(Text(clean(deciding.sentence(groups, calls[0], calls[place])), "bold"))
        line = Text()
        for group in groups:
            symbol, plain_symbol, style = _SYMBOLS[group.outcome.value]
            line.append(f"{group.title} ", "dim")
            line.append(f"{plain_symbol if console.options.ascii_only else symbol} {group.outcome}", style)
            line.append(f": {group.reason}   " if group.reason else "   ", style)
        parts += [line, ""]
    return parts


def verdict_text(verdict: Verdict, *, ascii_only: bool = False) -> Text:
    """A verdict as a symbol and a word, so that it is clear without colours."""
    symbol, plain_symbol, style = _SYMBOLS[verdict.value]
    return Text(f"{plain_symbol if ascii_only else symbol} {verdict}", style)


def _with_reason(difference: Difference, *, ascii_only: bool) -> Text:
    """The verdict, and why there is none."""
    text = verdict_text(difference.verdict, ascii_only=ascii_only)
    return text if difference.reason is None else text.append(f": {difference.reason}")


def label_of(position: int) -> str:
    """What a version is called in the tables: `A`, `B`, and so on."""
    return chr(ord("A") + position) if position < 26 else f"#{position + 1}"


def _legend(versions: Sequence[VersionMetrics], titles: Sequence[Title], console: Console) -> list[RenderableType]:
    # Whoever reads a pipe gets ids whole.
    write = short_id if sys.stdout.isatty() else str
    rows = [
        (
            Text(label_of(position), "bold"),
            Text(clean(f"{version.name or formatting.ABSENT} {title.label}".rstrip())),
            Text(clean(write(version.model_id))),
            Text(f"{formatting.traces(version.traces)}{f', {clean(title.stage)}' if title.stage else ''}", "dim"),
        )
        for position, (version, title) in enumerate(zip(versions, titles, strict=True))
    ]
    grid = Table.grid(padding=(0, 2, 0, 0))
    for position in range(4):
        grid.add_column(no_wrap=position != 1, overflow="fold", min_width=None if position != 1 else 8)
    for row in rows:
        grid.add_row(*row)
    return [grid] if fits(grid, console) else [Text("  ").join(row) for row in rows]


def _metric_tables(comparison: Comparison, console: Console) -> list[RenderableType]:
    """One table with all versions, if it fits.

    Otherwise several tables, each with the first version and as many as fit.
    """
    candidates = list(range(1, len(comparison.versions)))
    size = max(len(candidates), 1)
    while not fits(_metric_table(comparison, candidates[:size], console), console):
        size -= 1
        if size == 0:
            return _metric_lines(comparison, console)
    groups = [candidates[start : start + size] for start in range(0, len(candidates), size)] or [[]]
    return [_metric_table(comparison, group, console) for group in groups]


def _metric_lines(comparison: Comparison, console: Console) -> list[RenderableType]:
    """If no table fits: each metric on a line, and below it a line for each version."""
    lines: list[RenderableType] = []
    for metric in metrics_of(comparison.versions):
        lines.append(Text(clean(metric.label), "bold"))
        for position in range(len(comparison.versions)):
            cells = [Text(f"  {label_of(position)}"), Text(_value(comparison, position, metric))]
            if position:
                cells += _judged(_difference(comparison.differences, position, metric), metric, console)
            lines.append(Text("  ").join(cells))
    return lines


def _metric_table(comparison: Comparison, candidates: Sequence[int], console: Console) -> Table:
    table = plain_table()
    metrics = metrics_of(comparison.versions)
    widest = max(len(clean(metric.label)) for metric in metrics)
    table.add_column("", overflow="fold", min_width=min(widest, _LABEL_CHARACTERS))
    table.add_column(label_of(0), justify="right", no_wrap=True)
    for position in candidates:
        table.add_column(label_of(position), justify="right", no_wrap=True)
        table.add_column("change", justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
    for metric in metrics:
        row = [Text(clean(metric.label)), Text(_value(comparison, 0, metric))]
        for position in candidates:
            row.append(Text(_value(comparison, position, metric)))
            row += _judged(_difference(comparison.differences, position, metric), metric, console)
        table.add_row(*row)
    return table


def _judged(difference: Difference | None, metric: Metric, console: Console) -> list[Text]:
    if difference is None:
        return [Text(), Text()]
    verdict = _with_reason(difference, ascii_only=console.options.ascii_only)
    # What a note tells of.
    mark = "*" if difference.adjusted else ""
    return [Text(change_of(metric, difference) + mark, verdict.style), verdict]


def _difference(differences: Sequence[VersionDifferences], position: int, metric: Metric) -> Difference | None:
    if position > len(differences):
        return None
    return differences[position - 1].metrics.get(metric.key)


def _value(comparison: Comparison, position: int, metric: Metric) -> str:
    version = comparison.versions[position]
    score = version.scores.get(metric.key.removeprefix("scores.")) if metric.key.startswith("scores.") else None
    if score is None:
        return metric.write(_value_compared(comparison, position, metric))
    value, count = _compared_value(comparison, position, metric) or (score.mean, score.count)
    return f"{metric.write(value)} (n={formatting.count(count)})"


def _value_compared(comparison: Comparison, position: int, metric: Metric) -> float | None:
    """The value that the change beside it was computed from, if there is one; else the value over all traces."""
    own = value_of(comparison.versions[position], metric.key)
    if len(comparison.differences) != 1 or position > 1:
        return own
    difference = comparison.differences[0].metrics.get(metric.key)
    value = None if difference is None else (difference.base, difference.candidate)[position]
    return own if value is None else value


def _compared_value(comparison: Comparison, position: int, metric: Metric) -> tuple[float | None, int] | None:
    """The score over only those values that were compared, and how many they are.

    With other results it would not fit the change.
    """
    judged = comparison.differences if position == 0 else comparison.differences[position - 1 : position]
    found = set()
    for differences in judged:
        difference = differences.metrics.get(metric.key)
        evaluation = None if difference is None else difference.evaluation
        if difference is not None and evaluation is not None and evaluation.base_count:
            is_base = position == 0
            found.add(
                (difference.base, evaluation.base_count)
                if is_base
                else (difference.candidate, evaluation.candidate_count)
            )
    # With each of the others, the first version may be compared on different rows.
    return found.pop() if len(found) == 1 else None


def _detail_tables(comparison: Comparison, console: Console) -> list[RenderableType]:
    tables: list[RenderableType] = []
    for position, differences in enumerate(comparison.differences, start=1):
        headers = [f"{comparison.unit}s", "95 % interval", "effect size", "p", "p, corrected", "verdict"]
        has_scores = any(difference.evaluation is not None for difference in differences.metrics.values())
        table = plain_table(f"{label_of(position)} - A", *headers, *(["compared"] if has_scores else []))
        for metric in metrics_of(comparison.versions):
            difference = differences.metrics.get(metric.key)
            if difference is None:
                continue
            table.add_row(
                Text(clean(metric.label)),
                _units(difference),
                _interval(difference, metric),
                formatting.ABSENT if difference.effect_size is None else f"{difference.effect_size:+.2f}",
                formatting.p_value(difference.p_value),
                formatting.p_value(difference.p_value_adjusted),
                _with_reason(difference, ascii_only=console.options.ascii_only),
                *([compared_of(difference.evaluation)] if has_scores else []),
            )
        tables.append(table)
    return tables


def _units(difference: Difference) -> str:
    """How many independent units the two values are of."""
    if not difference.candidate_units:
        return formatting.ABSENT
    return f"{formatting.count(difference.base_units)}, {formatting.count(difference.candidate_units)}"


def _interval(difference: Difference, metric: Metric) -> str:
    if difference.interval is None:
        return formatting.ABSENT
    write = formatting.points if metric.is_rate else metric.write
    low, high = difference.interval
    return f"{write(low)} to {write(high)}"


def _configuration_table(comparison: Comparison) -> Table:
    table = plain_table()
    table.add_column("what differs", overflow="fold", min_width=12)
    for position in range(len(comparison.versions)):
        table.add_column(label_of(position), overflow="fold")
    for part in comparison.configuration:
        shown = where_they_differ(part.values)
        values = [Text("(none)", "dim") if value is None else Text(clean(value)) for value in shown]
        table.add_row(Text(clean(f"{part.kind} {part.key}")), *values)
    return table
