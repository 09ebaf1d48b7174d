# SPDX-License-Identifier: Apache-2.0
"""Divides a time into windows of which a limited query gives all that there is.

Jaeger gives no more traces than a limit, and does not say what it left out, nor which. Where its storage is Cassandra
the limit is of spans in an index, so that it leaves out traces long before. A window is therefore taken for complete
where much fewer come than were asked for, and is narrowed else; windows become wider again where little comes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.commands.carrying.jaeger_api import Answer, JaegerError, TooMuchError

FIRST_US: Final = 3600 * 10**6
_MOST_US: Final = 24 * FIRST_US
# Up to this part of the limit, an answer is taken for complete.
_COMPLETE: Final = 4
# Below this part, the next window is twice as wide.
_SPARSE: Final = 16
# What takes too long is not narrowed below this.
_LEAST_SLOW_US: Final = 10**6


@dataclass(frozen=True)
class Window:
    """A time with what is in it.

    Attributes:
        start_us: Microseconds since 1970.
        end_us: The same; the next window begins there.
        answer: All traces in it.
        is_cut: Whether there may be more, as it cannot be narrowed.
    """

    start_us: int
    end_us: int
    answer: Answer
    is_cut: bool = False


def windows(ask: Callable[[int, int], Answer], since_us: int, until_us: int, limit: int) -> Iterator[Window]:
    """All windows from one time to another, one after the other.

    A trace that is in two of them comes with both.

    Args:
        ask: Gives the traces of a time, of which both ends are a part, up to the limit.
        since_us: Microseconds since 1970.
        until_us: The same.
        limit: How many traces are given at most.

    Raises:
        JaegerError: It cannot be asked, or does not answer even a narrow window.
    """
    width = FIRST_US
    start = since_us
    while start < until_us:
        end = min(start + width, until_us)
        try:
            answer = ask(start, end)
        except TooMuchError as error:
            width = (end - start) // 2
            if width < (_LEAST_SLOW_US if error.may_pass else 1):
                raise JaegerError(f"{error}, even for what began within {_seconds(end - start)}") from None
            continue
        found = len(answer.ids)
        if found * _COMPLETE >= limit and end - start > 1:
            width = max((end - start) // 2, 1)
            continue
        yield Window(start, end, answer, is_cut=found >= limit)
        start = end
        if found * _SPARSE < limit:
            width = min(2 * width, _MOST_US)


def _seconds(microseconds: int) -> str:
    return f"{microseconds / 1e6:g} s"
