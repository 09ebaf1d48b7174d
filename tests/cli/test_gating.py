# SPDX-License-Identifier: Apache-2.0
"""Rules held against comparisons."""

import dataclasses
import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.commands.gating import GateResult, OnUnknown, Outcome, judged
from otel_loggedmodel.commands.rules import ANY_METRIC_WORSE, RuleError, parse_demand, parse_rule
from otel_loggedmodel.store import paired, statistics
from otel_loggedmodel.store.results import (
    Comparison,
    LatencyMs,
    Reason,
    Score,
    ScoreComparison,
    Verdict,
    VersionDifferences,
)
from otel_loggedmodel.store.statistics import Margin

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
    assert gate(rule, verdicts=verdicts, unknown=OnUnknown.FAIL).exit_code == strict_code


def test_a_small_difference_that_is_real_passes_a_rule_with_both() -> None:
    result = gate("latency_ms.p95 > +20% and worse", verdicts={"latency_ms.p95": Verdict.WORSE})
    assert result.outcome is Outcome.PASSED


def test_an_unknown_pass_is_told_apart() -> None:
    result = gate("worse", "error_rate > 50%", verdicts={"latency_ms.p95": Verdict.UNKNOWN})
    assert result.reason == "2 rules passed, 1 of them for want of evidence"


def of_pairs(pairs: int, higher: int, lower: int) -> Comparison:
    """A score that passes or fails on rows that both versions have; the first passes all but those that it fails."""
    interval = paired.rates_interval(pairs - higher - lower, lower, higher, 0)
    counts = {"pairs": pairs, "higher": higher, "lower": lower, "base_count": pairs, "candidate_count": pairs}
    base, candidate = (pairs - higher) / pairs, (pairs - lower) / pairs
    one = dataclasses.replace(
        statistics.difference(base, candidate, interval=interval, p_value=paired.mcnemar(higher, lower)),
        evaluation=ScoreComparison(test="mcnemar", **counts),
    )
    one = statistics.judged([{"scores.passes": one}])[0]["scores.passes"]
    versions = [
        metrics(version, scores={"passes": Score(mean=mean, count=pairs)})
        for version, mean in ((V1, base), (V2, candidate))
    ]
    differences = (VersionDifferences(model_id=versions[1].model_id, metrics={"scores.passes": one}),)
    return Comparison(versions=tuple(versions), differences=differences)


def test_a_rule_asks_for_one_direction_where_rows_pass_or_fail() -> None:
    rules, found = [parse_rule("worse(scores.passes)")], of_pairs(10, 0, 5)
    assert found.differences[0].metrics["scores.passes"].verdict is Verdict.UNKNOWN
    assert judged(found, rules).rules[0].outcome is Outcome.FAILED
    assert judged(of_pairs(10, 0, 4), rules).rules[0].outcome is Outcome.UNKNOWN
    # The other direction is no reason to fail, and what holds at each look takes more.
    assert judged(of_pairs(10, 6, 0), rules).rules[0].outcome is Outcome.PASSED
    assert judged(found, rules, repeated=True).rules[0].outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("pairs", "higher", "lower", "outcome"),
    [
        (300, 0, 0, Outcome.PASSED),
        (300, 2, 2, Outcome.PASSED),
        (30, 1, 1, Outcome.NO_DATA),
        (300, 0, 40, Outcome.FAILED),
    ],
)
def test_that_rows_do_not_pass_less_often_is_shown_by_a_one_sided_limit(
    pairs: int, higher: int, lower: int, outcome: Outcome
) -> None:
    result = judged(of_pairs(pairs, higher, lower), [], [parse_demand("not_worse(scores.passes, 2pp)")])
    assert result.outcome is outcome


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
    # A rule that does not name it has many metrics; of this one nothing is known.
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
        result = judged(comparison, [parse_rule(rule)], unknown=OnUnknown.FAIL if strict else OnUnknown.PASS)
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


def measured(
    metric: str, base: float, candidate: float, half: float, p_value: float = 0.001, **more: object
) -> Comparison:
    """A comparison in which one metric has an interval, and another none that matters."""
    delta = candidate - base
    one = difference(base, candidate, Verdict.UNKNOWN, interval=(delta - half, delta + half), p_value=p_value, **more)
    rates = {"error_rate": {"error_rate": candidate}, "latency_ms.p95": {"latency_ms": LatencyMs(p95=candidate)}}
    values = {"error_rate": {"error_rate": base}, "latency_ms.p95": {"latency_ms": LatencyMs(p95=base)}}
    return Comparison(
        versions=[
            metrics(V1, **values.get(metric, {})),
            metrics(V2, **rates.get(metric, {}), first_ms=0, last_ms=3_600_000),
        ],
        differences=[VersionDifferences(model_id=V2, metrics={metric: one})],
    )


@pytest.mark.parametrize(
    ("half", "rule", "outcome"),
    [
        (50.0, "latency_ms.p95 > +20%", Outcome.FAILED),
        (150.0, "latency_ms.p95 > +20%", Outcome.UNKNOWN),
        (50.0, "latency_ms.p95 > +40%", Outcome.PASSED),
        (150.0, "latency_ms.p95 > +40%", Outcome.UNKNOWN),
        (50.0, "latency_ms.p95 > +200", Outcome.FAILED),
        (50.0, "latency_ms.p95 > +200 and worse", Outcome.FAILED),
        (150.0, "latency_ms.p95 > +200 and worse", Outcome.UNKNOWN),
        (50.0, "latency_ms.p95 < +20%", Outcome.PASSED),
        (150.0, "latency_ms.p95 < +20%", Outcome.UNKNOWN),
    ],
)
def test_limits_hold_the_interval(half: float, rule: str, outcome: Outcome) -> None:
    result = judged(measured("latency_ms.p95", 1000.0, 1300.0, half), [parse_rule(rule)])
    assert result.rules[0].outcome is outcome


def test_a_limit_by_itself_holds_the_interval_of_the_candidate() -> None:
    def outcome(rule: str, low: float, high: float) -> Outcome:
        comparison = measured(
            "error_rate", 0.01, (low + high) / 2, 0.02, candidate_interval=(low, high), base_interval=(0.0, 0.02)
        )
        return judged(comparison, [parse_rule(rule)]).rules[0].outcome

    assert outcome("error_rate > 5%", 0.052, 0.07) is Outcome.FAILED
    assert outcome("error_rate > 5%", 0.04, 0.08) is Outcome.UNKNOWN
    assert outcome("error_rate > 5%", 0.04, 0.05) is Outcome.PASSED


def test_what_follows_from_the_baseline_is_as_uncertain_as_that() -> None:
    """Of three times the baseline, its own interval counts three times."""
    own = {"base_interval": (900.0, 1100.0), "candidate_interval": (3400.0, 3600.0)}
    comparison = measured("latency_ms.p95", 1000.0, 3500.0, 141.0, **own)
    assert judged(comparison, [parse_rule("latency_ms.p95 > +2300")]).rules[0].outcome is Outcome.FAILED
    assert judged(comparison, [parse_rule("latency_ms.p95 > 3.3x")]).rules[0].outcome is Outcome.UNKNOWN
    assert judged(comparison, [parse_rule("latency_ms.p95 > 3.1x")]).rules[0].outcome is Outcome.FAILED


def test_an_unknown_rule_says_what_it_could_have_found_and_what_it_takes() -> None:
    comparison = measured("latency_ms.p95", 1000.0, 1060.0, 100.0, p_value=0.2, base_units=1204, candidate_units=1204)
    result = judged(comparison, [parse_rule("worse(latency_ms.p95)")])
    (found,) = result.rules[0].findings
    assert (found.outcome, found.verdict, found.reason) == (Outcome.UNKNOWN, Verdict.UNKNOWN, Reason.WITHIN_CHANCE)
    # (1.96 + 0.84) / 1.96 half-widths, and (142.9 / 60)^2 times as many traces.
    assert found.smallest == pytest.approx(142.9, abs=0.1)
    assert found.traces_needed == pytest.approx(1204 * (142.9 / 60) ** 2, rel=0.01)
    assert found.seconds_needed == pytest.approx(3600 * ((142.9 / 60) ** 2 - 1), rel=0.01)
    assert found.text == (
        "latency_ms.p95 is unknown (within chance): 1,000 ms to 1,060 ms (+6.0 %); the smallest change that would have"
        " been found is +143 ms (14 %); a decision takes some 6,900 traces of each, 5 h more at the present rate"
    )


def test_a_change_of_many_times_the_baseline_is_written_out() -> None:
    """The least that would have been found is (1.96 + 0.84) / 1.96 half-widths."""
    comparison = measured("latency_ms.p95", 23.6, 65.2, 9800.0, p_value=0.2)
    (found,) = judged(comparison, [parse_rule("worse(latency_ms.p95)")]).rules[0].findings
    assert "(59,357 %)" in found.text


def test_unknown_passes_fails_or_waits() -> None:
    comparison = measured("latency_ms.p95", 1000.0, 1060.0, 100.0, p_value=0.2)
    rules = [parse_rule("worse(latency_ms.p95)"), parse_rule("latency_ms.p95 > +8%")]

    def ended(**options: OnUnknown) -> tuple[Outcome, int, str]:
        result = judged(comparison, rules, **options)
        return result.outcome, result.exit_code, result.reason

    assert ended() == (Outcome.PASSED, 0, "2 rules passed, 2 of them for want of evidence")
    assert ended(unknown=OnUnknown.FAIL) == (Outcome.FAILED, 1, "2 of 2 rules failed")
    assert ended(unknown=OnUnknown.WAIT) == (Outcome.NO_DATA, 2, "2 of 2 rules cannot be decided yet")


def test_verdicts_are_corrected_for_what_rules_name() -> None:
    many = {
        "error_rate": difference(0.02, 0.042, Verdict.UNKNOWN, interval=(0.008, 0.036), p_value=0.02),
        **{
            f"scores.s{place}": difference(0.5, 0.5, Verdict.UNKNOWN, interval=(-0.1, 0.1), p_value=0.9)
            for place in range(9)
        },
    }
    comparison = Comparison(
        versions=[metrics(V1), metrics(V2)], differences=[VersionDifferences(model_id=V2, metrics=many)]
    )
    assert judged(comparison, [parse_rule("worse(error_rate)")]).outcome is Outcome.FAILED
    assert judged(comparison, [parse_rule("worse")]).rules[0].outcome is Outcome.UNKNOWN


def test_margins_are_those_of_the_rule_the_option_and_the_metric() -> None:
    comparison = measured("error_rate", 0.001, 0.008, 0.002)

    def outcome(rule: str, **margins: Margin) -> Outcome:
        return judged(comparison, [parse_rule(rule)], margins=margins).rules[0].outcome

    # A fifth of the rate, and at least a tenth of a percentage point.
    assert outcome("worse(error_rate)") is Outcome.FAILED
    assert outcome("worse(error_rate, 1pp)") is Outcome.PASSED
    assert outcome("worse(error_rate)", error_rate=Margin(least=0.01)) is Outcome.PASSED
    assert outcome("worse(error_rate, 0.1pp)", error_rate=Margin(least=0.01)) is Outcome.FAILED
    with pytest.raises(RuleError, match="two margins"):
        judged(comparison, [parse_rule("worse(error_rate, 1pp)"), parse_rule("worse(error_rate, 2pp)")])


@pytest.mark.parametrize(
    ("base", "candidate", "half", "outcome", "code"),
    [
        (0.80, 0.80, 0.015, Outcome.PASSED, 0),
        (0.80, 0.80, 0.03, Outcome.UNKNOWN, 2),
        (0.80, 0.70, 0.03, Outcome.FAILED, 1),
        # The one-sided limit is closer than that of the 95 % interval.
        (0.80, 0.80, 0.0185, Outcome.PASSED, 0),
    ],
)
def test_what_is_required_has_to_be_shown(
    base: float, candidate: float, half: float, outcome: Outcome, code: int
) -> None:
    comparison = evaluated(Verdict.UNKNOWN, base=base, candidate=candidate)
    found = comparison.differences[0].metrics["scores.correct"]
    found = dataclasses.replace(
        found,
        evaluation=dataclasses.replace(found.evaluation, test="paired_t"),
        interval=(candidate - base - half, candidate - base + half),
        p_value=0.5,
    )
    comparison = dataclasses.replace(
        comparison, differences=[VersionDifferences(model_id=V2, metrics={"scores.correct": found})]
    )
    result = judged(comparison, [], [parse_demand("not_worse(scores.correct, 2%)")])
    assert (result.rules[0].outcome, result.exit_code) == (outcome, code)
    # Who says that unknown passes gets that.
    if outcome is Outcome.UNKNOWN:
        passing = judged(comparison, [], [parse_demand("not_worse(scores.correct, 2%)")], unknown=OnUnknown.PASS)
        assert passing.exit_code == 0


def test_asking_again_and_again_takes_more_to_decide() -> None:
    comparison = measured("latency_ms.p95", 1000.0, 1120.0, 80.0, p_value=0.003)
    rule = parse_rule("worse(latency_ms.p95)")
    assert judged(comparison, [rule]).outcome is Outcome.FAILED
    repeated = judged(comparison, [rule], repeated=True)
    assert (repeated.rules[0].outcome, repeated.repeated) == (Outcome.UNKNOWN, True)
    clear = measured("latency_ms.p95", 1000.0, 1300.0, 80.0, p_value=1e-12)
    assert judged(clear, [rule], repeated=True).outcome is Outcome.FAILED


def test_limits_hold_what_was_compared_where_the_traffic_differed() -> None:
    """All traces together are half again as slow, as there were more of the slow route; within each, nothing is."""
    one = difference(1000.0, 1010.0, Verdict.UNKNOWN, interval=(-20.0, 40.0), p_value=0.4, adjusted="route")
    comparison = Comparison(
        versions=[metrics(V1, latency_ms=LatencyMs(p95=1000.0)), metrics(V2, latency_ms=LatencyMs(p95=1500.0))],
        differences=[VersionDifferences(model_id=V2, metrics={"latency_ms.p95": one})],
    )
    assert judged(comparison, [parse_rule("latency_ms.p95 > +20%")]).outcome is Outcome.PASSED
    text = judged(comparison, [parse_rule("worse")]).rules[0].findings[0].text
    assert "1,000 ms to 1,010 ms (+1.0 %), within each route" in text or "none of" in text
    # By itself, it is the value of all traces.
    assert judged(comparison, [parse_rule("latency_ms.p95 > 1400")]).outcome is Outcome.FAILED
