# SPDX-License-Identifier: Apache-2.0
"""Which versions the processes of this host have announced to a destination, so that not each of them has to.

A process notes what it announces in a directory of its own, which it holds as spools hold theirs (see `leases`). The
others read the notes of those that live. What a dead process has noted does not count, so whoever empties a backend
and starts the application again finds its versions there.

Nobody waits for another process. Of several that are about to announce the same version, the one that has noted it
first does. Where there is no directory to write in, every process announces its versions itself.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from otel_loggedmodel.delivery import leases
from otel_loggedmodel.delivery.leases import Lease

# Beside the directories of destinations; those who look for these leave names with a dot alone.
DIRECTORY: Final = ".announced"
# A process that makes a version for each request does not fill the disk, and others do not read that much.
MAX_NOTES: Final = 64
_NOTES: Final = "notes"
_MAX_BYTES: Final = 64 * 1024
# Longer than any exporter tries. What was begun before, has hung or was never ended.
_TRYING_SECONDS: Final = 60.0
# The clock of a host may be set back.
_AHEAD_SECONDS: Final = 5.0


@dataclasses.dataclass(frozen=True)
class Said:
    """What another process has noted of a version.

    Attributes:
        age: Seconds since then.
        is_told: Whether it has announced it. Otherwise it is about to.
    """

    age: float
    is_told: bool


class Announced:
    """The notes of this process and of the others. Called by one thread at a time; nothing is raised.

    Args:
        directory: Of the destination, which is made when it is needed.
        clock: Seconds since the epoch; for tests.
    """

    def __init__(self, directory: Path, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._clock = clock
        self._lease: Lease | None = None
        self._noted: set[str] = set()
        self._is_off = False
        self._pid = os.getpid()

    def claim(self, keys: Mapping[str, float]) -> dict[str, Said]:
        """Note that these versions are about to be announced, but for those that others have announced or are about to.

        Args:
            keys: What stands for a version, and for all that is announced of it, each with the seconds for which it
                counts that another process has announced it.

        Returns:
            What others have noted.
        """
        self._follow_fork()
        room = MAX_NOTES - len(self._noted)
        new = [key for key in keys if key not in self._noted][: max(0, room)]
        keys = {key: seconds for key, seconds in keys.items() if key in self._noted or key in new}
        if self._is_off or not keys:
            return {}
        now = self._clock()
        try:
            self._note(keys, now, "begun")
            found = self._of_others(keys, now)
            self._note(found, now, "left")
        except OSError:
            self._turn_off()
            return {}
        return found

    def settle(self, keys: Iterable[str], *, is_told: bool) -> None:
        """Note what came of it."""
        self._follow_fork()
        keys = [key for key in keys if key in self._noted]
        if self._is_off or not keys:
            return
        try:
            self._note(keys, self._clock(), "told" if is_told else "left")
        except OSError:
            self._turn_off()

    def close(self) -> None:
        """Take the notes away, as others announce from now on what they use."""
        self._follow_fork()
        lease, self._lease = self._lease, None
        self._noted.clear()
        if lease is not None:
            with contextlib.suppress(OSError):
                (lease.path / _NOTES).unlink()
            lease.release()

    def after_fork(self) -> None:
        """In a forked child: the notes are its parent's."""
        self._pid = os.getpid()
        lease, self._lease = self._lease, None
        self._noted = set()
        if lease is not None:
            lease.forget()

    def _follow_fork(self) -> None:
        # uWSGI forks in C, and runs no hooks unless it is told to.
        if self._pid != os.getpid():
            self.after_fork()

    def _turn_off(self) -> None:
        self._is_off = True
        self.close()

    def _note(self, keys: Iterable[str], now: float, what: str) -> None:
        lines = [json.dumps([key, now, what]) + "\n" for key in keys]
        if not lines:
            return
        if self._lease is None:
            self._lease = Lease.of_new(self._directory)
        self._noted.update(keys)
        # Whoever reads it meanwhile finds some of the lines, or the beginning of one, which says nothing.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(self._lease.path / _NOTES, flags, 0o600)
        try:
            if os.fstat(descriptor).st_size > _MAX_BYTES // 2:
                os.ftruncate(descriptor, 0)
            os.write(descriptor, "".join(lines).encode())
        finally:
            os.close(descriptor)

    def _of_others(self, keys: Mapping[str, float], now: float) -> dict[str, Said]:
        found: dict[str, Said] = {}
        own = None if self._lease is None else self._lease.path.name
        for owner in leases.owners(self._directory):
            # What this process has told is known without notes.
            if owner.name.partition("-")[0] == str(os.getpid()):
                continue
            if not leases.is_alive(owner):
                self._clear(owner)
                continue
            for key, (at, what) in _read(owner / _NOTES).items():
                age = now - at
                if key not in keys or age < -_AHEAD_SECONDS:
                    continue
                is_first = (at, owner.name) < (now, own or "")
                is_begun = what == "begun" and is_first and age < _TRYING_SECONDS
                if is_begun or (what == "told" and age < keys[key]):
                    said = Said(max(0.0, age), what == "told")
                    known = found.get(key)
                    if known is None or (said.is_told, -said.age) > (known.is_told, -known.age):
                        found[key] = said
        return found

    def _clear(self, owner: Path) -> None:
        lease = Lease.of_dead(owner)
        if lease is not None:
            with contextlib.suppress(OSError):
                (owner / _NOTES).unlink()
            lease.release()


def _read(path: Path) -> dict[str, tuple[float, str]]:
    """The newest note on each version. Lines that make no sense say nothing."""
    try:
        with path.open("rb") as file:
            lines = file.read(_MAX_BYTES).splitlines()
    except OSError:
        return {}
    found: dict[str, tuple[float, str]] = {}
    for line in lines:
        try:
            key, at, what = json.loads(line)
        except (ValueError, TypeError):
            continue
        if isinstance(key, str) and isinstance(at, int | float) and isinstance(what, str):
            found[key] = (float(at), what)
    return found
