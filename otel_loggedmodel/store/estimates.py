# SPDX-License-Identifier: Apache-2.0
"""One number of a version and how certain it is: ratios of sums over independent units.

Every mean and rate that is shown is a ratio of two sums: milliseconds over entry spans, tokens over traces that say
any, failed entry spans over entry spans. The sums are over units, which are independent of each other: traces, or all
traces of a conversation together. They give the ratio, and its variance by the delta method (Deng, Knoblich, Lu, 2018,
"Applying the delta method in metric analytics", https://arxiv.org/abs/1803.06336).

Where a version is compared within strata (parts of the traffic that both versions have), the estimate is the mean of
the ratios within them, each with the share of its stratum (Cochran, 1977, "Sampling techniques", chapter 5).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.store import student
from otel_loggedmodel.store.statistics import CONFIDENCE, Interval, Z, mover, rates_differ, wilson

# Sums of squares are exact to some 13 digits. What varies less than this part of itself does not vary.
_CONSTANT: Final = 1e-10
_EQUAL: Final = 1e-9


@dataclass(frozen=True)
class Moments:
    """Sums over the independent units of a version, for the ratio of `y` to `x`.

    Attributes:
        x: What the number is for each of: entry spans, traces that say tokens, chunks.
        y: What is added up: milliseconds, tokens, failures.
        xx: The sum of the squares of `x` of each unit.
        xy: The sum of the products of `x` and `y` of each unit.
        yy: The sum of the squares of `y` of each unit.
        units: How many units have any of it.
        largest: The largest `y` of a unit.
        hits: How many units have a `y` other than 0.
    """

    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0
    units: int = 0
    largest: float = 0.0
    hits: int = 0

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
            self.yy + other.yy,
            self.units + other.units,
            max(self.largest, other.largest),
            self.hits + other.hits,
        )

    @property
    def ratio(self) -> float | None:
        """The number that is shown; None where there is nothing of it."""
        return self.y / self.x if self.x > 0 else None

    @property
    def variance(self) -> float:
        """The variance of the ratio, by the delta method; infinite for a single unit."""
        if self.units < 2 or self.x <= 0:
            return math.inf
        ratio = self.y / self.x
        squares = self.yy - 2 * ratio * self.xy + ratio * ratio * self.xx
        if squares <= _CONSTANT * self.yy:
            return 0.0
        return squares * self.units / (self.units - 1) / (self.x * self.x)

    @property
    def effective(self) -> float:
        """How many units of one size would say as much (Kish, 1965, "Survey sampling")."""
        return self.x * self.x / self.xx if self.xx > 0 else 0.0

    @property
    def is_simple(self) -> bool:
        """Whether each unit counts once, so that a rate is one number of successes among independent tries."""
        return self.xx == self.x and self.yy == self.y


@dataclass(frozen=True)
class Estimate:
    """A number of one version.

    Attributes:
        value: The number.
        variance: The variance of the number.
        units: How many independent units it is of.
        effective: How many units of one size would say as much.
        counts: Successes and tries, where it is a rate of independent tries.
        is_one_valued: Whether it is a rate of which all or none are successes.
        hits: How many units have anything of what is counted; None for all.
    """

    value: float
    variance: float
    units: int
    effective: float
    counts: tuple[float, float] | None = None
    is_one_valued: bool = False
    hits: int | None = None

    @property
    def freedom(self) -> float:
        """Degrees of freedom of its variance."""
        return max(self.units - 1, 1)

    @property
    def interval(self) -> Interval:
        """The confidence interval of a mean (Student)."""
        half = student.critical_value(CONFIDENCE, self.freedom) * math.sqrt(self.variance)
        return self.value - half, self.value + half

    @property
    def tries(self) -> float:
        """How many independent tries would say as much as this rate (Korn and Graubard, 1998).

        Where nothing varies, each effective unit is one try. Where few sessions have failures, only these tell how much
        failures vary, so their number gives the degrees of freedom.
        """
        if self.counts is not None:
            return self.counts[1]
        whole = (Z / student.critical_value(CONFIDENCE, self.freedom)) ** 2
        if self.is_one_valued or self.variance <= 0:
            return max(self.effective * whole, 1.0)
        tries = self.value * (1 - self.value) / self.variance
        freedom = self.freedom if self.hits is None else max(min(self.freedom, self.hits - 1), 1)
        careful = tries * (Z / student.critical_value(CONFIDENCE, freedom)) ** 2
        # Even where sessions fail as a whole, each is one try.
        return max(careful, min(tries, self.effective) * whole, 1.0)

    @property
    def rate_interval(self) -> Interval:
        """The confidence interval of a rate (Wilson), for so many `tries`."""
        return wilson(min(max(self.value, 0.0), 1.0) * self.tries, self.tries)


@dataclass(frozen=True)
class Contrast:
    """The difference of two estimates.

    Attributes:
        interval: Its 95 % confidence interval.
        p_value: Two-sided; 1 where neither varies and both are equal.
        base_interval: The interval of the first alone.
        candidate_interval: The interval of the other alone.
        is_certain: Whether neither varies, so that there is nothing to test.
    """

    interval: Interval
    p_value: float
    base_interval: Interval
    candidate_interval: Interval
    is_certain: bool = False


def estimate(moments: Moments) -> Estimate | None:
    """The number of a version from all of its units; None where it has none."""
    ratio = moments.ratio
    if ratio is None:
        return None
    return Estimate(
        value=ratio,
        variance=moments.variance,
        units=moments.units,
        effective=moments.effective,
        counts=(moments.y, moments.x) if moments.is_simple else None,
        is_one_valued=ratio <= 0 or ratio >= 1,
        hits=moments.hits,
    )


def stratified(strata: Mapping[int, Moments], shares: Mapping[int, float]) -> Estimate | None:
    """The number of a version where each stratum has its share, whatever share it has of the version's own units.

    Args:
        strata: The units of the version in each.
        shares: The shares of the strata that count; they need not add up to 1.

    Returns:
        None where a stratum that counts has no unit.
    """
    counted = {code: strata.get(code, Moments()) for code, share in shares.items() if share > 0}
    if not counted or any(moments.x <= 0 for moments in counted.values()):
        return None
    total = math.fsum(shares[code] for code in counted)
    pooled = _pooled(counted.values())
    value = variance = inverse = 0.0
    for code, moments in counted.items():
        share = shares[code] / total
        value += share * moments.y / moments.x
        # A single unit has no variance of its own: it is taken to vary as the units of the other strata do.
        own = moments.variance if moments.units > 1 else pooled * moments.xx / (moments.x * moments.x)
        variance += share * share * own
        inverse += share * share * moments.xx / (moments.x * moments.x)
    return Estimate(
        value=value,
        variance=variance,
        units=max(sum(moments.units for moments in counted.values()) - len(counted) + 1, 1),
        effective=1 / inverse,
        is_one_valued=value <= 0 or value >= 1,
        hits=sum(moments.hits for moments in counted.values()),
    )


def _pooled(strata: Iterable[Moments]) -> float:
    """How much one unit varies around the ratio of its stratum, over the strata that can say so."""
    squares = weight = 0.0
    for moments in strata:
        if moments.units > 1:
            squares += moments.variance * moments.x * moments.x
            weight += moments.xx
    return squares / weight if weight else 0.0


def means_differ(base: Estimate, candidate: Estimate) -> Contrast:
    """The difference of two means, by Welch's t-test or the pooled one, whichever is less certain.

    A small sample of a skewed quantity mostly lacks its tail: its own variance is too small then, and that of both
    together is not. Where both are of one size, the two tests are the same.
    """
    delta = candidate.value - base.value
    if not base.variance and not candidate.variance:
        is_equal = abs(delta) <= _EQUAL * max(abs(base.value), abs(candidate.value))
        exact = 0.0 if is_equal else delta
        return Contrast((exact, exact), float(is_equal), base.interval, candidate.interval, is_certain=True)
    parts = (base.variance, candidate.variance)
    welch = sum(parts)
    welch_freedom = welch**2 / (parts[0] ** 2 / base.freedom + parts[1] ** 2 / candidate.freedom)
    freedom = base.freedom + candidate.freedom
    of_a_unit = (base.freedom * base.units * parts[0] + candidate.freedom * candidate.units * parts[1]) / freedom
    pooled = of_a_unit * (1 / base.units + 1 / candidate.units)
    half, error, free = max(
        (student.critical_value(CONFIDENCE, degrees) * math.sqrt(squared), math.sqrt(squared), degrees)
        for squared, degrees in ((welch, welch_freedom), (pooled, freedom))
    )
    return Contrast(
        (delta - half, delta + half),
        student.two_sided_p(delta / error, free),
        base.interval,
        candidate.interval,
    )


def rates_contrast(base: Estimate, candidate: Estimate) -> Contrast:
    """The difference of two rates: Newcombe's interval, and Fisher's test or the z-test."""
    before, after = base.rate_interval, candidate.rate_interval
    if base.counts is not None and candidate.counts is not None:
        p_value = rates_differ(*map(round, (*base.counts, *candidate.counts)))
    else:
        p_value = rates_differ(base.value * base.tries, base.tries, candidate.value * candidate.tries, candidate.tries)
    return Contrast(mover(base.value, before, candidate.value, after), p_value, before, after)
