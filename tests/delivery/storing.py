# SPDX-License-Identifier: Apache-2.0
"""What the tests of storage share: clocks that are set, spools that note what they give up, and reading them out."""

import os
import traceback
import warnings
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from otel_loggedmodel.delivery.spool import Kind, Spool, Stored


class Clocks:
    """A wall clock and a monotonic one."""

    def __init__(self, wall: float = 1_800_000_000.0) -> None:
        self.wall = wall
        self.elapsed = 1000.0

    def pass_seconds(self, seconds: float) -> None:
        self.wall += seconds
        self.elapsed += seconds


class Drops(list[tuple[str, Kind, int]]):
    """What a spool gave up."""

    def __call__(self, reason: str, kind: Kind, count: int) -> None:
        self.append((reason, kind, count))

    def count(self, reason: str, kind: Kind | None = None) -> int:  # type: ignore[override]
        return sum(count for why, what, count in self if why == reason and kind in (None, what))


def make_spool(directory: Path, clocks: Clocks | None = None, **arguments) -> Spool:
    arguments.setdefault("on_drop", Drops())
    if clocks is not None:
        arguments |= {"clock": lambda: clocks.wall, "monotonic": lambda: clocks.elapsed}
    return Spool(directory, **arguments)


def drain(spool: Spool, limit: int = 1_000_000) -> list[bytes]:
    """Deliver what there is, in its order."""
    delivered = []
    while len(delivered) < limit and (stored := spool.next()) is not None:
        delivered.append(stored.payload)
        spool.done(stored)
    return delivered


def given(spool: Spool) -> Stored:
    stored = spool.next()
    assert stored is not None
    return stored


def put_aside(spool: Spool, payload: bytes, count: int, reason: str) -> None:
    """Have a spool in which nothing waits set a request aside."""
    spool.append(Kind.SPANS, payload, count)
    spool.set_aside(given(spool), reason)


def segments_in(directory: Path, kind: str = "") -> list[Path]:
    return sorted(directory.glob(f"*/{kind}*.v1"))


def forked(work: Callable[[], object]) -> int:
    """Do something in a forked child; its number, for `waitpid`. It exits with 1 where that fails."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: some tests are about these
        child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def forked_with_pipe(work: Callable[[int], object]) -> tuple[int, FileIO]:
    """The same for something that tells what it does; its number, and where to read that."""
    reading, writing = os.pipe()
    child = forked(lambda: work(writing))
    os.close(writing)
    return child, open(reading, "rb")  # noqa: PTH123


def succeed(work: Callable[[], object]) -> None:
    """Do something in a forked child, and see that it succeeds."""
    assert os.waitpid(forked(work), 0)[1] == 0
