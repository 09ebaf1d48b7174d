# SPDX-License-Identifier: Apache-2.0
"""Decides whether a candidate passes, by holding rules against a comparison. Nothing here reads, prints or exits."""

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.commands import exits
from otel_loggedmodel.commands.rules import COMPARISONS, Rule, Threshold
from otel_loggedmodel.presenting.metrics import SCORE_PREFIX, change_of, metric_named, value_of
from otel_loggedmodel.presenting.texts import did_you_mean
from otel_loggedmodel.store.results import Comparison, Difference, Verdict, VersionMetrics

DEFAULT_MIN_TRACES: Final = 20
# As many pairs as a verdict needs.
DEFAULT_MIN_SCORES: Final = 10
# Where a larger part of a score's results is missing, as the scorer failed, what is left says too little.
_MOST_MISSING: Final = 0.05


class Outcome(str, enum.Enum):
    """What became of a rule, or of all of them.

    `unknown` passes or fails as the caller chooses. `no_data` never passes.
    """

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NO_DATA = "no_data"

    def __str__(self) -> str:
        """In words."""
        return self.value.replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one condition found of one metric.

    Attributes:
        metric: Its name.
        outcome: `failed` if the condition holds, `passed` if it does not.
        text: What was found, in words.
        baseline: The baseline's value.
        candidate: The candidate's value.
        limit: What the candidate's value was held against, if anything.
        verdict: What the comparison says, if it was asked.
    """

    metric: str
    outcome: Outcome
    text: str
    baseline: float | None = None
    candidate: float | None = None
    limit: float | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True, kw_only=True)
class RuleResult:
    """What became of one rule.

    Attributes:
        rule: The rule as it is written.
        outcome: What became of it.
        fails: Whether that fails the candidate.
        findings: Why.
    """

    rule: str
    outcome: Outcome
    fails: bool
    findings: Sequence[Finding] = ()

    @property
    def texts(self) -> Sequence[str]:
        """Why it came out so, a clause for each metric."""
        decisive = [finding for finding in self.findings if finding.outcome is self.outcome]
        return [finding.text for finding in decisive or self.findings]

    @property
    def text(self) -> str:
        """Why it came out so, in a sentence."""
        return "; ".join(self.texts)


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """What became of a candidate.

    Attributes:
        outcome: `passed`, `failed` or `no_data`.
        reason: Why, in a sentence.
        exit_code: What the command exits with.
        min_traces: How many traces each version had to have, for rules that are not on scores alone.
        min_scores: How many values of a score each version had to have, for rules that name it.
        baseline: The version that the candidate was held against.
        candidate: The version that was judged.
        rules: What became of each rule.
    """

    outcome: Outcome
    reason: str
    exit_code: int
    min_traces: int
    min_scores: int
    baseline: VersionMetrics
    candidate: VersionMetrics
    rules: Sequence[RuleResult] = ()


def judged(
    comparison: Comparison,
    rules: Sequence[Rule],
    *,
    min_traces: int = DEFAULT_MIN_TRACES,
    min_scores: int = DEFAULT_MIN_SCORES,
    unknown_fails: bool = False,
) -> GateResult:
    """Hold rules against a comparison of two versions, the baseline first.

    Args:
        comparison: Of the two.
        rules: Each fails the candidate by itself.
        min_traces: If either version has fewer traces, only rules are judged that depend on nothing but scores.
        min_scores: If either version has fewer values of a score, no rule is judged that names it.
        unknown_fails: Whether a rule fails that depends on a verdict which is unknown.
    """
    baseline, candidate = comparison.versions
    judging = _Judging(comparison, min_scores)
    few = [
        f"{role} has {version.traces}"
        for role, version in (("the baseline", baseline), ("the candidate", candidate))
        if version.traces < min_traces
    ]
    too_few = f"{min_traces} traces are needed (--min-traces), {' and '.join(few)}" if few else ""
    results = [
        _not_judged(rule, too_few) if too_few and not _is_on_scores(rule) else _held(rule, judging, unknown_fails)
        for rule in rules
    ]
    if too_few and not any(_is_on_scores(rule) for rule in rules):
        outcome, code, reason = Outcome.NO_DATA, exits.NOT_ENOUGH_DATA, too_few
    else:
        outcome, code, reason = _summed_up(results)
    return GateResult(
        outcome=outcome,
        reason=reason,
        exit_code=code,
        min_traces=min_traces,
        min_scores=min_scores,
        baseline=baseline,
        candidate=candidate,
        rules=results,
    )


def _summed_up(results: Sequence[RuleResult]) -> tuple[Outcome, int, str]:
    failed = sum(result.fails for result in results)
    missing = sum(result.outcome is Outcome.NO_DATA for result in results)
    unknown = sum(result.outcome is Outcome.UNKNOWN for result in results)
    if failed:
        return Outcome.FAILED, exits.REGRESSION, f"{failed} of {len(results)} rules failed"
    if missing:
        return Outcome.NO_DATA, exits.NOT_ENOUGH_DATA, f"{missing} of {len(results)} rules lack data"
    passed = f"{len(results)} rule{'' if len(results) == 1 else 's'} passed"
    return Outcome.PASSED, exits.OK, f"{passed}, {unknown} of them for want of evidence" if unknown else passed


def _not_judged(rule: Rule, reason: str) -> RuleResult:
    finding = Finding(metric="", outcome=Outcome.NO_DATA, text=f"not judged: {reason}")
    return RuleResult(rule=str(rule), outcome=Outcome.NO_DATA, fails=False, findings=[finding])


def _is_on_scores(rule: Rule) -> bool:
    return all((condition.metric or "").startswith(SCORE_PREFIX) for condition in rule.conditions)


def _held(rule: Rule, judging: "_Judging", unknown_fails: bool) -> RuleResult:
    findings: list[Finding] = []
    outcomes: list[Outcome] = []
    for condition in rule.conditions:
        if isinstance(condition, Threshold):
            found = [judging.beyond(condition)]
        elif condition.metric is not None:
            found = [judging.worse(condition.metric)]
        else:
            found = judging.any_worse()
        findings += found
        outcomes.append(_any([finding.outcome for finding in found]))
    outcome = _all(outcomes)
    fails = outcome is Outcome.FAILED or (outcome is Outcome.UNKNOWN and unknown_fails)
    return RuleResult(rule=str(rule), outcome=outcome, fails=fails, findings=findings)


def _any(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of one condition over several metrics. What is certain and bad goes first."""
    for outcome in (Outcome.FAILED, Outcome.NO_DATA, Outcome.UNKNOWN):
        if outcome in outcomes:
            return outcome
    return Outcome.PASSED


def _all(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of several conditions that have to hold together. A rule that lacks a number never passes."""
    for outcome in (Outcome.NO_DATA, Outcome.PASSED, Outcome.UNKNOWN):
        if outcome in outcomes:
            return outcome
    return Outcome.FAILED


class _Judging:
    """Holds single conditions against a comparison.

    Args:
        comparison: Of the baseline and the candidate.
        min_scores: How many values of a score each has to have.
    """

    def __init__(self, comparison: Comparison, min_scores: int) -> None:
        self._versions = comparison.versions
        self._differences = comparison.differences[0].metrics if comparison.differences else {}
        self._min_scores = min_scores

    def beyond(self, threshold: Threshold) -> Finding:
        """Whether the candidate's value lies beyond a limit."""
        needs_baseline = threshold.limit.needs_baseline
        baseline, candidate = (self._compared if needs_baseline else self._values)(threshold.metric)
        if candidate is None or (needs_baseline and baseline is None):
            return self._absent(threshold.metric, needed_of_baseline=needs_baseline)
        few = self._few(threshold.metric, needed_of_baseline=needs_baseline)
        few = few or self._missing(threshold.metric, needed_of_baseline=needs_baseline)
        if few is not None:
            return few
        limit = threshold.limit.resolved(baseline if baseline is not None else math.nan)
        is_beyond = COMPARISONS[threshold.comparison](candidate, limit)
        write = _telling_apart(metric_named(threshold.metric).write, candidate, limit)
        origin = f" ({threshold.limit} of {write(baseline)})" if needs_baseline else ""
        return Finding(
            metric=threshold.metric,
            outcome=Outcome.FAILED if is_beyond else Outcome.PASSED,
            text=f"{threshold.metric} is {write(candidate)}, "
            f"{'' if is_beyond else 'not '}{threshold.comparison} {write(limit)}{origin}",
            baseline=baseline,
            candidate=candidate,
            limit=limit,
        )

    def worse(self, metric: str) -> Finding:
        """Whether the comparison calls a metric worse. A metric that is named must have been measured."""
        few = self._few(metric, needed_of_baseline=True) or self._missing(metric, needed_of_baseline=True)
        return few or self._called(metric)

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
        return Finding(
            metric=metric,
            outcome=outcome,
            text=f"{metric} is {difference.verdict}: {named.write(baseline)} to {named.write(candidate)} "
            f"({change_of(named, difference)}){_rows(difference)}",
            baseline=baseline,
            candidate=candidate,
            verdict=difference.verdict,
        )

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
        """The values that are held against each other.

        For scores, they are those of the rows that both versions have.
        """
        difference = self._differences.get(metric)
        if difference is None or difference.evaluation is None:
            return self._values(metric)
        return _finite(difference.base), _finite(difference.candidate)


def _rows(difference: Difference) -> str:
    found = difference.evaluation
    return f", {found.lower} of {found.pairs} rows lower, {found.higher} higher" if found and found.pairs else ""


def _telling_apart(
    write: Callable[[float | None], str], candidate: float, limit: float
) -> Callable[[float | None], str]:
    """The metric's way to write values, unless it would make two different values look the same."""
    return str if candidate != limit and write(candidate) == write(limit) else write


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
