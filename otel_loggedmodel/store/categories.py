# SPDX-License-Identifier: Apache-2.0
"""Results of evaluations that are labels and no numbers: categories, of which none is better than another.

How many results have each label is told of each version, and whether two versions differ in that.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from otel_loggedmodel.store import scores, statistics
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.measuring import Scope
from otel_loggedmodel.store.results import Labels

# What is expected of each category by chance, for the approximation to hold (Cochran, 1954).
_LEAST_EXPECTED: Final = 5.0
_MOST_TERMS: Final = 10_000
_PRECISION: Final = 1e-12

Counts = Mapping[str, int]
Labelled = Mapping[str, Mapping[str, Labels]]
"""By version and evaluation."""


def of(database: Database, scope: Scope) -> Labelled:
    """The labels of each evaluation of versions, the most frequent of an evaluation first."""
    if not scope.has_results:
        return {}
    query = scores.labels(scope)
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for row in database.query(query.sql, query.parameters):
        counts.setdefault(row["version"], {}).setdefault(row["name"], {})[row["label"]] = row["count"]
    return {
        version: {name: Labels(counts=of_name) for name, of_name in by_name.items()}
        for version, by_name in counts.items()
    }


def notes(model_ids: Sequence[str], labelled: Labelled, names: Mapping[str, str]) -> Iterator[str]:
    """In what evaluations versions differ from the first by more than chance explains.

    Args:
        model_ids: The versions, in order.
        labelled: Their labels.
        names: What they are called, by their ids.
    """
    base, *candidates = model_ids
    tested = [
        (candidate, name, p_value(of_base.counts, labelled[candidate][name].counts))
        for candidate in candidates
        for name, of_base in labelled.get(base, {}).items()
        if name in labelled.get(candidate, {})
    ]
    for (candidate, name, _), corrected in zip(tested, statistics.holm([one[2] for one in tested]), strict=True):
        if corrected <= statistics.SIGNIFICANCE:
            yield (
                f"The labels of {name} differ between {names[base]} and {names[candidate]} by more than chance explains"
                f" (p = {corrected:.2g}): none of them is better than another, so that is no verdict."
            )


def p_value(base: Counts, candidate: Counts) -> float:
    """The probability of two groups that differ so much where both have the same shares of all categories.

    Pearson's test of homogeneity. Of categories too rare for it, one is made; of two, the test is that of rates.

    Args:
        base: How many of the first group are of each category.
        candidate: The same of the other group.
    """
    of_base, of_candidate = sum(base.values()), sum(candidate.values())
    if not of_base or not of_candidate:
        return 1.0
    smaller = min(of_base, of_candidate) / (of_base + of_candidate)
    pairs: list[tuple[int, int]] = []
    rare = (0, 0)
    for category in {**base, **candidate}:
        pair = base.get(category, 0), candidate.get(category, 0)
        if sum(pair) * smaller >= _LEAST_EXPECTED:
            pairs.append(pair)
        else:
            rare = rare[0] + pair[0], rare[1] + pair[1]
    pairs += [rare] if any(rare) else []
    if len(pairs) <= 2:
        return statistics.rates_differ(pairs[0][0], of_base, pairs[0][1], of_candidate)
    statistic = 0.0
    for pair in pairs:
        for found, total in zip(pair, (of_base, of_candidate), strict=True):
            expected = sum(pair) * total / (of_base + of_candidate)
            statistic += (found - expected) ** 2 / expected
    return chi_squared_tail(statistic, len(pairs) - 1)


def chi_squared_tail(value: float, degrees: int) -> float:
    """The probability that a chi-squared variable is as large or larger.

    The regularized incomplete gamma function, by its series: Abramowitz and Stegun, 6.5.29.

    Args:
        value: From 0 on.
        degrees: Of freedom, from 1 on.
    """
    shape, half = degrees / 2, value / 2
    if half <= 0:
        return 1.0
    term = total = 1 / shape
    for place in range(1, _MOST_TERMS):
        term *= half / (shape + place)
        total += term
        if term < total * _PRECISION:
            break
    below = total * math.exp(-half + shape * math.log(half) - math.lgamma(shape))
    return min(1.0, max(0.0, 1 - below))
