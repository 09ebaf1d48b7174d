# SPDX-License-Identifier: Apache-2.0
"""Which differences of pairs are real: two versions on the same rows of a data set.

Rows differ from each other far more than versions do on one row. If each row is compared with itself, that drops out,
and a few dozen rows can tell what takes hundreds without pairs (Miller, 2024, "Adding error bars to evals",
https://arxiv.org/abs/2411.00640). In plain Python, as SciPy would take the command line a second to import.

- Pass or fail, where every value is 0 or 1: McNemar's test, and Newcombe's interval for paired rates. A bootstrap of
  rows that did not change has no width, which would say more than is known.
- Rows that belong together (questions on one passage, one question ten times): the mean difference as a ratio of sums
  over groups, with its t-test (Miller, 2024, section 2.2).
- Numbers: the mean difference, with the interval of the bootstrap-t, which knows that differences of few rows are
  skewed; with more than `BOOTSTRAP_PAIRS` pairs that of the paired t-test, which is nearly the same then (Efron and
  Tibshirani, 1993, "An introduction to the bootstrap", chapter 12). The p-value belongs to the interval.
"""

import math
import operator
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev
from typing import Final

from otel_loggedmodel.store import student
from otel_loggedmodel.store.estimates import Moments
from otel_loggedmodel.store.statistics import CONFIDENCE, Interval, p_value_of, wilson

# With fewer there is no verdict. Of ten rows, six that change to one side are beyond chance.
MIN_PAIRS: Final = 10
BOOTSTRAP_PAIRS: Final = 200
# The ends of the interval are known to about a twentieth of its width then.
RESAMPLES: Final = 2000
PARTS_OF_A_SIDE: Final = 10
"""Into how many parts changes in one direction are sorted."""
_SEED: Final = 20240411

# Up to here the distribution is summed up exactly.
_EXACT_MCNEMAR: Final = 1000
# A smaller difference, as a part of the values, is a rounding error.
_ROUNDING: Final = 1e-12
# Where fewer rows changed, resampling them says little about those that did not.
_FEW_CHANGED: Final = 5
# Beyond any critical value.
_FAR: Final = 1e6


@dataclass(frozen=True)
class PairedTest:
    """What pairs of values come to.

    Attributes:
        test: `mcnemar`, `paired_t` or `grouped_t`.
        base: Mean of the first values.
        candidate: Mean of the second values.
        higher: Pairs of which the second value is higher.
        lower: Pairs of which it is lower.
        equal: Pairs of which neither is.
        interval: The 95 % confidence interval of the mean difference.
        effect_size: Between -1 and 1.
        p_value: Two-sided.
    """

    test: str
    base: float
    candidate: float
    higher: int
    lower: int
    equal: int
    interval: Interval
    effect_size: float
    p_value: float


Alike = Mapping[tuple[float, float], int]


def alike(base: Sequence[float], candidate: Sequence[float]) -> Alike:
    """How often there is each pair of values, as most of many pairs are alike."""
    return Counter(zip(base, candidate, strict=True))


def changes(alike: Alike) -> tuple[int, int, int]:
    """Of how many pairs the second value is higher, lower, neither."""
    higher = lower = equal = 0
    for (before, after), count in alike.items():
        difference = _difference(before, after)
        if difference > 0:
            higher += count
        elif difference < 0:
            lower += count
        else:
            equal += count
    return higher, lower, equal


def distribution(alike: Alike) -> tuple[tuple[int, ...], float]:
    """How many pairs changed how much, and the largest change that there is a part for.

    The parts are of one width, `PARTS_OF_A_SIDE` for lower and as many for higher values. Pairs that are equal have
    the one in the middle.
    """
    differences: Counter[float] = Counter()
    for (before, after), count in alike.items():
        differences[_difference(before, after)] += count
    most = max([1.0, *map(abs, differences)])
    parts = [0] * (2 * PARTS_OF_A_SIDE + 1)
    for difference, count in differences.items():
        steps = min(math.ceil(round(abs(difference) / most * PARTS_OF_A_SIDE, 9)), PARTS_OF_A_SIDE)
        steps = max(steps, 1) if difference else 0
        parts[PARTS_OF_A_SIDE + (steps if difference > 0 else -steps)] += count
    return tuple(parts), most


def tested(
    base: Sequence[float],
    candidate: Sequence[float],
    groups: Sequence[int] | None = None,  # noqa: PT028 - no test of pytest's
    counted: Alike | None = None,  # noqa: PT028 - the same
) -> PairedTest:
    """Test pairs of values.

    Args:
        base: The first value of each pair; at least two.
        candidate: The second, in the same order.
        groups: The group of each pair: pairs that belong together have the same; None where each is by itself.
        counted: What `alike` says of these, if that is known.
    """
    kinds = alike(base, candidate) if counted is None else counted
    higher, lower, equal = changes(kinds)
    is_binary = {value for kind in kinds for value in kind} <= {0.0, 1.0}
    differences: Sequence[float] = ()
    if groups is not None or not is_binary:
        of_kind = {kind: _difference(*kind) for kind in kinds}
        differences = [of_kind[pair] for pair in zip(base, candidate, strict=True)]
    before, after = fmean(base), fmean(candidate)
    if groups is not None:
        effect_size = after - before if is_binary else rank_biserial(differences)
        interval, p_value = _grouped_test(differences, groups)
    elif is_binary:
        interval = rates_interval(
            both=kinds.get((1, 1), 0),
            base_only=lower,
            candidate_only=higher,
            neither=kinds.get((0, 0), 0),
        )
        p_value, effect_size = mcnemar(higher, lower), after - before
    else:
        effect_size = rank_biserial(differences)
        if higher + lower < _FEW_CHANGED:
            values = [*base, *candidate]
            interval = _of_few_changes(differences, max(values) - min(values))
            p_value = p_value_of(after - before, interval) if higher + lower else 1.0
        else:
            interval, p_value = mean_test(differences)
    return PairedTest(
        test="grouped_t" if groups is not None else "mcnemar" if is_binary else "paired_t",
        base=before,
        candidate=after,
        higher=higher,
        lower=lower,
        equal=equal,
        interval=interval,
        effect_size=effect_size,
        p_value=p_value,
    )


def mcnemar(higher: int, lower: int) -> float:
    """The two-sided p-value of McNemar's test, of the pairs that changed to either side (McNemar, 1947).

    Up to a thousand of them it is exact, the binomial test. With more it is approximate, with continuity correction.
    """
    changed = higher + lower
    if changed > _EXACT_MCNEMAR:
        return min(1.0, 2 * NormalDist().cdf(-max(abs(higher - lower) - 1, 0) / math.sqrt(changed)))
    tail = sum(math.comb(changed, count) for count in range(min(higher, lower) + 1))
    return min(1.0, tail / (1 << changed) * 2)


def rates_interval(both: int, base_only: int, candidate_only: int, neither: int) -> Interval:
    """The interval of the difference of two rates of the same pairs.

    Method 10 of Newcombe, 1998, "Improved confidence intervals for the difference between binomial proportions based on
    paired data": Wilson's intervals of the two rates, and their correlation.
    """
    total = both + base_only + candidate_only + neither
    base, candidate = both + base_only, both + candidate_only
    before, after = base / total, candidate / total
    before_low, before_high = wilson(base, total)
    after_low, after_high = wilson(candidate, total)
    excess = float(both * neither - base_only * candidate_only)
    # A continuity correction of positive correlations.
    excess = max(excess - total / 2, 0.0) if excess > 0 else excess
    margins = base * (total - base) * candidate * (total - candidate)
    correlation = excess / math.sqrt(margins) if margins else 0.0
    below = _combined(after - after_low, before_high - before, correlation)
    above = _combined(after_high - after, before - before_low, correlation)
    return after - before - below, after - before + above


def rank_biserial(differences: Sequence[float]) -> float:
    """The matched-pairs rank-biserial correlation (Kerby, 2014, "The simple difference formula").

    Between -1 and 1; differences of 0 are left out.
    """
    changes = [difference for difference in differences if difference]
    ranks = _doubled_ranks([abs(change) for change in changes])
    total = sum(ranks)
    return (
        sum(rank if change > 0 else -rank for rank, change in zip(ranks, changes, strict=True)) / total
        if total
        else 0.0
    )


def mean_test(differences: Sequence[float]) -> tuple[Interval, float]:
    """The interval of a mean, and the two-sided p-value that belongs to it.

    The bootstrap-t with a fixed seed, or with many values Student's t-test. No p-value is smaller than that of the sign
    test of values that all have one sign.
    """
    count, mean = len(differences), fmean(differences)
    error = stdev(differences, mean) / math.sqrt(count)
    least = 2.0 ** (1 - count)
    if not error:
        return (mean, mean), least if mean else 1.0
    critical = student.critical_value(CONFIDENCE, count - 1)
    low, high = (-critical, critical) if count > BOOTSTRAP_PAIRS else _studentized(differences, mean)
    # How far the mean is from 0, in parts of how far it has to be.
    reach = mean / error / (high if mean > 0 else -low)
    p_value = student.two_sided_p(reach * critical, count - 1)
    return (mean - high * error, mean - low * error), max(p_value, least)


def of_groups(values: Sequence[float], groups: Sequence[int]) -> Moments:
    """Sums over groups of values."""
    sums: dict[int, tuple[int, float]] = {}
    for value, group in zip(values, groups, strict=True):
        count, total = sums.get(group, (0, 0.0))
        sums[group] = count + 1, total + value
    moments = Moments()
    for count, total in sums.values():
        hit = int(total != 0)
        moments += Moments(count, total, count * count, count * total, total * total, 1, total, hit)
    return moments


def _grouped_test(differences: Sequence[float], groups: Sequence[int]) -> tuple[Interval, float]:
    moments = of_groups(differences, groups)
    mean, error = moments.y / moments.x, math.sqrt(moments.variance)
    if not error:
        return (mean, mean), 2.0 ** (1 - moments.units) if mean else 1.0
    half = student.critical_value(CONFIDENCE, moments.units - 1) * error
    return (mean - half, mean + half), student.two_sided_p(mean / error, moments.units - 1)


def _studentized(differences: Sequence[float], mean: float) -> Interval:
    """The two values between which the studentized mean of resamples lies as often as the confidence says."""
    count = len(differences)
    choose = random.Random(_SEED).choices  # noqa: S311 - no secret
    values = [difference - mean for difference in differences]
    found = []
    for _ in range(RESAMPLES):
        drawn = choose(values, k=count)
        sum_, squares = math.fsum(drawn), math.fsum(map(operator.mul, drawn, drawn))
        variance = squares - sum_ * sum_ / count
        if variance > _ROUNDING * squares:
            found.append(sum_ / math.sqrt(variance * count / (count - 1)))
        else:  # all drawn are equal, or nearly
            found.append(math.copysign(_FAR, sum_) if sum_ else 0.0)
    found.sort()
    tail = round(RESAMPLES * (1 - CONFIDENCE) / 2)
    # An interval that is narrower than Student's would claim more than is known.
    least = student.critical_value(CONFIDENCE, count - 1)
    return min(found[tail - 1], -least), max(found[-tail], least)


def _difference(before: float, after: float) -> float:
    """`after - before` without rounding errors, so that equal differences are."""
    if before == after:
        return 0.0
    difference = after - before
    if abs(difference) <= _ROUNDING * max(abs(before), abs(after)):
        return 0.0
    return float(f"{difference:.12g}")


def _combined(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(one * one - 2 * correlation * one * other + other * other, 0.0))


def _doubled_ranks(sizes: Sequence[float]) -> list[int]:
    """Twice the rank of each, the mean of their ranks for those that tie."""
    ties = Counter(sizes)
    doubled, below = {}, 0
    for size in sorted(ties):
        doubled[size] = 2 * below + ties[size] + 1
        below += ties[size]
    return [doubled[size] for size in sizes]


def _of_few_changes(differences: Sequence[float], span: float) -> Interval:
    """An interval where hardly a row changed: as many more may change as chance allows, each by the whole `span`."""
    count = len(differences)
    changed = sum(difference != 0 for difference in differences)
    unseen = (wilson(changed, count)[1] - changed / count) * span
    mean = fmean(differences)
    return mean - unseen, mean + unseen
