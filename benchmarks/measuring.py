# SPDX-License-Identifier: Apache-2.0
"""Measuring contestants against each other on a machine that is busy with other things.

Contestants take turns, a short slice each, for many rounds, so that whatever slows the machine down slows all of them
down. Rounds are grouped into blocks. Within a block the least (or the median) of a contestant's slices counts, ratios
and differences are formed within a block, and what is reported is the median over the blocks, with the quartiles as
spread.
"""

import contextlib
import dataclasses
import gc
import random
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

Clock = Callable[[], int]


def nothing() -> None:
    """Prepare or clean up nothing."""


@dataclasses.dataclass(frozen=True)
class Contestant:
    """Something to be measured.

    Attributes:
        label: What it does, as the tables say it.
        run: Does it this many times.
        before: Prepares a slice; not timed.
        after: Cleans up behind a slice; not timed.
    """

    label: str
    run: Callable[[int], object]
    before: Callable[[], object] = nothing
    after: Callable[[], object] = nothing


@dataclasses.dataclass(frozen=True)
class Figure:
    """A median with its quartiles."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        """The figure for a series of measurements."""
        if len(values) < 2:
            return cls(values[0], values[0], values[0])
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(middle, low, high)

    def times(self, factor: float) -> "Figure":
        """The same in another unit."""
        return Figure(self.value * factor, self.low * factor, self.high * factor)


class Timings:
    """Nanoseconds per operation, block by block."""

    def __init__(self, blocks: Sequence[Mapping[str, float]]) -> None:
        self._blocks = blocks

    @classmethod
    def joined(cls, several: Iterable["Timings"]) -> "Timings":
        """What was measured in several processes, as one."""
        return cls([block for timings in several for block in timings._blocks])

    @property
    def labels(self) -> list[str]:
        """The contestants, in the order in which they were given."""
        return list(self._blocks[0])

    def each(self, label: str) -> Figure:
        """What one contestant took."""
        return self.figure(lambda took: took[label])

    def figure(self, formula: Callable[[Mapping[str, float]], float]) -> Figure:
        """What a formula over the contestants' times comes to."""
        return Figure.of([formula(block) for block in self._blocks])


def measure(
    contestants: Sequence[Contestant],
    *,
    operations: int,
    blocks: int,
    rounds_per_block: int,
    warm_up: int = 0,
    clock: Clock = time.thread_time_ns,
    typical: Callable[[Sequence[float]], float] = min,
) -> Timings:
    """Let contestants take turns.

    Args:
        contestants: Who takes part.
        operations: How often each does its thing in a slice.
        blocks: How many independent measurements to make.
        rounds_per_block: How many slices each contestant has in a block.
        warm_up: How often each does its thing before a slice, untimed: the contestant before it, and what prepares a
            slice, leave the processor's caches in different states.
        clock: Nanoseconds. By default the CPU time of this thread, which does not run while other processes do.
        typical: What stands for the slices of a block. The least is the one that was disturbed least; where waiting
            is a part of what is measured, take the median.
    """
    taken: list[dict[str, float]] = []
    order = random.Random(0)  # nobody comes behind the same contestant each time
    with pinned_gc():
        for contestant in contestants:  # lets the interpreter specialise its byte code
            _slice(contestant, operations, warm_up, clock)
        for _ in range(blocks):
            gc.collect()
            slices: dict[str, list[float]] = {contestant.label: [] for contestant in contestants}
            for _ in range(rounds_per_block):
                for contestant in order.sample(contestants, len(contestants)):
                    slices[contestant.label].append(_slice(contestant, operations, warm_up, clock))
            taken.append({label: typical(times) for label, times in slices.items()})
    return Timings(taken)


def _slice(contestant: Contestant, operations: int, warm_up: int, clock: Clock) -> float:
    contestant.before()
    try:
        if warm_up:
            contestant.run(warm_up)
        began = clock()
        contestant.run(operations)
        return (clock() - began) / operations
    finally:
        contestant.after()


@contextlib.contextmanager
def pinned_gc() -> Iterator[None]:
    """Keep the garbage collector from running inside slices; what exists already is none of its business."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()
