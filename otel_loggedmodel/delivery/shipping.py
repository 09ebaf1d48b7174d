# SPDX-License-Identifier: Apache-2.0
"""Delivers model records through one span exporter: each once, again if it is refused, and a version anew now and then.

What a version is made of is repeated every twelve hours while it is in use, or as OTEL_LOGGEDMODEL_REPEAT says, so that
a backend's retention does not forget it. That a process runs it is said once.

Everything here runs on exporting threads. Two exporters to different places each deliver everything. They send the same
span for an event, so a backend behind both keeps one. Two exporters to the same place deliver it once.

A flush keeps to its time. It makes its calls on a thread of their own, since another library's exporter may take any
time. It asks no tracer provider for anything, as a provider that holds a lock while it flushes would never answer.
"""

import importlib
import math
import threading
import time
import weakref
from collections.abc import Callable, Container, Hashable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_loggedmodel import environment
from otel_loggedmodel._errors import swallow, warn_rarely
from otel_loggedmodel._forking import call_in_forked_child
from otel_loggedmodel.delivery import told
from otel_loggedmodel.delivery.bounded import Call
from otel_loggedmodel.delivery.sharing import Sharing
from otel_loggedmodel.uninstrumented import uninstrumented
from otel_loggedmodel.versions import records
from otel_loggedmodel.versions.catalogue import catalogue
from otel_loggedmodel.versions.model import ModelEvent

if TYPE_CHECKING:
    from otel_loggedmodel.delivery.announced import Announced
    from otel_loggedmodel.delivery.due import Due

# If a backend is away, an exporter goes through all its retries, about 7.5 seconds. If it refuses, it says so at once.
_QUICK_REFUSAL_SECONDS: Final = 1.0
_FIRST_RETRY_SECONDS: Final = 5.0
_MAX_WORDS: Final = 300
_LAST_RETRY_SECONDS: Final = 300.0
# A try of an exporter takes less. A call that takes longer hangs, and spans must not wait for it.
_TURN_SECONDS: Final = 15.0
# Of the time in which an exporter has to shut down, records get this much at most. Without this library it would be
# none.
_SHUTDOWN_SECONDS: Final = 5.0

_live: Final[weakref.WeakSet["RecordShipper"]] = weakref.WeakSet()


class RecordShipper:
    """What one exporter has been given of this process's model records, and what it is still owed.

    Args:
        exporter: Where records go. It is called by one thread at a time.
        repeat_after: Seconds after which a version that is still in use is announced again. By default as
            OTEL_LOGGEDMODEL_REPEAT says; infinite for never.
        clock: Monotonic seconds; for tests.
        place: What tells where the exporter sends to; None if nothing does.
        beside: What other processes of this host have told the same place; None if that cannot be known.
        is_whole: Whether each record is one span, however large, as the far end takes it so.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        repeat_after: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        place: Hashable | None = None,
        *,
        beside: "Announced | None" = None,
        is_whole: bool = False,
    ) -> None:
        # Imported with the first exporter, not with the library. Not on an exporting thread either: the child of a fork
        # in the midst of an import would wait for it without end.
        importlib.import_module("otel_loggedmodel.delivery.due")
        importlib.import_module("otel_loggedmodel.versions.pieces")
        self._exporter = exporter
        self._repeat_after = environment.repeat_seconds() if repeat_after is None else repeat_after
        self._sharing = Sharing(beside, self._repeat_after)
        self._is_whole = is_whole
        self._clock = clock
        self.resource: Resource | None = None
        self._told = told.told(place)
        self._retry_at: float | None = None
        self._retry_seconds = _FIRST_RETRY_SECONDS
        self._spans_failed = False
        self._begin()
        _live.add(self)
        call_in_forked_child(self._after_fork)

    def _begin(self) -> None:
        # The specification lets an exporter assume that its calls do not overlap, but a flush may come from any thread.
        # Reentrant: an exporter that makes spans must not wait for itself. Nobody waits for this lock without a bound.
        self._turn = threading.RLock()
        self._in_turn: set[int] = set()  # the threads that are in the exporter
        self._is_stuck = False

    def _after_fork(self) -> None:
        told.after_fork()
        self._begin()
        self.resource = None  # the parent's
        self._told.forget(catalogue.last_number)
        self._sharing.after_fork()
        self._retry_at = None

    def export(self, spans: Sequence[ReadableSpan], model_ids: Iterable[str]) -> SpanExportResult:
        """Export spans, together with the records that are due and those of the models that the spans refer to."""
        if not self._enter(0.0 if self._is_stuck else _TURN_SECONDS):
            # Export as if this library were not there: then nobody else would be in the exporter.
            self._is_stuck = True
            return self._exporter.export(spans)
        try:
            self._is_stuck = False
            return self._export_in_turn(spans, model_ids)
        finally:
            self._leave()

    def _export_in_turn(self, spans: Sequence[ReadableSpan], model_ids: Iterable[str]) -> SpanExportResult:
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
            # The backend is back. The records that it missed go out now, not when their next try is due.
            self._spans_failed = False
            self._retry_at = None
            self._ship(model_ids)
        return result

    def _enter(self, seconds: float) -> bool:
        """Wait for a turn in the exporter. Returns whether it came."""
        if not self._turn.acquire(timeout=max(0.0, seconds)):
            return False
        self._in_turn.add(threading.get_ident())
        return True

    def _leave(self) -> None:
        self._in_turn.discard(threading.get_ident())
        self._turn.release()

    def _export_together(self, due: "Due", spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export both in one request. So if the backend is away, nobody waits longer than without records."""
        started = self._clock()
        delivered = False
        try:
            delivered = self._send_batch([*due.spans, *spans])
        finally:
            self._settle(due, delivered)
        if delivered:
            return SpanExportResult.SUCCESS
        takes_apart = getattr(self._exporter, "takes_requests_apart", False)
        if takes_apart or self._clock() - started > _QUICK_REFUSAL_SECONDS:
            return SpanExportResult.FAILURE
        # The backend refused the request, so it is not away. The records may be the reason, so the spans go without
        # them.
        return self._export(spans)

    def _export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            return self._exporter.export(spans)
        except Exception:
            self._note_failure()
            raise

    def flush(self, timeout_seconds: float = 30.0, model_ids: Iterable[str] = (), *, insist: bool = True) -> bool:
        """Deliver what is due, without spans. What takes longer than the time goes on by itself.

        Args:
            timeout_seconds: How long to wait.
            model_ids: Versions in use. They are announced if they have not been announced for long.
            insist: Whether to try even if the last try failed a moment ago.

        Returns:
            Whether nothing is left to deliver.
        """
        return _came_true(self.flushing(timeout_seconds, model_ids, insist=insist), timeout_seconds)

    def flushing(
        self, timeout_seconds: float, model_ids: Iterable[str] = (), *, insist: bool = True
    ) -> "Call[bool] | bool":
        """The same without waiting. Returns the call that is under way, or what came of it."""
        if threading.get_ident() in self._in_turn:
            return False  # this is a signal handler that interrupted an export, which cannot go on before this returns
        if self._has_told(model_ids, insist=insist):
            return True
        keeps_time = bool(getattr(self._exporter, "keeps_time", False))
        return Call(lambda: self._flush(timeout_seconds, model_ids, insist=insist), may_run_here=keeps_time)

    def deliver(self, model_ids: Iterable[str] = (), *, insist: bool = True) -> bool:
        """The same on this thread, however long the exporter takes. For threads that have nothing else to do."""
        return self._flush(_TURN_SECONDS, model_ids, insist=insist)

    def _flush(self, seconds: float, model_ids: Iterable[str], *, insist: bool) -> bool:
        if not self._enter(seconds):
            return False
        try:
            if insist:
                self._retry_at = None
            with uninstrumented():
                return self._ship(model_ids, insist=insist)
        finally:
            self._leave()

    def shutdown(self, timeout_seconds: float = _SHUTDOWN_SECONDS) -> None:
        """Deliver what is due. Not if the backend was away a moment ago: no process has to wait for it twice."""
        self.flush(min(timeout_seconds, _SHUTDOWN_SECONDS), insist=not self._spans_failed)
        self.release()

    def release(self) -> None:
        """Take no part in `flush_all` any more, as the exporter is shut down or somebody else uses it."""
        _live.discard(self)
        self._told.free(self)
        self._sharing.close()

    def seconds_to_retry(self) -> float | None:
        """How long until a refused record may be tried again; None if none is waiting."""
        return None if self._retry_at is None else max(0.0, self._retry_at - self._clock())

    def _note_failure(self) -> None:
        # A try takes as long as the wrapped exporter's own retries. While spans fail, records are not tried as well.
        self._spans_failed = True
        self._retry_at = max(self._retry_at or 0.0, self._clock() + self._retry_seconds)

    def _has_told(self, model_ids: Iterable[str], *, insist: bool = False) -> bool:
        is_told = self._told.delivered == catalogue.last_number
        return is_told and not self._stale(model_ids, self._clock(), insist=insist)

    def _ship(self, model_ids: Iterable[str], *, insist: bool = False) -> bool:
        """Deliver what is due. Returns whether nothing is left."""
        due = self._due(model_ids, insist=insist)
        return self._has_told(model_ids, insist=insist) if due is None else self._deliver(due)

    def _due(self, model_ids: Iterable[str], *, insist: bool = False) -> "Due | None":
        """What this exporter has to deliver now; None if nothing is due, or if it has to wait for the next try."""
        try:
            now = self._clock()
            stale = self._stale(model_ids, now, insist=insist)
            if catalogue.last_number == self._told.delivered and not stale:
                self._retry_at = None
                return None
            if self._retry_at is not None and now < self._retry_at:
                return None
            if not self._told.claim(self):
                return None  # another exporter is telling this place right now, or this one is, further up the stack
            numbered = catalogue.events_after(self._told.delivered)
            # An activation is a use, so its model goes with it, and before it. Then the spans need to repeat neither.
            used = (event.model_id for _, event in numbered if event.kind == "activated")
            stale = self._stale(dict.fromkeys((*stale, *used)), now, insist=insist)
            fresh = [event for _, event in numbered]
            told_by_others, deferred = self._sharing.claim(stale, fresh, self._told.announced, now, insist=insist)
            left_to_others = {*told_by_others, *deferred}
            are_fresh = {id(event) for event in fresh}
            announced = self._announcements_of(stale, left_to_others)
            repeated = [event for event in announced if id(event) not in are_fresh]
            fresh = [event for event in fresh if event.kind != "created" or event.model_id not in left_to_others]
            own = (model_id for model_id in stale if model_id not in left_to_others)
            from otel_loggedmodel.delivery.due import Due

            spans = list(self._spans_of(repeated, fresh))
            return Due(
                spans=spans,
                sizes=[records.size_of(span) for span in spans],
                announced={
                    **dict.fromkeys((*own, *(event.model_id for event in fresh if event.kind == "created")), now),
                    **told_by_others,
                },
                activated=[event.model_id for event in (*repeated, *fresh) if event.kind == "activated"],
                up_to=numbered[-1][0] if numbered else self._told.delivered,
            )
        except Exception:
            self._told.free(self)
            swallow("collecting model records")
            self._retry_at = self._clock() + self._retry_seconds
            return None

    def _stale(self, model_ids: Iterable[str], now: float, *, insist: bool = False) -> list[str]:
        """The models in use that this exporter never announced, or announced too long ago."""
        oldest = now - self._repeat_after
        return [
            model_id
            for model_id in self._sharing.due_of(model_ids, now, insist=insist)
            if self._told.announced.get(model_id, -math.inf) < oldest and catalogue.knows(model_id)
        ]

    def _deliver(self, due: "Due") -> bool:
        """Send records by themselves, in messages that are small enough for receivers."""
        delivered = False
        try:
            delivered = all(self._send_batch(batch) for batch in due.batches())
        finally:
            self._settle(due, delivered)
        return delivered

    def _announcements_of(self, model_ids: Iterable[str], left_to_others: Container[str]) -> Iterator[ModelEvent]:
        for model_id in model_ids:
            for event in catalogue.announcement_of(model_id):
                # That this process runs a version nobody else says, and it says it once.
                is_activation = event.kind == "activated"
                if model_id not in (self._told.activated if is_activation else left_to_others):
                    yield event

    def _spans_of(self, repeated: Iterable[ModelEvent], fresh: Iterable[ModelEvent]) -> Iterator[ReadableSpan]:
        resource = self.resource or _process_resource()
        now_ns = time.time_ns()
        for number, event in enumerate(repeated):
            # One nanosecond apart, so that repetitions sort in the order in which things happened.
            yield from self._told_by(event, resource, now_ns + number)
        for event in fresh:
            yield from self._told_by(event, resource, None)

    def _told_by(self, event: ModelEvent, resource: Resource, time_ns: int | None) -> list[ReadableSpan]:
        if self._is_whole:
            return [records.span_of(event, resource, time_ns)]
        from otel_loggedmodel.delivery.due import warn_of_long_values

        warn_of_long_values(event)
        return records.spans_of(event, resource, time_ns)

    def _settle(self, due: "Due", delivered: bool) -> None:
        if delivered:
            self._retry_at = None
            self._retry_seconds = _FIRST_RETRY_SECONDS
            self._told.delivered = due.up_to
            for model_id, announced_at in due.announced.items():
                self._told.announced[model_id] = announced_at
            for model_id in due.activated:
                self._told.activated[model_id] = None
        else:
            self._retry_at = self._clock() + self._retry_seconds
            self._retry_seconds = min(2 * self._retry_seconds, _LAST_RETRY_SECONDS)
        self._sharing.settle(is_told=delivered)
        self._told.free(self)

    def _send_batch(self, batch: list[ReadableSpan]) -> bool:
        error: object = "it was refused"
        try:
            # Some exporters return nothing, against the interface. That is no refusal.
            if self._exporter.export(batch) is not SpanExportResult.FAILURE:
                return True
        except Exception as raised:
            # Imported here: it is for errors alone.
            from otel_loggedmodel._cleaning import brief

            error = brief(repr(raised), _MAX_WORDS)
        warn_rarely(
            "records refused",
            "%s could not deliver model records (%s); trying again later",
            type(getattr(self._exporter, "wrapped", self._exporter)).__qualname__,
            error,
        )
        return False


def check_exporter(exporter: object) -> None:
    """Check that something is an exporter.

    Raises:
        TypeError: It is no exporter.
    """
    if isinstance(exporter, type) or not callable(getattr(exporter, "export", None)):
        raise TypeError(f"{exporter!r} is no span exporter: pass an object with an export method, OTLPSpanExporter()")


def flush_all(timeout_seconds: float) -> None:
    """Deliver what every live exporter of this process is owed, all at once and until time is up."""
    deadline = time.monotonic() + timeout_seconds
    for flushing in [shipper.flushing(timeout_seconds) for shipper in list(_live)]:
        _came_true(flushing, deadline - time.monotonic())


def _came_true(flushing: "Call[bool] | bool", seconds: float) -> bool:
    try:
        return flushing if isinstance(flushing, bool) else flushing.result(seconds)
    except TimeoutError:
        return False


def _process_resource() -> Resource:
    """The resource of an application that has exported no span yet."""
    # Another library's provider may hold a lock while it flushes, and may need the same lock to answer this.
    provider: Any = trace.get_tracer_provider()
    kind: Any = type(provider)
    is_sdks_own = isinstance(provider, TracerProvider) and kind.resource is vars(TracerProvider)["resource"]
    resource = provider.resource if is_sdks_own else None
    if isinstance(resource, Resource):
        return resource
    try:
        return Resource.create()
    except RuntimeError:  # its detectors run on threads, and at the interpreter's end no thread can be started
        return Resource.get_empty()
