# SPDX-License-Identifier: Apache-2.0
"""Keeps the requests that were accepted and not yet delivered to one destination.

Each request ends in one of four ways: it is given out until it is done with, it is set aside, it is given up at a bound
and counted, or it is left to the next process. `bounded_queues` says where it is until then, and what the bounds are.
"""

import contextlib
import dataclasses
import enum
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from otel_loggedmodel._errors import swallow, warn_rarely
from otel_loggedmodel._forking import call_in_forked_child
from otel_loggedmodel.delivery import segments
from otel_loggedmodel.delivery.bounded_queues import BoundedQueues, Given
from otel_loggedmodel.delivery.memory_queue import Held
from otel_loggedmodel.delivery.neglected import Neglected

MAX_BYTES: Final = 512 * 1024 * 1024
MAX_AGE_SECONDS: Final = 48 * 3600.0
SEGMENT_BYTES: Final = 4 * 1024 * 1024
MEMORY_BYTES: Final = 32 * 1024 * 1024


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
        handle: For the spool itself. It is hashable, and equal for the same request.
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
        bytes: The bytes of the requests, with what a file adds to them.
        spans: How many that are no model records.
        models: How many model records.
        oldest_age: Seconds for which the oldest has waited; 0.0 if there is none.
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
    given: Given = dataclasses.field(compare=False)


class Spool:
    """The requests that wait for one destination and that this process has to deliver.

    Each spool writes into a directory of its own below `directory`. It is made when the first request has to be kept,
    and no other process touches it while this one lives. Any thread may call the methods, and none of them raises
    because of the disk. One thread at a time should call `next` and then what ends the request. A forked child starts
    empty.

    Args:
        directory: The destination's directory. It is made when it is needed, with those above it, for this user
            alone. None to keep requests in memory only.
        max_bytes: Bytes of disk that all processes together may take for this destination.
        max_age: Seconds after which a request is not worth delivering.
        segment_bytes: Size of a file after which another is begun. At a bound, one file at a time is dropped.
        memory_bytes: Bytes of requests that are kept in memory while the disk takes none.
        is_memory_meant: Whether nobody wants a directory. Then nobody is warned that there is none.
        about: What destination.json holds beside the version, such as `endpoint` and `protocol`; no secrets.
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
        self._clock = clock
        self._monotonic = monotonic
        self._queues = BoundedQueues(
            directory,
            max_bytes=max_bytes,
            max_age=max_age,
            segment_bytes=segment_bytes,
            memory_bytes=memory_bytes,
            is_memory_meant=is_memory_meant,
            about=about or {},
            on_drop=lambda reason, kind, count: on_drop(reason, Kind(kind), count),
            clock=clock,
            monotonic=monotonic,
        )
        kept_for = max_age + self._queues.segment_seconds
        self._neglected = Neglected(directory or Path(os.devnull), kept_for, clock, monotonic)
        self._is_closed = False
        # Reentrant: a signal handler that flushes must not wait for itself.
        self._lock = threading.RLock()
        call_in_forked_child(self._after_fork)

    def _after_fork(self) -> None:
        self._queues.forget()
        self._lock = threading.RLock()

    def append(self, kind: Kind, payload: bytes, count: int) -> None:
        """Keep a request of `count` spans. If the disk takes nothing, it is kept in memory. Never raises."""
        with self._guarded("keeping a request"):
            if self._is_closed:
                self._queues.drop("closed", kind.value, count)
                return
            try:
                self._queues.keep(Held(kind.value, payload, count, int(self._clock() * 1000), self._monotonic()))
            except Exception:
                self._queues.drop("failed", kind.value, count)
                raise
            self._queues.sync()

    def next(self) -> Stored | None:
        """What to deliver next: models before spans, the oldest first, be it from this process or adopted.

        It is given again until `done`, `set_aside`, `replace` or `postpone` is called with it.
        """
        with self._guarded("reading the next request"):
            if (given := self._queues.next()) is not None:
                handle = _Handle((given.stored_ms, len(given.payload), given.checksum), given)
                return Stored(Kind(given.kind), given.payload, given.count, given.stored_ms / 1000, handle)
        return None

    def done(self, stored: Stored) -> None:
        """Note that it was delivered. It is not given again, not even after a restart.

        The note is written at once, so it survives the death of the process. A loss of power may cost the notes of the
        last second.
        """
        with self._guarded("noting a delivery"):
            if (given := self._taken(stored)) is not None:
                self._queues.finish(given)

    def replace(self, stored: Stored, parts: Sequence[tuple[bytes, int]]) -> None:
        """Keep other requests instead of one, each with its number of spans: what is left of it, or its halves.

        They are given next. Spans that are in none of them are done with. The caller has counted those.
        """
        with self._guarded("replacing a request"):
            if (given := self._taken(stored)) is not None:
                # The last one first, as each goes in front of those that are there.
                self._queues.exchange(
                    given,
                    [
                        dataclasses.replace(
                            given.request, payload=payload, count=count, rank=self._queues.front_rank - number
                        )
                        for number, (payload, count) in enumerate(reversed(parts), 1)
                    ],
                )
                self._queues.front_rank -= len(parts)

    def postpone(self, stored: Stored) -> None:
        """Give everything else first, until this process ends. It keeps its age."""
        with self._guarded("postponing a request"):
            if (given := self._taken(stored)) is not None:
                self._queues.exchange(given, [dataclasses.replace(given.request, rank=1)])

    def set_aside(self, stored: Stored, reason: str) -> None:
        """Keep it for people to look at, within the bounds, and do not give it again. `on_drop` is not called."""
        with self._guarded("setting a request aside"):
            if (given := self._taken(stored)) is not None:
                self._queues.put_aside(given, reason)

    def adopt(self) -> bool:
        """Take over what dead processes have left for this destination.

        If there is nothing, this costs one listing of the directory. It also keeps to the bounds, and gives up now and
        then what waits too long for destinations that nobody sends to.

        Returns:
            Whether anything was taken.
        """
        is_taken = False
        with self._guarded("looking for what other processes have left"):
            if self._directory is None or self._is_closed:
                return False
            is_taken = self._queues.disk.adopt()
            self._neglected.clean()
            self._queues.see_to_bounds()
        return is_taken

    def sync(self) -> None:
        """Have the system write everything to the disk itself. If nothing is new, this costs nothing.

        To be called every second or so while anything is pending. Appending and `close` do the same.
        """
        with self._guarded("writing to the disk"):
            self._queues.sync()

    @property
    def pending(self) -> Pending:
        """How much is waiting. It costs next to nothing."""
        with self._lock:
            disk, memory = self._queues.disk, self._queues.memory
            return Pending(
                bytes=disk.unread + memory.bytes,
                spans=disk.spans[segments.SPANS] + memory.spans[segments.SPANS],
                models=disk.spans[segments.MODELS] + memory.spans[segments.MODELS],
                oldest_age=self._queues.oldest_age,
            )

    def close(self) -> None:
        """Write what is in memory, if the disk takes it now, and leave everything to the next process."""
        with self._guarded("closing"):
            if self._is_closed:
                return
            self._queues.close()
            self._is_closed = True
            try:
                self._queues.disk.close()
            except OSError as error:
                warn_rarely("spool closing", "what waits on disk may not outlive a loss of power: %s", str(error))

    @contextlib.contextmanager
    def _guarded(self, doing: str) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except Exception:
                swallow(f"{doing} (spool)")

    def _taken(self, stored: Stored) -> Given | None:
        """Where a request is; None if it is not ours any more, after a fork or a move from memory to disk."""
        handle = stored.handle
        return self._queues.given if isinstance(handle, _Handle) and handle.given is self._queues.given else None
