# SPDX-License-Identifier: Apache-2.0
"""The segments of one process on disk: writing, finding and deleting them, and reading them in order.

Nothing is decided here. The spool decides what has to go, and what happens when the disk takes nothing. Every method
may raise OSError, unless it says that it does not.
"""

import bisect
import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from otel_loggedmodel._errors import warn_rarely
from otel_loggedmodel.delivery import leases, segments
from otel_loggedmodel.delivery.leases import Lease
from otel_loggedmodel.delivery.segments import Name, Record, Segment

DESTINATION: Final = "destination.json"
_UNREADABLE_SECONDS: Final = 30.0
_IN_TURN: Final = 0


class DiskQueue:
    """Requests in segments below the directory of one destination.

    Args:
        directory: The destination's directory.
        segment_bytes: Size of a segment after which another is begun.
        segment_seconds: Age of a segment after which another is begun.
        grace_seconds: How long adopted segments are spared, however old they seem to be.
        about: What to note about the destination.
        clock: Seconds since the epoch.
        monotonic: Seconds that never jump.
        on_lost: Called with a segment and a reason when the segment is found deleted or damaged.

    Attributes:
        kept: The segments by the kind of their content, in the order in which they are to be read.
        bytes: How much disk they take.
        unread: Bytes of requests to be delivered.
        spans: How many wait, by kind.
    """

    def __init__(
        self,
        directory: Path,
        *,
        segment_bytes: int,
        segment_seconds: float,
        grace_seconds: float,
        about: Mapping[str, str],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        on_lost: Callable[[Segment, str], None],
    ) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._segment_seconds = segment_seconds
        self._grace_seconds = grace_seconds
        self._about = about
        self._clock = clock
        self._monotonic = monotonic
        self._on_lost = on_lost
        self._lease: Lease | None = None
        self._begin()

    def _begin(self) -> None:
        self.kept: dict[str, list[Segment]] = {segments.MODELS: [], segments.SPANS: [], segments.SET_ASIDE: []}
        self.bytes = 0
        self.unread = 0
        self.spans = dict.fromkeys(self.kept, 0)
        self._writing: dict[tuple[str, int], Segment] = {}
        self._unsynced: set[Segment] = set()
        self._is_directory_unsynced = False
        self._last_created = 0
        # Segments that are done with, but could not be deleted.
        self._doomed: list[Segment] = []

    def append(
        self, kind: str, payload: bytes, count: int, stored_ms: int, born: float, rank: int = _IN_TURN, note: str = ""
    ) -> None:
        """Add a request. If that fails, nothing has changed."""
        segment = self._segment_for(kind, rank, len(payload), stored_ms, born)
        self._count(segment, -1)
        try:
            segment.append(payload, count, stored_ms, note)
        finally:
            self._count(segment, +1)
        self._unsynced.add(segment)

    def first(self, kind: str) -> Segment | None:
        """The segment whose turn it is. Never raises."""
        now = self._monotonic()
        return next((segment for segment in self.kept[kind] if segment.retry_at <= now), None)

    def read(self, segment: Segment) -> Record | None:
        """The next request in a segment. If there is none, the segment is removed and None returned. Never raises."""
        try:
            record = segment.next()
        except FileNotFoundError:
            self._on_lost(segment, "missing")
            self.remove(segment)
            return None
        except OSError as error:
            segment.retry_at = self._monotonic() + _UNREADABLE_SECONDS
            segment.close()
            warn_rarely("spool unreadable", "a file of the spool cannot be read now: %s", str(error))
            return None
        if record is None:
            if segment.spans_unread:
                self._on_lost(segment, "damaged")
            self.remove(segment)
        return record

    def done(self, segment: Segment, record: Record) -> None:
        """Be done with what was read. Never raises."""
        self._count(segment, -1)
        try:
            segment.done(record)
            self._unsynced.add(segment)
        except OSError as error:
            warn_rarely("spool progress", "what was delivered cannot be noted, and may be sent again: %s", str(error))
        finally:
            self._count(segment, +1)
        if segment.read >= segment.size:
            self.read(segment)

    def remove(self, segment: Segment) -> None:
        """Delete a segment, whatever is in it. Never raises."""
        self._leave_out(segment)
        try:
            segment.discard()
            self._is_directory_unsynced = True
        except OSError:
            self._doomed.append(segment)

    def adopt(self) -> bool:
        """Take over what dead processes have left. Never raises.

        Returns:
            Whether anything is to be delivered.
        """
        try:
            leases.check_private(self._directory)
        except FileNotFoundError:
            return False
        except OSError as error:
            warn_rarely("spool unsafe", "what waits on disk is left alone: %s", str(error))
            return False
        own = None if self._lease is None else self._lease.path
        is_taken = False
        for path in leases.owners(self._directory):
            lease = None if path == own else Lease.of_dead(path)
            if lease is None:
                continue
            try:
                is_taken = self._take(lease.path) or is_taken
            except OSError as error:
                warn_rarely("spool adopting", "what another process has left cannot be taken over now: %s", str(error))
            finally:
                lease.release()
        for kept in self.kept.values():
            kept.sort(key=_order)
        return is_taken

    def bytes_of_others(self) -> tuple[int, int]:
        """How much disk other processes take for this destination, and how many they are. Never raises."""
        own = None if self._lease is None else self._lease.path
        others = [path for path in leases.owners(self._directory) if path != own]
        return sum(map(_bytes_in, others)), len(others)

    def sync(self) -> None:
        """Have the system write what is new to the disk itself, and delete what could not be deleted before."""
        while self._unsynced:
            segment = self._unsynced.pop()
            with contextlib.suppress(FileNotFoundError):  # found out when its turn comes
                segment.sync()
            if segment not in self._writing.values():
                segment.close()
        if self._is_directory_unsynced and self._lease is not None:
            _sync_directory(self._lease.path)
            self._is_directory_unsynced = False
        while self._doomed:
            self._doomed[-1].discard()
            self._doomed.pop()

    def close(self) -> None:
        """Leave everything to other processes. Even if it raises, it has let go of everything."""
        try:
            self.sync()
        finally:
            for segment in self._all():
                segment.close()
            self._begin()
            if self._lease is not None:
                self._lease.release()
                self._lease = None

    def forget(self) -> None:
        """Be empty, without touching anything on disk: that is the parent's."""
        for segment in self._all():
            segment.close()
        if self._lease is not None:
            self._lease.forget()
            self._lease = None
        self._begin()

    def _all(self) -> Iterator[Segment]:
        for kept in self.kept.values():
            yield from kept

    def _segment_for(self, kind: str, rank: int, length: int, stored_ms: int, born: float) -> Segment:
        segment = self._writing.get((kind, rank))
        if segment is not None:
            if segment.is_deleted:
                segment.restore(self._own_directory())
                self._unsynced.add(segment)
            is_full = segment.size + length + segments.RECORD_BYTES > self._segment_bytes
            if not is_full and self._monotonic() - segment.born <= self._segment_seconds:
                return segment
            del self._writing[kind, rank]
            segment.close()
        if rank == _IN_TURN:
            # A process that takes the segments over tells their order by this alone, so it must hold whatever the clock
            # does.
            stored_ms = self._last_created = max(stored_ms, self._last_created + 1)
        segment = Segment.create(self._own_directory(), kind, stored_ms)
        segment.born = born
        segment.rank = rank
        self._writing[kind, rank] = segment
        self._is_directory_unsynced = True
        self._put(segment)
        return segment

    def _own_directory(self) -> Path:
        if self._lease is not None and self._lease.is_gone:
            self._lease.forget()
            self._lease = None
        if self._lease is None:
            self._lease = Lease.of_new(self._directory)
            self._describe()
        return self._lease.path

    def _describe(self) -> None:
        """Note where the requests are to go, for people who look at the directory."""
        path = self._directory / DESTINATION
        if self._about and not path.exists():
            draft = path.with_name(f".{DESTINATION}-{os.urandom(6).hex()}")
            with open(draft, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                json.dump({"version": 1, **self._about}, file)
            draft.replace(path)

    def _take(self, directory: Path) -> bool:
        """Move all segments of a dead process's directory to our own."""
        with os.scandir(directory) as entries:
            found = [(entry.path, name) for entry in entries if (name := Name.of(entry.name)) and name.is_readable]
        if not found:
            return False
        target = self._own_directory()
        taken = [segment for path, name in found if (segment := self._moved(path, name, target)) is not None]
        # The clock is read once: read for each segment, it would change their order.
        now, wall = self._monotonic(), self._clock()
        for segment in taken:
            segment.born = now - max(0.0, wall - segment.name.created_ms / 1000)
            segment.spared_until = now + self._grace_seconds
            self._count(segment, +1)
            self.kept[segment.name.kind].append(segment)
        self._is_directory_unsynced = True
        return any(segment.name.kind != segments.SET_ASIDE for segment in taken)

    def _moved(self, path: str, name: Name, target: Path) -> Segment | None:
        """Move a dead process's segment to our directory. None if nothing is left in it, or if it cannot be moved."""
        try:
            segment = Segment.found(path, name)
            if not segment.unread and not segment.spans_unread:
                segment.discard()
                return None
            segment.path = f"{target}{os.sep}{name}"
            os.rename(path, segment.path)  # noqa: PTH104 - there may be ten thousand
        except OSError as error:
            warn_rarely("spool adopting", "a file of another process cannot be taken over now: %s", str(error))
            return None
        return segment

    def _put(self, segment: Segment) -> None:
        bisect.insort(self.kept[segment.name.kind], segment, key=_order)
        self._count(segment, +1)

    def _leave_out(self, segment: Segment) -> None:
        kept = self.kept[segment.name.kind]
        if kept and kept[0] is segment:
            del kept[0]
        elif segment in kept:
            kept.remove(segment)
        else:
            return
        self._count(segment, -1)
        self._unsynced.discard(segment)
        for lane in [lane for lane, writing in self._writing.items() if writing is segment]:
            del self._writing[lane]

    def _count(self, segment: Segment, sign: int) -> None:
        kind = segment.name.kind
        self.bytes += sign * segment.size
        self.spans[kind] += sign * segment.spans_unread
        if kind != segments.SET_ASIDE:
            self.unread += sign * segment.unread


def _order(segment: Segment) -> tuple[int, float, int, bytes]:
    return segment.rank, segment.born, segment.name.created_ms, segment.name.marker


def _bytes_in(directory: Path) -> int:
    try:
        with os.scandir(directory) as entries:
            return sum(_size(entries))
    except OSError:
        return 0


def _size(entries: Iterable["os.DirEntry[str]"]) -> Iterator[int]:
    for entry in entries:
        try:
            yield entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue  # delivered in between


def _sync_directory(path: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
