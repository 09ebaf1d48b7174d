# SPDX-License-Identifier: Apache-2.0
"""Lines that say what happens, with the seconds since the start."""

import time
from collections.abc import Callable
from typing import Final

_SECONDS_BETWEEN: Final = 2.0


class Progress:
    """Says what happens."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, text: str) -> None:
        """Say that something begins or has happened."""
        print(f"[{time.monotonic() - self._start:4.1f} s] {text}", flush=True)

    def counting(self, total: int, what: str) -> Callable[..., None]:
        """What to call as something large goes on: with how much of it is done, or without for one more."""
        done, last = 0, time.monotonic()

        def report(now_done: int | None = None) -> None:
            nonlocal done, last
            done = done + 1 if now_done is None else now_done
            if done < total and time.monotonic() - last >= _SECONDS_BETWEEN:
                last = time.monotonic()
                self(f"  {done} of {total} {what}")

        return report
