# SPDX-License-Identifier: Apache-2.0
"""What was done lately, so that it is not done twice."""

import time
from collections.abc import Callable

from otel_loggedmodel._latest import Latest


class Recent:
    """Remembers keys for a while; to be used by one thread at a time.

    Args:
        seconds: For how long.
        size: At most so many, the latest.
        clock: Monotonic seconds.
    """

    def __init__(self, seconds: float, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._added: Latest[bytes, float] = Latest(size)

    def add(self, key: bytes) -> None:
        """Remember a key from now on."""
        self._forget()
        self._added[key] = self._clock()

    def __contains__(self, key: bytes) -> bool:
        self._forget()
        return key in self._added

    def __len__(self) -> int:
        return len(self._added)

    def _forget(self) -> None:
        oldest = self._clock() - self._seconds
        while self._added and next(iter(self._added.values())) < oldest:
            self._added.popitem(last=False)
