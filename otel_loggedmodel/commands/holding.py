# SPDX-License-Identifier: Apache-2.0
"""Holds single conditions of rules against a comparison of two versions."""

import math
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, Final

from otel_loggedmodel.commands import evidence
from otel_loggedmodel.commands.findings import Finding, Outcome
from otel_loggedmodel.commands.rules import COMPARISONS, Against, NotWorse, Threshold
from otel_loggedmodel.presenting.metrics import SCORE_PREFIX, change_of, metric_named, value_of, written_range
from otel_loggedmodel.presenting.texts import did_you_mean
from otel_loggedmodel.store import one_sided, sequential, statistics
from otel_loggedmodel.store.results import Comparison, Difference, Reason, Verdict
from otel_loggedmodel.store.statistics import Margins

# If more than this part of a score's results is missing, as the scorer failed, the rest says too little.
_MOST_MISSING: Final = 0.05
# The 90 % interval in parts of the 95 % one: its ends are those of one-sided 95 % limits.
_ONE_SIDED: Final = 1.6448536269514722 / statistics.Z


class Holding:
    """Holds single conditions against a comparison.

    Args:
        comparison: The comparison of the baseline and the candidate.
        min_scores: How many values of a score each has to have.
        named: The metrics whose verdicts are asked for, and are corrected for together; None for all.
        margins: The largest difference that hardly matters, by metric; usual margins are not in it.
        repeated: Whether intervals and p-values have to hold however often they are looked at.
    """

    def __init__(
        self,
        comparison: Comparison,
        min_scores: int,
        named: Collection[str] | None = None,
        *,
        margins: Margins = statistics.NO_MARGINS,
        repeated: bool = False,
    ) -> None:
        self._versions = comparison.versions
        self._min_scores = min_scores
        self._repeated = repeated
        found = dict(comparison.differences[0].metrics) if comparison.differences else {}
        if repeated:
            found = {metric: _always_valid(metric, one, margins) for metric, one in found.items()}
        # Verdicts are corrected for those that are asked for, and not for whatever else is shown.
        family = {
            metric: one
            for metric, one in found.items()
            if one.interval is not None and one.p_value is not None and (named is None or metric in named)
        }
        self._tests = max(len(family), 1)
        judged = statistics.judged([family], margins)[0]
        if not repeated:
            # Rules ask for one direction.
            worse = statistics.judged([{metric: _one_sided(one) for metric, one in family.items()}], margins)[0]
            judged |= {metric: one for metric, one in worse.items() if one.verdict is Verdict.WORSE}
        self._differences: dict[str, Difference] = {**found, **judged}

    def beyond(self, threshold: Threshold) -> Finding:
        """Whether the candidate's value lies beyond a limit, as far as is known.

        All of the 95 % interval beyond the limit fails, and none of it passes. A value that has no interval, such as a
        total, is held by itself.
        """
        metric, limit_of = threshold.metric, threshold.limit
        baseline, candidate = (self._compared if limit_of.needs_baseline else self._values)(metric)
        if candidate is None or (limit_of.needs_baseline and baseline is None):
            return self._absent(metric, needed_of_baseline=limit_of.needs_baseline)
        few = self._lacking(metric, needed_of_baseline=limit_of.needs_baseline)
        if few is not None:
            return few
        limit = limit_of.resolved(baseline if baseline is not None else math.nan)
        difference = self._differences.get(metric)
        interval = _around_limit(difference, threshold, candidate, limit)
        low, high = interval or (candidate, candidate)
        is_beyond = COMPARISONS[threshold.comparison]
        outcome = Outcome.FAILED if is_beyond(candidate, limit) else Outcome.PASSED
        if (interval is None and difference is not None and difference.reason in _UNCERTAIN) or is_beyond(
            low, limit
        ) != is_beyond(high, limit):
            outcome = Outcome.UNKNOWN
        named = metric_named(metric)
        write = _telling_apart(named.write_by_key, candidate, limit)
        origin = f" ({limit_of} of {write(baseline)})" if limit_of.needs_baseline else ""
        sign = "" if is_beyond(candidate, limit) else "not "
        text = f"{metric} is {write(candidate)}, {sign}{threshold.comparison} {write(limit)}{origin}"
        found = None
        if outcome is Outcome.UNKNOWN and difference is not None:
            reason = difference.reason if difference.reason in _UNCERTAIN else Reason.WITHIN_CHANCE
            text += f", and that may be chance: {written_range(named, interval)}" if interval else f": {reason}"
            away = None if baseline is None else limit - baseline
            found = evidence.of(difference, 1, self._versions[1], away)
            text += evidence.text(found, named, baseline)
        return Finding(
            metric=metric,
            outcome=outcome,
            text=text,
            baseline=baseline,
            candidate=candidate,
            limit=limit,
            reason=None if outcome is not Outcome.UNKNOWN or difference is None else difference.reason,
            **_said(found),
        )

    def worse(self, metric: str) -> Finding:
        """Whether the comparison calls a metric worse. A metric that is named must have been measured."""
        return self._lacking(metric, needed_of_baseline=True) or self._called(metric)

    def any_worse(self) -> list[Finding]:
        """What is not plainly fine among the metrics that the baseline has.

        A new metric has nothing to be worse than.
        """
        metrics = [metric for metric in self._differences if self._values(metric)[0] is not None]
        if not metrics:
            nothing = "no metric of the baseline was measured"
            return [Finding(metric="", outcome=Outcome.NO_DATA, text=nothing)]
        findings = [self._missing(metric, needed_of_baseline=True) or self._called(metric) for metric in metrics]
        fine = Finding(metric="", outcome=Outcome.PASSED, text=f"none of {len(metrics)} metrics is worse")
        return [finding for finding in findings if finding.outcome is not Outcome.PASSED] or [fine]

    def _called(self, metric: str) -> Finding:
        baseline, candidate = self._compared(metric)
        difference = self._differences.get(metric)
        if difference is None or baseline is None or candidate is None:
            return self._absent(metric, needed_of_baseline=True)
        outcome = {Verdict.WORSE: Outcome.FAILED, Verdict.UNKNOWN: Outcome.UNKNOWN}.get(
            difference.verdict, Outcome.PASSED
        )
        named = metric_named(metric)
        write = named.write_by_key
        why = f" ({difference.reason})" if difference.reason is not None else ""
        about = f"{_rows(difference)}{_within(difference)}"
        found = None
        if difference.verdict is Verdict.UNKNOWN:
            found = evidence.of(difference, self._tests, self._versions[1])
        return Finding(
            metric=metric,
            outcome=outcome,
            text=f"{metric} is {difference.verdict}{why}: {write(baseline)} to {write(candidate)} "
            f"({change_of(named, difference)}){about}{evidence.text(found, named, baseline)}",
            baseline=baseline,
            candidate=candidate,
            verdict=difference.verdict,
            reason=difference.reason,
            **_said(found),
        )

    def shown(self, demand: NotWorse) -> Finding:
        """Whether it is shown that a metric is worse by no more than a margin: by the one-sided 95 % limit."""
        metric = demand.metric
        few = self._lacking(metric, needed_of_baseline=True)
        if few is not None:
            return few
        baseline, candidate = self._compared(metric)
        difference = self._differences.get(metric)
        if difference is None or baseline is None or candidate is None or difference.delta is None:
            return self._absent(metric, needed_of_baseline=True)
        named = metric_named(metric)
        write = named.write_by_key
        about = f"{metric} is {write(baseline)} to {write(candidate)} ({change_of(named, difference)})"
        margin = demand.margin.of(baseline)
        if difference.interval is None:
            reason = difference.reason or Reason.TOO_FEW
            return Finding(
                metric=metric,
                outcome=Outcome.UNKNOWN,
                text=f"{about}: {reason}",
                baseline=baseline,
                candidate=candidate,
                limit=margin,
                verdict=difference.verdict,
                reason=reason,
            )
        low, high = difference.interval if self._repeated else _one_sided_limits(difference)
        is_higher_better = statistics.meaning_of(metric).higher_is_better
        if demand.margin.relative:
            # A margin that follows from the baseline is as uncertain as that is.
            wider = _wider(difference, 1 + demand.margin.relative * (-1 if is_higher_better else 1))
            low, high = (difference.delta + wider * (end - difference.delta) for end in (low, high))
        if is_higher_better:
            low, high = -high, -low
        outcome = Outcome.PASSED if high <= margin else Outcome.FAILED if low > margin else Outcome.UNKNOWN
        word = {Outcome.PASSED: "shown", Outcome.FAILED: "refuted", Outcome.UNKNOWN: "not shown"}[outcome]
        limits = written_range(named, (low, high), is_change=True)
        found = evidence.of(difference, 1, self._versions[1], margin) if outcome is Outcome.UNKNOWN else None
        return Finding(
            metric=metric,
            outcome=outcome,
            text=f"{about}: that it is worse by no more than {write(margin)} is {word}; it is worse by {limits}"
            f"{evidence.text(found, named, baseline)}",
            baseline=baseline,
            candidate=candidate,
            limit=margin,
            verdict=difference.verdict,
            **_said(found),
        )

    def _lacking(self, metric: str, *, needed_of_baseline: bool) -> Finding | None:
        """What is wrong with a score that has too few values, or of which too many are missing."""
        few = self._few(metric, needed_of_baseline=needed_of_baseline)
        return few or self._missing(metric, needed_of_baseline=needed_of_baseline)

    def _few(self, metric: str, *, needed_of_baseline: bool) -> Finding | None:
        """What is wrong with a score that has too few values, or none that may be compared."""
        if not metric.startswith(SCORE_PREFIX) or None in self._values(metric)[not needed_of_baseline :]:
            return None
        evaluation = self._differences[metric].evaluation if metric in self._differences else None
        if needed_of_baseline and evaluation is not None:
            counts = (evaluation.base_count, evaluation.candidate_count)
        else:
            name = metric.removeprefix(SCORE_PREFIX)
            found = [version.scores.get(name) for version in self._versions]
            counts = tuple(0 if score is None else score.count for score in found)[not needed_of_baseline :]  # type: ignore[assignment]
        if min(counts) >= self._min_scores:
            return None
        what = "rows that both have" if evaluation is not None and evaluation.pairs and needed_of_baseline else "values"
        if needed_of_baseline and evaluation is not None and not min(counts):
            text = f"nothing of {metric} can be compared: other scorers or other rows"
        else:
            text = f"{metric} has {min(counts)} {what}, {self._min_scores} are needed (--min-scores)"
        return Finding(metric=metric, outcome=Outcome.NO_DATA, text=text)

    def _missing(self, metric: str, *, needed_of_baseline: bool) -> Finding | None:
        """What is wrong with a score of which many results are missing, as the scorer failed.

        Scorers often fail on the worst outputs, so the mean of the others is no mean of all.
        """
        name = metric.removeprefix(SCORE_PREFIX) if metric.startswith(SCORE_PREFIX) else None
        roles = zip(("the baseline", "the candidate"), self._versions, strict=True)
        for role, version in list(roles)[not needed_of_baseline :]:
            score = None if name is None else version.scores.get(name)
            if score is None or not score.failed:
                continue
            number = score.failed + score.count
            if score.failed > _MOST_MISSING * number:
                text = f"{score.failed} of {number} results of {metric} are missing, as the scorer failed, in {role}"
                return Finding(metric=metric, outcome=Outcome.NO_DATA, text=text)
        return None

    def _absent(self, metric: str, *, needed_of_baseline: bool) -> Finding:
        baseline, candidate = self._values(metric)
        lacking = ["the candidate"] if candidate is None else []
        if baseline is None and needed_of_baseline:
            lacking.insert(0, "the baseline")
        text = (
            f"{' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no {metric}"
            if lacking
            else (f"nothing judges {metric}")
        )
        if metric.startswith(SCORE_PREFIX):
            scores = {SCORE_PREFIX + name for version in self._versions for name in version.scores}
            if metric not in scores:
                text += f".{did_you_mean(metric, sorted(scores))}" if scores else ": no scores were received at all"
        return Finding(metric=metric, outcome=Outcome.NO_DATA, text=text, baseline=baseline, candidate=candidate)

    def _values(self, metric: str) -> tuple[float | None, float | None]:
        baseline, candidate = (value_of(version, metric) for version in self._versions)
        return _finite(baseline), _finite(candidate)

    def _compared(self, metric: str) -> tuple[float | None, float | None]:
        """The values that are compared with each other.

        For scores, they are those of the rows that both versions have. If the traffic differed, they are those of the
        traffic that both had.
        """
        difference = self._differences.get(metric)
        if difference is None or (difference.evaluation is None and difference.adjusted is None):
            return self._values(metric)
        return _finite(difference.base), _finite(difference.candidate)


_UNCERTAIN: Final = (Reason.TOO_FEW, Reason.WEIGHTS_MISSING)


def _said(found: evidence.Evidence | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {"smallest": found.smallest, "traces_needed": found.traces, "seconds_needed": found.seconds}


def _always_valid(metric: str, one: Difference, margins: Margins) -> Difference:
    margin = margins.get(metric, statistics.meaning_of(metric).allowed)
    return sequential.always_valid(one, 0.0 if one.base is None else margin.of(one.base))


def _is_paired_rate(difference: Difference) -> bool:
    return difference.evaluation is not None and difference.evaluation.test == "mcnemar"


def _one_sided(difference: Difference) -> Difference:
    """A difference with the p-value and limits of a test that asks for the worse alone, where pairs pass or fail."""
    found = difference.evaluation
    if found is None or not _is_paired_rate(difference) or found.lower <= found.higher:
        return difference
    return replace(
        difference,
        p_value=one_sided.worse_p(found.higher, found.lower),
        interval=one_sided.limits(found.pairs, found.higher, found.lower),
    )


def _one_sided_limits(difference: Difference) -> tuple[float, float]:
    """Limits of which each holds by itself in 95 % of cases."""
    found = difference.evaluation
    if found is not None and _is_paired_rate(difference):
        return one_sided.limits(found.pairs, found.higher, found.lower)
    assert difference.interval is not None
    assert difference.delta is not None
    low, high = (difference.delta + _ONE_SIDED * (end - difference.delta) for end in difference.interval)
    return low, high


def _around_limit(
    difference: Difference | None, threshold: Threshold, candidate: float, limit: float
) -> tuple[float, float] | None:
    """The interval of the candidate's value, as it is held against a limit; None where there is none.

    A limit that follows from the baseline is as uncertain as that is: the interval is that of the difference between
    the two, moved to the candidate's value.
    """
    if difference is None or difference.delta is None or difference.candidate is None:
        return None
    if not threshold.limit.needs_baseline:
        own = difference.candidate_interval
        # A score by itself is that of all values, and not of those that are compared.
        if own is None or difference.evaluation is not None:
            return None
        return tuple(candidate + end - difference.candidate for end in own)  # type: ignore[return-value]
    if difference.interval is None:
        return None
    times = 1 + threshold.limit.number if threshold.limit.against is Against.PART else 1.0
    wider = _wider(difference, times)
    low, high = (candidate + wider * (end - difference.delta) for end in difference.interval)
    return low, high


def _wider(difference: Difference, times: float) -> float:
    """How much wider the interval of `candidate - times * base` is than that of `candidate - base`."""
    if difference.base_interval is None or difference.candidate_interval is None:
        return 1.0
    base, candidate = ((high - low) ** 2 for low, high in (difference.base_interval, difference.candidate_interval))
    return math.sqrt((candidate + times * times * base) / (candidate + base)) if candidate + base else 1.0


def _rows(difference: Difference) -> str:
    found = difference.evaluation
    return f", {found.lower} of {found.pairs} rows lower, {found.higher} higher" if found and found.pairs else ""


def _within(difference: Difference) -> str:
    return f", within each {difference.adjusted.replace(' and ', ' in each ')}" if difference.adjusted else ""


def _telling_apart(
    write: Callable[[float | None], str], candidate: float, limit: float
) -> Callable[[float | None], str]:
    """The metric's way to write values, unless it would make two different values look the same."""
    return str if candidate != limit and write(candidate) == write(limit) else write


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
