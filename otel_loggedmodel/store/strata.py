# SPDX-License-Identifier: Apache-2.0
"""Which parts of the traffic two versions are compared within: routes, and hours.

Where one version had more of a slow route, or ran while the load was high, its numbers are worse without any fault of
its own. If routes or hours have other shares in the two versions, they are compared within those that both have. A
route or an hour with `n` traces of one version and `m` of the other has the weight `n m / (n + m)` in the sum, which
makes the difference most certain (Mantel and Haenszel, 1959; Li, Morgan and Zaslavsky, 2018, "Balancing covariates via
propensity score weighting").

A route is the `http.route` of the entry span, else the agent that it names, else the name of the span.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from otel_loggedmodel.store.design import stratum_of

# If either version has fewer traces in what both have, these tell less than all of the traces do.
_FEWEST: Final = 100
# At least one of the two versions has to have so much of its traffic in what both have.
_LEAST_SHARED: Final = 0.2
_MOST_STRATA: Final = 1000
_FEWEST_IN_STRATUM: Final = 4
_MOST_NAMED: Final = 3
# Standard deviations of the chi-square statistic by which shares have to differ.
_CLEARLY: Final = 3.0

Cell = tuple[int, int]


@dataclass(frozen=True)
class Traffic:
    """How many entry spans a version has, by the hash of their route and the hour since 1970."""

    cells: Mapping[Cell, int]

    def by(self, *, route: bool, hour: bool) -> Counter[Cell]:
        """The same by route alone, by hour alone, or by both."""
        found: Counter[Cell] = Counter()
        for (one, time), count in self.cells.items():
            found[one if route else 0, time if hour else 0] += count
        return found

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.cells.values())


@dataclass(frozen=True)
class Plan:
    """What two versions are compared within.

    Attributes:
        by: `route`, `hour`, `route and hour`, or empty.
        shares: The share of each stratum.
        route: Whether routes count.
        hour: Whether hours do.
        left_out: Which part of each version's traffic has no counterpart.
        apart: Whether the versions have no hour in common.
        shifted: Routes whose shares differ most, with these shares.
    """

    by: str = ""
    shares: Mapping[int, float] = field(default_factory=dict)
    route: bool = False
    hour: bool = False
    left_out: tuple[float, float] = (0.0, 0.0)
    apart: bool = False
    shifted: Sequence[tuple[int, float, float]] = ()


def plan(base: Traffic, candidate: Traffic) -> Plan:
    """What two versions are best compared within."""
    if not base.total or not candidate.total:
        return Plan()
    by_hour = [one.by(route=False, hour=True) for one in (base, candidate)]
    by_route = [one.by(route=True, hour=False) for one in (base, candidate)]
    apart = not by_hour[0].keys() & by_hour[1].keys()
    hours_differ, routes_differ = _differ(*by_hour), _differ(*by_route)
    choices = [
        choice
        for choice, wanted in (
            ((True, True), hours_differ and routes_differ),
            ((False, True), hours_differ),
            ((True, False), routes_differ),
        )
        if wanted and not (apart and choice[1])
    ]
    shifted = _shifted(*by_route) if routes_differ else ()
    for route, hour in choices:
        found = _within(base.by(route=route, hour=hour), candidate.by(route=route, hour=hour))
        if found is not None:
            by = " and ".join(name for name, counts in (("route", route), ("hour", hour)) if counts)
            return Plan(by, found[0], route, hour, found[1], apart, shifted)
    return Plan(apart=apart, shifted=shifted)


def notes(made: Plan, base: str, candidate: str, routes: Mapping[int, str]) -> Iterator[str]:
    """What a reader has to know of how the traffic of two versions differs.

    Args:
        made: How they are compared.
        base: What the first is called.
        candidate: What the other is called.
        routes: The names of routes, by their hash.
    """
    if made.apart:
        yield (
            f"{base} and {candidate} have no hour in common: what changed between the times, as the load, counts as a"
            " difference of the versions, and no test can tell the two apart. Run them side by side."
        )
    if made.shifted:
        named = "; ".join(
            f"{routes.get(route, 'another')} {100 * before:.3g} to {100 * after:.3g} %"
            for route, before, after in made.shifted
        )
        rest = "" if made.by else " They are too different to be compared within routes, so that this counts, too."
        yield f"The mix of routes is another in {candidate} than in {base} ({named}).{rest}"
    if made.by:
        parts = [
            f"{100 * part:.3g} % of {name}"
            for part, name in zip(made.left_out, (base, candidate), strict=True)
            if part >= 0.001
        ]
        without = f" {' and '.join(parts)} have no counterpart, and do not count for that." if parts else ""
        yield (
            f"{candidate} is compared with {base} within each {made.by.replace(' and ', ' in each ')}, as their traffic"
            f" differs in it: changes (*) and verdicts are of that, and not of the values of all traces.{without}"
        )


def _differ(base: Counter[Cell], candidate: Counter[Cell]) -> bool:
    """Whether the shares differ by more than chance, by the chi-square statistic of homogeneity."""
    cells = base.keys() | candidate.keys()
    if len(cells) < 2:
        return False
    first, second = base.total(), candidate.total()
    statistic = sum(
        (second * base[cell] - first * candidate[cell]) ** 2 / (first * second * (base[cell] + candidate[cell]))
        for cell in cells
    )
    freedom = len(cells) - 1
    return statistic > freedom + _CLEARLY * math.sqrt(2 * freedom) + 1


def _within(base: Counter[Cell], candidate: Counter[Cell]) -> tuple[Mapping[int, float], tuple[float, float]] | None:
    """The shares of what both have, and which part of each has no counterpart; None where too little is left."""
    shared = base.keys() & candidate.keys()
    counts = [sum(one[cell] for cell in shared) for one in (base, candidate)]
    parts = [count / one.total() for count, one in zip(counts, (base, candidate), strict=True)]
    if (
        min(counts) < _FEWEST
        or max(parts) < _LEAST_SHARED
        or len(shared) > min(_MOST_STRATA, min(counts) / _FEWEST_IN_STRATUM)
    ):
        return None
    shares = {
        stratum_of(*cell): base[cell] * candidate[cell] / (base[cell] + candidate[cell]) for cell in sorted(shared)
    }
    total = sum(shares.values())
    return {code: share / total for code, share in shares.items()}, (1 - parts[0], 1 - parts[1])


def _shifted(base: Counter[Cell], candidate: Counter[Cell]) -> list[tuple[int, float, float]]:
    first, second = base.total(), candidate.total()
    found = [(cell[0], base[cell] / first, candidate[cell] / second) for cell in sorted(base.keys() | candidate.keys())]
    return sorted(found, key=lambda one: -abs(one[1] - one[2]))[:_MOST_NAMED]
