# SPDX-License-Identifier: Apache-2.0
"""One-sided tests of paired rates: whether a version passes fewer rows of a data set than another.

Who asks whether a version is worse does not care whether it is better, and a test of the one direction finds more with
the same rows: of rows that changed, five to the worse and none to the better are beyond chance, where both directions
take six.

- `worse_p`: the exact binomial test of the rows that changed (McNemar, 1947, one-sided).
- `limits`: one-sided limits of the difference by Tango's score test, which holds for few rows, too (Tango, 1998,
  "Equivalence test and confidence interval for the difference in proportions for the paired-sample design").
"""

import math
from statistics import NormalDist
from typing import Final

from otel_loggedmodel.store.statistics import CONFIDENCE, Interval

_EXACT: Final = 1000
_STEPS: Final = 60
_Z: Final = NormalDist().inv_cdf(CONFIDENCE)


def worse_p(higher: int, lower: int) -> float:
    """The p-value of so many rows that became worse, or more, if rows change to either side alike.

    Args:
        higher: Rows of which the second value is higher.
        lower: Rows of which it is lower.
    """
    changed = higher + lower
    if changed > _EXACT:
        return NormalDist().cdf(-(lower - higher - 1) / math.sqrt(changed))
    tail = sum(math.comb(changed, count) for count in range(lower, changed + 1))
    return tail / (1 << changed)


def limits(pairs: int, higher: int, lower: int) -> Interval:
    """The one-sided 95 % limits of the difference of the rates, second less first: each holds by itself.

    Args:
        pairs: Rows that both versions have.
        higher: Those of which the second passes and the first does not.
        lower: Those of which it is the other way around.
    """
    return _limit(pairs, higher, lower), -_limit(pairs, lower, higher)


def _limit(pairs: int, higher: int, lower: int) -> float:
    """The lower limit: the difference whose test statistic is the critical value; it falls as the difference grows."""
    low, high = -1.0, (higher - lower) / pairs
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if _statistic(pairs, higher, lower, middle) > _Z:
            low = middle
        else:
            high = middle
    return low


def _statistic(pairs: int, higher: int, lower: int, delta: float) -> float:
    """Tango's statistic of a difference `delta`: normal where that is the true one."""
    linear = -higher - lower + (2 * pairs - higher + lower) * delta
    constant = -lower * delta * (1 - delta)
    # How often rows become worse, if the difference is `delta`: the larger root of a quadratic equation.
    worse = (math.sqrt(max(linear * linear - 8 * pairs * constant, 0.0)) - linear) / (4 * pairs)
    variance = pairs * (2 * worse + delta * (1 - delta))
    excess = higher - lower - pairs * delta
    return excess / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, excess)
