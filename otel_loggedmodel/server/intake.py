# SPDX-License-Identifier: Apache-2.0
"""The way of requests with spans or log records from either transport to the store, and how many may be under way."""

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import Message

from otel_loggedmodel.server.batching import Inserter
from otel_loggedmodel.server.decoding import Signal, decode
from otel_loggedmodel.server.metrics import SignalMetrics
from otel_loggedmodel.server.refusing import Reason, RefusalError, busy, unavailable
from otel_loggedmodel.server.settings import Settings

NO_SUCH_SIGNAL: Final = "this backend takes traces and log records, and answers for metrics: nothing else is known here"


TRACES: Final = "traces"
LOGS: Final = "logs"


@dataclass(frozen=True)
class Lane:
    """The way of one kind of request.

    Attributes:
        signal: What is in it.
        inserter: Where it goes.
        metrics: What is counted.
    """

    signal: Signal
    inserter: Inserter
    metrics: SignalMetrics


@dataclass(frozen=True)
class Taken:
    """A request that was taken.

    Attributes:
        stored: Done when it is stored, or else failed with a `RefusalError`.
        response: What to answer then.
    """

    stored: "Future[None]"
    response: Message


class Place:
    """A request's place among those that are in flight."""

    def __init__(self, intake: "Intake") -> None:
        self._intake = intake
        self.held_bytes = 0

    def hold(self, size: int) -> None:
        """Count bytes that were received.

        Raises:
            RefusalError: All requests together have too many.
        """
        self._intake.hold(size)
        self.held_bytes += size


class Intake:
    """Takes requests: a bounded number at a time, decoded by a few threads, stored by an inserter.

    Args:
        settings: The limits.
        lanes: Where requests go, by what is in them.
    """

    def __init__(self, settings: Settings, lanes: Mapping[str, Lane]) -> None:
        self._settings = settings
        self._lanes = lanes
        self._lock = threading.Lock()
        self._in_flight = 0
        self._in_flight_bytes = 0
        self._is_closed = False
        self._decoders = ThreadPoolExecutor(settings.decoders, thread_name_prefix="otel-loggedmodel decoder")

    @contextmanager
    def place(self) -> Iterator[Place]:
        """A place among the requests that are in flight.

        Raises:
            RefusalError: There is no room for one more.
        """
        with self._lock:
            if self._is_closed:
                raise unavailable("the backend is shutting down")
            if self._in_flight >= self._settings.max_in_flight:
                raise busy(f"{self._in_flight} requests are in flight: send fewer at a time")
            self._in_flight += 1
        place = Place(self)
        try:
            yield place
        finally:
            with self._lock:
                self._in_flight -= 1
                self._in_flight_bytes -= place.held_bytes

    def hold(self, size: int) -> None:
        """Count bytes that were received; `Place.hold` does that for one request."""
        with self._lock:
            if self._in_flight_bytes + size > self._settings.max_in_flight_bytes:
                raise busy(f"{self._in_flight_bytes} bytes are in flight: send fewer at a time")
            self._in_flight_bytes += size

    def take(self, body: bytes, content_type: str, encoding: str, lane: str = TRACES) -> "Future[Taken]":
        """Decode a request and have it stored.

        Args:
            body: As it was sent.
            content_type: `decoding.PROTOBUF` or `decoding.JSON`.
            encoding: `identity`, `gzip`, `zstd` or `deflate`.
            lane: What is in it: `TRACES` or `LOGS`.

        Returns:
            Done when it waits for being stored; or else failed with a `RefusalError`.

        Raises:
            RefusalError: Such requests are not taken here.
        """
        way = self._lanes.get(lane)
        if way is None:
            raise RefusalError(Reason.UNKNOWN, f"{lane} are not kept here")
        return self._decoders.submit(self._take, body, content_type, encoding, way)

    def refuse_more(self) -> None:
        """Take nothing new; what was taken goes on."""
        with self._lock:
            self._is_closed = True

    def close(self) -> None:
        """Wait for the decoding threads."""
        self._decoders.shutdown()

    def _take(self, body: bytes, content_type: str, encoding: str, lane: Lane) -> Taken:
        decoded = decode(body, content_type, encoding, self._settings, lane.signal)
        checked = decoded.checked
        for reason, count in checked.account.rejected.items():
            lane.metrics.rejected.labels(reason).inc(count)
        for kind, count in checked.account.repaired.items():
            lane.metrics.repairs.labels(kind).inc(count)
        if checked.spans:
            stored = lane.inserter.submit(decoded.digest, checked.payload, checked.spans, checked.memory)
        else:
            stored = Future()
            stored.set_result(None)
        return Taken(stored, decoded.response())
