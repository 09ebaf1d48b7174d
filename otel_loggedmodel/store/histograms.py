# SPDX-License-Identifier: Apache-2.0
"""Quantiles and their limits from how often each value comes, where there are too many values to hold each of them.

The formulas are those of `samples`, which has each value. So the only error is that of rounding the values.
"""

import bisect
import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from otel_loggedmodel.store.statistics import Z

Limits = tuple[int | None, int | None]


@dataclass(frozen=True)
class Histogram:
    """Values and how often each comes.

    Attributes:
        weights: The weight of all that have a value, by the value.
        count: How many there are.
    """

    weights: Mapping[int, float] = field(default_factory=dict)
    count: int = 0

    @cached_property
    def values(self) -> list[int]:
        """The values that have any weight, in order."""
        return sorted(value for value, weight in self.weights.items() if weight > 0)

    @cached_property
    def cumulated(self) -> list[float]:
        """For each value, the weight of all values up to it."""
        return list(itertools.accumulate(self.weights[value] for value in self.values))

    def at(self, level: float) -> float:
        """The quantile of a level, interpolated as NumPy does; each value is taken to have the mean weight."""
        total = self.cumulated[-1]
        each = total / self.count
        wanted = level * (total - each)
        place = min(bisect.bisect_left(self.cumulated, wanted + each * (1 - 1e-9)), len(self.values) - 1)
        below = self.cumulated[place - 1] if place else 0.0
        if place == 0 or wanted >= below:
            return float(self.values[place])
        part = min(max((wanted - below) / each + 1, 0.0), 1.0)
        return self.values[place - 1] + (self.values[place] - self.values[place - 1]) * part

    def up_to(self, weight: float) -> int:
        """The first value at which so much weight has come together."""
        return self.values[min(bisect.bisect_left(self.cumulated, weight), len(self.values) - 1)]

    def by_ranks(self, level: float) -> Limits:
        """The limits of a quantile of independent values that each count once: the values at two ranks."""
        spread = Z * math.sqrt(self.count * level * (1 - level))
        low, high = (math.ceil(self.count * level + side) for side in (-spread, spread))
        return (self.up_to(low) if low >= 1 else None), (self.up_to(high) if high <= self.count else None)

    def by_shares(self, level: float, error: float) -> Limits:
        """The limits of a quantile whose share of values below is known so well (Woodruff)."""
        low, high = level - error, level + error
        total = self.cumulated[-1] * (1 - 1e-12)
        return (self.up_to(low * total) if low > 0 else None), (self.up_to(high * total) if high <= 1 else None)


@dataclass(frozen=True)
class Tally:
    """Sums over units of what they have up to a point, and of all they have, in one stratum.

    Attributes:
        units: How many units have any.
        below: The sum of what they have up to the point.
        whole: The sum of all that they have.
        below_squared: The sum of the squares of the first.
        product: The sum of the products of both.
        whole_squared: The sum of the squares of the other.
    """

    units: float
    below: float
    whole: float
    below_squared: float
    product: float
    whole_squared: float

    def times(self, part: float) -> "Tally":
        """The same where all weights are this part of what they were."""
        square = part * part
        return Tally(
            self.units,
            self.below * part,
            self.whole * part,
            self.below_squared * square,
            self.product * square,
            self.whole_squared * square,
        )


def error(level: float, tallies: Iterable[Tally]) -> float:
    """How far the limits of a quantile are from it, in shares of the values; see `samples`.

    Args:
        level: Of the quantile.
        tallies: For each stratum that counts, the tally at the quantile.
    """
    squares = below = whole = units = 0.0
    for one in tallies:
        if one.whole <= 0:
            continue
        ratio = one.below / one.whole
        spread = one.below_squared - 2 * ratio * one.product + ratio * ratio * one.whole_squared
        squares += max(0.0, spread) * (one.units / (one.units - 1) if one.units > 1 else 1.0)
        below, whole, units = below + one.below, whole + one.whole, units + one.units
    share = below / whole
    variance = squares / (whole * whole) / (share * (1 - share)) if 0 < share < 1 - 1e-9 else 1 / units
    critical = Z + (Z**3 + Z) / 4 / max(units - 1, 4)
    return critical * math.sqrt(max(variance, 0.0) * level * (1 - level))
