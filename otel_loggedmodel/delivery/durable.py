# SPDX-License-Identifier: Apache-2.0
"""DurableExporter keeps what cannot be delivered now. This process delivers it as soon as it can, or a later one does.

`export` tries once. If that fails for a reason that may pass, the request goes to the spool. While the far end is known
to be away, everything goes to the spool without a try, so the application's exporting thread never waits for it twice.
A daemon thread tries again with backoff and full jitter, and then delivers what waits, models first. Fresh spans go out
directly meanwhile. The thread exists only while something is waiting: as long as all is well there is no thread and no
file. `delivering` says how the thread delivers.

A deferred exporter does not even try once. It keeps everything, and the thread delivers it. This is for calls that take
longer than an exporting thread should wait even if the far end is well.

If the far end refuses spans because of the set-up, such as wrong credentials, spans that were just handed in are lost.
What waits already goes on waiting and is tried once a minute. The specification tells clients not to repeat at once
what was refused. But ten minutes of wrong credentials must not cost a backlog of two days.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from opentelemetry import metrics
from opentelemetry.sdk.trace.export import SpanExporter

from otel_loggedmodel._errors import swallow, warn_once, warn_rarely
from otel_loggedmodel._forking import call_in_forked_child
from otel_loggedmodel.delivery import spool
from otel_loggedmodel.delivery.bounded import shut_down
from otel_loggedmodel.delivery.delivering import FIRST_RETRY_SECONDS, Delivery
from otel_loggedmodel.delivery.destinations import Destination
from otel_loggedmodel.delivery.health import COMPONENT_TYPE, Health
from otel_loggedmodel.delivery.otlp_answers import Outcome, Verdict
from otel_loggedmodel.delivery.otlp_sending import forget_connections, sender_of
from otel_loggedmodel.delivery.signals import SPANS, Codec, Signal
from otel_loggedmodel.delivery.spool import Kind, Pending, Spool
from otel_loggedmodel.delivery.spool_survey import elsewhere
from otel_loggedmodel.uninstrumented import uninstrumented

_ADOPT_SECONDS: Final = 60.0
_SYNC_SECONDS: Final = 1.0
_LINGER_SECONDS: Final = 10.0
# At the end of a process, what waits is safe where it is. But this may be the last process, so it tries, though not for
# long.
_SHUTDOWN_SECONDS: Final = 5.0
# What is deferred goes out slowly. Small requests show progress, and little is repeated after a kill.
_MAX_DEFERRED_SPANS: Final = 64
_DEFERRED_JOIN_SECONDS: Final = 1.0


class DurableExporter(SpanExporter):
    """Exports as the exporter it wraps does, and keeps what does not get through.

    Args:
        exporter: What is wrapped.
        directory: Where destinations have their directories; None to keep requests in memory only.
        destination: Which of them this is.
        max_bytes: Bytes of disk for this destination.
        max_age: Seconds after which something is not worth delivering.
        is_deferred: Whether nothing is tried on the exporting thread.
        meter_provider: Where metrics about all this go; the global one by default.
        clock: Seconds since the epoch; for tests.
        monotonic: Seconds that never jump; for tests. Ages are measured by it; backoff is in real time.
        signal: What is exported: spans by default.
    """

    takes_requests_apart: Final = True
    """A refusal is final, as the parts of a refused request have already been tried."""

    def __init__(
        self,
        exporter: Any,
        directory: Path | None,
        destination: Destination,
        *,
        max_bytes: int | None = None,
        max_age: float | None = None,
        is_deferred: bool = False,
        meter_provider: metrics.MeterProvider | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        signal: Signal | None = None,
    ) -> None:
        self.wrapped = exporter
        self._signal = SPANS if signal is None else signal
        self.destination = destination
        self._is_deferred = is_deferred
        self.directory = None if directory is None else directory / destination.key
        self._about = {"endpoint": destination.endpoint, "protocol": destination.protocol}
        if self._signal is not SPANS:
            self._about["signal"] = self._signal.key
        self._spool = Spool(
            self.directory,
            max_bytes=spool.MAX_BYTES if max_bytes is None else max_bytes,
            max_age=spool.MAX_AGE_SECONDS if max_age is None else max_age,
            about=self._about,
            is_memory_meant=is_deferred and directory is None,
            on_drop=self._note_drop,
            clock=clock,
            monotonic=monotonic,
        )
        component_type = getattr(exporter, "component_type", COMPONENT_TYPE)
        self.health = Health(
            self._waiting,
            destination.server,
            meter_provider,
            component_type,
            self._signal.noun,
            self._signal.unit,
        )
        self._shut_down = False
        self._begin()
        call_in_forked_child(self._after_fork)

    def _after_fork(self) -> None:
        """A forked child has none of its parent's threads, spans and connections, and its locks may be held."""
        forget_connections(self.wrapped)
        self._begin()

    def _begin(self) -> None:
        self._sender = sender_of(self.wrapped, self._signal)
        self._delivery = Delivery(self._spool, self._sender, self.health, self._name, self._signal)
        self._changed = threading.Condition()
        self._delivering = threading.RLock()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._exporting = 0
        self._adopt_at = 0.0

    @property
    def _codec(self) -> Codec:
        return self._signal.codec

    @property
    def _name(self) -> str:
        return self.destination.endpoint or type(self.wrapped).__qualname__

    @property
    def keeps_time(self) -> bool:
        """Whether it is known how long one try takes at most."""
        return bool(getattr(self._sender, "keeps_time", False))

    @property
    def pending(self) -> Pending:
        """What is waiting to be delivered."""
        return self._spool.pending

    def export(self, spans: Sequence[Any]) -> Any:
        """Try to export spans, and keep them if that fails for a reason that may pass.

        Returns:
            SUCCESS if the spans were delivered or are kept; FAILURE if all of them, or a model record among them, were
            refused.
        """
        if not spans:
            self._adopt()
            return self._signal.success
        self.health.accept(len(spans))
        with self._changed:
            if self._shut_down:
                self._drop("shutdown", len(spans), "the exporter is shut down")
                return self._signal.failure
            self._exporting += 1
        try:
            with uninstrumented():
                self._adopt()
                return self._export(spans)
        except Exception:
            self._drop("internal", len(spans), "an error in otel_loggedmodel")
            swallow(f"exporting {self._signal.plural}")
            return self._signal.failure
        finally:
            with self._changed:
                self._exporting -= 1
                self._changed.notify_all()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver what is waiting until time is up. It stops as soon as the far end is found to be away.

        Returns:
            Whether nothing is left.
        """
        deadline = time.monotonic() + timeout_millis / 1000
        delivered = self._drain_until(deadline, insist=True)
        left_millis = max(0, int(1000 * (deadline - time.monotonic())))
        return self.wrapped.force_flush(left_millis) is not False and delivered

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Deliver what is waiting, if the far end answers. Leave the rest to the next process, and shut down.

        Args:
            timeout_millis: How long to wait for what is under way.
        """
        deadline = time.monotonic() + timeout_millis / 1000
        if self.close(drain=True, timeout_seconds=timeout_millis / 1000):
            shut_down(self.wrapped, max(0.0, deadline - time.monotonic()))

    def close(self, *, drain: bool = False, timeout_seconds: float = 30.0) -> bool:
        """Stop delivering, without shutting the wrapped exporter down. Returns False if it was closed before."""
        deadline = time.monotonic() + timeout_seconds

        def at_most(seconds: float) -> float:
            return max(0.0, min(seconds, deadline - time.monotonic()))

        with self._changed:
            if self._shut_down:
                return False
            self._shut_down = True
            self._changed.wait_for(lambda: not self._exporting, at_most(self._sender.timeout + 1.0))
        try:
            if drain and (self.directory is None or not self._delivery.far_end.is_away):
                self._drain_until(time.monotonic() + at_most(_SHUTDOWN_SECONDS), insist=True)
            with self._changed:
                self._stopping = True
                thread = self._thread
            self._wake.set()
            if callable(stop := getattr(self._sender, "stop", None)):
                stop()
            if thread is not None and thread is not threading.current_thread():
                # Nobody waits for what is deferred.
                thread.join(at_most(_DEFERRED_JOIN_SECONDS if self._is_deferred else self._sender.timeout + 1.0))
            self._spool.close()
        except Exception:
            swallow("closing the spool")
        return True

    # On the exporting thread

    def _export(self, spans: Sequence[Any]) -> Any:
        if self._is_deferred:
            for start in range(0, len(spans), _MAX_DEFERRED_SPANS):
                part, payload = self._encoded(spans[start : start + _MAX_DEFERRED_SPANS])
                if part:
                    self._keep(part, payload)
            return self._signal.success
        spans, payload = self._encoded(spans)
        if not spans:
            return self._signal.failure
        far_end = self._delivery.far_end
        if far_end.is_away and (self._spool.pending or far_end.seconds_to_next_try()):
            self._keep(spans, payload)
            return self._signal.success
        outcome = self._sender.export(spans, payload)
        self._delivery.heard(outcome)
        if outcome.verdict is Verdict.DELIVERED:
            self._delivery.count_delivered(len(spans), outcome)
            return self._signal.success
        if outcome.verdict is Verdict.REFUSED:
            self._delivery.count_refused(len(spans), outcome)
            return self._signal.failure
        if outcome.verdict is Verdict.MALFORMED and (models := [span for span in spans if self._codec.is_record(span)]):
            # Records are sent again some time later by whoever made them. Of other spans, these are the only copies.
            self._delivery.count_refused(len(models), outcome)
            others = [span for span in spans if not self._codec.is_record(span)]
            if others:
                self._keep(others, self._codec.encoded(others))
            return self._signal.failure
        # If it was refused for its content, the thread finds out which part of it cannot be taken.
        self._keep(spans, payload)
        return self._signal.success

    def _encoded(self, spans: Sequence[Any]) -> tuple[Sequence[Any], bytes]:
        """The spans that can be encoded, and the request that exports them.

        One that cannot must not cost the others.
        """
        try:
            return spans, self._codec.encoded(spans)
        except Exception:
            kept = self._codec.encodable(spans)
            self._drop("unencodable", len(spans) - len(kept), "they cannot be encoded")
            return kept, self._codec.encoded(kept)

    def _keep(self, spans: Sequence[Any], payload: bytes) -> None:
        models = [span for span in spans if self._codec.is_record(span)]
        if not models or len(models) == len(spans):
            self._spool.append(Kind.MODELS if models else Kind.SPANS, payload, len(spans))
        else:
            others = [span for span in spans if not self._codec.is_record(span)]
            self._spool.append(Kind.MODELS, self._codec.encoded(models), len(models))
            self._spool.append(Kind.SPANS, self._codec.encoded(others), len(others))
        self.health.keep(len(spans))
        self._wake_up()

    def _adopt(self) -> None:
        try:
            if not self._shut_down:
                self._look_for_others()
        except Exception:
            swallow("looking for what other processes have left")

    def _look_for_others(self) -> None:
        """Look at the first export, and then now and again, whether another process has left something."""
        now = time.monotonic()
        if not self._adopt_at:
            self._tell_of_other_tenants()
        if now >= self._adopt_at:
            self._adopt_at = now + _ADOPT_SECONDS
            if self._spool.adopt():
                self._wake_up()

    def _tell_of_other_tenants(self) -> None:
        """Warn of spans that wait for the same address with other headers.

        They may be another tenant's, so they are not sent.
        """
        others = elsewhere(self.directory, self._about) if self.directory is not None else []
        if others:
            warn_once(
                f"elsewhere {self.directory}",
                "%s for %s wait in %s, meant to go with other headers; `otel-loggedmodel spool drain` sends them",
                self._signal.plural,
                self._name,
                ", ".join(map(str, others)),
            )

    def _drop(self, reason: str, count: int, words: str) -> None:
        self.health.drop(reason, count)
        warn_rarely(f"dropped {reason}", "%d %s for %s are lost: %s", count, self._signal.plural, self._name, words)

    def _note_drop(self, reason: str, _: Kind, count: int) -> None:
        """The spool has given something up. It has logged that itself."""
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
                    return  # at the interpreter's end no thread can be started; what waits is for the next process
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
        """Wait while what is waiting is delivered. Returns whether nothing is left."""
        far_end = self._delivery.far_end
        if not self._spool.pending:
            return True
        if insist:
            self._delivery.try_now()
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
            is_vain = self._delivery.is_resting or far_end.failed_tries > failures
            return is_too_late or is_vain or not self._spool.pending

        with self._changed:
            while not is_over() and time.monotonic() < deadline:
                self._changed.wait(max(0.0, min(_SYNC_SECONDS, deadline - time.monotonic())))
        return not self._spool.pending
