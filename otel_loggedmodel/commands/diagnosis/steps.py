# SPDX-License-Identifier: Apache-2.0
"""One step of the diagnosis, and the time that all of them have."""

import enum
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class Outcome(str, enum.Enum):
    """How a step came out."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"

    def __str__(self) -> str:
        """The text alone."""
        return self.value


@dataclass(frozen=True, kw_only=True)
class Step:
    """What was looked at, and what was found.

    Attributes:
        name: What was looked at.
        outcome: How it came out.
        text: What was found.
        advice: What to do about it.
        details: More, a line each.
    """

    name: str
    outcome: Outcome
    text: str
    advice: str = ""
    details: Sequence[str] = ()


class Deadline:
    """The time that is left.

    Args:
        seconds: How many seconds from now.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """Never below zero."""
        return max(self._end - time.monotonic(), 0.0)

    def at_most(self, seconds: float) -> float:
        """So many seconds, or what is left if that is less."""
        return min(seconds, self.seconds_left)


def within(seconds: float, call: Callable[[], T]) -> T:
    """The result of a call that may take for ever. It runs in a thread, which is left running then.

    Raises:
        TimeoutError: It took longer.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # raised again where it is waited for
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:.1f} s")
    return results[0]
