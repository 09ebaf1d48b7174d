# SPDX-License-Identifier: Apache-2.0
"""Rules held against comparisons."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.commands.gating import GateResult, Outcome, judged
from otel_loggedmodel.commands.rules import ANY_METRIC_WORSE, parse_rule
from otel_loggedmodel.store.results import Comparison, LatencyMs, Score, ScoreComparison, Verdict, VersionDifferences

from .doubles import V1, V2, compared, difference, metrics

BASELINE = metrics(V1)
SAME = metrics(V2)
SLOWER = metrics(V2, latency_ms=LatencyMs(p50=900.0, p90=1600.0, p95=2300.0, p99=13_000.0, mean=1000.0))


def gate(*rules: str, candidate=SLOWER, baseline=BASELINE, verdicts=None, **options) -> GateResult:
    return judged(compared(baseline, candidate, verdicts), [parse_rule(rule) for rule in rules], **options)


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ("latency_ms.p95 > 2299", Outcome.FAILED),
        ("latency_ms.p95 > 2300", Outcome.PASSED),
        ("latency_ms.p95 >= 2300", Outcome.FAILED),
        ("latency_ms.p95 > +10%", Outcome.FAILED),
        ("latency_ms.p95 > +15%", Outcome.PASSED),
        ("latency_ms.p95 > 1.1x", Outcome.FAILED),
        ("latency_ms.p95 > +299", Outcome.FAILED),
        ("latency_ms.p95 > +300", Outcome.PASSED),
        ("scores.correctness < 0.92", Outcome.FAILED),
        ("scores.correctness < 0.91", Outcome.PASSED),
        ("scores.correctness < -1%", Outcome.PASSED),
        ("error_rate > 1%", Outcome.FAILED),
        ("error_rate > +0", Outcome.PASSED),
        ("traces < 1000", Outcome.PASSED),
        ("cost_usd > 14", Outcome.FAILED),
        ("latency_ms.p95 > +10% and latency_ms.p50 > +10%", Outcome.FAILED),
        ("latency_ms.p95 > +10% and latency_ms.p50 > +11%", Outcome.PASSED),
    ],
)
def test_thresholds(rule: str, outcome: Outcome) -> None:
    result = gate(rule)
    assert result.rules[0].outcome is outcome
    assert result.outcome is outcome
    assert result.exit_code == (1 if outcome is Outcome.FAILED else 0)


@pytest.mark.parametrize(
    ("verdict", "outcome", "code", "strict_code"),
    [
        (Verdict.WORSE, Outcome.FAILED, 1, 1),
        (Verdict.SAME, Outcome.PASSED, 0, 0),
        (Verdict.BETTER, Outcome.PASSED, 0, 0),
        (Verdict.UNKNOWN, Outcome.UNKNOWN, 0, 1),
    ],
)
@pytest.mark.parametrize("rule", ["worse(latency_ms.p95)", "latency_ms.p95 > +10% and worse", "worse"])
def test_verdicts(rule: str, verdict: Verdict, outcome: Outcome, code: int, strict_code: int) -> None:
    verdicts = {"latency_ms.p95": verdict}
    assert gate(rule, verdicts=verdicts).rules[0].outcome is outcome
    assert gate(rule, verdicts=verdicts).exit_code == code
    assert gate(rule, verdicts=verdicts, unknown_fails=True).exit_code == strict_code


def test_a_small_difference_that_is_real_passes_a_rule_with_both() -> None:
    result = gate("latency_ms.p95 > +20% and worse", verdicts={"latency_ms.p95": Verdict.WORSE})
    assert result.outcome is Outcome.PASSED


def test_an_unknown_pass_is_told_apart() -> None:
    result = gate("worse", "error_rate > 50%", verdicts={"latency_ms.p95": Verdict.UNKNOWN})
    assert result.reason == "2 rules passed, 1 of them for want of evidence"


def test_without_rules_of_its_own_any_metric_that_is_worse_fails() -> None:
    comparison = compared(BASELINE, SLOWER, {"latency_ms.p95": Verdict.WORSE, "error_rate": Verdict.UNKNOWN})
    result = judged(comparison, [ANY_METRIC_WORSE])
    assert result.exit_code == 1
    assert result.rules[0].text == "latency_ms.p95 is worse: 2,000 ms to 2,300 ms (+15.0 %)"
    assert judged(compared(BASELINE, SAME), [ANY_METRIC_WORSE]).rules[0].text == "none of 10 metrics is worse"


def test_a_metric_that_the_candidate_lost_never_passes() -> None:
    no_cost = metrics(V2, cost_usd=None, cost_usd_per_trace=None)
    for rule in ("worse", "cost_usd_per_trace > 1", "cost_usd_per_trace > +10%", "worse(cost_usd_per_trace)"):
        result = gate(rule, candidate=no_cost)
        assert result.exit_code == 2, rule
        assert result.rules[0].text == "the candidate has no cost_usd_per_trace"


def test_a_metric_that_the_baseline_never_had_is_nothing_to_be_worse_than() -> None:
    no_cost = metrics(V1, cost_usd=None, cost_usd_per_trace=None)
    assert gate("worse", baseline=no_cost, candidate=SAME).exit_code == 0
    assert gate("cost_usd_per_trace > 1", baseline=no_cost, candidate=SAME).exit_code == 0
    result = gate("cost_usd_per_trace > +10%", baseline=no_cost, candidate=SAME)
    assert result.exit_code == 2
    assert result.rules[0].text == "the baseline has no cost_usd_per_trace"


def test_a_rule_that_lacks_a_number_does_not_pass_on_its_other_half() -> None:
    no_cost = metrics(V2, cost_usd_per_trace=None)
    assert gate("cost_usd_per_trace > 1 and error_rate > 99%", candidate=no_cost).exit_code == 2


def test_a_regression_is_one_whatever_else_lacks_data() -> None:
    no_cost = metrics(V2, cost_usd_per_trace=None)
    result = gate("cost_usd_per_trace > 1", "error_rate > 1%", candidate=no_cost)
    assert result.exit_code == 1
    assert [rule.outcome for rule in result.rules] == [Outcome.NO_DATA, Outcome.FAILED]


def test_a_misspelt_score_is_found() -> None:
    result = gate("scores.corectness < 0.8")
    assert result.exit_code == 2
    assert "Did you mean 'scores.correctness'?" in result.rules[0].text
    none = metrics(V1, scores={})
    assert "no scores were received" in gate("scores.a < 1", baseline=none, candidate=none).rules[0].text


def test_few_traces_are_judged_by_no_rule() -> None:
    few = metrics(V2, traces=19, error_rate=1.0)
    result = gate("error_rate > 1%", candidate=few)
    assert result.exit_code == 2
    assert result.reason == "20 traces are needed (--min-traces), the candidate has 19"
    assert [rule.outcome for rule in result.rules] == [Outcome.NO_DATA]
    assert gate("error_rate > 1%", candidate=few, min_traces=19).exit_code == 1
    assert gate("traces < 1", candidate=metrics(V2, traces=0), min_traces=0).exit_code == 1


def evaluated(
    verdict: Verdict = Verdict.WORSE, *, base: float = 0.9, candidate: float = 0.6, **evaluation: object
) -> Comparison:
    """A comparison with a score of rows of a data set, and with hardly a trace."""
    found = {"test": "mcnemar", "pairs": 30, "higher": 2, "lower": 9, "base_count": 30, "candidate_count": 30}
    judgement = difference(
        base,
        candidate,
        verdict,
        evaluation=ScoreComparison(**{**found, **evaluation}),  # type: ignore[arg-type]
    )
    return Comparison(
        # Of all results, those that are not compared included.
        versions=[
            metrics(V1, traces=1, scores={"correct": Score(mean=0.5, count=100)}),
            metrics(V2, traces=1, scores={"correct": Score(mean=0.8, count=40)}),
        ],
        differences=[VersionDifferences(model_id=V2, metrics={"scores.correct": judgement})],
    )


def test_rules_on_scores_alone_need_no_traces() -> None:
    result = judged(evaluated(), [parse_rule("worse(scores.correct)"), parse_rule("error_rate > 1%")])
    assert [rule.outcome for rule in result.rules] == [Outcome.FAILED, Outcome.NO_DATA]
    assert (result.outcome, result.exit_code, result.reason) == (Outcome.FAILED, 1, "1 of 2 rules failed")
    assert result.rules[0].text == ("scores.correct is worse: 0.9 to 0.6 (-0.3), 9 of 30 rows lower, 2 higher")
    fine = judged(evaluated(Verdict.SAME), [parse_rule("worse(scores.correct)")])
    assert (fine.outcome, fine.exit_code) == (Outcome.PASSED, 0)
    assert judged(evaluated(), [parse_rule("worse")]).outcome is Outcome.NO_DATA
    assert judged(evaluated(), [parse_rule("worse")], min_traces=0).outcome is Outcome.FAILED


def test_changes_of_scores_are_those_of_the_rows_that_both_have() -> None:
    def outcome(rule: str) -> Outcome:
        return judged(evaluated(), [parse_rule(rule)]).rules[0].outcome

    assert outcome("scores.correct < -20%") is Outcome.FAILED
    assert outcome("scores.correct < -40%") is Outcome.PASSED
    # A value by itself is that of everything that was received.
    assert outcome("scores.correct < 0.7") is Outcome.PASSED
    assert outcome("scores.correct < 0.85") is Outcome.FAILED


def test_scores_of_few_values_never_pass() -> None:
    def text(comparison: Comparison, rule: str, min_scores: int = 10) -> str:
        result = judged(comparison, [parse_rule(rule)], min_scores=min_scores)
        assert (result.outcome, result.exit_code) == (Outcome.NO_DATA, 2)
        return result.rules[0].text

    few = evaluated(Verdict.UNKNOWN, test=None, pairs=9, base_count=9, candidate_count=9)
    expected = "scores.correct has 9 rows that both have, 10 are needed (--min-scores)"
    for rule in ("worse(scores.correct)", "scores.correct < -5%", "scores.correct < -5% and worse"):
        assert text(few, rule).startswith(expected)
    assert judged(few, [parse_rule("worse(scores.correct)")], min_scores=9).rules[0].outcome is Outcome.UNKNOWN
    # The value by itself has others, too.
    assert judged(few, [parse_rule("scores.correct < 0.7")]).outcome is Outcome.PASSED
    assert text(few, "scores.correct < 0.7", 41) == "scores.correct has 40 values, 41 are needed (--min-scores)"


def test_scores_that_cannot_be_compared_never_pass() -> None:
    apart = evaluated(Verdict.UNKNOWN, test=None, pairs=0, base_count=0, candidate_count=0)
    result = judged(apart, [parse_rule("worse(scores.correct)")])
    assert (result.exit_code, result.rules[0].text) == (
        2,
        "nothing of scores.correct can be compared: other scorers or other rows",
    )
    # Not named, it is one metric of many of which nothing is known.
    assert judged(apart, [parse_rule("worse")], min_traces=0).rules[0].outcome is Outcome.UNKNOWN


def test_values_that_read_the_same_are_told_apart() -> None:
    candidate = metrics(V2, latency_ms=LatencyMs(p95=2000.3))
    assert gate("latency_ms.p95 > 2000", candidate=candidate).rules[0].text == "latency_ms.p95 is 2000.3, > 2000.0"


VALUES = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.just(0.0))


@given(VALUES, VALUES, st.sampled_from(Verdict), st.booleans(), st.sampled_from([0.0, 0.1, -0.1]))
def test_whatever_the_numbers_absence_and_regressions_never_pass(
    base: float | None, candidate: float | None, verdict: Verdict, unknown_fails: bool, part: float
) -> None:
    comparison = compared(
        metrics(V1, scores={"s": Score(mean=base, count=10)}),
        metrics(V2, scores={"s": Score(mean=candidate, count=10)}),
        {"scores.s": verdict},
    )
    rules = [f"scores.s > {part * 100:+}%", "scores.s > (0)", "worse(scores.s)", "worse"]
    for rule, strict in itertools.product(rules, [unknown_fails]):
        result = judged(comparison, [parse_rule(rule)], unknown_fails=strict)
        is_known = candidate is not None and math.isfinite(candidate)
        is_base_known = base is not None and math.isfinite(base)
        if not is_known and (rule != "worse" or is_base_known):
            assert result.exit_code == 2
        if rule == "worse(scores.s)" and is_known and is_base_known and verdict is Verdict.WORSE:
            assert result.exit_code == 1
        assert (result.exit_code == 0) == (result.outcome is Outcome.PASSED)


def test_a_comparison_without_differences_has_no_verdicts() -> None:
    comparison = Comparison(versions=[BASELINE, SAME])
    assert judged(comparison, [ANY_METRIC_WORSE]).exit_code == 2
    assert judged(comparison, [parse_rule("worse(error_rate)")]).exit_code == 2
