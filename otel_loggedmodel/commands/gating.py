# SPDX-License-Identifier: Apache-2.0
"""Whether a candidate passes: rules held against a comparison. Nothing here reads, prints or exits."""

import enum
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.commands import exits
from otel_loggedmodel.commands.rules import COMPARISONS, Rule, Threshold
from otel_loggedmodel.presenting.metrics import SCORE_PREFIX, change_of, metric_named, value_of
from otel_loggedmodel.presenting.texts import did_you_mean
from otel_loggedmodel.store.results import Comparison, Difference, Verdict, VersionMetrics

DEFAULT_MIN_TRACES: Final = 20


class Outcome(str, enum.Enum):
    """What became of a rule, or of all of them.

    `unknown` passes or fails as the caller chose; `no_data` never passes.
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
        outcome: `failed` where the condition holds, `passed` where it does not.
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
        min_traces: How many traces each version had to have.
        baseline: The version that the candidate was held against.
        candidate: The version that was judged.
        rules: What became of each rule.
    """

    outcome: Outcome
    reason: str
    exit_code: int
    min_traces: int
    baseline: VersionMetrics
    candidate: VersionMetrics
    rules: Sequence[RuleResult] = ()


def judged(
    comparison: Comparison, rules: Sequence[Rule], *, min_traces: int = DEFAULT_MIN_TRACES, unknown_fails: bool = False
) -> GateResult:
    """Hold rules against a comparison of two versions, the baseline first.

    Args:
        comparison: Of the two.
        rules: Each fails the candidate by itself.
        min_traces: With fewer traces of either version nothing is judged.
        unknown_fails: Whether a rule fails that depends on a verdict which is unknown.
    """
    baseline, candidate = comparison.versions
    few = [
        f"{role} has {version.traces}"
        for role, version in (("the baseline", baseline), ("the candidate", candidate))
        if version.traces < min_traces
    ]
    if few:
        reason = f"{min_traces} traces are needed (--min-traces), {' and '.join(few)}"
        outcome, code, results = Outcome.NO_DATA, exits.NOT_ENOUGH_DATA, [_not_judged(rule, reason) for rule in rules]
    else:
        results = [_held(rule, comparison, unknown_fails) for rule in rules]
        outcome, code, reason = _summed_up(results)
    return GateResult(
        outcome=outcome,
        reason=reason,
        exit_code=code,
        min_traces=min_traces,
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


def _held(rule: Rule, comparison: Comparison, unknown_fails: bool) -> RuleResult:
    findings: list[Finding] = []
    outcomes: list[Outcome] = []
    for condition in rule.conditions:
        if isinstance(condition, Threshold):
            found = [_beyond(condition, comparison)]
        elif condition.metric is not None:
            found = [_worse(condition.metric, comparison)]
        else:
            found = _any_worse(comparison)
        findings += found
        outcomes.append(_any([finding.outcome for finding in found]))
    outcome = _all(outcomes)
    fails = outcome is Outcome.FAILED or (outcome is Outcome.UNKNOWN and unknown_fails)
    return RuleResult(rule=str(rule), outcome=outcome, fails=fails, findings=findings)


def _any(outcomes: Sequence[Outcome]) -> Outcome:
    """Of one condition over several metrics: what is certain and bad goes first."""
    for outcome in (Outcome.FAILED, Outcome.NO_DATA, Outcome.UNKNOWN):
        if outcome in outcomes:
            return outcome
    return Outcome.PASSED


def _all(outcomes: Sequence[Outcome]) -> Outcome:
    """Of several conditions that have to hold together; a rule that lacks a number never passes."""
    for outcome in (Outcome.NO_DATA, Outcome.PASSED, Outcome.UNKNOWN):
        if outcome in outcomes:
            return outcome
    return Outcome.FAILED


def _beyond(threshold: Threshold, comparison: Comparison) -> Finding:
    baseline, candidate = _values(threshold.metric, comparison)
    needed = [candidate, baseline] if threshold.limit.needs_baseline else [candidate]
    if None in needed or candidate is None:
        return _absent(threshold.metric, comparison, needed_of_baseline=threshold.limit.needs_baseline)
    limit = threshold.limit.resolved(baseline if baseline is not None else math.nan)
    is_beyond = COMPARISONS[threshold.comparison](candidate, limit)
    write = _telling_apart(metric_named(threshold.metric).write, candidate, limit)
    origin = f" ({threshold.limit} of {write(baseline)})" if threshold.limit.needs_baseline else ""
    return Finding(
        metric=threshold.metric,
        outcome=Outcome.FAILED if is_beyond else Outcome.PASSED,
        text=f"{threshold.metric} is {write(candidate)}, "
        f"{'' if is_beyond else 'not '}{threshold.comparison} {write(limit)}{origin}",
        baseline=baseline,
        candidate=candidate,
        limit=limit,
    )


def _telling_apart(
    write: Callable[[float | None], str], candidate: float, limit: float
) -> Callable[[float | None], str]:
    """The metric's way to write values, unless two different ones would read the same."""
    return str if candidate != limit and write(candidate) == write(limit) else write


def _worse(metric: str, comparison: Comparison) -> Finding:
    baseline, candidate = _values(metric, comparison)
    difference = _differences(comparison).get(metric)
    if difference is None or baseline is None or candidate is None:
        return _absent(metric, comparison, needed_of_baseline=True)
    outcome = {Verdict.WORSE: Outcome.FAILED, Verdict.UNKNOWN: Outcome.UNKNOWN}.get(difference.verdict, Outcome.PASSED)
    named = metric_named(metric)
    return Finding(
        metric=metric,
        outcome=outcome,
        text=f"{metric} is {difference.verdict}: {named.write(baseline)} to {named.write(candidate)} "
        f"({change_of(named, difference)})",
        baseline=baseline,
        candidate=candidate,
        verdict=difference.verdict,
    )


def _any_worse(comparison: Comparison) -> list[Finding]:
    """What is not plainly fine among the metrics that the baseline has; a new one has nothing to be worse than."""
    metrics = [metric for metric in _differences(comparison) if _values(metric, comparison)[0] is not None]
    if not metrics:
        nothing = "no metric of the baseline was measured"
        return [Finding(metric="", outcome=Outcome.NO_DATA, text=nothing)]
    findings = [_worse(metric, comparison) for metric in metrics]
    fine = Finding(metric="", outcome=Outcome.PASSED, text=f"none of {len(metrics)} metrics is worse")
    return [finding for finding in findings if finding.outcome is not Outcome.PASSED] or [fine]


def _absent(metric: str, comparison: Comparison, *, needed_of_baseline: bool) -> Finding:
    baseline, candidate = _values(metric, comparison)
    lacking = ["the candidate"] if candidate is None else []
    if baseline is None and needed_of_baseline:
        lacking.insert(0, "the baseline")
    text = (
        f"{' and '.join(lacking)} {'has' if len(lacking) == 1 else 'have'} no {metric}"
        if lacking
        else (f"nothing judges {metric}")
    )
    if metric.startswith(SCORE_PREFIX):
        scores = {SCORE_PREFIX + name for version in comparison.versions for name in version.scores}
        if metric not in scores:
            text += f".{did_you_mean(metric, sorted(scores))}" if scores else ": no scores were received at all"
    return Finding(metric=metric, outcome=Outcome.NO_DATA, text=text, baseline=baseline, candidate=candidate)


def _values(metric: str, comparison: Comparison) -> tuple[float | None, float | None]:
    baseline, candidate = (value_of(version, metric) for version in comparison.versions)
    return _finite(baseline), _finite(candidate)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _differences(comparison: Comparison) -> Mapping[str, Difference]:
    return comparison.differences[0].metrics if comparison.differences else {}
