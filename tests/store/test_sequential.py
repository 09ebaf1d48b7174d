# SPDX-License-Identifier: Apache-2.0
"""Differences that are looked at again and again are called real no more often than they say."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.store import sequential, statistics
from otel_loggedmodel.store.results import Difference


def seen(delta: float, error: float, base: float = 100.0) -> Difference:
    interval = (delta - statistics.Z * error, delta + statistics.Z * error)
    return statistics.difference(base, base + delta, interval=interval, p_value=statistics.p_value_of(delta, interval))


def test_the_p_value_is_that_of_the_mixture() -> None:
    found = sequential.always_valid(seen(12.0, 3.0), margin=5.0)
    ratio, z = (10 / 3) ** 2, 4.0
    expected = math.sqrt(1 + ratio) * math.exp(-z * z * ratio / (2 * (1 + ratio)))
    assert found.p_value == pytest.approx(expected, rel=1e-6)
    half = 3 * math.sqrt((1 + ratio) / ratio * math.log((1 + ratio) / 0.05**2))
    assert found.interval == pytest.approx((12 - half, 12 + half))


@given(st.floats(-50, 50), st.floats(0.01, 50), st.floats(0, 20))
def test_the_p_value_belongs_to_the_interval(delta: float, error: float, margin: float) -> None:
    found = sequential.always_valid(seen(delta, error), margin)
    assert found.interval is not None
    assert found.p_value is not None
    is_beyond = found.interval[0] > 0 or found.interval[1] < 0
    if abs(found.p_value - 0.05) > 1e-6:
        assert (found.p_value < 0.05) == is_beyond
    # It is less certain than what is looked at once.
    assert found.interval[0] < delta - statistics.Z * error
    assert found.interval[1] > delta + statistics.Z * error


def test_what_does_not_vary_stays_as_it_is() -> None:
    constant = statistics.difference(100.0, 100.0, interval=(0.0, 0.0), p_value=1.0)
    assert sequential.always_valid(constant, 5.0) == constant
    unknown = statistics.difference(100.0, None)
    assert sequential.always_valid(unknown, 5.0) == unknown


def test_looking_again_and_again_is_rarely_wrong() -> None:
    rng = random.Random(11)
    once = repeated = 0
    for _ in range(300):
        total, was_once, was_repeated = 0.0, False, False
        for look in range(1, 101):
            total += rng.gauss(0, 10) * math.sqrt(20)
            one = seen(total / (20 * look), 10 / math.sqrt(20 * look))
            was_once = was_once or (one.p_value or 0) < 0.05
            was_repeated = was_repeated or (sequential.always_valid(one, 5.0).p_value or 0) < 0.05
        once, repeated = once + was_once, repeated + was_repeated
    assert once > 300 * 0.2
    assert repeated <= 300 * 0.05
