# SPDX-License-Identifier: Apache-2.0
"""Gives up what waits for destinations that nobody sends to any more, for instance because a token was changed.

No process takes over such files, as they must not go out under other credentials. So no process would give them up for
their age, either. Every process that keeps something in the same spool does this for all destinations. It looks only at
files of dead processes, and deletes a file after it has found it too old for an hour: if the clock has jumped, it may
have been set right by then.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from otel_loggedmodel._errors import warn_rarely
from otel_loggedmodel.delivery import leases
from otel_loggedmodel.delivery.leases import Lease
from otel_loggedmodel.delivery.segments import Name, Segment

_SECONDS_BETWEEN_LOOKS: Final = 1200.0
_GRACE_SECONDS: Final = 3600.0


class Neglected:
    """Gives up what is too old below the other destinations of a spool.

    Args:
        directory: The own destination's directory, which is left alone.
        max_age: Seconds after which a file goes.
        clock: Seconds since the epoch.
        monotonic: Seconds that never jump.
    """

    def __init__(
        self, directory: Path, max_age: float, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        self._directory = directory
        self._max_age = max_age
        self._clock = clock
        self._monotonic = monotonic
        self._next_look = float("-inf")
        self._too_old_since: dict[str, float] = {}

    def clean(self) -> None:
        """Look, if it is time to. Never raises OSError."""
        now = self._monotonic()
        if now < self._next_look:
            return
        self._next_look = now + _SECONDS_BETWEEN_LOOKS
        found: dict[str, float] = {}
        with contextlib.suppress(OSError):  # tried again some other time
            for destination in self._directory.parent.iterdir():
                for owner in () if destination == self._directory else leases.owners(destination):
                    with contextlib.suppress(OSError):
                        self._clean(owner, now, found)
        self._too_old_since = found

    def _clean(self, owner: Path, now: float, found: dict[str, float]) -> None:
        if not any(self._is_too_old(path) for path in owner.iterdir()):
            return
        lease = Lease.of_dead(owner)
        if lease is None:
            return
        try:
            for path in owner.iterdir():
                if self._is_too_old(path):
                    # A file is known by its name alone, as the marker in it is unique.
                    since = found[path.name] = self._too_old_since.get(path.name, now)
                    if now - since >= _GRACE_SECONDS:
                        self._give_up(path)
        finally:
            lease.release()

    def _is_too_old(self, path: Path) -> bool:
        name = Name.of(path.name)
        return name is not None and self._clock() - name.created_ms / 1000 > self._max_age

    def _give_up(self, path: Path) -> None:
        name = Name.of(path.name)
        count = Segment.found(str(path), name).spans_unread if name is not None and name.is_readable else 0
        path.unlink()
        warn_rarely(
            "spool neglected",
            "%d spans that nobody delivers any more are given up (age): they waited in %s",
            *(count, str(path.parent.parent)),
        )
