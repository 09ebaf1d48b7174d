# SPDX-License-Identifier: Apache-2.0
"""RecordSender: a thread that delivers model records, for set-ups whose span exporter cannot be wrapped.

If it is known where the exporter sends to, records that cannot be delivered now are kept, as spans are. So nobody waits
for a far end that is away.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace.export import SpanExporter

from otel_loggedmodel import environment
from otel_loggedmodel._errors import swallow, warn_once
from otel_loggedmodel._forking import call_in_forked_child
from otel_loggedmodel.delivery.bounded import shut_down, within
from otel_loggedmodel.delivery.shipping import RecordShipper
from otel_loggedmodel.versions.catalogue import MAX_MODELS, catalogue

if TYPE_CHECKING:
    from otel_loggedmodel.delivery.durable import DurableExporter

# The thread looks so often, at most, whether a version in use has to be announced again; more often if versions are
# repeated more often than every twelve hours.
_LOOK_SECONDS: Final = 3600.0
_LOOKS_A_REPETITION: Final = 12
# Without this library, nobody would wait here. What is not delivered, the next process announces.
_SHUTDOWN_SECONDS: Final = 5.0


class RecordSender:
    """Delivers records through an exporter of its own, as soon as there are any.

    Args:
        exporter: Where records go. It is shut down with the sender.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        from otel_loggedmodel.delivery.keeping import Bounds, announced_beside, durable, place_of

        is_wanted = environment.is_spool_wanted()
        kept: DurableExporter | None = durable(exporter, Bounds()) if is_wanted else None
        self._exporter = kept or exporter
        beside = announced_beside(exporter, Bounds()) if is_wanted else None
        self._shipper = RecordShipper(self._exporter, place=place_of(exporter), beside=beside)
        self._look_seconds = min(_LOOK_SECONDS, environment.repeat_seconds() / _LOOKS_A_REPETITION)
        self._used: dict[str, None] = {}
        self._stopping = False
        self._start()
        call_in_forked_child(self._after_fork)

    def note_use(self, model_id: str, resource: Resource) -> None:
        """A span of this version was started, so the version has to be known where the records go."""
        self._follow_fork()
        if model_id not in self._used and len(self._used) < MAX_MODELS:
            self._used[model_id] = None
            self._shipper.resource = resource
            self._wake.set()

    def shutdown(self) -> None:
        """Deliver what is due, for some seconds at most, and stop. Never raises."""
        if self._stopping:
            return
        self._follow_fork()
        self._stopping = True
        self._wake.set()
        deadline = time.monotonic() + _SHUTDOWN_SECONDS
        if self._thread.ident is not None:
            self._thread.join(_SHUTDOWN_SECONDS)
        self._shipper.release()
        left = max(0.0, deadline - time.monotonic())
        try:
            within(left, lambda: shut_down(self._exporter, left), may_run_here=True)
        except TimeoutError:
            pass
        except Exception as error:
            name = type(self._exporter).__qualname__
            warn_once(f"shutdown {name}", "%s failed while it was shut down: %r", name, error)

    def _follow_fork(self) -> None:
        # uWSGI forks in C, and runs no hooks unless it is told to. Then nothing has started the thread in this process.
        if self._pid != os.getpid():
            self._after_fork()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._wake = threading.Event()
        catalogue.listeners.add(self._wake)
        self._wake.set()  # there may be events already
        thread = threading.Thread(target=self._run, name="OtelLoggedModelRecordSender", daemon=True)
        with contextlib.suppress(RuntimeError):  # at the interpreter's end no thread can be started
            thread.start()
        self._thread = thread

    def _after_fork(self) -> None:
        if not self._stopping:
            self._used = {}
            self._start()

    def _run(self) -> None:
        while True:
            retry = self._shipper.seconds_to_retry()
            woken = self._wake.wait(self._look_seconds if retry is None else min(retry, self._look_seconds))
            self._wake.clear()
            last = self._stopping  # read before delivering: what came in until then is delivered
            try:
                delivered = self._shipper.deliver([*self._used], insist=last)
                if delivered and not woken:
                    self._used = {}  # a version used from now on wakes the thread once, and may be due again
            except Exception:
                swallow("sending model records")
            if last:
                return
