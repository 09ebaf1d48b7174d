# SPDX-License-Identifier: Apache-2.0
"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def wait_until(condition: Callable[[], Result], what: str = "it", seconds: float = 60) -> Result:
    """What a condition returns once that is true.

    Args:
        condition: Asked again and again; what it raises, this raises.
        what: What is waited for, for the message.
        seconds: For how long, at most; plenty by default, as the machine may be busy.

    Raises:
        AssertionError: It did not become true in time.
    """
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}; last: {result!r}"
        time.sleep(0.01)
    return result
