# SPDX-License-Identifier: Apache-2.0
"""Ratios of sums have the variance of the delta method, and their differences are called real no more than they are."""

import math
import random

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.store import strata
from otel_loggedmodel.store.design import stratum_of
from otel_loggedmodel.store.estimates import Moments, estimate, means_differ, rates_contrast, stratified
from otel_loggedmodel.store.strata import Traffic

seeds = st.integers(0, 10**9)


def moments(x: np.ndarray, y: np.ndarray) -> Moments:
    return Moments(
        x.sum(), y.sum(), (x * x).sum(), (x * y).sum(), (y * y).sum(), int((x > 0).sum()), y.max(), int((y > 0).sum())
    )


@given(seeds, st.integers(2, 200))
def test_the_variance_of_a_ratio_is_that_of_its_residuals(seed: int, units: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(1, 20, units).astype(float), rng.lognormal(0, 1, units)
    ratio = y.sum() / x.sum()
    expected = np.var(y - ratio * x, ddof=1) * units / x.sum() ** 2
    found = moments(x, y)
    assert found.ratio == pytest.approx(ratio)
    assert found.variance == pytest.approx(expected, rel=1e-7)


def test_what_is_constant_does_not_vary_by_rounding() -> None:
    """Costs of 0.0000123 a thousand times add up to something a little different each way."""
    found = moments(np.ones(1000), np.full(1000, 1.23e-5))
    assert found.variance == 0.0
    other = moments(np.ones(777), np.full(777, 1.23e-5))
    contrast = means_differ(*(one for one in map(estimate, (found, other)) if one))
    assert (contrast.interval, contrast.p_value, contrast.is_certain) == ((0.0, 0.0), 1.0, True)


@given(seeds, st.integers(3, 100), st.integers(3, 100))
def test_independent_values_are_tested_by_the_more_careful_t_test(seed: int, count: int, other: int) -> None:
    rng = np.random.default_rng(seed)
    base, candidate = rng.lognormal(3, 0.5, count), rng.lognormal(3.1, 0.8, other)
    found = means_differ(
        *(one for values in (base, candidate) if (one := estimate(moments(np.ones(len(values)), values))))
    )
    tests = [scipy.stats.ttest_ind(candidate, base, equal_var=equal) for equal in (False, True)]
    widest = max(tests, key=lambda test: test.confidence_interval().high - test.confidence_interval().low)
    interval = widest.confidence_interval()
    assert found.interval == pytest.approx((interval.low, interval.high), rel=1e-6)
    assert found.p_value == pytest.approx(widest.pvalue, rel=1e-6, abs=1e-12)


def test_sessions_say_less_than_their_traces() -> None:
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 30, 100)
    levels = rng.normal(100, 20, 100)
    whole = estimate(moments(sizes.astype(float), sizes * levels))
    single = estimate(moments(np.ones(sizes.sum()), np.repeat(levels, sizes)))
    assert whole is not None
    assert single is not None
    assert whole.value == pytest.approx(single.value)
    assert whole.variance > 10 * single.variance


def test_a_rate_of_independent_tries_is_one_of_counts() -> None:
    failed = np.array([1.0] * 7 + [0.0] * 93)
    one = estimate(moments(np.ones(100), failed))
    assert one is not None
    assert (one.counts, one.tries) == ((7.0, 100.0), 100.0)
    expected = scipy.stats.binomtest(7, 100).proportion_ci(method="wilson")
    assert one.rate_interval == pytest.approx((expected.low, expected.high))


def test_a_rate_of_sessions_is_one_of_as_many_tries_as_say_as_much() -> None:
    """In sessions that fail as a whole, each session is a try."""
    whole = estimate(moments(np.full(50, 20.0), np.array([20.0] * 10 + [0.0] * 40)))
    assert whole is not None
    assert whole.counts is None
    assert whole.tries == pytest.approx(49 * (1.96 / scipy.stats.t.ppf(0.975, 49)) ** 2, rel=1e-3)
    # If a few traces have two entry spans, two failures still are two of nearly as many tries.
    sizes = np.array([2.0] * 20 + [1.0] * 380)
    few = estimate(moments(sizes, np.array([0.0] * 398 + [1.0] * 2)))
    assert few is not None
    assert 350 < few.tries < 420
    # None failed: each session is one that did not.
    none = estimate(moments(np.full(50, 20.0), np.zeros(50)))
    assert none is not None
    assert none.rate_interval[1] == pytest.approx(
        scipy.stats.binomtest(0, 48).proportion_ci(method="wilson").high, rel=0.03
    )


def test_rates_of_one_population_of_sessions_are_rarely_called_different() -> None:
    rng = np.random.default_rng(6)
    called = 0
    for _ in range(400):
        sides = [
            estimate(moments(np.full(60, 10.0), rng.binomial(10, rng.beta(0.5, 4.5, 60)).astype(float)))
            for _ in range(2)
        ]
        contrast = rates_contrast(*(one for one in sides if one))
        called += contrast.p_value < 0.05
    assert called <= 400 * 0.08


def test_strata_take_out_what_lies_between_them() -> None:
    """A route that is ten times slower than the other adds nothing to the uncertainty within each."""
    rng = np.random.default_rng(7)
    routes = {1: rng.normal(100, 10, 300), 2: rng.normal(1000, 10, 100)}
    strata_of = {code: moments(np.ones(len(values)), values) for code, values in routes.items()}
    found = stratified(strata_of, {1: 0.5, 2: 0.5})
    assert found is not None
    assert found.value == pytest.approx((routes[1].mean() + routes[2].mean()) / 2)
    expected = 0.25 * (np.var(routes[1], ddof=1) / 300 + np.var(routes[2], ddof=1) / 100)
    assert found.variance == pytest.approx(expected, rel=1e-6)
    assert stratified(strata_of, {1: 0.5, 3: 0.5}) is None


def test_a_stratum_of_one_unit_varies_as_the_others() -> None:
    many = moments(np.ones(200), np.random.default_rng(1).normal(100, 10, 200))
    found = stratified({1: many, 2: moments(np.ones(1), np.array([90.0]))}, {1: 0.9, 2: 0.1})
    assert found is not None
    assert found.variance == pytest.approx(0.81 * many.variance + 0.01 * many.variance * 200, rel=0.02)


def traffic(**cells: int) -> Traffic:
    """Counts by a letter for the route and a number for the hour."""
    return Traffic({(ord(name[0]), int(name[1:])): count for name, count in cells.items()})


def test_equal_traffic_is_compared_as_a_whole() -> None:
    assert strata.plan(traffic(a1=500, b1=100), traffic(a1=490, b1=110)).by == ""
    assert strata.plan(traffic(a1=500), traffic(a1=50)).by == ""
    assert strata.plan(Traffic({}), traffic(a1=50)) == strata.Plan()


def test_what_differs_is_held_apart() -> None:
    routes = strata.plan(traffic(a1=400, b1=100), traffic(a1=250, b1=250))
    assert (routes.by, routes.left_out) == ("route", (0.0, 0.0))
    # Each has its harmonic share.
    shares = {stratum_of(ord("a"), 0): 400 * 250 / 650, stratum_of(ord("b"), 0): 100 * 250 / 350}
    assert routes.shares == pytest.approx({code: share / sum(shares.values()) for code, share in shares.items()})
    hours = strata.plan(traffic(a1=300, a2=300), traffic(a2=300, a3=300))
    assert (hours.by, hours.left_out, hours.apart) == ("hour", (0.5, 0.5), False)
    both = strata.plan(traffic(a1=300, a2=300, b2=50), traffic(a2=200, b2=200, a3=100))
    assert both.by == "route and hour"


def test_hours_that_nothing_shares_are_told_and_routes_held_apart_all_the_same() -> None:
    made = strata.plan(traffic(a1=400, b1=100), traffic(a9=250, b9=250))
    assert (made.apart, made.by) == (True, "route")
    notes = list(strata.notes(made, "v1", "v2", {ord("a"): "chat", ord("b"): "search"}))
    assert notes[0].startswith("v1 and v2 have no hour in common")
    assert "(chat 80 to 50 %; search 20 to 50 %)" in notes[1]
    assert notes[2].startswith("v2 is compared with v1 within each route, as their traffic differs in it: changes (*)")


def test_too_little_in_common_is_no_ground_to_stand_on() -> None:
    few = strata.plan(traffic(a1=1000, a2=30), traffic(a2=30, a3=1000))
    assert (few.by, few.apart) == ("", False)


def test_names_with_ids_in_them_make_no_strata() -> None:
    rng = random.Random(1)
    base, other = (Traffic({(rng.getrandbits(64), 1): 1 for _ in range(500)}) for _ in range(2))
    assert strata.plan(base, other).by == ""


def test_the_number_of_a_stratum_fits_64_bits() -> None:
    assert 0 <= stratum_of(2**64 - 1, 2**20) < 2**64
    assert stratum_of(5, 0) == 5
    assert math.isfinite(stratum_of(0, 1))
