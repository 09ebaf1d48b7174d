# SPDX-License-Identifier: Apache-2.0
"""Tests of pairs agree with SciPy, find what only pairs can tell, and call no difference that is none."""

import random
import time
from collections.abc import Sequence

import numpy as np
import pytest
import scipy
from hypothesis import example, given
from hypothesis import strategies as st

from effort import times
from otel_loggedmodel.store import paired, student

small = st.integers(min_value=0, max_value=40)


@given(st.integers(min_value=0, max_value=3000), st.integers(min_value=0, max_value=3000))
def test_mcnemars_test_is_the_binomial_test_of_the_pairs_that_changed(higher: int, lower: int) -> None:
    found = paired.mcnemar(higher, lower)
    if higher + lower == 0:
        assert found == 1.0
        return
    expected = scipy.stats.binomtest(higher, higher + lower, 0.5).pvalue
    exact = higher + lower <= 1000
    assert (
        found == pytest.approx(expected, rel=1e-9, abs=1e-300)
        if exact
        else found == pytest.approx(expected, rel=0.05, abs=1e-4)
    )


@given(st.lists(st.tuples(st.integers(-40, 40), st.integers(-40, 40))), st.sampled_from([0.025, 0.1, 1.0, 1e9]))
def test_every_pair_is_in_the_part_of_its_change(pairs: list[tuple[int, int]], scale: float) -> None:
    before, after = [one * scale for one, _ in pairs], [other * scale for _, other in pairs]
    parts, most = paired.distribution(paired.alike(before, after))
    side = paired.PARTS_OF_A_SIDE
    higher, lower, equal = paired.changes(paired.alike(before, after))
    assert (sum(parts[side + 1 :]), sum(parts[:side]), parts[side]) == (higher, lower, equal)
    changes = [after_it - before_it for before_it, after_it in zip(before, after, strict=True)]
    assert most == pytest.approx(max([1.0, *map(abs, changes)]))
    # The outermost parts have the largest changes.
    assert parts[-1] == sum(change > most * (side - 1) / side * (1 + 1e-9) for change in changes)


@given(st.lists(st.integers(min_value=-4, max_value=4), max_size=30))
def test_the_effect_size_is_that_of_signed_ranks(values: list[int]) -> None:
    changes = [value for value in values if value]
    if not changes:
        assert paired.rank_biserial(values) == 0.0
        return
    ranks = scipy.stats.rankdata(np.abs(changes))
    assert paired.rank_biserial(values) == pytest.approx(np.sum(ranks * np.sign(changes)) / np.sum(ranks))


def test_an_interval_of_few_is_that_of_the_bootstrap_t() -> None:
    rng = random.Random(3)
    for count in (10, 30, 200):
        values = [rng.expovariate(1) - 0.8 for _ in range(count)]
        (low, high), p_value = paired.mean_test(values)
        mean, error = np.mean(values), scipy.stats.sem(values)
        drawn = np.random.default_rng(1).choice(values, (20_000, count))
        ends = np.quantile((drawn.mean(1) - mean) / scipy.stats.sem(drawn, axis=1), [0.975, 0.025])
        close, least = 0.08 * (high - low), scipy.stats.t.ppf(0.975, count - 1)
        assert (low, high) == (
            pytest.approx(mean - max(ends[0], least) * error, abs=close),
            pytest.approx(mean - min(ends[1], -least) * error, abs=close),
        )
        # The p-value is below 5 % where the interval is beyond 0.
        assert (p_value < 0.05) == (low > 0 or high < 0)
        assert paired.mean_test(values) == ((low, high), p_value)


def test_the_interval_of_many_is_that_of_the_paired_t_test() -> None:
    rng = random.Random(4)
    values = [rng.gauss(0.1, 1) for _ in range(1001)]
    expected = scipy.stats.ttest_1samp(values, 0)
    interval = expected.confidence_interval()
    found, p_value = paired.mean_test(values)
    assert found == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert p_value == pytest.approx(expected.pvalue, rel=1e-6)


@pytest.mark.parametrize("count", [10, 30])
def test_skewed_differences_of_few_rows_are_rarely_called_different(count: int) -> None:
    rng = random.Random(8)
    called = 0
    rounds = times(full=300, quick=100)
    for _ in range(rounds):
        (low, high), _ = paired.mean_test([rng.expovariate(1) - 1 for _ in range(count)])
        called += low > 0 or high < 0
    assert called <= rounds * 0.09


def test_a_mean_that_rose_is_not_called_by_the_rows_that_fell() -> None:
    """Eighty rows a little lower, twenty much higher: the mean is higher, and so is what is said of it."""
    found = of([0.5] * 100, [0.49] * 80 + [0.9] * 20)
    assert (found.higher, found.lower) == (20, 80)
    assert found.candidate > found.base
    assert found.interval[0] > 0
    assert found.p_value < 0.001


def test_a_thousand_pairs_take_little_time() -> None:
    rng = random.Random(4)
    base = [rng.random() for _ in range(1000)]
    began = time.process_time()
    paired.tested(base, [value + rng.gauss(0, 0.1) for value in base])
    assert time.process_time() - began < 2


@given(small, small, small, small)
def test_the_interval_of_paired_rates_holds_their_difference(both: int, lower: int, higher: int, neither: int) -> None:
    total = both + lower + higher + neither
    if not total:
        return
    low, high = paired.rates_interval(both, lower, higher, neither)
    assert -1 - 1e-9 <= low <= (higher - lower) / total <= high <= 1 + 1e-9
    # The other way round it is the other way round.
    assert paired.rates_interval(both, higher, lower, neither) == pytest.approx((-high, -low), abs=1e-12)


def test_the_interval_of_paired_rates_is_right_as_often_as_it_says() -> None:
    rng = random.Random(5)
    for cells in ([0.6, 0.15, 0.05, 0.2], [0.9, 0.02, 0.06, 0.02], [0.3, 0.2, 0.2, 0.3]):
        truth = cells[2] - cells[1]
        held = 0
        for _ in range(2000):
            drawn = rng.choices(range(4), cells, k=40)
            low, high = paired.rates_interval(*(drawn.count(cell) for cell in range(4)))
            held += low <= truth <= high
        assert 0.935 < held / 2000 < 0.995


@example(t=5e-7, freedom=5000.0)
@example(t=1e-5, freedom=5000.0)
@given(st.floats(min_value=-60, max_value=60), st.floats(min_value=1, max_value=5000))
def test_students_distribution(t: float, freedom: float) -> None:
    expected = 2 * scipy.stats.t.sf(abs(t), freedom)
    assert student.two_sided_p(t, freedom) == pytest.approx(expected, rel=1e-7, abs=1e-13)


@given(st.floats(min_value=1, max_value=1e6))
def test_students_critical_values(freedom: float) -> None:
    assert student.critical_value(0.95, freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom), rel=1e-7)


def of(base: Sequence[float], candidate: Sequence[float]) -> paired.PairedTest:
    return paired.tested(list(base), list(candidate))


def test_pass_or_fail() -> None:
    found = of([1.0] * 20 + [0.0] * 10, [1.0] * 11 + [0.0] * 19)
    assert (found.test, found.higher, found.lower, found.equal) == ("mcnemar", 0, 9, 21)
    assert (found.base, found.candidate) == (pytest.approx(20 / 30), pytest.approx(11 / 30))
    assert found.effect_size == pytest.approx(-9 / 30)
    assert found.p_value == pytest.approx(2 / 2**9)
    assert found.interval[1] < 0


def test_one_value_between_makes_numbers() -> None:
    assert of([1.0, 0.0, 1.0], [1.0, 1.0, 0.0]).test == "mcnemar"
    assert of([1.0, 0.0, 1.0], [1.0, 0.5, 0.0]).test == "paired_t"


def test_rounding_errors_are_no_differences() -> None:
    found = of([0.1 + 0.2] * 12, [0.3] * 12)
    assert (found.higher, found.lower, found.equal) == (0, 0, 12)
    # 0.3 - 0.1 and 0.4 - 0.2 differ in the last bit, and tie.
    assert paired.rank_biserial([paired._difference(0.1, 0.3), -paired._difference(0.2, 0.4)]) == 0.0


def test_rows_that_did_not_change_say_little_about_rows_that_were_not_seen() -> None:
    values = [0.2, 0.5, 0.9] * 10
    few = of(values, values)
    assert few.p_value == 1.0
    assert few.interval == (pytest.approx(-0.0795, abs=1e-3), pytest.approx(0.0795, abs=1e-3))
    many = of(values * 100, values * 100)
    assert many.interval[1] < 0.001
    # Values that never vary cannot change.
    assert of([0.5] * 30, [0.5] * 30).interval == (0.0, 0.0)
    one = of(values, [*values[:-1], 0.8])
    assert one.interval[0] < -0.05
    assert one.interval[1] > 0


def test_thirty_pairs_tell_what_thirty_and_thirty_values_do_not() -> None:
    rng = random.Random(6)
    base = [min(max(rng.gauss(0.6, 0.25), 0), 1) for _ in range(30)]
    candidate = [value - 0.06 + rng.gauss(0, 0.04) for value in base]
    assert scipy.stats.ttest_ind(base, candidate, equal_var=False).pvalue > 0.2
    found = of(base, candidate)
    assert found.p_value < 0.0001
    assert found.interval[1] < 0
    assert found.interval == (pytest.approx(-0.06, abs=0.02), pytest.approx(-0.06, abs=0.02))


@pytest.mark.parametrize("binary", [False, True])
def test_pairs_that_do_not_differ_are_rarely_called_different(binary: bool) -> None:
    rng = random.Random(7)
    called = 0
    rounds = times(full=300, quick=100)
    for _ in range(rounds):
        base, candidate = [], []
        for _ in range(30):
            mean = rng.random()
            one, other = (
                (float(rng.random() < mean), float(rng.random() < mean))
                if binary
                else (rng.gauss(mean, 0.1), rng.gauss(mean, 0.1))
            )
            base.append(one)
            candidate.append(other)
        found = of(base, candidate)
        called += found.p_value < 0.05 and not found.interval[0] <= 0 <= found.interval[1]
    assert called <= rounds * 0.07
