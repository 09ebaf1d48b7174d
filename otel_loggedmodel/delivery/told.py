# SPDX-License-Identifier: Apache-2.0
"""What one destination was told of this process's records, by any of the exporters that send there.

Some set-ups have several processors, each with an exporter to the same place, for instance one for spans that are
sampled and one for those that are not. Records go there once. So these exporters share what is known here, and it is
kept as long as there is one of them.
"""

import threading
import time
import weakref
from collections.abc import Hashable
from typing import Final

from otel_loggedmodel._latest import Latest
from otel_loggedmodel.versions.catalogue import MAX_MODELS

# A try of an exporter takes less. An exporter that takes longer hangs, and must not keep the others from trying.
_CLAIM_SECONDS: Final = 60.0


class Told:
    """What a destination was told.

    Attributes:
        delivered: The sequence number of the newest event that needs no more work.
        announced: When each model was announced last, by the clock of the exporters.
        activated: The models that it knows this process to run.
    """

    def __init__(self) -> None:
        self.delivered = 0
        self.announced: Latest[str, float] = Latest(MAX_MODELS)
        self.activated: Latest[str, None] = Latest(MAX_MODELS)
        self._claim: tuple[object, float] | None = None

    def forget(self, delivered: int) -> None:
        """In a forked child: begin anew. The child announces what it uses, as its parent may be gone."""
        self.delivered = delivered
        self.announced = Latest(MAX_MODELS)
        self.activated = Latest(MAX_MODELS)
        self._claim = None

    def claim(self, exporter: object) -> bool:
        """Be the exporter that tells it something, until `free`.

        Returns False if another one is, or this one already.
        """
        with _lock:
            if self._claim is not None and time.monotonic() - self._claim[1] < _CLAIM_SECONDS:
                return False
            self._claim = (exporter, time.monotonic())
            return True

    def free(self, exporter: object) -> None:
        """Let others tell it something."""
        with _lock:
            if self._claim is not None and self._claim[0] is exporter:
                self._claim = None


# Reentrant: a signal handler that flushes must not wait for itself.
_lock = threading.RLock()
_by_place: Final[weakref.WeakValueDictionary[Hashable, Told]] = weakref.WeakValueDictionary()


def told(place: Hashable | None) -> Told:
    """What a place was told. None stands for a place that nobody else sends to."""
    if place is None:
        return Told()
    with _lock:
        found = _by_place.get(place)
        if found is None:
            found = _by_place[place] = Told()
        return found


def after_fork() -> None:
    """In a forked child: another thread of the parent may have held the lock."""
    global _lock  # noqa: PLW0603 - there is one for a process
    _lock = threading.RLock()
