# SPDX-License-Identifier: Apache-2.0
"""Waits until the backend has what was sent."""

import time
from collections.abc import Callable
from typing import Final

from otel_loggedmodel.store.reading import Reader

# Longer than a Collector keeps spans to make a batch of, and than it waits before it tries again.
_PATIENCE_SECONDS: Final = 20.0


def wait_for(reader: Reader, traces: int, on_progress: Callable[[int], object]) -> None:
    """Return when the backend has so many traces, or no more have come for a while.

    Args:
        reader: Of the backend.
        traces: How many.
        on_progress: Told how many there are.
    """
    most, deadline = -1, 0.0
    while True:
        there = sum(version.traces for version in reader.versions())
        on_progress(there)
        if there > most:
            most, deadline = there, time.monotonic() + _PATIENCE_SECONDS
        if there >= traces or time.monotonic() > deadline:
            return
        time.sleep(0.2)
