# SPDX-License-Identifier: Apache-2.0
"""DurableExporter: what cannot be delivered now is kept, and delivered when it can be, by this process or a later one.

`export` tries once. What fails for a reason that may pass goes to the spool, and while the far end is known to be away,
everything goes there without a try: the application's exporting thread never waits for it twice. One daemon thread,
which is there only while something is waiting, tries again with backoff and full jitter, and then delivers, models
first, while fresh spans go their direct way. While all is well there is no thread and no file.

What is refused for a reason that lies with the set-up, such as wrong credentials, is lost if it was just handed in.
What waits already goes on waiting, and is tried once a minute. The specification has a client not repeat at once what
was refused; a backlog of two days must not be lost to credentials that were wrong for ten minutes of them.

Three rules keep one request from holding up the rest. One that is refused for its content is taken apart until only the
offending spans are left, and those are set aside. One that fails again and again lets the others go first. And one that
fails with a broken connection or no answer, while others get through, is after a while taken apart and set aside, too.
"""

from __future__ import annotations

import dataclasses
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from opentelemetry import metrics
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_loggedmodel import otlp_payloads, spool
from otel_loggedmodel._errors import swallow, warn_once, warn_rarely
from otel_loggedmodel.health import Health
from otel_loggedmodel.otlp_payloads import is_record
from otel_loggedmodel.otlp_sending import (
    Destination,
    Outcome,
    Sender,
    Verdict,
    forget_connections,
    sender_of,
    uninstrumented,
)
from otel_loggedmodel.spool import Kind, Pending, Spool, Stored
from otel_loggedmodel.spool_survey import elsewhere

FIRST_RETRY_SECONDS: Final = 1.0
LAST_RETRY_SECONDS: Final = 30.0
_REFUSED_RETRY_SECONDS: Final = 60.0
# Never at once, whatever the jitter comes to.
_LEAST_RETRY_SECONDS: Final = 0.05
_ADOPT_SECONDS: Final = 60.0
_SYNC_SECONDS: Final = 1.0
_LINGER_SECONDS: Final = 10.0
# At the end of a process, what waits is safe where it is: it may be the last process, and should try, but not for long.
_SHUTDOWN_SECONDS: Final = 5.0
_TRIES_BEFORE_OTHERS: Final = 3
_RETRY_BUDGET: Final = 5
# Of requests in a row that are refused for their content: then the far end refuses everything, and parts are no use.
_MAX_REFUSED_IN_A_ROW: Final = 64
# What a request can bring about by being what it is. Others say that the far end is busy, which is nobody's fault.
_INNOCENT: Final = frozenset({"429", "503", "UNAVAILABLE", "RESOURCE_EXHAUSTED"})


class DurableExporter(SpanExporter):
    """Exports as the exporter it wraps does, and keeps what does not get through.

    Args:
        exporter: What is wrapped.
        directory: Where destinations have their directories; None for keeping things in memory only.
        destination: Which of them this is.
        max_bytes: Of disk for this destination.
        max_age: Seconds after which something is not worth delivering.
        meter_provider: Where metrics about all this go; the global one by default.
        clock: Seconds since the epoch; for tests.
        monotonic: Seconds that never jump; for tests. Ages are measured by it; backoff is in real time.
    """

    takes_requests_apart: Final = True
    """A refusal is final: sending parts of what was refused has been seen to."""

    def __init__(
        self,
        exporter: SpanExporter,
        directory: Path | None,
        destination: Destination,
        *,
        max_bytes: int | None = None,
        max_age: float | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.wrapped = exporter
        self.destination = destination
        self.directory = None if directory is None else directory / destination.key
        self._about = {"endpoint": destination.endpoint, "protocol": destination.protocol}
        self._spool = Spool(
            self.directory,
            max_bytes=spool.MAX_BYTES if max_bytes is None else max_bytes,
            max_age=spool.MAX_AGE_SECONDS if max_age is None else max_age,
            about=self._about,
            on_drop=self._note_drop,
            clock=clock,
            monotonic=monotonic,
        )
        self.health = Health(self._waiting, destination.server, meter_provider)
        self._shut_down = False
        self._begin()
        if hasattr(os, "register_at_fork"):
            after_fork = weakref.WeakMethod(self._after_fork)
            os.register_at_fork(after_in_child=lambda: (method := after_fork()) and method())

    def _after_fork(self) -> None:
        """A forked child has none of its parent's threads, spans and connections, and some of its locks may be held."""
        forget_connections(self.wrapped)
        self._begin()

    def _begin(self) -> None:
        self._sender = sender_of(self.wrapped)
        self._delivery = Delivery(self._spool, self._sender, self.health, self._name)
        self._changed = threading.Condition()
        self._delivering = threading.RLock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._exporting = 0
        self._adopt_at = 0.0

    @property
    def _name(self) -> str:
        return self.destination.endpoint or type(self.wrapped).__qualname__

    @property
    def pending(self) -> Pending:
        """What is waiting to be delivered."""
        return self._spool.pending

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Try to export spans, and keep them if that fails for a reason that may pass.

        Returns:
            SUCCESS for what was delivered or is kept; FAILURE where all of it, or a model record in it, was refused.
        """
        if not spans:
            return SpanExportResult.SUCCESS
        self.health.accept(len(spans))
        with self._changed:
            if self._shut_down:
                self._drop("shutdown", len(spans), "the exporter is shut down")
                return SpanExportResult.FAILURE
            self._exporting += 1
        try:
            with uninstrumented():
                try:
                    self._look_for_others()
                except Exception:
                    swallow("looking for what other processes have left")
                return self._export(spans)
        except Exception:
            self._drop("internal", len(spans), "an error in otel_loggedmodel")
            swallow("exporting spans")
            return SpanExportResult.FAILURE
        finally:
            with self._changed:
                self._exporting -= 1
                self._changed.notify_all()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver what is waiting, as far as the time goes; given up as soon as the far end is found to be away.

        Returns:
            Whether nothing is left.
        """
        deadline = time.monotonic() + timeout_millis / 1000
        delivered = self._drain_until(deadline, insist=True)
        left_millis = max(0, int(1000 * (deadline - time.monotonic())))
        return self.wrapped.force_flush(left_millis) is not False and delivered

    def shutdown(self) -> None:
        """Deliver what is waiting if the far end answers, leave the rest to the next process, and shut down."""
        if self.close(drain=True):
            self.wrapped.shutdown()

    def close(self, *, drain: bool = False) -> bool:
        """Stop delivering, without shutting the wrapped exporter down. Whether it was not closed before."""
        with self._changed:
            if self._shut_down:
                return False
            self._shut_down = True
            self._changed.wait_for(lambda: not self._exporting, self._sender.timeout + 1.0)
        try:
            if drain and (self.directory is None or not self._delivery.far_end.is_away):
                self._drain_until(time.monotonic() + _SHUTDOWN_SECONDS, insist=True)
            with self._changed:
                self._stopping = True
                thread = self._thread
            self._wake.set()
            if thread is not None and thread is not threading.current_thread():
                thread.join(self._sender.timeout + 1.0)
            self._spool.close()
        except Exception:
            swallow("closing the spool")
        return True

    # On the exporting thread

    def _export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            payload = otlp_payloads.encoded(spans)
        except Exception:
            spans = self._encodable(spans)
            if not spans:
                return SpanExportResult.FAILURE
            payload = otlp_payloads.encoded(spans)
        far_end = self._delivery.far_end
        if far_end.is_away and (self._spool.pending or far_end.seconds_to_next_try()):
            self._keep(spans, payload)
            return SpanExportResult.SUCCESS
        outcome = self._sender.export(spans, payload)
        self._delivery.heard(outcome)
        if outcome.verdict is Verdict.DELIVERED:
            self._delivery.count_delivered(len(spans), outcome)
            return SpanExportResult.SUCCESS
        if outcome.verdict is Verdict.REFUSED:
            self._delivery.count_refused(len(spans), outcome)
            return SpanExportResult.FAILURE
        if outcome.verdict is Verdict.MALFORMED and (models := [span for span in spans if is_record(span)]):
            # Who makes records sends them again some time later; of other spans these are the only copies.
            self._delivery.count_refused(len(models), outcome)
            others = [span for span in spans if not is_record(span)]
            if others:
                self._keep(others, otlp_payloads.encoded(others))
            return SpanExportResult.FAILURE
        # Of what is refused for its content, the thread finds out which part it is that cannot be taken.
        self._keep(spans, payload)
        return SpanExportResult.SUCCESS

    def _encodable(self, spans: Sequence[ReadableSpan]) -> list[ReadableSpan]:
        kept = otlp_payloads.encodable(spans)
        self._drop("unencodable", len(spans) - len(kept), "they cannot be encoded")
        return kept

    def _keep(self, spans: Sequence[ReadableSpan], payload: bytes) -> None:
        models = [span for span in spans if is_record(span)]
        if not models or len(models) == len(spans):
            self._spool.append(Kind.MODELS if models else Kind.SPANS, payload, len(spans))
        else:
            others = [span for span in spans if not is_record(span)]
            self._spool.append(Kind.MODELS, otlp_payloads.encoded(models), len(models))
            self._spool.append(Kind.SPANS, otlp_payloads.encoded(others), len(others))
        self.health.keep(len(spans))
        self._wake_up()

    def _look_for_others(self) -> None:
        """See, at the first export and then now and again, whether another process has left something."""
        now = time.monotonic()
        if not self._adopt_at:
            self._tell_of_other_tenants()
        if now >= self._adopt_at:
            self._adopt_at = now + _ADOPT_SECONDS
            if self._spool.adopt():
                self._wake_up()

    def _tell_of_other_tenants(self) -> None:
        """What waits for the same address under other headers may belong to somebody else: it is not ours to send."""
        others = elsewhere(self.directory, self._about) if self.directory is not None else []
        if others:
            warn_once(
                f"elsewhere {self.directory}",
                "spans for %s wait in %s, meant to go with other headers; `otel-loggedmodel spool drain` sends them",
                self._name,
                ", ".join(map(str, others)),
            )

    def _drop(self, reason: str, count: int, words: str) -> None:
        self.health.drop(reason, count)
        warn_rarely(f"dropped {reason}", "%d spans for %s are lost: %s", count, self._name, words)

    def _note_drop(self, reason: str, _: Kind, count: int) -> None:
        """The spool has given something up, and has said so."""
        self.health.drop(reason, count)

    def _waiting(self) -> Pending:
        return self._spool.pending

    # The thread that delivers what is waiting

    def _wake_up(self) -> None:
        with self._changed:
            self._wake.set()
            if self._thread is None and not self._stopping:
                thread = threading.Thread(target=self._run, name="OtelLoggedModelSpool", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    return  # at the interpreter's end there are no new threads; what waits is for the next process
                self._thread = thread

    def _run(self) -> None:
        idle_since = time.monotonic()
        synced = 0.0
        with uninstrumented():
            while True:
                self._wake.clear()
                seconds = 0.0
                try:
                    if time.monotonic() - synced >= _SYNC_SECONDS:
                        synced = time.monotonic()
                        self._spool.sync()
                    self._look_for_others()
                    seconds = self._delivery.far_end.seconds_to_next_stored()
                    if not seconds and self._deliver_next() is None:
                        seconds = _LINGER_SECONDS
                    else:
                        idle_since = time.monotonic()
                except Exception:
                    seconds = FIRST_RETRY_SECONDS
                    swallow("delivering what was kept")
                with self._changed:
                    self._changed.notify_all()
                    is_idle = not self._spool.pending and time.monotonic() - idle_since >= _LINGER_SECONDS
                    if self._stopping or (is_idle and not self._wake.is_set()):
                        self._thread = None
                        return
                if seconds:
                    self._wake.wait(min(seconds, _SYNC_SECONDS if self._spool.pending else _LINGER_SECONDS))

    def _deliver_next(self) -> Outcome | None:
        with self._delivering:
            return self._delivery.deliver_next()

    def _drain_until(self, deadline: float, *, insist: bool) -> bool:
        """Wait while what is waiting is delivered. Whether nothing is left."""
        far_end = self._delivery.far_end
        if not self._spool.pending:
            return True
        if insist:
            far_end.try_now()
        failures = far_end.failed_tries
        self._wake_up()
        if self._thread is None:
            with uninstrumented():
                while time.monotonic() < deadline and not far_end.seconds_to_next_stored():
                    if self._deliver_next() is None:
                        break
            return not self._spool.pending

        def is_over() -> bool:
            is_too_late = far_end.seconds_to_next_stored() > deadline - time.monotonic()
            return is_too_late or not self._spool.pending or far_end.failed_tries > failures

        with self._changed:
            while not is_over() and time.monotonic() < deadline:
                self._changed.wait(max(0.0, min(_SYNC_SECONDS, deadline - time.monotonic())))
        return not self._spool.pending


class FarEnd:
    """Whether a destination answers, and when to try again where it does not. Any thread may use it."""

    def __init__(self, first_retry: float = FIRST_RETRY_SECONDS, last_retry: float = LAST_RETRY_SECONDS) -> None:
        self._first_retry = first_retry
        self._last_retry = last_retry
        # Reentrant, as all locks here: a signal handler that flushes must not wait for itself.
        self._lock = threading.RLock()
        self._failures = 0
        self._next_try = 0.0
        self._next_stored = 0.0
        self._asked_to_wait = False
        self.failed_tries = 0

    @property
    def is_away(self) -> bool:
        """Whether the last try failed for a reason that may pass."""
        return self._failures > 0

    def seconds_to_next_try(self) -> float:
        """How long to leave it alone; 0.0 where a try may be made."""
        return max(0.0, self._next_try - time.monotonic()) if self._failures else 0.0

    def seconds_to_next_stored(self) -> float:
        """The same for what waits, which is left alone longer where it was refused."""
        return max(0.0, self._next_stored - time.monotonic(), self.seconds_to_next_try())

    def answered(self) -> None:
        """It said something definite."""
        with self._lock:
            self._failures = 0
            self._asked_to_wait = False

    def took(self) -> None:
        """It took something, so it may take what waits."""
        self._next_stored = 0.0

    def refused(self) -> None:
        """It is there, and will not have what waits."""
        with self._lock:
            self.failed_tries += 1
            self._next_stored = time.monotonic() + _REFUSED_RETRY_SECONDS

    def failed(self, retry_after: float | None) -> None:
        """It did not answer, or asked to be tried again later."""
        with self._lock:
            longest = min(self._last_retry, self._first_retry * 2.0 ** min(self._failures, 30))
            # Full jitter: the many processes that lost one backend at one time come back at different ones.
            # https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
            delay = max(_LEAST_RETRY_SECONDS, random.uniform(0.0, longest))  # noqa: S311 - no secret
            if retry_after is not None:
                delay = retry_after + 0.1 * delay
            self._asked_to_wait = retry_after is not None
            self._failures += 1
            self.failed_tries += 1
            self._next_try = time.monotonic() + delay

    def try_now(self) -> None:
        """Do not wait for the next try, unless the far end asked for that."""
        with self._lock:
            self._next_stored = 0.0
            if not self._asked_to_wait:
                self._next_try = 0.0


@dataclasses.dataclass
class _Failing:
    """A request that has failed before."""

    tries: int = 0
    blamed: int = 0
    deliveries: int = 0


class Delivery:
    """Delivers what waits in a spool, one request at a time.

    Args:
        spool: Where it waits.
        sender: What sends it.
        health: Where it is counted.
        name: Of the destination, for messages.
    """

    def __init__(self, spool: Spool, sender: Sender, health: Health, name: str) -> None:
        self.far_end = FarEnd()
        self._spool = spool
        self._sender = sender
        self._health = health
        self._name = name
        self._deliveries = 0
        self._refused_in_a_row = 0
        self._failing: dict[object, _Failing] = {}

    def deliver_next(self) -> Outcome | None:
        """Try to deliver the next request. None where there is none."""
        stored = self._spool.next()
        if stored is None:
            return None
        outcome = self._sender.send(stored.payload)
        self.heard(outcome)
        if outcome.verdict is Verdict.DELIVERED:
            self._spool.done(stored)
            self.count_delivered(stored.count, outcome)
            self._failing.pop(stored.handle, None)
        elif outcome.verdict is Verdict.LATER:
            self._failed(stored, outcome)
        elif outcome.verdict is Verdict.MALFORMED and stored.count > 1 and self._are_parts_of_use():
            self._take_apart(stored)
        elif outcome.verdict is Verdict.MALFORMED:
            self._set_aside(stored, outcome)
        else:
            self.far_end.refused()
            warn_rarely(
                f"refused waiting {self._name}",
                "%s refuses what waits for it: %s; it goes on waiting",
                self._name,
                outcome.words,
            )
        return outcome

    def heard(self, outcome: Outcome) -> None:
        """Note what the far end said, to this or to another request."""
        if outcome.verdict is Verdict.LATER:
            if not self.far_end.is_away:
                warn_rarely(
                    f"away {self._name}",
                    "%s takes no spans at present (%s): they are kept, and delivered when it does",
                    self._name,
                    outcome.words,
                )
            self.far_end.failed(outcome.retry_after)
            reconnect = getattr(self._sender, "reconnect", None)
            if reconnect is not None and outcome.error_type == "UNAVAILABLE":
                reconnect()
            return
        self.far_end.answered()
        if outcome.verdict is Verdict.DELIVERED:
            self._deliveries += 1
            self._refused_in_a_row = 0
            self.far_end.took()
        elif outcome.verdict is Verdict.MALFORMED:
            self._refused_in_a_row += 1

    def count_delivered(self, count: int, outcome: Outcome) -> None:
        """Count spans of a request that was acknowledged."""
        rejected = min(outcome.rejected, count)
        if rejected:
            self._health.drop("rejected", rejected)
        if rejected or outcome.words:
            warn_rarely(
                f"rejected {self._name}",
                "%s took %d spans and rejected %d: %s",
                self._name,
                count - rejected,
                rejected,
                outcome.words or "it did not say why",
            )
        self._health.deliver(count - rejected)

    def count_refused(self, count: int, outcome: Outcome) -> None:
        """Count spans that the far end will not take."""
        self._health.drop(outcome.error_type, count)
        warn_rarely(
            f"refused {self._name} {outcome.error_type}",
            "%s refused %d spans for good: %s",
            self._name,
            count,
            outcome.words,
        )

    def _are_parts_of_use(self) -> bool:
        return self._refused_in_a_row < _MAX_REFUSED_IN_A_ROW

    def _take_apart(self, stored: Stored) -> None:
        self._failing.pop(stored.handle, None)
        self._spool.replace(stored, otlp_payloads.halves(stored.payload))

    def _set_aside(self, stored: Stored, outcome: Outcome) -> None:
        self._failing.pop(stored.handle, None)
        self._spool.set_aside(stored, outcome.words)
        self.count_refused(stored.count, outcome)

    def _failed(self, stored: Stored, outcome: Outcome) -> None:
        if len(self._failing) > 1000:
            self._failing.clear()
        failing = self._failing.setdefault(stored.handle, _Failing(deliveries=self._deliveries))
        failing.tries += 1
        if self._deliveries > failing.deliveries and outcome.error_type not in _INNOCENT:
            failing.blamed += 1
        failing.deliveries = self._deliveries
        if failing.blamed >= _RETRY_BUDGET and stored.count > 1:
            self._take_apart(stored)
        elif failing.blamed >= 2 * _RETRY_BUDGET:
            self._set_aside(stored, outcome)
        elif failing.tries >= _TRIES_BEFORE_OTHERS or failing.blamed:
            self._spool.postpone(stored)


# On demand


@dataclasses.dataclass(frozen=True)
class Drained:
    """What draining a spool came to.

    Attributes:
        delivered: Spans that were acknowledged.
        rejected: Spans that were refused.
        left: What is still waiting.
        error: What the far end said where something is left.
    """

    delivered: int
    rejected: int
    left: Pending
    error: str | None


def drain(
    spool: Spool,
    exporter: SpanExporter,
    *,
    deadline: float,
    on_progress: Callable[[int, Pending], None] | None = None,
) -> Drained:
    """Deliver what waits in a spool, until nothing is left, the far end refuses everything, or the time is over.

    Args:
        spool: Where it waits.
        exporter: Where it goes, and how.
        deadline: Of `time.monotonic`.
        on_progress: Called after each request with what was delivered and what is left.
    """
    health = Health(lambda: spool.pending, meter_provider=metrics.NoOpMeterProvider())
    delivery = Delivery(spool, sender_of(exporter), health, "the destination")
    error: str | None = None
    with uninstrumented():
        while (now := time.monotonic()) < deadline:
            wait = delivery.far_end.seconds_to_next_stored()
            if wait:
                time.sleep(min(wait, deadline - now))
                continue
            outcome = delivery.deliver_next()
            if outcome is None:
                break
            error = None if outcome.verdict is Verdict.DELIVERED else outcome.words
            if outcome.verdict is Verdict.REFUSED:
                break
            if on_progress is not None:
                on_progress(health.delivered, spool.pending)
    spool.sync()
    left = spool.pending
    return Drained(health.delivered, sum(health.dropped.values()), left, error if left else None)
