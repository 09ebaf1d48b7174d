# SPDX-License-Identifier: Apache-2.0
"""How often verdicts on evaluation rows are wrong, where rows belong together, are few and skewed, or pass and fail."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks import tallies
from benchmarks.situations import Rng
from otel_loggedmodel.store import paired, statistics
from otel_loggedmodel.store.results import Verdict

Drawn = tuple[np.ndarray, np.ndarray, np.ndarray | None]


@dataclass(frozen=True)
class Rows:
    """Rows that two versions have, of which nothing changed.

    Attributes:
        name: What they are like.
        draw: Makes the values of the two versions, and what rows have in common that belong together.
    """

    name: str
    draw: Callable[[Rng], Drawn]


@dataclass(frozen=True)
class Found:
    """In which parts of all draws something was so.

    Attributes:
        false: A verdict of better or worse.
        naive: The same if each row is taken for independent; None where each is.
        covered: The interval of the difference holds 0.
    """

    false: float
    naive: float | None
    covered: float


def _together(groups: int, each: int, correlation: float, *, passes: bool = False) -> Callable[[Rng], Drawn]:
    """Rows of which changes have something in common: ten runs of a question, or ten questions on a passage."""

    def draw(rng: Rng) -> Drawn:
        group = np.repeat(np.arange(groups), each)

        def noise() -> np.ndarray:
            common = rng.normal(0, np.sqrt(correlation), groups)[group]
            return common + rng.normal(0, np.sqrt(1 - correlation), groups * each)

        level = rng.normal(0, 1, groups)[group]
        base, candidate = (level + noise() for _ in range(2))
        if passes:
            return (base > -0.8).astype(float), (candidate > -0.8).astype(float), group
        return base, candidate, group

    return draw


def _skewed(count: int) -> Callable[[Rng], Drawn]:
    def draw(rng: Rng) -> Drawn:
        base = rng.normal(0.7, 0.2, count)
        return base, base + 0.1 * (rng.exponential(1, count) - 1), None

    return draw


def _passing(count: int, changes: float) -> Callable[[Rng], Drawn]:
    def draw(rng: Rng) -> Drawn:
        base = (rng.random(count) < 0.7).astype(float)
        # As many to either side.
        flips = rng.random(count) < np.where(base == 1, changes * 0.3 / 0.7, changes)
        return base, np.where(flips, 1 - base, base), None

    return draw


ALL = (
    Rows("a question ten times, 30 questions", _together(30, 10, 0.5)),
    Rows("ten questions on a passage, 30 passages", _together(30, 10, 0.3)),
    Rows("the same, and they pass or fail", _together(30, 10, 0.3, passes=True)),
    Rows("ten questions on a passage, 100 passages", _together(100, 10, 0.3)),
    Rows("skewed changes, 10 rows", _skewed(10)),
    Rows("skewed changes, 30 rows", _skewed(30)),
    Rows("skewed changes, 1,000 rows", _skewed(1000)),
    Rows("pass or fail, 50 rows", _passing(50, 0.2)),
    Rows("pass or fail, 1,000 rows", _passing(1000, 0.2)),
)


def tallied(runs: int) -> Iterator[tuple[Rows, Found]]:
    """How often each comes out in which way, of so many draws."""
    for rows in ALL:
        rng = np.random.default_rng(tallies.SEED)
        false = naive = covered = 0
        has_groups = False
        for _ in range(runs):
            base, candidate, group = rows.draw(rng)
            has_groups = group is not None
            groups = None if group is None else [int(one) for one in group]
            is_false, is_covered = _judged(list(base), list(candidate), groups)
            false += is_false
            covered += is_covered
            if has_groups:
                naive += _judged(list(base), list(candidate), None)[0]
        yield rows, Found(false / runs, naive / runs if has_groups else None, covered / runs)


def _judged(base: list[float], candidate: list[float], groups: list[int] | None) -> tuple[bool, bool]:
    """Whether a verdict is false, and whether the interval holds the truth."""
    test = paired.tested(base, candidate, groups)
    found = statistics.difference(test.base, test.candidate, interval=test.interval, p_value=test.p_value)
    (judged,) = statistics.judged([{"scores.s": found}])
    low, high = test.interval
    return judged["scores.s"].verdict in (Verdict.BETTER, Verdict.WORSE), low <= 0 <= high
