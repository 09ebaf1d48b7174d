# SPDX-License-Identifier: Apache-2.0
"""The numbers of a comparison as they are shown: the four groups that decide, and every metric below them.

A change and the two values beside it have the same basis: where two versions are compared on some traces or rows alone,
the values are of those.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from markupsafe import Markup

from otel_loggedmodel.pages import figures
from otel_loggedmodel.presenting import deciding, formatting
from otel_loggedmodel.presenting.deciding import Group, Outcome
from otel_loggedmodel.presenting.metrics import (
    SCORE_PREFIX,
    Metric,
    change_of,
    compared_of,
    metric_named,
    metrics_of,
    value_of,
)
from otel_loggedmodel.store.results import Comparison, Difference, Reason, Verdict, VersionMetrics
from otel_loggedmodel.store.statistics import meaning_of

_MOST_BELOW: Final = 3
_COUNTED: Final = "Counted"


@dataclass(frozen=True)
class Part:
    """A metric in a line below the head of its group: what it is called, how it changed, the verdict, or why none."""

    label: str
    change: str
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True)
class GroupShown:
    """A group of metrics as it is shown.

    Attributes:
        group: The group.
        what: What its head is.
        values: The head's values, first version and other.
        change: How it changed.
        verdict: What that amounts to.
        picture: The interval.
        parts: Other metrics of the group.
        left_out: How many more there are.
    """

    group: Group
    what: str = ""
    values: tuple[str, str] = ("", "")
    change: str = ""
    verdict: Verdict = Verdict.UNKNOWN
    picture: Markup | None = None
    parts: Sequence[Part] = ()
    left_out: int = 0


@dataclass(frozen=True)
class Decision:
    """What a comparison of a version with the first comes to.

    Attributes:
        sentence: In words.
        groups: By quality, errors, speed and cost.
        worse: The groups in which something became worse.
        is_known: Whether there is any verdict.
        reason: Why there is none.
    """

    sentence: str
    groups: Sequence[GroupShown]
    worse: Sequence[str] = field(default=())
    is_known: bool = True
    reason: str = ""


@dataclass(frozen=True)
class Cell:
    """A metric of a version.

    Attributes:
        text: Its value.
        change: How it differs from the first version.
        verdict: What that amounts to; None where nothing is compared.
        interval: The interval of the difference for reading.
        picture: The same as a picture.
        reason: Why the verdict is unknown.
    """

    text: str
    change: str = ""
    verdict: Verdict | None = None
    interval: str = ""
    picture: Markup | None = None
    reason: str = ""


@dataclass(frozen=True)
class Row:
    """A metric of every version.

    Attributes:
        metric: Which.
        note: What was compared of it.
        cells: The first version's, then the others'.
    """

    metric: Metric
    note: str
    cells: Sequence[Cell]

    @property
    def label(self) -> str:
        """What it is called below the heading of its group."""
        return self.metric.label.removeprefix("score ")


def decisions_of(comparison: Comparison, calls: Sequence[str]) -> list[Decision]:
    """What each version comes to against the first.

    Args:
        comparison: The versions.
        calls: What each is called in a sentence.
    """
    found = []
    for place, differences in enumerate(comparison.differences, start=1):
        groups = deciding.groups_of(differences)
        worse = [one.key for one in groups if one.outcome in (Outcome.WORSE, Outcome.MIXED)]
        found.append(
            Decision(
                sentence=deciding.sentence(groups, calls[0], calls[place]),
                groups=[_shown(group) for group in groups],
                worse=worse,
                is_known=any(one.verdict != Verdict.UNKNOWN for one in differences.metrics.values()),
                reason=deciding.unknown_because(groups) or "too few traces",
            )
        )
    return found


def evidence_of(comparison: Comparison) -> list[tuple[str, list[Row]]]:
    """Every metric by its group, and what only counts something at the end."""
    by_group: dict[str, list[Row]] = {key: [] for key in (*deciding.KEYS, _COUNTED)}
    for metric in metrics_of(comparison.versions):
        key = deciding.group_of(metric.key) if metric.has_verdict else None
        by_group[key or _COUNTED].append(_row(comparison, metric))
    return [(key.capitalize(), rows) for key, rows in by_group.items() if rows]


def _shown(group: Group) -> GroupShown:
    difference = group.head_difference
    if group.head is None or difference is None:
        return GroupShown(group)
    metric = metric_named(group.head)
    others = [(name, one) for name, one in group.metrics.items() if name != group.head]
    parts = [
        Part(deciding.part_label(name), change_of(metric_named(name), one), one.verdict, _words(one.reason))
        for name, one in others[:_MOST_BELOW]
    ]
    return GroupShown(
        group=group,
        what=_what(metric, difference),
        values=(metric.write(difference.base), metric.write(difference.candidate)),
        change=change_of(metric, difference),
        verdict=difference.verdict,
        picture=_picture(metric, difference, 24, with_ends=True),
        parts=parts,
        left_out=max(len(others) - _MOST_BELOW, 0),
    )


def _what(metric: Metric, difference: Difference) -> str:
    label = {deciding.MEDIAN: "median latency", deciding.COST: "per 1,000 traces, list prices"}.get(
        metric.key, metric.label.removeprefix("score ")
    )
    evaluation = difference.evaluation
    if evaluation is None:
        return label
    if evaluation.pairs:
        return f"{label}, {formatting.number_of(evaluation.pairs, 'row')}"
    return (
        f"{label}, {formatting.count(evaluation.base_count)} and {formatting.count(evaluation.candidate_count)} values"
    )


def _row(comparison: Comparison, metric: Metric) -> Row:
    differences = [one.metrics.get(metric.key) for one in comparison.differences]
    first, others = comparison.versions[0], comparison.versions[1:]
    is_pair = len(differences) == 1
    base = differences[0] if is_pair else None
    cells = [Cell(_base_text(metric, first, base))]
    for place, version in enumerate(others):
        difference = differences[place] if place < len(differences) else None
        cells.append(_cell(metric, version, difference))
    note = "" if base is None else compared_of(base.evaluation)
    if not note and metric.key == deciding.ERROR_RATE:
        note = " and ".join(formatting.count(version.errors) for version in comparison.versions)
        note = f"{note} failed" if is_pair else ""
    return Row(metric, note, cells)


def _base_text(metric: Metric, version: VersionMetrics, difference: Difference | None) -> str:
    if difference is not None and difference.base is not None:
        return metric.write(difference.base)
    return metric.write(value_of(version, metric.key))


def _cell(metric: Metric, version: VersionMetrics, difference: Difference | None) -> Cell:
    if difference is None:
        return Cell(metric.write(value_of(version, metric.key)))
    value = difference.candidate if difference.candidate is not None else value_of(version, metric.key)
    verdict = difference.verdict if metric.has_verdict else None
    if difference.interval is None:
        return Cell(metric.write(value), change_of(metric, difference), verdict, reason=_words(difference.reason))
    return Cell(
        metric.write(value),
        change_of(metric, difference),
        verdict,
        interval_text(metric, difference),
        _picture(metric, difference),
        _words(difference.reason),
    )


def _words(reason: Reason | None) -> str:
    return "" if reason is None else str(reason)


def interval_text(metric: Metric, difference: Difference) -> str:
    """An interval for reading: `+72.9 ms to +90.7 ms`."""
    if difference.interval is None:
        return ""
    write = formatting.points if metric.is_rate else metric.write
    return " to ".join(_signed(write(value), value) for value in difference.interval)


def _signed(text: str, value: float) -> str:
    return text if value <= 0 or text.startswith("+") else f"+{text}"


def _picture(metric: Metric, difference: Difference, height: int = 20, *, with_ends: bool = False) -> Markup | None:
    if difference.interval is None or difference.delta is None or difference.base is None:
        return None
    meaning = meaning_of(metric.key)
    low, high = difference.interval
    span = figures.Span(
        low=low,
        high=high,
        delta=difference.delta,
        base=difference.base,
        margin=meaning.margin(difference.base) if difference.margin is None else difference.margin,
        higher_is_better=metric.key.startswith(SCORE_PREFIX) or meaning.higher_is_better,
        verdict=difference.verdict,
    )
    label = f"{metric.label}: {difference.verdict}, 95 % interval {interval_text(metric, difference)}"
    return figures.interval(span, label, height, with_ends=with_ends)
