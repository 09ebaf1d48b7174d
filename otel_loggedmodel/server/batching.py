# SPDX-License-Identifier: Apache-2.0
"""Stores requests, many in one insert, and acknowledges each once it is stored.

ClickHouse takes few large inserts much better than many small ones. So requests wait: for a moment if nothing is going
on, and else for the insert that is running. The more requests there are, the larger batches grow by themselves.
"""

import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

from otel_loggedmodel.server.metrics import SignalMetrics
from otel_loggedmodel.server.recent import Recent
from otel_loggedmodel.server.refusing import RefusalError, busy, malformed, too_much_memory, unavailable
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.store.reading import StoreUnavailableError
from otel_loggedmodel.store.writing import RefusedError, TooMuchMemoryError, Writer

_logger = logging.getLogger(__name__)

# How many digests are remembered. Each has 16 bytes and takes some 200 in Python: 20 MB at most.
_MAX_REMEMBERED: Final = 100_000
# How long a failure counts as trouble. If it did for ever, whoever asks /readyz before sending would never send again,
# and nobody would find out that all is well.
_DOUBT_SECONDS: Final = 30.0
# Storing so little fails only where others have taken the memory. It may pass once they have given it back.
_LITTLE_MEMORY: Final = 32 * 1024 * 1024


@dataclass(eq=False)
class _Waiting:
    digest: bytes
    payload: bytes
    spans: int
    memory: int
    since: float = field(default_factory=time.monotonic)
    stored: "Future[None]" = field(default_factory=Future)

    def __post_init__(self) -> None:
        # A client that goes away cancels its wait. Others may wait for the same, so this future is not to be cancelled.
        self.stored.set_running_or_notify_cancel()


class Inserter:
    """A queue of requests, and the thread that stores them.

    Args:
        writer: Where they go.
        settings: How much waits, and how long.
        metrics: What is counted.
        plural: What messages call what is stored: `spans` or `log records`.
    """

    def __init__(self, writer: Writer, settings: Settings, metrics: SignalMetrics, plural: str = "spans") -> None:
        self._writer = writer
        self._plural = plural
        self._settings = settings
        self._metrics = metrics
        self._changed = threading.Condition()
        self._queue: deque[_Waiting] = deque()
        self._queued_spans = 0
        self._by_digest: dict[bytes, _Waiting] = {}
        self._stored = Recent(settings.remember_seconds, _MAX_REMEMBERED)
        self._held_bytes = 0
        self._held_spans = 0
        self._hurrying = False
        self._give_up_at: float | None = None
        self._trouble: tuple[str, float] | None = None
        self._given_back = 0
        metrics.queue_bytes.set_function(lambda: self._held_bytes)
        metrics.queue_spans.set_function(lambda: self._held_spans)
        self._thread = threading.Thread(target=self._run, name="otel-loggedmodel inserter")

    def start(self) -> None:
        """Begin to store."""
        self._thread.start()

    def submit(self, digest: bytes, payload: bytes, spans: int, memory: int = 0) -> "Future[None]":
        """Have a request stored.

        Args:
            digest: The digest of its content. What is being stored, or was lately, is not stored again.
            payload: A serialized request of OTLP.
            spans: How many, or how many log records, are in it.
            memory: The bytes that storing it takes.

        Returns:
            Done when it is stored; or else failed with a `RefusalError`.

        Raises:
            RefusalError: The queue is full, or closing.
        """
        with self._changed:
            if (known := self._by_digest.get(digest)) is not None:
                self._metrics.duplicates.inc()
                return known.stored
            if digest in self._stored:
                self._metrics.duplicates.inc()
                return _done()
            if self._give_up_at is not None:
                raise unavailable("the backend is shutting down")
            self._check_room(len(payload), spans)
            waiting = _Waiting(digest, payload, spans, memory)
            self._queue.append(waiting)
            self._by_digest[digest] = waiting
            self._queued_spans += spans
            self._held_bytes += len(payload)
            self._held_spans += spans
            if len(self._queue) == 1 or self._queued_spans >= self._settings.batch_spans:
                self._changed.notify()
            return waiting.stored

    def hurry(self) -> None:
        """From now on let no request wait for others."""
        with self._changed:
            self._hurrying = True
            self._changed.notify()

    def close(self, grace_seconds: float) -> bool:
        """Store what was accepted, and stop.

        Args:
            grace_seconds: After so long no further insert is begun, and what is left is given back to its senders. An
                insert that is running is waited for.

        Returns:
            Whether nothing was left.
        """
        with self._changed:
            self._hurrying = True
            self._give_up_at = time.monotonic() + grace_seconds
            self._changed.notify()
        self._thread.join()
        if self._given_back:
            _logger.error("%d requests could not be stored in time: their senders were told", self._given_back)
        return not self._given_back

    @property
    def trouble(self) -> str | None:
        """Why the last insert failed, if that was not long ago."""
        trouble = self._trouble
        return trouble[0] if trouble is not None and time.monotonic() - trouble[1] < _DOUBT_SECONDS else None

    def _check_room(self, size: int, spans: int) -> None:
        # A request that is larger than the whole queue is taken when the queue is empty. Otherwise it never would be.
        if self._held_spans and (
            self._held_bytes + size > self._settings.queue_bytes
            or self._held_spans + spans > self._settings.queue_spans
        ):
            raise busy(f"the queue is full: {self._held_spans} {self._plural} wait for being stored")

    def _run(self) -> None:
        while batch := self._next_batch():
            if self._give_up_at is not None and time.monotonic() >= self._give_up_at:
                self._given_back += len(batch)
                self._fail(batch, "the backend shut down before this was stored")
            else:
                self._store(batch)

    def _next_batch(self) -> list[_Waiting]:
        """What to store next; nothing when it is time to stop."""
        with self._changed:
            while (seconds := self._seconds_to_linger()) is None or seconds > 0:
                if seconds is None and self._give_up_at is not None:
                    return []
                self._changed.wait(seconds)
            return self._take_batch()

    def _seconds_to_linger(self) -> float | None:
        """How long to wait for more; None where nothing is there."""
        if not self._queue:
            return None
        if self._hurrying or self._queued_spans >= self._settings.batch_spans:
            return 0.0
        return self._queue[0].since + self._settings.linger_seconds - time.monotonic()

    def _take_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        spans = size = memory = 0
        while self._queue:
            spans += self._queue[0].spans
            size += len(self._queue[0].payload)
            memory += self._queue[0].memory
            if batch and (
                spans > self._settings.batch_spans
                or size > self._settings.batch_bytes
                or memory > self._settings.max_memory_bytes
            ):
                break
            batch.append(self._queue.popleft())
            self._queued_spans -= batch[-1].spans
        return batch

    def _store(self, batch: list[_Waiting]) -> None:
        started = time.perf_counter()
        try:
            self._writer.insert([waiting.payload for waiting in batch])
        except StoreUnavailableError as error:
            self._metrics.insert_failures.labels("unavailable").inc()
            self._report_trouble(str(error))
            self._fail(batch, f"the store is not available: {error}")
        except RefusedError as error:
            self._metrics.insert_failures.labels("refused").inc()
            self._store_without_poison(batch, error)
        except Exception as error:
            # A defect of the store, or something that it did not foresee: senders keep what they have and try again.
            _logger.exception("an insert failed")
            self._metrics.insert_failures.labels("error").inc()
            self._report_trouble(repr(error))
            self._fail(batch, "the store failed: the log of the backend says how")
        else:
            spans = sum(waiting.spans for waiting in batch)
            self._metrics.insert_seconds.observe(time.perf_counter() - started)
            self._metrics.insert_spans.observe(spans)
            self._metrics.last_insert.set_to_current_time()
            self._metrics.accepted.inc(spans)
            self._trouble = None
            self._release(batch, are_stored=True)
            for waiting in batch:
                waiting.stored.set_result(None)

    def _store_without_poison(self, batch: list[_Waiting], error: RefusedError) -> None:
        """Find the request that cannot be stored, by halves, so that no other is lost with it."""
        if len(batch) == 1:
            _logger.warning("a request with %d %s cannot be stored: %s", batch[0].spans, self._plural, error)
            self._release(batch, are_stored=False)
            batch[0].stored.set_exception(_refusal(batch[0], error))
            return
        middle = len(batch) // 2
        self._store(batch[:middle])
        self._store(batch[middle:])

    def _report_trouble(self, text: str) -> None:
        if self.trouble != text:
            _logger.error("%s cannot be stored at the moment, and are left to their senders: %s", self._plural, text)
        self._trouble = (text, time.monotonic())

    def _fail(self, batch: list[_Waiting], text: str) -> None:
        self._release(batch, are_stored=False)
        for waiting in batch:
            waiting.stored.set_exception(unavailable(text))

    def _release(self, batch: list[_Waiting], *, are_stored: bool) -> None:
        with self._changed:
            for waiting in batch:
                del self._by_digest[waiting.digest]
                self._held_bytes -= len(waiting.payload)
                self._held_spans -= waiting.spans
                if are_stored:
                    self._stored.add(waiting.digest)


def _refusal(waiting: _Waiting, error: RefusedError) -> RefusalError:
    """Why one request is not stored, whatever it came with."""
    if not isinstance(error, TooMuchMemoryError):
        return malformed(f"the store cannot take this request: {error}")
    if waiting.memory <= _LITTLE_MEMORY:
        return unavailable("the store has too little memory at the moment")
    return too_much_memory(
        f"the store has too little memory for this request of {waiting.spans} spans or log records, which takes"
        f" about {waiting.memory // 2**20} MiB: send fewer at a time"
    )


def _done() -> "Future[None]":
    future: Future[None] = Future()
    future.set_result(None)
    return future
