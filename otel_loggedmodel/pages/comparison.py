# SPDX-License-Identifier: Apache-2.0
"""Versions side by side: every metric with its verdict, what is behind it, and what the versions are made of."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from otel_loggedmodel.pages import charts, rows
from otel_loggedmodel.pages.addresses import Chosen, Links
from otel_loggedmodel.pages.templates import label_of, short_id
from otel_loggedmodel.pages.versions import Trends
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.metrics import Metric, change_of, compared_of, metric_named, metrics_of, value_of
from otel_loggedmodel.store.behaving import BINS_PER_DECADE
from otel_loggedmodel.store.chart_results import Activities, Behaviour
from otel_loggedmodel.store.results import Comparison, ConfigurationDifference, Difference, RowChange, Verdict
from otel_loggedmodel.store.statistics import meaning_of
from otel_loggedmodel.versions.checkout import DIFF_TAG

_LONG_TEXT: Final = 60
_MOST_LINES: Final = 2000
_MOST_OPERATIONS: Final = 15
_MOST_NAMED: Final = 4


@dataclass(frozen=True)
class Cell:
    """A metric of a version.

    Attributes:
        text: Its value.
        count: How many results it is of; None for all traces.
        difference: To the first version; None for that one itself, and where there is nothing to compare.
        change: The same for reading.
        compared: Of a score, what was compared and how.
        interval: The interval of the difference for reading.
        picture: The same as a picture.
    """

    text: str
    count: int | None = None
    difference: Difference | None = None
    change: str = ""
    compared: str = ""
    interval: str = ""
    picture: Markup | None = None


@dataclass(frozen=True)
class Line:
    """A line of a text that changed: ` `, `+`, `-` or `@`, and the text."""

    sign: str
    text: str


def values(
    comparison: Comparison,
    activities: Activities,
    behaviour: Behaviour,
    changed: Sequence[RowChange],
    chosen: Chosen,
    limit: int,
) -> Mapping[str, Any]:
    """What the template shows.

    Args:
        comparison: The versions.
        activities: How they did over time.
        behaviour: What is behind their numbers.
        changed: The rows of data sets that changed most, of two versions.
        chosen: Which traces count.
        limit: How many rows were asked for.
    """
    versions = comparison.versions
    changes = rows.changes_of(comparison, changed)
    labels = [f"{label_of(place)} {short_id(version.model_id)}" for place, version in enumerate(versions)]
    return {
        "comparison": comparison,
        "rows": [(metric, _cells(comparison, metric)) for metric in metrics_of(versions)],
        "tallies": [_tally(differences.metrics) for differences in comparison.differences],
        "distribution": charts.distributions(behaviour.latency_bins, labels, "Distribution of latency by version"),
        "bins": _bins(behaviour),
        "over_time": _over_time(activities, labels),
        "activities": activities,
        "behaviour": behaviour,
        "changes": changes,
        "with_rows": rows.have_rows(comparison),
        "more_rows": rows.next_limit(limit, changes),
        "operations": behaviour.operations[:_MOST_OPERATIONS],
        "configuration": [(part, _lines(part)) for part in comparison.configuration],
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


def _cells(comparison: Comparison, metric: Metric) -> list[Cell]:
    cells = []
    for place, version in enumerate(comparison.versions):
        text = metric.write(value_of(version, metric.key))
        score = version.scores.get(metric.key.removeprefix("scores.")) if metric.key.startswith("scores.") else None
        difference = None
        if place and place <= len(comparison.differences):
            difference = comparison.differences[place - 1].metrics.get(metric.key)
        cells.append(_cell(metric, text, None if score is None else score.count, difference))
    return cells


def _cell(metric: Metric, text: str, count: int | None, difference: Difference | None) -> Cell:
    if difference is None:
        return Cell(text, count)
    compared = compared_of(difference.evaluation)
    if difference.interval is None or difference.delta is None or difference.base is None:
        return Cell(text, count, difference, _change(metric, difference), compared)
    write = formatting.points if metric.is_rate else metric.write
    low, high = difference.interval
    said = f"{write(low)} to {write(high)}"
    margin = meaning_of(metric.key).margin(difference.base) if difference.margin is None else difference.margin
    picture = charts.interval(low, high, difference.delta, margin, f"95 % interval {said}")
    return Cell(text, count, difference, _change(metric, difference), compared, said, picture)


def _change(metric: Metric, difference: Difference) -> str:
    """The change, marked where a note tells within what it is one."""
    return change_of(metric, difference) + ("*" if difference.adjusted else "")


def _tally(differences: Mapping[str, Difference]) -> list[tuple[Verdict, int, str]]:
    """How many metrics came to each verdict, and which became worse or better."""
    found = []
    for verdict in (Verdict.WORSE, Verdict.BETTER, Verdict.SAME, Verdict.UNKNOWN):
        labels = [metric_named(key).label for key, difference in differences.items() if difference.verdict == verdict]
        if labels:
            said = labels[:_MOST_NAMED] if verdict in (Verdict.WORSE, Verdict.BETTER) else []
            more = len(labels) - _MOST_NAMED
            found.append((verdict, len(labels), ", ".join([*said, *([f"{more} more"] if said and more > 0 else [])])))
    return found


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


def _over_time(activities: Activities, labels: Sequence[str]) -> list[Chart]:
    """A chart for each number of which there is any."""
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


def _lines(part: ConfigurationDifference) -> list[Line] | None:
    """How a long text of the last version differs from the first's, by lines; None for what is read at a glance."""
    first, last = part.values[0], part.values[-1]
    if part.kind == "tag" and part.key == DIFF_TAG:
        return []
    if first is None or last is None or max(len(first), len(last)) < _LONG_TEXT:
        return None
    before, after = first.splitlines()[:_MOST_LINES], last.splitlines()[:_MOST_LINES]
    if len(before) == len(after) == 1:
        return None
    return [_line(text) for text in list(difflib.unified_diff(before, after, lineterm="", n=3))[2:]]


def _line(text: str) -> Line:
    sign = text[:1] if text[:1] in ("+", "-", "@") else " "
    return Line(sign, text)
