# SPDX-License-Identifier: Apache-2.0
"""Student's t distribution in plain Python: SciPy would take the command line a second to import."""

import functools
import math
from statistics import NormalDist
from typing import Final

_STEPS: Final = 500
_PRECISION: Final = 1e-15
_TINY: Final = 1e-300
_ENOUGH: Final = 1e-13
_MOST_FREEDOM: Final = 1e6
_MANY: Final = 200.0


def two_sided_p(t: float, freedom: float) -> float:
    """The probability of a value as far from 0 as `t`.

    Args:
        t: The value.
        freedom: Degrees of freedom; above 0.
    """
    total = freedom + t * t
    return _incomplete_beta(freedom / 2, 0.5, freedom / total, t * t / total)


@functools.lru_cache(maxsize=1024)
def critical_value(confidence: float, freedom: float) -> float:
    """The value that is exceeded, on both sides together, with the probability `1 - confidence`.

    Args:
        confidence: Above 0 and below 1.
        freedom: Degrees of freedom; above 0.
    """
    # More is as good as infinite, and beyond the precision of what is computed.
    freedom = min(freedom, _MOST_FREEDOM)
    # Newton's method. The probability is convex, and the normal distribution's value is below: each step comes closer.
    value = NormalDist().inv_cdf((1 + confidence) / 2)
    if freedom > _MANY:
        # With so many degrees of freedom, this expansion is precise enough (Abramowitz and Stegun, 26.7.5).
        return _expanded(value, freedom)
    for _ in range(_STEPS):
        step = (two_sided_p(value, freedom) - (1 - confidence)) / (2 * _density(value, freedom))
        value += step
        if abs(step) <= _ENOUGH * value:
            break
    return value


def _expanded(z: float, freedom: float) -> float:
    """Student's value from the normal distribution's, by the first terms of its expansion."""
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))


def _density(t: float, freedom: float) -> float:
    height = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2) - math.log(freedom * math.pi) / 2
    return math.exp(height - (freedom + 1) / 2 * math.log1p(t * t / freedom))


def _incomplete_beta(a: float, b: float, x: float, rest: float) -> float:
    """The regularized incomplete beta function (NIST Digital Library of Mathematical Functions, 8.17).

    Args:
        a: Its first parameter.
        b: Its second parameter.
        x: Where; from 0 to 1.
        rest: `1 - x`, which would be lost to rounding where `x` is next to 1.
    """
    if x <= 0 or rest <= 0:
        return float(x > 0)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest))
    # The fraction converges quickly on this side, and by symmetry (8.17.4) there is no need for the other.
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, rest) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction 8.17.22, by Lentz's method."""
    c, d = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    result = d
    for step in range(1, _STEPS):
        even = step * (b - step) * x / ((a + 2 * step - 1) * (a + 2 * step))
        odd = -(a + step) * (a + b + step) * x / ((a + 2 * step) * (a + 2 * step + 1))
        for term in (even, odd):
            d = 1 / _not_zero(1 + term * d)
            c = _not_zero(1 + term / c)
            result *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return result


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
