# SPDX-License-Identifier: Apache-2.0
"""The decision between two versions: four groups of metrics with one verdict each, and a sentence in words.

Four quantiles of one latency are one finding, not four. So metrics are read in the groups that people decide by:
quality, errors, speed and cost.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.metrics import SCORE_PREFIX, change_of, metric_named
from otel_loggedmodel.store.results import Difference, Reason, Verdict, VersionDifferences

MEDIAN: Final = "latency_ms.p50"
COST: Final = "cost_usd_per_trace"
ERROR_RATE: Final = "error_rate"
_FAR: Final = 3.0
_TIMES: Final = 2.0


class Outcome(str, enum.Enum):
    """What a group of metrics amounts to; `mixed` where one is better and another is worse."""

    BETTER = "better"
    WORSE = "worse"
    MIXED = "mixed"
    SAME = "same"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        """The text alone."""
        return self.value


@dataclass(frozen=True)
class Group:
    """Metrics that answer one question.

    Attributes:
        key: `quality`, `errors`, `speed` or `cost`.
        outcome: What they amount to.
        head: The metric that stands for the group; None where nothing was measured.
        metrics: Each metric and how it differs, the head first.
    """

    key: str
    outcome: Outcome
    head: str | None
    metrics: Mapping[str, Difference]

    @property
    def title(self) -> str:
        """As a heading."""
        return self.key.capitalize()

    @property
    def head_difference(self) -> Difference | None:
        """How the head differs."""
        return None if self.head is None else self.metrics[self.head]

    @property
    def reason(self) -> Reason | None:
        """Why nothing is known of it, as the first of its metrics says that is unknown."""
        if self.outcome is not Outcome.UNKNOWN:
            return None
        return next((one.reason for one in self.metrics.values() if one.reason is not None), None)

    @property
    def why(self) -> str:
        """The reason in words; empty where there is none."""
        return "" if self.reason is None else str(self.reason)


_PREFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    "quality": (SCORE_PREFIX,),
    "errors": (ERROR_RATE, "failed_calls"),
    "speed": ("latency_ms.", "first_chunk_ms."),
    "cost": (COST, "tokens."),
}
KEYS: Final = tuple(_PREFIXES)


def group_of(metric: str) -> str | None:
    """Which group a metric is in; None for what only counts something, such as traces."""
    return next((key for key, prefixes in _PREFIXES.items() if metric.startswith(prefixes)), None)


def part_label(metric: str) -> str:
    """What a metric is called below the heading of its group: `p95`, `tokens in`, the score's name."""
    label = metric_named(metric).label
    return label.removeprefix("score ").removeprefix("latency ").removesuffix(" per trace")


def groups_of(differences: VersionDifferences) -> list[Group]:
    """The four groups, always in the same order."""
    return [_group(key, differences.metrics) for key in KEYS]


def sentence(groups: Sequence[Group], base: str, candidate: str) -> str:
    """The decision in words, the worst news first.

    Args:
        groups: As `groups_of` has them.
        base: What the first version is called.
        candidate: What the other is called.
    """
    bad = [_CLAUSES[one.key](one, Verdict.WORSE) for one in groups if one.outcome in (Outcome.WORSE, Outcome.MIXED)]
    good = [_CLAUSES[one.key](one, Verdict.BETTER) for one in groups if one.outcome in (Outcome.BETTER, Outcome.MIXED)]
    same = [_SAME[one.key] for one in groups if one.outcome is Outcome.SAME]
    measured = [one for one in groups if one.head is not None]
    reasons = unknown_because(groups)
    if not measured:
        return f"{candidate} and {base} have nothing in common to compare yet"
    if bad or good:
        said = " but ".join(_and(part) for part in (bad, good) if part)
        # A comma helps where what follows is another list.
        said = said if len(bad) + len(good) < 3 else ", but ".join(_and(part) for part in (bad, good) if part)
        return f"{candidate} {said}, compared with {base}"
    if same:
        rest = ""
        if len(same) < len(measured):
            rest = f"; the rest is unknown: {reasons}" if reasons else "; for the rest there are too few traces to tell"
        return f"{candidate} is the same as {base} in {_and(same)}{rest}"
    if reasons:
        return f"Nothing tells {candidate} from {base}: {reasons}"
    return f"Too few traces to tell {candidate} from {base}"


def unknown_because(groups: Sequence[Group]) -> str:
    """Why groups are unknown, each reason once; empty where traces are too few and that is all."""
    reasons = [one.reason for one in groups if one.reason is not None]
    if {*reasons} <= {Reason.TOO_FEW}:
        return ""
    return ", ".join(_REASONS.get(reason, str(reason)) for reason in dict.fromkeys(reasons))


def _group(key: str, metrics: Mapping[str, Difference]) -> Group:
    found = {
        name: metrics[name]
        for prefix in _PREFIXES[key]
        for name in metrics
        if name.startswith(prefix) and _is_measured(metrics[name])
    }
    if key == "cost" and not any(one.base or one.candidate for one in found.values()):
        # No model was called, which is no saving.
        found = {}
    outcome = _outcome(key, found)
    head = _head(outcome, found)
    if head is not None:
        found = {head: found[head], **{name: one for name, one in found.items() if name != head}}
    return Group(key, outcome, head, found)


def _is_measured(difference: Difference) -> bool:
    return difference.base is not None or difference.candidate is not None


def _outcome(key: str, metrics: Mapping[str, Difference]) -> Outcome:
    # Money is what the tokens come to: a version that takes more tokens of a cheaper model costs less.
    money = metrics.get(COST)
    if key == "cost" and money is not None and money.verdict != Verdict.UNKNOWN:
        return Outcome(str(money.verdict))
    verdicts = {difference.verdict for difference in metrics.values()}
    if Verdict.BETTER in verdicts and Verdict.WORSE in verdicts:
        return Outcome.MIXED
    for verdict in (Verdict.WORSE, Verdict.BETTER):
        if verdict in verdicts:
            return Outcome(str(verdict))
    return Outcome.SAME if verdicts == {Verdict.SAME} else Outcome.UNKNOWN


def _head(outcome: Outcome, metrics: Mapping[str, Difference]) -> str | None:
    """The first metric that makes the group's verdict, else the first that says anything."""
    wanted = {Outcome.MIXED: Verdict.WORSE, Outcome.WORSE: Verdict.WORSE, Outcome.BETTER: Verdict.BETTER}.get(outcome)
    return _first(metrics, lambda one: one.verdict == wanted) or next(iter(metrics), None)


def _first(metrics: Mapping[str, Difference], is_wanted: Callable[[Difference], bool]) -> str | None:
    return next((name for name, difference in metrics.items() if is_wanted(difference)), None)


def _decisive(group: Group, verdict: Verdict) -> tuple[str, Difference]:
    name = _first(group.metrics, lambda one: one.verdict == verdict) or group.head or ""
    return name, group.metrics[name]


def _quality(group: Group, verdict: Verdict) -> str:
    name, difference = _decisive(group, verdict)
    metric = metric_named(name)
    values = f"{metric.write(difference.base)} to {metric.write(difference.candidate)}"
    others = sum(one.verdict == verdict for one in group.metrics.values()) - 1
    more = f" and {others} more" if others else ""
    return f"gives {verdict} answers ({name.removeprefix(SCORE_PREFIX)} {values}{more})"


def _errors(group: Group, verdict: Verdict) -> str:
    name, difference = _decisive(group, verdict)
    base, candidate = difference.base or 0.0, difference.candidate or 0.0
    low, high = sorted((base, candidate))
    far = "far " if low * _FAR <= high else ""
    write = _percent if name == ERROR_RATE else formatting.per_trace
    what = "errors" if name == ERROR_RATE else "failed calls"
    amount = "fewer" if verdict == Verdict.BETTER else "more"
    return f"has {far}{amount} {what} ({write(base)} to {write(candidate)})"


def _speed(group: Group, verdict: Verdict) -> str:
    name, difference = _decisive(group, verdict)
    what = {"p50": "median", "mean": "mean"}.get(name.rpartition(".")[2], name.rpartition(".")[2])
    change = change_of(metric_named(name), difference)
    if name.startswith("first_chunk_ms."):
        return f"begins to answer {'sooner' if verdict == Verdict.BETTER else 'later'} ({change} {what})"
    return f"is {'faster' if verdict == Verdict.BETTER else 'slower'} ({change} {what})"


def _cost(group: Group, verdict: Verdict) -> str:
    name, difference = _decisive(group, verdict)
    ratio = difference.ratio
    if name != COST:
        amount = "fewer" if verdict == Verdict.BETTER else "more"
        return f"takes {amount} {part_label(name)} ({change_of(metric_named(name), difference)})"
    if ratio is None or ratio <= 0:
        return f"costs {'less' if verdict == Verdict.BETTER else 'more'}"
    if ratio >= _TIMES:
        return f"costs {formatting.roughly(ratio)} times as much"
    return f"costs {abs(ratio - 1) * 100:.0f} % {'more' if ratio > 1 else 'less'}"


_CLAUSES: Final[Mapping[str, Callable[[Group, Verdict], str]]] = {
    "quality": _quality,
    "errors": _errors,
    "speed": _speed,
    "cost": _cost,
}
# Those that say too little where no column is beside them.
_REASONS: Final = {Reason.TOO_FEW: "too few traces", Reason.NOT_KNOWN: "values are missing"}
_SAME: Final = {"quality": "quality", "errors": "errors", "speed": "speed", "cost": "cost"}


def _and(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _percent(value: float) -> str:
    percent = value * 100
    return f"{percent:.3g} %"
