# SPDX-License-Identifier: Apache-2.0
"""What was accepted and not yet delivered to one destination: on disk, or in memory while there is no disk."""

import dataclasses
import enum
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 512 * 1024 * 1024
MAX_AGE_SECONDS: Final = 48 * 3600.0
SEGMENT_BYTES: Final = 4 * 1024 * 1024
MEMORY_BYTES: Final = 32 * 1024 * 1024


class Kind(enum.Enum):
    """What a request holds, most important first."""

    MODELS = "models"
    SPANS = "spans"


@dataclasses.dataclass(frozen=True)
class Stored:
    """A request that waits for being delivered.

    Attributes:
        kind: What is in it.
        payload: The bytes of an ExportTraceServiceRequest.
        count: How many spans are in it, as `append` was told.
        stored_at: When it was appended, in seconds since the epoch by this host's clock then.
        handle: The spool's own business.
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
        bytes: Of requests.
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


class Spool:
    """The requests that wait for one destination, as far as this process has to see to them.

    Each spool writes into a directory of its own below `directory`, which is made when the first request has to be kept,
    and which no other process touches while this one lives. Methods may be called by any thread, and none of them raises
    for a disk's sake. One thread at a time should go through `next` and what follows it.

    Args:
        directory: Of the destination. It and what is above it is made, for this user alone, when it is needed.
        max_bytes: Of disk that all processes together may take for this destination.
        max_age: Seconds after which a request is not worth delivering.
        segment_bytes: Size of a file after which another is begun: what is dropped at a bound is one file at a time.
        memory_bytes: Of requests kept in memory while the disk takes none.
        about: What destination.json is to hold beside the version, such as `endpoint` and `protocol`; no secrets.
        on_drop: Called with a reason, the kind and the number of spans when something is given up: `size`, `age`,
            `memory` (neither disk nor memory had room), `damaged` (a file was changed or unreadable), `missing` (it was
            deleted by others), `closed`. It is called with the spool locked and must not call it.
        clock: Seconds since the epoch; for tests.
        monotonic: Seconds that never jump; for tests. Ages are measured by it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = MAX_BYTES,
        max_age: float = MAX_AGE_SECONDS,
        segment_bytes: int = SEGMENT_BYTES,
        memory_bytes: int = MEMORY_BYTES,
        about: Mapping[str, str] | None = None,
        on_drop: Callable[[str, Kind, int], None] = lambda reason, kind, count: None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        raise NotImplementedError

    def append(self, kind: Kind, payload: bytes, count: int) -> None:
        """Keep a request of `count` spans. It never raises: where the disk takes nothing, it is kept in memory."""

    def next(self) -> Stored | None:
        """What to deliver next: models before spans, the oldest first, whether from here or adopted.

        It is given again until `done`, `set_aside` or `replace` is called with it.
        """

    def done(self, stored: Stored) -> None:
        """Note that it was delivered: it is not given again, neither after a restart.

        The note is written at once, so it survives the death of the process; a loss of power may take the last second's.
        """

    def replace(self, stored: Stored, parts: Sequence[tuple[bytes, int]]) -> None:
        """Keep these requests, each with its number of spans, instead of one: what is left of it, or its halves.

        They are the next to be given. Spans that are in no part are done with; whoever calls this has counted them.
        """

    def set_aside(self, stored: Stored, reason: str) -> None:
        """Put it where it is kept for a look, within the bounds, and not given again; `on_drop` is not called."""

    def quarantine(self, kind: Kind, payload: bytes, count: int, reason: str) -> None:
        """The same for a request, or a part of one, that `next` has not given."""

    def adopt(self) -> bool:
        """Take over what processes that are dead have left for this destination.

        It costs one listing of the directory where there is nothing. It also sees to the bounds.

        Returns:
            Whether anything was taken.
        """
        return False

    def sync(self) -> None:
        """Have what was written go to the disk itself; it costs nothing where there is nothing new.

        To be called every second or so while anything is pending. Appending and `close` do the same.
        """

    @property
    def pending(self) -> Pending:
        """How much is waiting. It costs next to nothing."""
        return Pending()

    def close(self) -> None:
        """Write what is in memory, if the disk takes it now, and leave everything to the next process."""
