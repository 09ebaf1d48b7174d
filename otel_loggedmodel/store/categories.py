# SPDX-License-Identifier: Apache-2.0
"""Whether two versions have their labels in other shares: Pearson's chi-square test of homogeneity (Pearson, 1900).

Labels that are expected less than five times of either version are taken together. If two are left, the test is that
of rates, which is Fisher's on small counts. Each result counts for itself.
"""

import math
from collections.abc import Mapping
from typing import Final

from otel_loggedmodel.store.statistics import rates_differ

# With fewer results of either version there is no test.
MIN_RESULTS: Final = 10
_LEAST_EXPECTED: Final = 5.0
_STEPS: Final = 1000
_PRECISION: Final = 1e-15
_TINY: Final = 1e-300


def p_value(base: Mapping[str, int], candidate: Mapping[str, int]) -> float | None:
    """The probability of shares that differ as much, if they are the same; None of too few results.

    Args:
        base: How often the first version has each label.
        candidate: How often the other has it.
    """
    totals = sum(base.values()), sum(candidate.values())
    if min(totals) < MIN_RESULTS:
        return None
    cells = _together([(base.get(label, 0), candidate.get(label, 0)) for label in {*base, *candidate}], totals)
    if len(cells) < 2:
        return 1.0
    if len(cells) == 2:
        return rates_differ(cells[0][0], totals[0], cells[0][1], totals[1])
    everything = sum(totals)
    statistic = 0.0
    for cell in cells:
        for count, total in zip(cell, totals, strict=True):
            expected = sum(cell) * total / everything
            statistic += (count - expected) ** 2 / expected
    return chi_square_p(statistic, len(cells) - 1)


def _together(cells: list[tuple[int, int]], totals: tuple[int, int]) -> list[tuple[int, int]]:
    """Counts of each label in both versions, with those of rare labels added up."""
    share = min(totals) / sum(totals)
    ordered = sorted(cells, key=sum, reverse=True)
    frequent = [cell for cell in ordered if sum(cell) * share >= _LEAST_EXPECTED]
    rare = [cell for cell in ordered if sum(cell) * share < _LEAST_EXPECTED]
    if not rare:
        return frequent
    if len(frequent) > 1 and sum(map(sum, rare)) * share < _LEAST_EXPECTED:
        # All of them are still too few: they count with the least frequent of the others.
        rare.append(frequent.pop())
    return [*frequent, (sum(cell[0] for cell in rare), sum(cell[1] for cell in rare))]


def chi_square_p(statistic: float, freedom: int) -> float:
    """The probability of a chi-square value as large: the regularized incomplete gamma function (NIST, 8.2, 8.7, 8.9).

    Args:
        statistic: The value.
        freedom: Degrees of freedom; above 0.
    """
    a, x = freedom / 2, statistic / 2
    if x <= 0:
        return 1.0
    front = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        for step in range(1, _STEPS):
            term *= x / (a + step)
            total += term
            if term < total * _PRECISION:
                break
        return max(1 - front * total, 0.0)
    # The continued fraction, by Lentz's method.
    b = x + 1 - a
    c, d = 1 / _TINY, 1 / b
    result = d
    for step in range(1, _STEPS):
        numerator = -step * (step - a)
        b += 2
        d = 1 / (numerator * d + b or _TINY)
        c = b + numerator / c or _TINY
        result *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return front * result
