# SPDX-License-Identifier: Apache-2.0
"""Delivers model records through one span exporter: each once, again when refused, and anew every twelve hours.

Everything here runs on exporting threads. Two exporters in a process each deliver everything; what they send of one
event is the same span, so a backend behind both keeps one.
"""

import contextlib
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_loggedmodel import records
from otel_loggedmodel._errors import swallow, warn_rarely
from otel_loggedmodel.catalogue import MAX_MODELS, catalogue
from otel_loggedmodel.model import ModelEvent

REPEAT_AFTER_SECONDS: Final = 12 * 3600.0

# Receivers of OTLP over gRPC refuse messages of more than 4 MiB unless told otherwise: well below, in small batches.
_MAX_BATCH_BYTES: Final = 2 * 1024 * 1024
_MAX_BATCH_RECORDS: Final = 512
_FIRST_RETRY_SECONDS: Final = 5.0
_LAST_RETRY_SECONDS: Final = 300.0

_logger = logging.getLogger(__name__)
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
        self._delivered = catalogue.last_number
        self._announced = {}  # whatever this child uses, it announces itself: its parent may be gone
        self._retry_at = None

    def export(self, spans: Sequence[ReadableSpan], model_ids: Iterable[str]) -> SpanExportResult:
        """Export spans, and before them the records that are due and those of the models that the spans refer to."""
        with self._lock:
            if spans:
                self.resource = spans[0].resource
            self._ship(model_ids)
            try:
                result = self._exporter.export(spans)
            except Exception:
                self._note_failure()
                raise
            if result is not SpanExportResult.SUCCESS:
                self._note_failure()
            elif self._spans_failed:
                # The backend is back: the records that it missed go now, not when their next try is due.
                self._spans_failed = False
                self._retry_at = None
                self._ship(model_ids)
            return result

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
            with _uninstrumented():
                return self._ship(model_ids)
        finally:
            self._lock.release()

    def shutdown(self) -> None:
        """Deliver what is due, unless the backend was away a moment ago: then the process need not wait for it again."""
        self.flush(insist=not self._spans_failed)

    def seconds_to_retry(self) -> float | None:
        """How long until a refused record may be tried again, or None where none is waiting."""
        return None if self._retry_at is None else max(0.0, self._retry_at - self._clock())

    def _note_failure(self) -> None:
        # A try costs as long as the wrapped exporter's own retries take. While spans fail, records do not add theirs.
        self._spans_failed = True
        self._retry_at = max(self._retry_at or 0.0, self._clock() + self._retry_seconds)

    def _ship(self, model_ids: Iterable[str]) -> bool:
        """Whether everything that was due has been delivered."""
        try:
            number = catalogue.last_number
            stale = self._stale(model_ids)
            if number == self._delivered and not stale:
                return True
            now = self._clock()
            if self._retry_at is not None and now < self._retry_at:
                return False
            fresh = [event for _, event in catalogue.events_after(self._delivered)]
            if not self._send(self._with_announcements(fresh, stale)):
                self._retry_at = self._clock() + self._retry_seconds
                self._retry_seconds = min(2 * self._retry_seconds, _LAST_RETRY_SECONDS)
                return False
            self._retry_at = None
            self._retry_seconds = _FIRST_RETRY_SECONDS
            self._delivered = number
            for model_id in (*stale, *(event.model_id for event in fresh if event.kind == "created")):
                self._announced[model_id] = now
            while len(self._announced) > MAX_MODELS:
                del self._announced[next(iter(self._announced))]
        except Exception:
            swallow("delivering model records")
            return False
        return True

    def _stale(self, model_ids: Iterable[str]) -> list[str]:
        """Those of the models in use that this exporter was never told about, or too long ago."""
        oldest = self._clock() - self._repeat_after
        return [
            model_id
            for model_id in model_ids
            if self._announced.get(model_id, -1e18) < oldest and catalogue.knows(model_id)
        ]

    def _with_announcements(self, fresh: list[ModelEvent], stale: list[str]) -> list[tuple[ModelEvent, bool]]:
        """Each event once, with whether it is a repetition, models before what happened to them."""
        are_fresh = {id(event) for event in fresh}
        repeated = [
            (event, True)
            for model_id in stale
            for event in catalogue.announcement_of(model_id)
            if id(event) not in are_fresh
        ]
        return [*repeated, *((event, False) for event in fresh)]

    def _send(self, events: list[tuple[ModelEvent, bool]]) -> bool:
        resource = self.resource or _process_resource()
        now_ns = time.time_ns()
        batch: list[ReadableSpan] = []
        batch_bytes = 0
        for event, is_repetition in events:
            if batch and (batch_bytes + event.size > _MAX_BATCH_BYTES or len(batch) >= _MAX_BATCH_RECORDS):
                if not self._send_batch(batch):
                    return False
                batch, batch_bytes = [], 0
            # One nanosecond apart, so that repetitions sort in the order in which things happened.
            batch.append(records.span_of(event, resource, now_ns + len(batch) if is_repetition else None))
            batch_bytes += event.size
        return not batch or self._send_batch(batch)

    def _send_batch(self, batch: list[ReadableSpan]) -> bool:
        try:
            result = self._exporter.export(batch)
        except Exception as error:
            warn_rarely("records refused", "cannot deliver %d model records: %r; trying again later", len(batch), error)
            return False
        if result is SpanExportResult.SUCCESS:
            return True
        warn_rarely(
            "records refused", "%s did not take %d model records; trying again later", self._exporter, len(batch)
        )
        return False


def flush_all(timeout_seconds: float) -> None:
    """Deliver what every live exporter of this process is owed."""
    deadline = time.monotonic() + timeout_seconds
    for shipper in list(_live):
        shipper.flush(deadline - time.monotonic())


def _process_resource() -> Resource:
    """The resource of an application that has exported no span yet."""
    resource = getattr(trace.get_tracer_provider(), "resource", None)
    return resource if isinstance(resource, Resource) else Resource.create()


@contextlib.contextmanager
def _uninstrumented() -> Iterator[None]:
    """Keep an instrumented HTTP client from tracing our own requests, as the SDK's processors do."""
    key = getattr(context_api, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")
    token = context_api.attach(context_api.set_value(key, True))
    try:
        yield
    finally:
        context_api.detach(token)
