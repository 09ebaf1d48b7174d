# SPDX-License-Identifier: Apache-2.0
"""What was accepted and not yet delivered to one destination: on disk, or in memory while there is no disk.

What happens to a request here is one of four things: it is given out until it is done with, it is set aside, it is
given up at a bound, which is counted, or it is left to the next process. Segments are given up whole, so that the disk
gets room at once.

**Bounds.** All processes together take `max_bytes` for a destination. Each looks at what the others take, once a second
while it writes, and may take what they leave, or its equal share if that is more; so a process that begins to write
makes those give way that have more than theirs. What is set aside gets a tenth of the room and goes first, then the
oldest spans, and model records when there are no spans.

**Age.** A process measures age by its monotonic clock, from when it accepted a request; only for what another process
has left it asks the wall clock how old it was. So no jump of the clock drops anything that this process has accepted.
Adopted segments are spared for an hour (or `max_age`, if that is less), whatever the clock says, and those from the
future have age 0. A wrong clock thus costs, at worst, what could not be delivered within an hour.
"""

import contextlib
import dataclasses
import enum
import os
import threading
import time
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from otel_loggedmodel._errors import swallow, warn_once, warn_rarely
from otel_loggedmodel.delivery import segments
from otel_loggedmodel.delivery.disk_queue import DiskQueue
from otel_loggedmodel.delivery.memory_queue import Held, MemoryQueue
from otel_loggedmodel.delivery.neglected import Neglected
from otel_loggedmodel.delivery.segments import Record, Segment

MAX_BYTES: Final = 512 * 1024 * 1024
MAX_AGE_SECONDS: Final = 48 * 3600.0
SEGMENT_BYTES: Final = 4 * 1024 * 1024
MEMORY_BYTES: Final = 32 * 1024 * 1024

# What is given up at a bound is at most this part of it.
_SEGMENTS_IN_BOUND: Final = 8
_SEGMENT_SECONDS: Final = 600.0
_SEGMENT_PART_OF_AGE: Final = 0.05
_GRACE_SECONDS: Final = 3600.0
_SET_ASIDE_PART: Final = 0.1
_SECONDS_BETWEEN_SYNCS: Final = 1.0
_SECONDS_BETWEEN_LOOKS_AT_OTHERS: Final = 1.0
_SECONDS_BETWEEN_EXPIRIES: Final = 1.0
_SECONDS_WITHOUT_DISK: Final = 5.0


class Kind(enum.Enum):
    """What a request holds, most important first."""

    MODELS = segments.MODELS
    SPANS = segments.SPANS


@dataclasses.dataclass(frozen=True)
class Stored:
    """A request that waits for being delivered.

    Attributes:
        kind: What is in it.
        payload: The bytes of an ExportTraceServiceRequest.
        count: How many spans are in it, as `append` was told.
        stored_at: When it was appended, in seconds since the epoch by this host's clock then.
        handle: The spool's own business. It is hashable, and equal for the same request.
    """

    kind: Kind
    payload: bytes
    count: int
    stored_at: float
    handle: object = dataclasses.field(repr=False, compare=False)


@dataclasses.dataclass(frozen=True)
class Pending:
    """What a spool holds for this process to deliver.

    Attributes:
        bytes: Of requests, with what a file needs beside them.
        spans: How many that are no model records.
        models: How many model records.
        oldest_age: Seconds for which the oldest has waited; 0.0 where there is none.
    """

    bytes: int = 0
    spans: int = 0
    models: int = 0
    oldest_age: float = 0.0

    def __bool__(self) -> bool:
        """Whether anything is waiting."""
        return bool(self.bytes)


@dataclasses.dataclass(frozen=True)
class _Handle:
    identity: tuple[int, int, int]
    given: "_Given" = dataclasses.field(compare=False)


@dataclasses.dataclass(eq=False)
class _Given:
    """What was given out last: where it is, on disk or in memory."""

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
        return Held(self.kind, self.payload, self.count, self.stored_ms, self.born, self.rank)


class Spool:
    """The requests that wait for one destination, as far as this process has to see to them.

    Each spool writes into a directory of its own below `directory`, which is made when the first request has to be
    kept, and which no other process touches while this one lives. Methods may be called by any thread, and none of
    them raises for a disk's sake. One thread at a time should go through `next` and what follows it. A forked child
    starts empty.

    Args:
        directory: Of the destination. It and what is above it is made, for this user alone, when it is needed. None
            for memory alone.
        max_bytes: Of disk that all processes together may take for this destination.
        max_age: Seconds after which a request is not worth delivering.
        segment_bytes: Size of a file after which another is begun: what is dropped at a bound is one file at a time.
        memory_bytes: Of requests kept in memory while the disk takes none.
        is_memory_meant: Whether there is no directory because nobody wants one, so that nobody has to be warned.
        about: What destination.json is to hold beside the version, such as `endpoint` and `protocol`; no secrets.
        on_drop: Called with a reason, the kind and the number of spans when something is given up: `size`, `age`,
            `memory` (neither disk nor memory had room), `damaged` (a file was changed or unreadable), `missing` (it was
            deleted by others), `closed`, `failed` (by a defect of this library). It is called with the spool locked
            and must not call it. The spool has logged it.
        clock: Seconds since the epoch; for tests.
        monotonic: Seconds that never jump; for tests. Ages are measured by it.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        max_bytes: int = MAX_BYTES,
        max_age: float = MAX_AGE_SECONDS,
        segment_bytes: int = SEGMENT_BYTES,
        memory_bytes: int = MEMORY_BYTES,
        is_memory_meant: bool = False,
        about: Mapping[str, str] | None = None,
        on_drop: Callable[[str, Kind, int], None] = lambda reason, kind, count: None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._is_memory_meant = is_memory_meant
        self._max_bytes = max_bytes
        self._max_age = max_age
        self._memory_bytes = min(memory_bytes, max_bytes)
        self._on_drop = on_drop
        self._clock = clock
        self._monotonic = monotonic
        note_loss = weakref.WeakMethod(self._note_loss)
        self._segment_seconds = min(_SEGMENT_SECONDS, max_age * _SEGMENT_PART_OF_AGE)
        self._disk = DiskQueue(
            directory or Path(os.devnull),
            segment_bytes=min(segment_bytes, max_bytes // _SEGMENTS_IN_BOUND),
            segment_seconds=self._segment_seconds,
            grace_seconds=min(_GRACE_SECONDS, max_age),
            about=about or {},
            clock=clock,
            monotonic=monotonic,
            # Weak, so that a spool that is forgotten lets go of its files at once.
            on_lost=lambda segment, reason: (note := note_loss()) and note(segment, reason),
        )
        self._neglected = Neglected(directory or Path(os.devnull), max_age + self._segment_seconds, clock, monotonic)
        self._is_closed = False
        self._begin()
        if hasattr(os, "register_at_fork"):
            after_fork = weakref.WeakMethod(self._after_fork)
            os.register_at_fork(after_in_child=lambda: (method := after_fork()) and method())

    def _begin(self) -> None:
        # Reentrant: a signal handler that flushes must not wait for itself.
        self._lock = threading.RLock()
        self._memory = MemoryQueue()
        self._given: _Given | None = None
        self._front_rank = 0
        self._disk_again_at: float | None = None
        self._synced_at = self._expired_at = self._looked_at = float("-inf")
        self._others = (0, 0)

    def _after_fork(self) -> None:
        self._disk.forget()
        self._begin()

    def append(self, kind: Kind, payload: bytes, count: int) -> None:
        """Keep a request of `count` spans. It never raises: where the disk takes nothing, it is kept in memory."""
        with self._guarded("keeping a request"):
            if self._is_closed:
                self._drop("closed", kind.value, count)
                return
            try:
                self._keep(Held(kind.value, payload, count, int(self._clock() * 1000), self._monotonic()))
            except Exception:
                self._drop("failed", kind.value, count)
                raise
            self._sync_if_due()

    def next(self) -> Stored | None:
        """What to deliver next: models before spans, the oldest first, whether from here or adopted.

        It is given again until `done`, `set_aside`, `replace` or `postpone` is called with it.
        """
        with self._guarded("reading the next request"):
            self._expire()
            if self._memory.bytes and self._is_disk_worth_a_try():
                # Nothing is on its way now, so that can be written, too.
                if self._given is not None and self._given.held is not None:
                    self._given = None
                self._write_memory()
            while (place := self._first_place()) is not None:
                given = self._given
                if given is None or place not in (given.segment, given.held):
                    given = self._given = self._read(place)
                if given is not None:
                    handle = _Handle((given.stored_ms, len(given.payload), given.checksum), given)
                    return Stored(Kind(given.kind), given.payload, given.count, given.stored_ms / 1000, handle)
        return None

    def done(self, stored: Stored) -> None:
        """Note that it was delivered: it is not given again, neither after a restart.

        The note is written at once, so it survives the death of the process; a loss of power may take the last
        second's.
        """
        with self._guarded("noting a delivery"):
            if (given := self._taken(stored)) is not None:
                self._finish(given)

    def replace(self, stored: Stored, parts: Sequence[tuple[bytes, int]]) -> None:
        """Keep these requests, each with its number of spans, instead of one: what is left of it, or its halves.

        They are the next to be given. Spans that are in no part are done with; whoever calls this has counted them.
        """
        with self._guarded("replacing a request"):
            if (given := self._taken(stored)) is not None:
                # The last one first, as each goes in front of those before.
                self._exchange(
                    given,
                    [
                        dataclasses.replace(given.request, payload=payload, count=count, rank=self._front_rank - number)
                        for number, (payload, count) in enumerate(reversed(parts), 1)
                    ],
                )
                self._front_rank -= len(parts)

    def postpone(self, stored: Stored) -> None:
        """Give everything else first, until this process ends. It keeps its age."""
        with self._guarded("postponing a request"):
            if (given := self._taken(stored)) is not None:
                self._exchange(given, [dataclasses.replace(given.request, rank=1)])

    def set_aside(self, stored: Stored, reason: str) -> None:
        """Put it where it is kept for a look, within the bounds, and not given again; `on_drop` is not called."""
        with self._guarded("setting a request aside"):
            if (given := self._taken(stored)) is not None:
                self._put_aside(given.payload, given.count, given.stored_ms, reason)
                self._finish(given)

    def adopt(self) -> bool:
        """Take over what processes that are dead have left for this destination.

        It costs one listing of the directory where there is nothing. It also sees to the bounds, and now and then to
        what waits too long for destinations that nobody sends to.

        Returns:
            Whether anything was taken.
        """
        is_taken = False
        with self._guarded("looking for what other processes have left"):
            if self._directory is None or self._is_closed:
                return False
            is_taken = self._disk.adopt()
            self._neglected.clean()
            self._looked_at = float("-inf")
            self._make_room(0)
        return is_taken

    def sync(self) -> None:
        """Have what was written go to the disk itself; it costs nothing where there is nothing new.

        To be called every second or so while anything is pending. Appending and `close` do the same.
        """
        with self._guarded("writing to the disk"):
            self._sync_if_due()

    @property
    def pending(self) -> Pending:
        """How much is waiting. It costs next to nothing."""
        with self._lock:
            disk, memory = self._disk.spans, self._memory.spans
            births = [place.born for place in self._firsts()]
            return Pending(
                bytes=self._disk.unread + self._memory.bytes,
                spans=disk[segments.SPANS] + memory[segments.SPANS],
                models=disk[segments.MODELS] + memory[segments.MODELS],
                oldest_age=max(0.0, self._monotonic() - min(births)) if births else 0.0,
            )

    def close(self) -> None:
        """Write what is in memory, if the disk takes it now, and leave everything to the next process."""
        with self._guarded("closing"):
            if self._is_closed:
                return
            self._disk_again_at = None
            self._given = None
            if self._is_disk_worth_a_try():
                self._write_memory()
            for kind in self._memory.spans:
                while (held := self._memory.first(kind)) is not None:
                    self._memory.remove(held)
                    self._drop("closed", kind, held.count)
            self._is_closed = True
            try:
                self._disk.close()
            except OSError as error:
                warn_rarely("spool closing", "what waits on disk may not outlive a loss of power: %s", str(error))

    @contextlib.contextmanager
    def _guarded(self, doing: str) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except Exception:
                swallow(f"{doing} (spool)")

    def _keep(self, held: Held) -> None:
        """On disk, or else in memory, or else not."""
        if not self._make_room(len(held.payload) + segments.RECORD_BYTES, held.kind):
            self._drop("size", held.kind, held.count)
            return
        if self._is_disk_worth_a_try() and self._write_memory():
            try:
                self._write(held)
            except OSError as error:
                self._do_without_disk(error)
            else:
                return
        self._memory.add(held)
        self._bound_memory(held)

    def _write(self, held: Held) -> None:
        self._disk.append(held.kind, held.payload, held.count, held.stored_ms, held.born, held.rank)
        if self._disk_again_at is not None:
            self._disk_again_at = None
            warn_rarely("spool disk again", "the disk takes again what cannot be delivered now")

    def _is_disk_worth_a_try(self) -> bool:
        if self._directory is None:
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
        """Move everything from memory to the disk; whether that has worked."""
        given = None if self._given is None else self._given.held
        for kind in (segments.MODELS, segments.SPANS):
            for held in self._memory.all(kind):
                if held is given:
                    continue  # it may be on its way
                try:
                    self._write(held)
                except OSError as error:
                    self._do_without_disk(error)
                    return False
                self._memory.remove(held)
        return True

    def _bound_memory(self, newest: Held) -> None:
        given = self._given.held if self._given is not None else None
        while self._memory.bytes > self._memory_bytes:
            victim = self._memory.oldest(segments.SPANS, given)
            if victim is None:
                victim = newest if newest.kind == segments.SPANS else self._memory.oldest(segments.MODELS, given)
            if victim is None:
                return
            self._memory.remove(victim)
            self._drop("memory", victim.kind, victim.count)

    def _make_room(self, length: int, kind: str = segments.MODELS) -> bool:
        """Give up what has to go for so many bytes more; whether there is room then."""
        if length > self._max_bytes:
            return False
        if self._disk.bytes == 0 and length == 0:
            return True
        now = self._monotonic()
        if self._directory is not None and now - self._looked_at >= _SECONDS_BETWEEN_LOOKS_AT_OTHERS:
            self._looked_at = now
            self._others = self._disk.bytes_of_others()
        taken, number = self._others
        allowed = max(self._max_bytes - taken, self._max_bytes // (number + 1))
        aside = self._disk.kept[segments.SET_ASIDE]
        while self._disk.bytes + length > allowed:
            if aside:
                self._disk.remove(aside[0])
            elif kind != segments.SET_ASIDE and self._disk.kept[segments.SPANS]:
                self._give_up(self._disk.kept[segments.SPANS][0], "size")
            elif kind == segments.MODELS and self._disk.kept[segments.MODELS]:
                self._give_up(self._disk.kept[segments.MODELS][0], "size")
            else:
                return False
        return True

    def _give_up(self, segment: Segment, reason: str, *, even_given: bool = False) -> None:
        """Drop a segment, but not the request in it that is on its way."""
        lost = segment.spans_unread
        given = self._given
        if given is not None and given.segment is segment:
            if even_given:
                self._given = None
            else:
                lost -= given.count
                self._front_rank -= 1
                given.held = dataclasses.replace(given.request, rank=self._front_rank)
                given.segment = given.record = None
                self._memory.add(given.held)
        self._disk.remove(segment)
        self._drop(reason, segment.name.kind, lost)

    def _expire(self) -> None:
        """Drop what is too old. Only where nothing is on its way."""
        now = self._monotonic()
        if now - self._expired_at < min(_SECONDS_BETWEEN_EXPIRIES, self._segment_seconds):
            return
        self._expired_at = now
        # A segment is as old as its first request; those after it may be younger by as long as it was written to.
        oldest = now - self._max_age - self._segment_seconds
        for kept in self._disk.kept.values():
            for segment in [one for one in kept if one.born < oldest and one.spared_until <= now]:
                self._give_up(segment, "age", even_given=True)
        for kind in (segments.MODELS, segments.SPANS):
            while (held := self._memory.oldest(kind, None)) is not None and held.born < oldest:
                self._memory.remove(held)
                self._drop("age", kind, held.count)

    def _firsts(self) -> Iterator[Segment | Held]:
        """What comes first of each kind, on disk and in memory."""
        for kind in (segments.MODELS, segments.SPANS):
            segment, held = self._disk.first(kind), self._memory.first(kind)
            if segment is not None:
                yield segment
            if held is not None:
                yield held

    def _first_place(self) -> Segment | Held | None:
        return min(self._firsts(), key=_turn, default=None)

    def _read(self, place: Segment | Held) -> _Given | None:
        if isinstance(place, Held):
            facts = (place.kind, place.payload, place.count, place.stored_ms, place.born, place.rank)
            return _Given(*facts, zlib.crc32(place.payload), held=place)
        record = self._disk.read(place)
        if record is None:
            return None
        facts = (place.name.kind, record.payload, record.count, record.stored_ms, place.born, place.rank)
        return _Given(*facts, record.checksum, segment=place, record=record)

    def _taken(self, stored: Stored) -> _Given | None:
        """Where a request is, if it is still ours: a fork and a move from memory to disk end that."""
        handle = stored.handle
        return self._given if isinstance(handle, _Handle) and handle.given is self._given else None

    def _exchange(self, given: _Given, requests: Sequence[Held]) -> None:
        """Keep these instead. Whatever of it is on disk is there until they are: better twice than never."""
        if given.segment is None:
            self._finish(given)
        for request in requests:
            self._keep(request)
        if given is self._given:
            self._finish(given)

    def _finish(self, given: _Given) -> None:
        self._given = None
        if given.held is not None:
            self._memory.remove(given.held)
        elif given.segment is not None and given.record is not None:
            self._disk.done(given.segment, given.record)

    def _put_aside(self, payload: bytes, count: int, stored_ms: int, reason: str) -> None:
        allowed = self._max_bytes * _SET_ASIDE_PART
        length = len(payload) + segments.RECORD_BYTES
        aside = self._disk.kept[segments.SET_ASIDE]
        while aside and sum(segment.size for segment in aside) + length > allowed:
            self._disk.remove(aside[0])
        if length > allowed or not self._is_disk_worth_a_try() or not self._make_room(length, segments.SET_ASIDE):
            return
        try:
            self._disk.append(segments.SET_ASIDE, payload, count, stored_ms, self._monotonic(), note=reason)
        except OSError as error:
            self._do_without_disk(error)

    def _sync_if_due(self) -> None:
        now = self._monotonic()
        if now - self._synced_at < _SECONDS_BETWEEN_SYNCS:
            return
        self._synced_at = now
        try:
            self._disk.sync()
        except OSError as error:
            warn_rarely("spool sync", "what waits on disk may not outlive a loss of power: %s", str(error))

    def _note_loss(self, segment: Segment, reason: str) -> None:
        self._drop(reason, segment.name.kind, segment.spans_unread)

    def _drop(self, reason: str, kind: str, count: int) -> None:
        if kind == segments.SET_ASIDE or count <= 0:
            return
        what = "model records" if kind == segments.MODELS else "spans"
        warn_rarely(f"spool {reason} {kind}", "%d %s are given up (%s): %s", count, what, reason, _REASONS[reason])
        self._on_drop(reason, Kind(kind), count)


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
