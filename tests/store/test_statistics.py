# SPDX-License-Identifier: Apache-2.0
"""Intervals, tests and corrections agree with SciPy; verdicts are called as they should be, and no more often."""

import math
import random
from statistics import NormalDist

import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.store import statistics
from otel_loggedmodel.store.results import Difference, Verdict

totals = st.integers(min_value=1, max_value=2000)


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int]:
    total = draw(totals)
    return draw(st.integers(min_value=0, max_value=total)), total


@given(counts())
def test_the_interval_of_a_rate_is_wilsons(one: tuple[int, int]) -> None:
    expected = scipy.stats.binomtest(*one).proportion_ci(method="wilson")
    assert statistics.wilson(*one) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(counts(), counts())
def test_small_counts_are_tested_exactly(base: tuple[int, int], candidate: tuple[int, int]) -> None:
    rate = (base[0] + candidate[0]) / (base[1] + candidate[1])
    p_value = statistics.rates_differ(*base, *candidate)
    table = [[base[0], base[1] - base[0]], [candidate[0], candidate[1] - candidate[0]]]
    if rate in {0.0, 1.0}:
        assert p_value == 1.0
    elif min(rate, 1 - rate) * min(base[1], candidate[1]) < 5:
        assert p_value == pytest.approx(scipy.stats.fisher_exact(table).pvalue, rel=1e-6, abs=1e-12)
    else:
        # The square of the pooled z is the chi-square without continuity correction.
        expected = scipy.stats.chi2_contingency(table, correction=False).pvalue
        assert p_value == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_the_interval_of_a_difference_of_rates_is_newcombes() -> None:
    # Newcombe, 1998, "Interval estimation for the difference between independent proportions", table II, method 10.
    def interval(successes: int, total: int, others: int, other_total: int) -> tuple[float, float]:
        return statistics.mover(
            others / other_total,
            statistics.wilson(others, other_total),
            successes / total,
            statistics.wilson(successes, total),
        )

    assert interval(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert interval(9, 10, 3, 10) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert interval(0, 10, 0, 20) == pytest.approx((-0.1611, 0.2775), abs=5e-5)
    assert interval(10, 10, 0, 10) == pytest.approx((0.6075, 1.0), abs=5e-5)


@given(st.lists(st.floats(min_value=0, max_value=1), min_size=1, max_size=30))
def test_holms_correction(p_values: list[float]) -> None:
    corrected = statistics.holm(p_values)
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    for rank, place in enumerate(order):
        assert corrected[place] == pytest.approx(
            min(1.0, max((len(p_values) - earlier) * p_values[order[earlier]] for earlier in range(rank + 1)))
        )


def test_holms_correction_of_a_known_example() -> None:
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.floats(min_value=-100, max_value=100), st.floats(min_value=0.01, max_value=100))
def test_a_p_value_belongs_to_its_interval(delta: float, error: float) -> None:
    half = NormalDist().inv_cdf(0.975) * error
    expected = 2 * NormalDist().cdf(-abs(delta) / error)
    assert statistics.p_value_of(delta, (delta - half, delta + half)) == pytest.approx(expected, abs=1e-9)


def judged(metric: str, **values: object) -> Difference:
    difference = statistics.difference(**values)  # type: ignore[arg-type]
    return statistics.judged([{metric: difference}])[0][metric]


@pytest.mark.parametrize(
    ("metric", "base", "candidate", "interval", "p_value", "verdict"),
    [
        ("latency_ms.p95", 100.0, 120.0, (10.0, 30.0), 0.001, Verdict.WORSE),
        ("latency_ms.p95", 100.0, 80.0, (-30.0, -10.0), 0.001, Verdict.BETTER),
        ("latency_ms.p95", 100.0, 120.0, (10.0, 30.0), 0.06, Verdict.UNKNOWN),
        ("latency_ms.p95", 100.0, 120.0, (-1.0, 41.0), 0.04, Verdict.UNKNOWN),
        ("latency_ms.p95", 100.0, 102.0, (-1.0, 4.9), 0.3, Verdict.SAME),
        ("latency_ms.p95", 100.0, 102.0, (1.0, 3.0), 0.0001, Verdict.SAME),  # real, and too small to matter
        ("latency_ms.p95", 100.0, 102.0, (-1.0, 5.1), 0.3, Verdict.UNKNOWN),
        ("error_rate", 0.05, 0.07, (0.01, 0.03), 0.001, Verdict.WORSE),
        ("error_rate", 0.05, 0.052, (-0.004, 0.008), 0.5, Verdict.SAME),
        ("error_rate", 0.0, 0.0, (-0.02, 0.02), 1.0, Verdict.UNKNOWN),
        ("scores.correct", 0.5, 0.7, (0.1, 0.3), 0.001, Verdict.BETTER),
        ("scores.correct", 0.7, 0.5, (-0.3, -0.1), 0.001, Verdict.WORSE),
        ("tokens.input_per_trace", 100.0, 80.0, (-30.0, -10.0), 0.001, Verdict.BETTER),
        ("cost_usd_per_trace", 100.0, None, None, None, Verdict.UNKNOWN),
    ],
)
def test_verdicts(
    metric: str,
    base: float,
    candidate: float | None,
    interval: tuple[float, float] | None,
    p_value: float | None,
    verdict: Verdict,
) -> None:
    found = judged(metric, base=base, candidate=candidate, interval=interval, p_value=p_value)
    assert found.verdict is verdict
    assert found.p_value_adjusted == p_value  # one metric alone is not corrected


def test_the_correction_is_over_all_metrics_of_all_versions() -> None:
    real = statistics.difference(100.0, 120.0, interval=(5.0, 35.0), p_value=0.01)
    chance = statistics.difference(100.0, 101.0, interval=(-20.0, 22.0), p_value=0.9)
    (alone,) = statistics.judged([{"latency_ms.p50": real}])
    first, second = statistics.judged([{"latency_ms.p50": real}, {f"scores.{n}": chance for n in range(9)}])
    assert alone["latency_ms.p50"].verdict is Verdict.WORSE
    assert first["latency_ms.p50"].p_value_adjusted == pytest.approx(0.1)
    assert first["latency_ms.p50"].verdict is Verdict.UNKNOWN
    assert all(difference.p_value_adjusted == 1.0 for difference in second.values())


def test_what_is_no_number_is_left_out() -> None:
    found = statistics.difference(1.0, 2.0, interval=(math.nan, math.inf), p_value=math.nan, effect_size=math.nan)
    assert found == Difference(base=1.0, candidate=2.0, delta=1.0, ratio=2.0)
    assert statistics.difference(0.0, 2.0).ratio is None


def test_rates_of_one_population_are_rarely_called_different() -> None:
    rng = random.Random(5)
    called = 0
    for _ in range(2000):
        base, candidate = (sum(rng.random() < 0.1 for _ in range(100)) for _ in range(2))
        called += statistics.rates_differ(base, 100, candidate, 100) < 0.05
    assert called < 2000 * 0.065
