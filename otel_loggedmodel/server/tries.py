# SPDX-License-Identifier: Apache-2.0
"""Slows down whoever tries one token after another."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_FREE_TRIES: Final = 5
_LONGEST_SECONDS: Final = 60.0
_FORGET_SECONDS: Final = 900.0
_MOST_ADDRESSES: Final = 10_000


class Tries:
    """Wrong tries by the address they came from; after five each next one has to wait twice as long, up to a minute.

    To be used by one thread. Behind a proxy everybody has one address, and waits together.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # How many there were, and when the last was; the latest last.
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def seconds_to_wait(self, address: str) -> float:
        """How long until the next try from an address is looked at; 0 where it is at once."""
        count, last = self._wrong.get(address, (0, 0.0))
        if count < _FREE_TRIES:
            return 0.0
        pause = min(2.0 ** min(count - _FREE_TRIES, 10), _LONGEST_SECONDS)
        return max(0.0, last + pause - self._clock())

    def was_wrong(self, address: str) -> None:
        """Count a wrong try."""
        now = self._clock()
        while self._wrong and next(iter(self._wrong.values()))[1] < now - _FORGET_SECONDS:
            self._wrong.popitem(last=False)
        count, _ = self._wrong.pop(address, (0, 0.0))
        self._wrong[address] = count + 1, now
        if len(self._wrong) > _MOST_ADDRESSES:
            self._wrong.popitem(last=False)

    def was_right(self, address: str) -> None:
        """Forget the wrong ones of an address."""
        self._wrong.pop(address, None)
