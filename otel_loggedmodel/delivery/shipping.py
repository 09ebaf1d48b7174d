# SPDX-License-Identifier: Apache-2.0
"""Delivers model records through one span exporter: each once, again when refused, and anew every twelve hours.

Everything here runs on exporting threads. Two exporters in a process each deliver everything; what they send of one
event is the same span, so a backend behind both keeps one.
"""

import dataclasses
import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_loggedmodel._errors import swallow, warn_rarely
from otel_loggedmodel.uninstrumented import uninstrumented
from otel_loggedmodel.versions import records
from otel_loggedmodel.versions.catalogue import MAX_MODELS, catalogue
from otel_loggedmodel.versions.model import ModelEvent

REPEAT_AFTER_SECONDS: Final = 12 * 3600.0

# Receivers of OTLP over gRPC refuse messages of more than 4 MiB unless told otherwise: well below, in small batches.
_MAX_BATCH_BYTES: Final = 2 * 1024 * 1024
_MAX_BATCH_RECORDS: Final = 512
_MAX_BYTES_WITH_SPANS: Final = 64 * 1024
_MAX_RECORDS_WITH_SPANS: Final = 64
# A backend that is away takes all of an exporter's retries, about 7.5 seconds; one that refuses says so at once.
_QUICK_REFUSAL_SECONDS: Final = 1.0
_FIRST_RETRY_SECONDS: Final = 5.0
_LAST_RETRY_SECONDS: Final = 300.0

_live: Final[weakref.WeakSet["RecordShipper"]] = weakref.WeakSet()


class RecordShipper:
    """What one exporter has been given of this process's model records, and what it is still owed.

    Args:
        exporter: Where records go. It is called by one thread at a time.
        repeat_after: Seconds after which a version that is still in use is announced again.
        clock: Monotonic seconds; for tests.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        repeat_after: float = REPEAT_AFTER_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exporter = exporter
        self._repeat_after = repeat_after
        self._clock = clock
        self.resource: Resource | None = None
        self._delivered = 0  # sequence number of the newest event that needs no more work
        self._announced: dict[str, float] = {}
        self._retry_at: float | None = None
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._spans_failed = False
        # The specification lets an exporter assume that its calls do not overlap, and a flush comes from any thread.
        # Reentrant: an exporter that makes spans, or a signal handler that flushes, must not wait for itself.
        self._lock = threading.RLock()
        _live.add(self)
        if hasattr(os, "register_at_fork"):
            after_fork = weakref.WeakMethod(self._after_fork)
            os.register_at_fork(after_in_child=lambda: (method := after_fork()) and method())

    def _after_fork(self) -> None:
        self._lock = threading.RLock()
        self.resource = None  # that of its parent
        self._delivered = catalogue.last_number
        self._announced = {}  # whatever this child uses, it announces itself: its parent may be gone
        self._retry_at = None

    def export(self, spans: Sequence[ReadableSpan], model_ids: Iterable[str]) -> SpanExportResult:
        """Export spans, and with them the records that are due and those of the models that the spans refer to."""
        with self._lock:
            if spans:
                self.resource = spans[0].resource
            due = self._due(model_ids)
            if due is not None and not due.is_small:
                self._deliver(due)
                due = None
            result = self._export(spans) if due is None else self._export_together(due, spans)
            if result is SpanExportResult.FAILURE:
                self._note_failure()
            elif self._spans_failed:
                # The backend is back: the records that it missed go now, not when their next try is due.
                self._spans_failed = False
                self._retry_at = None
                self._ship(model_ids)
            return result

    def _export_together(self, due: "_Due", spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """In one request, so that a backend that is away costs no more waiting than it does without records."""
        started = self._clock()
        delivered = self._send_batch([*due.spans, *spans])
        self._settle(due, delivered)
        if delivered:
            return SpanExportResult.SUCCESS
        takes_apart = getattr(self._exporter, "takes_requests_apart", False)
        if takes_apart or self._clock() - started > _QUICK_REFUSAL_SECONDS:
            return SpanExportResult.FAILURE
        # Refused, not away: if the records were the reason, the spans have to get through without them.
        return self._export(spans)

    def _export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            return self._exporter.export(spans)
        except Exception:
            self._note_failure()
            raise

    def flush(self, timeout_seconds: float = 30.0, model_ids: Iterable[str] = (), *, insist: bool = True) -> bool:
        """Deliver what is due, without any spans.

        Args:
            timeout_seconds: How long to wait for another thread that is exporting.
            model_ids: Versions in use, to be announced if they have not been for long.
            insist: Whether to try even if the last try failed a moment ago.

        Returns:
            Whether nothing is left to deliver.
        """
        if not self._lock.acquire(timeout=max(0.0, timeout_seconds)):
            return False
        try:
            if insist:
                self._retry_at = None
            with uninstrumented():
                return self._ship(model_ids)
        finally:
            self._lock.release()

    def shutdown(self) -> None:
        """Deliver what is due, unless the backend was away a moment ago: no process has to wait for it twice."""
        self.flush(insist=not self._spans_failed)
        self.release()

    def release(self) -> None:
        """Deliver nothing any more when all are flushed: the exporter is shut down, or somebody else's."""
        _live.discard(self)

    def seconds_to_retry(self) -> float | None:
        """How long until a refused record may be tried again, or None where none is waiting."""
        return None if self._retry_at is None else max(0.0, self._retry_at - self._clock())

    def _note_failure(self) -> None:
        # A try costs as long as the wrapped exporter's own retries take. While spans fail, records do not add theirs.
        self._spans_failed = True
        self._retry_at = max(self._retry_at or 0.0, self._clock() + self._retry_seconds)

    def _ship(self, model_ids: Iterable[str]) -> bool:
        """Whether everything that was due has been delivered."""
        due = self._due(model_ids)
        return self._retry_at is None if due is None else self._deliver(due)

    def _due(self, model_ids: Iterable[str]) -> "_Due | None":
        """What has to be delivered now; None also where it has to wait for the next try."""
        try:
            now = self._clock()
            stale = self._stale(model_ids, now)
            if catalogue.last_number == self._delivered and not stale:
                self._retry_at = None
                return None
            if self._retry_at is not None and now < self._retry_at:
                return None
            numbered = catalogue.events_after(self._delivered)
            # An activation is a use: its model goes before it, and with it, so that the spans need not repeat either.
            used = (event.model_id for _, event in numbered if event.kind == "activated")
            stale = self._stale(dict.fromkeys((*stale, *used)), now)
            are_fresh = {id(event) for _, event in numbered}
            announced_again = (event for model_id in stale for event in catalogue.announcement_of(model_id))
            repeated = [event for event in announced_again if id(event) not in are_fresh]
            fresh = [event for _, event in numbered]
            return _Due(
                spans=list(self._spans_of(repeated, fresh)),
                sizes=[event.size for event in (*repeated, *fresh)],
                announced=[*stale, *(event.model_id for _, event in numbered if event.kind == "created")],
                up_to=numbered[-1][0] if numbered else self._delivered,
                time=now,
            )
        except Exception:
            swallow("collecting model records")
            self._retry_at = self._clock() + self._retry_seconds
            return None

    def _stale(self, model_ids: Iterable[str], now: float) -> list[str]:
        """Those of the models in use that this exporter was never told about, or too long ago."""
        oldest = now - self._repeat_after
        return [
            model_id
            for model_id in model_ids
            if self._announced.get(model_id, -math.inf) < oldest and catalogue.knows(model_id)
        ]

    def _deliver(self, due: "_Due") -> bool:
        """Send records by themselves, in messages that receivers take."""
        delivered = True
        batch: list[ReadableSpan] = []
        batch_bytes = 0
        for span, size in zip(due.spans, due.sizes, strict=True):
            if batch and (batch_bytes + size > _MAX_BATCH_BYTES or len(batch) >= _MAX_BATCH_RECORDS):
                delivered = delivered and self._send_batch(batch)
                batch, batch_bytes = [], 0
            batch.append(span)
            batch_bytes += size
        delivered = delivered and (not batch or self._send_batch(batch))
        self._settle(due, delivered)
        return delivered

    def _spans_of(self, repeated: Iterable[ModelEvent], fresh: Iterable[ModelEvent]) -> Iterator[ReadableSpan]:
        resource = self.resource or _process_resource()
        now_ns = time.time_ns()
        for number, event in enumerate(repeated):
            # One nanosecond apart, so that repetitions sort in the order in which things happened.
            yield records.span_of(event, resource, now_ns + number)
        for event in fresh:
            yield records.span_of(event, resource)

    def _settle(self, due: "_Due", delivered: bool) -> None:
        if not delivered:
            self._retry_at = self._clock() + self._retry_seconds
            self._retry_seconds = min(2 * self._retry_seconds, _LAST_RETRY_SECONDS)
            return
        self._retry_at = None
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._delivered = due.up_to
        for model_id in due.announced:
            self._announced.pop(model_id, None)
            self._announced[model_id] = due.time
        while len(self._announced) > MAX_MODELS:
            del self._announced[next(iter(self._announced))]

    def _send_batch(self, batch: list[ReadableSpan]) -> bool:
        error: object = "it was refused"
        try:
            # Some exporters, against the interface, return nothing; they did not refuse.
            if self._exporter.export(batch) is not SpanExportResult.FAILURE:
                return True
        except Exception as raised:
            error = repr(raised)
        warn_rarely(
            "records refused",
            "%s could not deliver model records (%s); trying again later",
            type(getattr(self._exporter, "wrapped", self._exporter)).__qualname__,
            error,
        )
        return False


@dataclasses.dataclass(frozen=True)
class _Due:
    """Records to deliver.

    Attributes:
        spans: The records, repetitions first, as models come before what happened to them.
        sizes: About how many bytes each takes.
        announced: The models of which a backend then knows all.
        up_to: The sequence number up to which nothing more is to be done then.
        time: When this was found.
    """

    spans: list[ReadableSpan]
    sizes: list[int]
    announced: list[str]
    up_to: int
    time: float

    @property
    def is_small(self) -> bool:
        """Whether it adds so little to a request of spans that it will not be what makes it too large."""
        return len(self.sizes) <= _MAX_RECORDS_WITH_SPANS and sum(self.sizes) <= _MAX_BYTES_WITH_SPANS


def check_exporter(exporter: object) -> None:
    """See that something can be exported to.

    Raises:
        TypeError: It cannot.
    """
    if isinstance(exporter, type) or not callable(getattr(exporter, "export", None)):
        raise TypeError(f"{exporter!r} is no span exporter: pass an object with an export method, OTLPSpanExporter()")


def flush_all(timeout_seconds: float) -> None:
    """Deliver what every live exporter of this process is owed."""
    deadline = time.monotonic() + timeout_seconds
    for shipper in list(_live):
        shipper.flush(deadline - time.monotonic())


def _process_resource() -> Resource:
    """The resource of an application that has exported no span yet."""
    resource = getattr(trace.get_tracer_provider(), "resource", None)
    return resource if isinstance(resource, Resource) else Resource.create()
