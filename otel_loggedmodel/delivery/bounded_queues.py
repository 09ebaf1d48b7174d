# SPDX-License-Identifier: Apache-2.0
"""Where a spool keeps its requests: on disk, or in memory while the disk takes none; and what has to go.

**Bounds.** All processes together take at most `max_bytes` for a destination. While a process writes, it looks once a
second at what the others take. It may take what they leave, or an equal share if that is more. So when another process
begins to write, those that have more than their share give way. What is set aside may take a tenth of the room and is
given up first. The oldest spans go next, and model records go when there are no spans left.

**Age.** A process measures the age of what it accepted by its monotonic clock. It asks the wall clock only how old
something was that another process has left. So if the clock jumps, nothing is dropped that this process has accepted.
Adopted segments are spared for an hour (or for `max_age`, if that is less) whatever the clock says, and segments from
the future have age 0. At worst, a wrong clock costs what could not be delivered within an hour.
"""

import dataclasses
import os
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from otel_loggedmodel._errors import warn_once, warn_rarely
from otel_loggedmodel.delivery import segments
from otel_loggedmodel.delivery.disk_queue import DiskQueue
from otel_loggedmodel.delivery.memory_queue import Held, MemoryQueue
from otel_loggedmodel.delivery.segments import Record, Segment

# At most this part of a bound is given up at once.
_SEGMENTS_IN_BOUND: Final = 8
_SEGMENT_SECONDS: Final = 600.0
_SEGMENT_PART_OF_AGE: Final = 0.05
_GRACE_SECONDS: Final = 3600.0
_SET_ASIDE_PART: Final = 0.1
_SECONDS_BETWEEN_SYNCS: Final = 1.0
_SECONDS_BETWEEN_LOOKS_AT_OTHERS: Final = 1.0
_SECONDS_BETWEEN_EXPIRIES: Final = 1.0
_SECONDS_WITHOUT_DISK: Final = 5.0


@dataclasses.dataclass(eq=False)
class Given:
    """The request that was given out last, and where it is: on disk or in memory."""

    kind: str
    payload: bytes
    count: int
    stored_ms: int
    born: float
    rank: int
    checksum: int
    segment: Segment | None = None
    record: Record | None = None
    held: Held | None = None

    @property
    def request(self) -> Held:
        """The request, to be kept again."""
        return Held(self.kind, self.payload, self.count, self.stored_ms, self.born, self.rank)


class BoundedQueues:
    """The requests of one spool, on disk and in memory. To be called by one thread at a time.

    The arguments are those of `spool.Spool`.

    Attributes:
        disk: Those on disk.
        memory: Those in memory.
        given: The request that was given out last. It may be on its way, so it is neither moved nor given up.
        front_rank: The rank of what goes before everything else.
        segment_seconds: How long a file is written to at most.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        max_bytes: int,
        max_age: float,
        segment_bytes: int,
        memory_bytes: int,
        is_memory_meant: bool,
        about: Mapping[str, str],
        on_drop: Callable[[str, str, int], None],
        clock: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._has_disk = directory is not None
        self._is_memory_meant = is_memory_meant
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._memory_bytes = min(memory_bytes, max_bytes)
        self._on_drop = on_drop
        self._monotonic = monotonic
        note_loss = weakref.WeakMethod(self._note_loss)
        self.segment_seconds = min(_SEGMENT_SECONDS, max_age * _SEGMENT_PART_OF_AGE)
        self.disk = DiskQueue(
            directory or Path(os.devnull),
            segment_bytes=min(segment_bytes, max_bytes // _SEGMENTS_IN_BOUND),
            segment_seconds=self.segment_seconds,
            grace_seconds=min(_GRACE_SECONDS, max_age),
            about=about,
            clock=clock,
            monotonic=monotonic,
            # Weak, so that a spool that is forgotten lets go of its files at once.
            on_lost=lambda segment, reason: (note := note_loss()) and note(segment, reason),
        )
        self._begin()

    def _begin(self) -> None:
        self.memory = MemoryQueue()
        self.given: Given | None = None
        self.front_rank = 0
        self._disk_again_at: float | None = None
        self._synced_at = self._expired_at = self._looked_at = float("-inf")
        self._others = (0, 0)

    def forget(self) -> None:
        """In a forked child: begin with nothing."""
        self.disk.forget()
        self._begin()

    def next(self) -> Given | None:
        """What comes first: models before spans, the oldest first. It stays given until it is done with."""
        self._expire()
        if self.memory.bytes and self._is_disk_worth_a_try():
            # Nothing is on its way now, so the request that was given out can be written as well.
            if self.given is not None and self.given.held is not None:
                self.given = None
            self._write_memory()
        while (place := self._first_place()) is not None:
            given = self.given
            if given is None or place not in (given.segment, given.held):
                given = self.given = self._read(place)
            if given is not None:
                return given
        return None

    def see_to_bounds(self) -> None:
        """Look at what other processes take now, and give up what is too much."""
        self._looked_at = float("-inf")
        self._make_room(0)

    @property
    def oldest_age(self) -> float:
        """Seconds for which the oldest request has waited; 0.0 where there is none."""
        births = [place.born for place in self._firsts()]
        return max(0.0, self._monotonic() - min(births)) if births else 0.0

    def close(self) -> None:
        """Write what is in memory, if the disk takes it now, and leave everything to the next process."""
        self._disk_again_at = None
        self.given = None
        if self._is_disk_worth_a_try():
            self._write_memory()
        for kind in self.memory.spans:
            while (held := self.memory.first(kind)) is not None:
                self.memory.remove(held)
                self.drop("closed", kind, held.count)

    def keep(self, held: Held) -> None:
        """Keep a request on disk, or else in memory. If neither has room, it is given up."""
        if not self._make_room(len(held.payload) + segments.RECORD_BYTES, held.kind):
            self.drop("size", held.kind, held.count)
            return
        if self._is_disk_worth_a_try() and self._write_memory():
            try:
                self._write(held)
            except OSError as error:
                self._do_without_disk(error)
            else:
                return
        self.memory.add(held)
        self._bound_memory(held)

    def _write(self, held: Held) -> None:
        self.disk.append(held.kind, held.payload, held.count, held.stored_ms, held.born, held.rank)
        if self._disk_again_at is not None:
            self._disk_again_at = None
            warn_rarely("spool disk again", "the disk takes again what cannot be delivered now")

    def _is_disk_worth_a_try(self) -> bool:
        if not self._has_disk:
            if not self._is_memory_meant:
                warn_once(
                    "spool without directory",
                    "what cannot be delivered is kept in memory, at most %d bytes, and is lost when the process ends",
                    self._memory_bytes,
                )
            return False
        return self._disk_again_at is None or self._monotonic() >= self._disk_again_at

    def _do_without_disk(self, error: OSError) -> None:
        self._disk_again_at = self._monotonic() + _SECONDS_WITHOUT_DISK
        warn_rarely(
            "spool disk",
            "what cannot be delivered now is kept in memory, at most %d bytes of it, as the disk takes none: %s",
            *(self._memory_bytes, str(error)),
        )

    def _write_memory(self) -> bool:
        """Move everything from memory to the disk. Returns whether that has worked."""
        given = None if self.given is None else self.given.held
        for kind in (segments.MODELS, segments.SPANS):
            for held in self.memory.all(kind):
                if held is given:
                    continue  # it may be on its way
                try:
                    self._write(held)
                except OSError as error:
                    self._do_without_disk(error)
                    return False
                self.memory.remove(held)
        return True

    def _bound_memory(self, newest: Held) -> None:
        given = self.given.held if self.given is not None else None
        while self.memory.bytes > self._memory_bytes:
            victim = self.memory.oldest(segments.SPANS, given)
            if victim is None:
                victim = newest if newest.kind == segments.SPANS else self.memory.oldest(segments.MODELS, given)
            if victim is None:
                return
            self.memory.remove(victim)
            self.drop("memory", victim.kind, victim.count)

    def _make_room(self, length: int, kind: str = segments.MODELS) -> bool:
        """Give up what has to go to make room for so many bytes. Returns whether there is room."""
        if length > self._max_bytes:
            return False
        if self.disk.bytes == 0 and length == 0:
            return True
        now = self._monotonic()
        if self._has_disk and now - self._looked_at >= _SECONDS_BETWEEN_LOOKS_AT_OTHERS:
            self._looked_at = now
            self._others = self.disk.bytes_of_others()
        taken, number = self._others
        allowed = max(self._max_bytes - taken, self._max_bytes // (number + 1))
        aside = self.disk.kept[segments.SET_ASIDE]
        while self.disk.bytes + length > allowed:
            if aside:
                self.disk.remove(aside[0])
            elif kind != segments.SET_ASIDE and self.disk.kept[segments.SPANS]:
                self._give_up(self.disk.kept[segments.SPANS][0], "size")
            elif kind == segments.MODELS and self.disk.kept[segments.MODELS]:
                self._give_up(self.disk.kept[segments.MODELS][0], "size")
            else:
                return False
        return True

    def _give_up(self, segment: Segment, reason: str, *, even_given: bool = False) -> None:
        """Drop a segment, but not the request in it that is on its way."""
        lost = segment.spans_unread
        given = self.given
        if given is not None and given.segment is segment:
            if even_given:
                self.given = None
            else:
                lost -= given.count
                self.front_rank -= 1
                given.held = dataclasses.replace(given.request, rank=self.front_rank)
                given.segment = given.record = None
                self.memory.add(given.held)
        self.disk.remove(segment)
        self.drop(reason, segment.name.kind, lost)

    def _expire(self) -> None:
        """Drop what is too old. To be called only while nothing is on its way."""
        now = self._monotonic()
        if now - self._expired_at < min(_SECONDS_BETWEEN_EXPIRIES, self.segment_seconds):
            return
        self._expired_at = now
        # A segment is as old as its first request; those after it may be younger by as long as it was written to.
        oldest = now - self._max_age - self.segment_seconds
        for kept in self.disk.kept.values():
            for segment in [one for one in kept if one.born < oldest and one.spared_until <= now]:
                self._give_up(segment, "age", even_given=True)
        for kind in (segments.MODELS, segments.SPANS):
            while (held := self.memory.oldest(kind, None)) is not None and held.born < oldest:
                self.memory.remove(held)
                self.drop("age", kind, held.count)

    def _firsts(self) -> Iterator[Segment | Held]:
        """The first of each kind on disk, and the first of each kind in memory."""
        for kind in (segments.MODELS, segments.SPANS):
            segment, held = self.disk.first(kind), self.memory.first(kind)
            if segment is not None:
                yield segment
            if held is not None:
                yield held

    def _first_place(self) -> Segment | Held | None:
        return min(self._firsts(), key=_turn, default=None)

    def _read(self, place: Segment | Held) -> Given | None:
        if isinstance(place, Held):
            facts = (place.kind, place.payload, place.count, place.stored_ms, place.born, place.rank)
            return Given(*facts, zlib.crc32(place.payload), held=place)
        record = self.disk.read(place)
        if record is None:
            return None
        facts = (place.name.kind, record.payload, record.count, record.stored_ms, place.born, place.rank)
        return Given(*facts, record.checksum, segment=place, record=record)

    def exchange(self, given: Given, requests: Sequence[Held]) -> None:
        """Keep these instead. What is on disk is deleted only after they are kept: better twice than never."""
        if given.segment is None:
            self.finish(given)
        for request in requests:
            self.keep(request)
        if given is self.given:
            self.finish(given)

    def finish(self, given: Given) -> None:
        """Be done with it."""
        self.given = None
        if given.held is not None:
            self.memory.remove(given.held)
        elif given.segment is not None and given.record is not None:
            self.disk.done(given.segment, given.record)

    def put_aside(self, given: Given, reason: str) -> None:
        """Keep it for people to look at, if the disk has room, and do not give it out again."""
        allowed = self._max_bytes * _SET_ASIDE_PART
        length = len(given.payload) + segments.RECORD_BYTES
        aside = self.disk.kept[segments.SET_ASIDE]
        while aside and sum(segment.size for segment in aside) + length > allowed:
            self.disk.remove(aside[0])
        if length <= allowed and self._is_disk_worth_a_try() and self._make_room(length, segments.SET_ASIDE):
            facts = (given.payload, given.count, given.stored_ms, self._monotonic())
            try:
                self.disk.append(segments.SET_ASIDE, *facts, note=reason)
            except OSError as error:
                self._do_without_disk(error)
        self.finish(given)

    def sync(self) -> None:
        """Have the system write everything to the disk itself, once a second at most."""
        now = self._monotonic()
        if now - self._synced_at < _SECONDS_BETWEEN_SYNCS:
            return
        self._synced_at = now
        try:
            self.disk.sync()
        except OSError as error:
            warn_rarely("spool sync", "what waits on disk may not outlive a loss of power: %s", str(error))

    def _note_loss(self, segment: Segment, reason: str) -> None:
        self.drop(reason, segment.name.kind, segment.spans_unread)

    def drop(self, reason: str, kind: str, count: int) -> None:
        """Log and count that spans are given up."""
        if kind == segments.SET_ASIDE or count <= 0:
            return
        what = "model records" if kind == segments.MODELS else "spans"
        warn_rarely(f"spool {reason} {kind}", "%d %s are given up (%s): %s", count, what, reason, _REASONS[reason])
        self._on_drop(reason, kind, count)


_REASONS: Final = {
    "size": "they would take more disk than they may",
    "age": "they have waited for longer than they may",
    "memory": "the disk takes none, and memory is full",
    "damaged": "a file of the spool is damaged",
    "missing": "a file of the spool was deleted",
    "failed": "the spool has a defect",
    "closed": "they came after the end, or nothing takes them at the end",
}


def _turn(place: Segment | Held) -> tuple[bool, bool, int, float]:
    kind = place.kind if isinstance(place, Held) else place.name.kind
    return place.rank > 0, kind != segments.MODELS, place.rank, place.born
