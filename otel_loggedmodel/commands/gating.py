# SPDX-License-Identifier: Apache-2.0
"""Decides whether a candidate passes, by holding rules against a comparison. Nothing here reads, prints or exits."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.commands import exits
from otel_loggedmodel.commands.findings import Finding, Outcome, RuleResult
from otel_loggedmodel.commands.holding import Holding
from otel_loggedmodel.commands.rules import NotWorse, Rule, RuleError, Threshold, Worse
from otel_loggedmodel.presenting.metrics import SCORE_PREFIX
from otel_loggedmodel.store.results import Comparison, VersionMetrics
from otel_loggedmodel.store.statistics import NO_MARGINS, Margin, Margins

__all__ = ["Finding", "GateResult", "OnUnknown", "Outcome", "RuleResult", "judged"]

DEFAULT_MIN_TRACES: Final = 20
# As many pairs as a verdict needs.
DEFAULT_MIN_SCORES: Final = 10


class OnUnknown(str, enum.Enum):
    """What happens to a rule that cannot be decided yet."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    WAIT = "wait"


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
        rules: What became of each rule, and of each demand.
        unit: What is taken as independent: `trace`, `conversation`, or the name of an attribute.
        repeated: Whether it holds however often it is asked.
        notes: What a reader of the numbers has to know.
    """

    outcome: Outcome
    reason: str
    exit_code: int
    min_traces: int
    min_scores: int
    baseline: VersionMetrics
    candidate: VersionMetrics
    rules: Sequence[RuleResult] = ()
    unit: str = "trace"
    repeated: bool = False
    notes: Sequence[str] = ()


def judged(
    comparison: Comparison,
    rules: Sequence[Rule],
    demands: Sequence[NotWorse] = (),
    *,
    min_traces: int = DEFAULT_MIN_TRACES,
    min_scores: int = DEFAULT_MIN_SCORES,
    unknown: OnUnknown | None = None,
    margins: Margins = NO_MARGINS,
    repeated: bool = False,
) -> GateResult:
    """Hold rules against a comparison of two versions, the baseline first.

    Args:
        comparison: The comparison of the two.
        rules: Each fails the candidate by itself.
        demands: What the candidate has to show.
        min_traces: If either version has fewer traces, only rules are judged that depend on nothing but scores.
        min_scores: If either version has fewer values of a score, no rule is judged that names it.
        unknown: What happens to what cannot be decided yet; by default rules pass, and demands wait.
        margins: The largest difference that hardly matters, by metric; usual margins are not in it.
        repeated: Whether it is asked again and again while traffic arrives, and may be wrong once in twenty rollouts.

    Raises:
        RuleError: Two rules give one metric two margins.
    """
    baseline, candidate = comparison.versions
    named = _named(rules)
    judging = Holding(comparison, min_scores, named, margins=_all_margins(rules, margins), repeated=repeated)
    few = [
        f"{role} has {version.traces}"
        for role, version in (("the baseline", baseline), ("the candidate", candidate))
        if version.traces < min_traces
    ]
    too_few = f"{min_traces} traces are needed (--min-traces), {' and '.join(few)}" if few else ""
    everything: list[Rule | NotWorse] = [*rules, *demands]
    results = [
        _not_judged(rule, too_few) if too_few and not _is_on_scores(rule) else _held(rule, judging, unknown)
        for rule in everything
    ]
    if too_few and not any(_is_on_scores(rule) for rule in everything):
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
        unit=comparison.unit,
        repeated=repeated,
        notes=comparison.notes,
    )


def _named(rules: Sequence[Rule]) -> set[str] | None:
    """The metrics whose verdicts rules ask for; None for all."""
    asked = [condition for rule in rules for condition in rule.conditions if isinstance(condition, Worse)]
    if any(condition.metric is None for condition in asked):
        return None
    return {condition.metric for condition in asked if condition.metric is not None}


def _all_margins(rules: Sequence[Rule], margins: Margins) -> Margins:
    found: dict[str, Margin] = dict(margins)
    said: dict[str, Margin] = {}
    for rule in rules:
        for condition in rule.conditions:
            if isinstance(condition, Worse) and condition.metric is not None and condition.margin is not None:
                if said.setdefault(condition.metric, condition.margin) != condition.margin:
                    raise RuleError(f"rules give {condition.metric} two margins: a verdict has one")
                found[condition.metric] = condition.margin
    return found


def _summed_up(results: Sequence[RuleResult]) -> tuple[Outcome, int, str]:
    failed = sum(result.fails for result in results)
    missing = sum(result.outcome is Outcome.NO_DATA for result in results)
    unknown = sum(result.outcome is Outcome.UNKNOWN for result in results)
    if failed:
        return Outcome.FAILED, exits.REGRESSION, f"{failed} of {len(results)} rules failed"
    if missing:
        return Outcome.NO_DATA, exits.NOT_ENOUGH_DATA, f"{missing} of {len(results)} rules lack data"
    waiting = sum(result.waits for result in results)
    if waiting:
        return Outcome.NO_DATA, exits.NOT_ENOUGH_DATA, f"{waiting} of {len(results)} rules cannot be decided yet"
    passed = f"{len(results)} rule{'' if len(results) == 1 else 's'} passed"
    return Outcome.PASSED, exits.OK, f"{passed}, {unknown} of them for want of evidence" if unknown else passed


def _not_judged(rule: Rule | NotWorse, reason: str) -> RuleResult:
    finding = Finding(metric="", outcome=Outcome.NO_DATA, text=f"not judged: {reason}")
    return RuleResult(rule=str(rule), outcome=Outcome.NO_DATA, fails=False, findings=[finding])


def _is_on_scores(rule: Rule | NotWorse) -> bool:
    metrics = [rule.metric] if isinstance(rule, NotWorse) else [condition.metric or "" for condition in rule.conditions]
    return all(metric.startswith(SCORE_PREFIX) for metric in metrics)


def _held(rule: Rule | NotWorse, judging: Holding, unknown: OnUnknown | None) -> RuleResult:
    findings: list[Finding] = []
    outcomes: list[Outcome] = []
    if isinstance(rule, NotWorse):
        findings = [judging.shown(rule)]
        outcomes = [findings[0].outcome]
        unknown = unknown or OnUnknown.WAIT
    else:
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
    is_open = outcome is Outcome.UNKNOWN
    return RuleResult(
        rule=str(rule),
        outcome=outcome,
        fails=outcome is Outcome.FAILED or (is_open and unknown is OnUnknown.FAIL),
        waits=is_open and unknown is OnUnknown.WAIT,
        findings=findings,
    )


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
