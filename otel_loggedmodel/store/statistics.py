# SPDX-License-Identifier: Apache-2.0
"""Which differences are real: intervals, tests and verdicts, from what ClickHouse has counted.

ClickHouse does what needs every value: sums, and quantiles with their confidence limits. What follows from these is
here and in `estimates`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Final

from otel_loggedmodel.store.results import Difference, Reason, Verdict

CONFIDENCE: Final = 0.95
SIGNIFICANCE: Final = 0.05
# Below this, on either side, there is no verdict.
MIN_SAMPLES: Final = 20
Z: Final = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)

# Fisher's test sums over tables. If each cell is expected to have at least so many, the normal approximation is enough.
_LEAST_EXPECTED: Final = 5.0
_TOLERANCE: Final = 1e-7

Interval = tuple[float, float]


@dataclass(frozen=True)
class Margin:
    """Up to where a difference hardly matters.

    Attributes:
        relative: The part of the first version's value.
        least: In the metric's own unit; the larger of the two holds.
        most: In the metric's own unit; no more than this.
    """

    relative: float = 0.0
    least: float = 0.0
    most: float = math.inf

    def of(self, base: float) -> float:
        """The largest difference to a value that hardly matters."""
        return min(max(self.relative * abs(base), self.least), self.most)


@dataclass(frozen=True)
class Meaning:
    """What a difference of a metric means.

    Attributes:
        higher_is_better: Whether more is better.
        allowed: The largest difference that hardly matters, unless somebody says otherwise.
    """

    higher_is_better: bool = False
    allowed: Margin = Margin(relative=0.05)

    def margin(self, base: float) -> float:
        """The largest difference to a value that does not matter."""
        return self.allowed.of(base)


# A fifth of a rate: 0.1 to 0.8 % is a difference, and 5 to 6 % hardly is.
_OF_RATES: Final = Meaning(allowed=Margin(relative=0.2, least=0.001, most=0.01))
_OF_SCORES: Final = Meaning(higher_is_better=True, allowed=Margin(relative=0.02))
_OF_OTHERS: Final = Meaning()
Margins = Mapping[str, Margin]
NO_MARGINS: Final[Margins] = {}


def meaning_of(metric: str) -> Meaning:
    """What differences of a metric mean, by its name as in `VersionDifferences.metrics`."""
    if metric == "error_rate":
        return _OF_RATES
    return _OF_SCORES if metric.startswith("scores.") else _OF_OTHERS


def wilson(successes: float, total: float) -> Interval:
    """The confidence interval of a rate (Wilson, 1927, "Probable inference")."""
    rate, z2 = successes / total, Z * Z
    middle = (rate + z2 / (2 * total)) / (1 + z2 / total)
    half = Z / (1 + z2 / total) * math.sqrt(rate * (1 - rate) / total + z2 / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)


def mover(base: float, base_interval: Interval, candidate: float, candidate_interval: Interval) -> Interval:
    """The interval of a difference from those of its two parts.

    The method of variance estimates recovery (Zou and Donner, 2008, "Construction of confidence limits about effect
    measures"); with Wilson's intervals it is Newcombe's method 10 for the difference of two rates.
    """
    delta = candidate - base
    below = math.hypot(candidate - candidate_interval[0], base_interval[1] - base)
    above = math.hypot(candidate_interval[1] - candidate, base - base_interval[0])
    return delta - below, delta + above


def p_value_of(delta: float, interval: Interval) -> float:
    """The two-sided p-value that belongs to an interval, taken as one of a normal distribution."""
    if delta == 0:
        return 1.0
    half = delta - interval[0] if delta > 0 else interval[1] - delta
    return 2 * NormalDist().cdf(-abs(delta) * Z / half) if half > 0 else 0.0


def rates_differ(base_successes: float, base_total: float, successes: float, total: float) -> float:
    """The two-sided p-value of two rates: Fisher's exact test on small counts, else the pooled z-test.

    Counts that are not whole, as `Estimate.tries` may be, are rounded for Fisher's test.
    """
    everything, all_successes = base_total + total, base_successes + successes
    rate = all_successes / everything
    if rate <= 0 or rate >= 1:
        return 1.0
    if min(rate, 1 - rate) * min(base_total, total) < _LEAST_EXPECTED:
        return _fisher(*map(round, (base_successes, base_total, successes, total)))
    error = math.sqrt(rate * (1 - rate) * (1 / base_total + 1 / total))
    return 2 * NormalDist().cdf(-abs(successes / total - base_successes / base_total) / error)


def _fisher(base_successes: int, base_total: int, successes: int, total: int) -> float:
    all_successes = base_successes + successes
    low, high = max(0, all_successes - base_total), min(all_successes, total)
    constant = _log_choose(base_total + total, all_successes)

    if base_total < 1 or total < 1:
        return 1.0

    def probability(count: int) -> float:
        return math.exp(_log_choose(total, count) + _log_choose(base_total, all_successes - count) - constant)

    limit = probability(successes) * (1 + _TOLERANCE)
    return min(1.0, sum(value for value in map(probability, range(low, high + 1)) if value <= limit))


def _log_choose(total: int, chosen: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values corrected for their number (Holm, 1979, "A simple sequentially rejective multiple test procedure")."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def difference(
    base: float | None,
    candidate: float | None,
    *,
    interval: Interval | None = None,
    effect_size: float | None = None,
    p_value: float | None = None,
) -> Difference:
    """A difference without a verdict; what is not a finite number is left out."""
    known = base is not None and candidate is not None
    return Difference(
        base=base,
        candidate=candidate,
        delta=candidate - base if known else None,  # type: ignore[operator]
        ratio=candidate / base if known and base else None,  # type: ignore[operator]
        interval=interval if interval is not None and all(map(math.isfinite, interval)) else None,
        effect_size=effect_size if effect_size is not None and math.isfinite(effect_size) else None,
        p_value=p_value if p_value is not None and math.isfinite(p_value) else None,
    )


def judged(
    differences: Sequence[Mapping[str, Difference]], margins: Margins = NO_MARGINS
) -> list[dict[str, Difference]]:
    """Differences with their corrected p-values and verdicts; the correction is over all of them.

    Metrics that neither version varies in, and that are equal in both, take no part in the correction.

    Args:
        differences: The differences of each version, by the metric's name.
        margins: The largest difference that hardly matters, by the metric's name; usual margins are not in it.
    """
    tested = [
        (place, metric)
        for place, metrics in enumerate(differences)
        for metric, one in metrics.items()
        if one.p_value is not None
    ]
    varying = [key for key in tested if differences[key[0]][key[1]].interval != (0.0, 0.0)]
    corrected = holm([differences[place][metric].p_value or 0.0 for place, metric in varying])
    p_values = {
        **{key: differences[key[0]][key[1]].p_value for key in tested},
        **dict(zip(varying, corrected, strict=True)),
    }
    return [
        {
            metric: _judged(metric, replace(one, p_value_adjusted=p_values.get((place, metric))), margins)
            for metric, one in metrics.items()
        }
        for place, metrics in enumerate(differences)
    ]


def _judged(metric: str, one: Difference, margins: Margins) -> Difference:
    meaning = meaning_of(metric)
    margin = None if one.base is None else margins.get(metric, meaning.allowed).of(one.base)
    verdict, reason = _verdict(one, margin, higher_is_better=meaning.higher_is_better)
    return replace(one, verdict=verdict, reason=reason, margin=margin)


def _verdict(one: Difference, margin: float | None, *, higher_is_better: bool) -> tuple[Verdict, Reason | None]:
    if one.base is None or one.delta is None or margin is None:
        return Verdict.UNKNOWN, one.reason or Reason.NOT_KNOWN
    if one.interval is None or one.p_value_adjusted is None:
        return Verdict.UNKNOWN, one.reason or Reason.TOO_FEW
    low, high = one.interval
    if max(abs(low), abs(high)) <= margin:
        return Verdict.SAME, None
    if one.p_value_adjusted >= SIGNIFICANCE or low <= 0 <= high:
        return Verdict.UNKNOWN, Reason.WITHIN_CHANCE
    if abs(one.delta) <= margin:
        return Verdict.UNKNOWN, Reason.AT_THE_MARGIN
    return (Verdict.BETTER if (one.delta > 0) == higher_is_better else Verdict.WORSE), None
