# SPDX-License-Identifier: Apache-2.0
"""Versions side by side: the decision first, then every metric with its verdict, and what is behind it."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from markupsafe import Markup

from otel_loggedmodel.pages import charts, rows
from otel_loggedmodel.pages.addresses import Chosen, Links
from otel_loggedmodel.pages.evidence import decisions_of, evidence_of
from otel_loggedmodel.pages.templates import position
from otel_loggedmodel.pages.versions import Trends
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.differing import Piece, words_that_differ
from otel_loggedmodel.presenting.naming import Title, titles_of
from otel_loggedmodel.presenting.texts import where_they_differ
from otel_loggedmodel.store.behaving import BINS_PER_DECADE
from otel_loggedmodel.store.chart_results import Activities, Behaviour
from otel_loggedmodel.store.reading import RowFilter
from otel_loggedmodel.store.results import Comparison, ConfigurationDifference
from otel_loggedmodel.store.row_results import RowChange
from otel_loggedmodel.store.version_results import Version
from otel_loggedmodel.versions.checkout import DIFF_TAG

# A longer text of several lines is shown by the lines that changed.
_LONG_TEXT: Final = 1200
# Of a longer value, the part where it begins to differ is shown: a param may be a prompt of 1 MiB.
_LONGEST_SHOWN: Final = 20_000
_MOST_LINES: Final = 2000
_MOST_OPERATIONS: Final = 15


@dataclass(frozen=True)
class Line:
    """A line of a text that changed: ` `, `+`, `-` or `@`, and the text."""

    sign: str
    text: str


@dataclass(frozen=True)
class Change:
    """A part of what versions are made of that is not the same for all.

    Attributes:
        part: What differs, with the value of each version.
        pieces: Of two versions, the words that differ; None where values or lines are shown instead.
        lines: Of a long text, the lines that changed.
        is_below: Whether it is shown elsewhere on the page.
    """

    part: ConfigurationDifference
    pieces: Sequence[Piece] | None = None
    lines: Sequence[Line] | None = None
    is_below: bool = False

    @property
    def label(self) -> str:
        """What it is: a param by its name alone."""
        return self.part.key if self.part.kind == "param" else f"{self.part.kind} {self.part.key}"


def values(
    comparison: Comparison,
    activities: Activities,
    behaviour: Behaviour,
    changed: Sequence[RowChange],
    chosen: Chosen,
    which: RowFilter,
    known: Mapping[str, Version] | None = None,
) -> Mapping[str, Any]:
    """What the template shows.

    Args:
        comparison: The versions.
        activities: How they did over time.
        behaviour: What is behind their numbers.
        changed: The rows of data sets that changed most, of two versions.
        chosen: Which traces count.
        which: Which rows were asked for.
        known: Versions by their ids, as far as they were read.
    """
    versions = comparison.versions
    titles = titles_of(comparison, known)
    labels = [f"{position(place)} {title.text}" for place, title in enumerate(titles.titles)]
    table = rows.table_of(comparison, changed, which)
    operations = behaviour.operations[:_MOST_OPERATIONS]
    return {
        "comparison": comparison,
        "notes": [_note(text, titles.titles) for text in comparison.notes],
        "titles": titles.titles,
        "calls": titles.calls,
        "decisions": decisions_of(comparison, titles.calls),
        "evidence": evidence_of(comparison),
        "measured": sum(len(one.metrics) for one in comparison.differences[:1]),
        "distribution": charts.distributions(
            behaviour.latency_bins,
            labels,
            "Distribution of latency by version",
            [version.latency_ms.p50 for version in versions],
        ),
        "bins": _bins(behaviour),
        "over_time": over_time(activities, labels),
        "activities": activities,
        "behaviour": behaviour,
        "table": table,
        "row_filter": which,
        "with_rows": rows.have_rows(comparison),
        "more_rows": rows.next_limit(which, table),
        "operations": operations,
        "longest": max((value or 0.0 for one in operations for value in one.ms_per_trace), default=0.0),
        "changes": [_change(part, len(versions)) for part in comparison.configuration],
        "diffs": [
            (place, [_line(text) for text in value.splitlines()[:_MOST_LINES]])
            for part in comparison.configuration
            if part.kind == "tag" and part.key == DIFF_TAG
            for place, value in enumerate(part.values)
            if value
        ],
        "chosen": chosen,
        "links": Links(chosen),
    }


@dataclass(frozen=True)
class Chart:
    """A chart, and the same as a table.

    Attributes:
        title: What it shows.
        picture: The chart.
        rows: For each part of time when it begins, and a value of each version.
    """

    title: str
    picture: Markup
    rows: Sequence[tuple[str, Sequence[str]]]


def over_time(activities: Activities, labels: Sequence[str]) -> list[Chart]:
    """A chart for each number of which there is any.

    Args:
        activities: How the versions did over time.
        labels: What they are called.
    """
    trends = [Trends(activity, activities) for activity in activities.versions]
    marks = [[activation.time_ms for activation in activity.activations] for activity in activities.versions]
    found = []

    def draw(title: str, values: Sequence[Sequence[float | None]], write: Callable[[float | None], str]) -> None:
        start_ms, step_ms = activities.start_ms, activities.step_ms
        series = [charts.Series(label, one, mark) for label, one, mark in zip(labels, values, marks, strict=True)]
        rows = [
            (charts.time_of(start_ms + part * step_ms, step_ms), [write(value) for value in together])
            for part, together in enumerate(zip(*values, strict=True))
            if any(value is not None for value in together)
        ]
        found.append(Chart(title, charts.over_time(series, start_ms, step_ms, f"{title} over time", write), rows))

    for title, name, write in (
        ("Latency p95", "p95_ms", formatting.milliseconds),
        ("Latency p50", "p50_ms", formatting.milliseconds),
        ("Error rate", "error_rate", formatting.rate),
        ("Traces", "traces", formatting.count),
        ("Tokens per trace", "tokens", formatting.per_trace),
        ("Cost per trace", "cost", formatting.dollars),
    ):
        values = [getattr(trend, name) for trend in trends]
        if any(value is not None for one in values for value in one):
            draw(title, values, write)
    for name in sorted({name for activity in activities.versions for name in activity.score_trends}):
        nothing = (None,) * activities.parts
        draw(
            f"Score {name}",
            [activity.score_trends.get(name, nothing) for activity in activities.versions],
            formatting.score,
        )
    return found


def _note(text: str, titles: Sequence[Title]) -> Sequence[tuple[bool, str]]:
    """The parts of a note, and whether each is code: with the names of versions for their ids."""
    for title in titles:
        # An id that somebody chose may be a word.
        if title.short_id != title.model_id:
            text = text.replace(title.model_id, title.full)
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return [(False, text)]
    return [(place % 2 == 1, part) for place, part in enumerate(parts) if part]


def _bins(behaviour: Behaviour) -> list[tuple[str, list[str]]]:
    """The distribution in words: for each version how many of its traces took less than so long."""
    places = sorted({place for bins in behaviour.latency_bins for place in bins})
    if not places:
        return []
    rows = []
    decade = BINS_PER_DECADE
    for limit in range(places[0] // (decade // 2) + 1, places[-1] // (decade // 2) + 2):
        below = limit * (decade // 2)
        shares = []
        for bins in behaviour.latency_bins:
            total = sum(bins.values())
            shares.append(
                formatting.rate(sum(count for place, count in bins.items() if place < below) / total)
                if total
                else formatting.ABSENT
            )
        rows.append((formatting.milliseconds(10 ** (below / decade)), shares))
    return rows


def _change(part: ConfigurationDifference, count: int) -> Change:
    """How a part differs: of two versions by words, or by lines where it is long."""
    if part.kind == "tag" and part.key == DIFF_TAG:
        return Change(part, is_below=True)
    part = replace(part, values=tuple(where_they_differ(part.values, _LONGEST_SHOWN)))
    first, last = part.values[0], part.values[-1]
    if first is None or last is None or count < 2:
        return Change(part)
    if max(len(first), len(last)) >= _LONG_TEXT and "\n" in first + last:
        before, after = first.splitlines()[:_MOST_LINES], last.splitlines()[:_MOST_LINES]
        lines = list(difflib.unified_diff(before, after, lineterm="", n=3))[2:]
        return Change(part, lines=[_line(text) for text in lines])
    if count > 2:
        return Change(part)
    # Of a name or a number, a part of it says nothing.
    is_word = len(first.split()) < 2 and len(last.split()) < 2
    whole = [piece for piece in (Piece("first", first), Piece("second", last)) if piece.text]
    return Change(part, pieces=whole if is_word else words_that_differ(first, last))


def _line(text: str) -> Line:
    sign = text[:1] if text[:1] in ("+", "-", "@") else " "
    return Line(sign, text)
