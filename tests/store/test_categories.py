# SPDX-License-Identifier: Apache-2.0
"""Shares of labels are tested as SciPy does."""

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.store import categories


@given(st.floats(min_value=0, max_value=500), st.integers(min_value=1, max_value=40))
def test_the_chi_square_distribution_is_scipys(statistic: float, freedom: int) -> None:
    expected = scipy.stats.chi2.sf(statistic, freedom)
    assert categories.chi_square_p(statistic, freedom) == pytest.approx(expected, rel=1e-8, abs=1e-12)


many = st.lists(st.integers(min_value=20, max_value=300), min_size=3, max_size=6)


@given(many, many)
def test_shares_of_frequent_labels_are_tested_by_pearsons_statistic(base: list[int], candidate: list[int]) -> None:
    size = min(len(base), len(candidate))
    base, candidate = base[:size], candidate[:size]
    expected = scipy.stats.chi2_contingency([base, candidate], correction=False)
    if expected.expected_freq.min() < 5:
        return
    found = categories.p_value(*({f"l{place}": count for place, count in enumerate(one)} for one in (base, candidate)))
    assert found == pytest.approx(expected.pvalue, rel=1e-8, abs=1e-12)


def test_rare_labels_are_taken_together() -> None:
    base = {"good": 40, "bad": 20, **{f"rare {place}": 1 for place in range(8)}}
    candidate = {"good": 20, "bad": 40, **{f"seldom {place}": 1 for place in range(8)}}
    expected = scipy.stats.chi2_contingency([[40, 20, 8], [20, 40, 8]], correction=False).pvalue
    assert categories.p_value(base, candidate) == pytest.approx(expected, rel=1e-8)
    # Two that are left are rates.
    assert categories.p_value({"a": 10}, {"a": 7, "b": 3}) == pytest.approx(
        scipy.stats.fisher_exact([[10, 0], [7, 3]]).pvalue
    )
    assert categories.p_value({"a": 10}, {"a": 30}) == 1.0
    assert categories.p_value({"a": 9}, {"a": 30}) is None


def test_labels_that_are_drawn_alike_seldom_differ() -> None:
    rng = np.random.default_rng(2)
    shares = [0.5, 0.3, 0.1, 0.05, 0.05]
    called = 0
    for _ in range(1000):
        base, candidate = ({str(at): int(n) for at, n in enumerate(rng.multinomial(60, shares))} for _ in range(2))
        called += (categories.p_value(base, candidate) or 0.0) < 0.05
    assert called <= 65
