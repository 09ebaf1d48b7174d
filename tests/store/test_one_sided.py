# SPDX-License-Identifier: Apache-2.0
"""One-sided tests of pairs that pass or fail agree with SciPy, and are as often wrong as they say."""

import math

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.store import one_sided

counts = st.integers(min_value=0, max_value=30)


@given(st.integers(min_value=0, max_value=2000), st.integers(min_value=0, max_value=2000))
def test_the_p_value_is_that_of_the_one_sided_binomial_test(higher: int, lower: int) -> None:
    found = one_sided.worse_p(higher, lower)
    expected = scipy.stats.binomtest(lower, higher + lower, 0.5, "greater").pvalue if higher + lower else 1.0
    exact = higher + lower <= 1000
    assert found == pytest.approx(expected, rel=1e-9 if exact else 0.05, abs=1e-300 if exact else 1e-4)


def restricted(pairs: int, higher: int, lower: int, delta: float) -> float:
    """Tango's statistic with the most likely rates, found by searching for them."""

    def unlikely(worse: float) -> float:
        better = worse + delta
        same = max(1 - worse - better, 1e-300)
        logs = (max(worse, 1e-300), max(better, 1e-300), same)
        return -sum(n * math.log(p) for n, p in zip((lower, higher, pairs - higher - lower), logs, strict=True) if n)

    bounds = (max(0.0, -delta), (1 - delta) / 2)
    worse = scipy.optimize.minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
    return (higher - lower - pairs * delta) / math.sqrt(pairs * (2 * worse + delta * (1 - delta)))


@given(counts, counts, st.integers(min_value=1, max_value=40))
def test_at_the_limits_the_statistic_is_the_critical_value(higher: int, lower: int, same: int) -> None:
    pairs = higher + lower + same
    low, high = one_sided.limits(pairs, higher, lower)
    assert -1 <= low <= (higher - lower) / pairs <= high <= 1
    assert restricted(pairs, higher, lower, low) == pytest.approx(1.6448536, abs=2e-3)
    assert restricted(pairs, higher, lower, high) == pytest.approx(-1.6448536, abs=2e-3)
    assert one_sided.limits(pairs, lower, higher) == pytest.approx((-high, -low))


@pytest.mark.parametrize("rows", [20, 100])
@pytest.mark.parametrize(("better", "worse"), [(0.05, 0.05), (0.02, 0.1), (0.0, 0.05)])
def test_each_limit_is_beyond_the_truth_as_often_as_it_says(rows: int, better: float, worse: float) -> None:
    rng = np.random.default_rng(6)
    drawn = rng.multinomial(rows, [better, worse, 1 - better - worse], 1000)
    found = [one_sided.limits(rows, int(up), int(down)) for up, down, _ in drawn]
    beyond = [sum(low > better - worse for low, _ in found), sum(high < better - worse for _, high in found)]
    assert max(beyond) <= 70
    if better == worse:
        assert sum(one_sided.worse_p(int(up), int(down)) < 0.05 for up, down, _ in drawn) <= 50
