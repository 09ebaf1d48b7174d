# SPDX-License-Identifier: Apache-2.0
"""TrackingSender: turns requests of records, links and evaluation results into calls of the tracking server.

The server takes one link with each call, and some 60 to 80 a second. So several calls go on at once, at no more than a
steady rate. If a request fails in part, it is remembered what was done. When it is repeated, the rest is done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan

from otel_loggedmodel import attributes
from otel_loggedmodel._errors import swallow
from otel_loggedmodel._latest import Latest
from otel_loggedmodel.delivery import otlp_payloads
from otel_loggedmodel.delivery.otlp_answers import Outcome, Verdict
from otel_loggedmodel.mlflow_server.assessments import Assessment
from otel_loggedmodel.mlflow_server.linking import is_result, link_of
from otel_loggedmodel.mlflow_server.models import Models, UnknownModelError
from otel_loggedmodel.mlflow_server.rest import Server, ServerError
from otel_loggedmodel.mlflow_server.settings import Settings
from otel_loggedmodel.mlflow_server.traces import TraceLink, Traces
from otel_loggedmodel.uninstrumented import uninstrumented
from otel_loggedmodel.versions import records
from otel_loggedmodel.versions.catalogue import catalogue

CONNECTIONS: Final = 4
# A server on SQLite takes 60 to 80 links a second, whatever the number of connections. On a larger server, one process
# should not take all that it can give.
CALLS_PER_SECOND: Final = 200.0
# If neither side knows a version, the process that made it may announce it soon. After this time links go to its id.
UNKNOWN_SECONDS: Final = 300.0
_SECONDS_BETWEEN_QUESTIONS: Final = 5.0
_MAX_REMEMBERED: Final = 20_000
# Worst last. The worst is the outcome of the whole request.
_SEVERITY: Final = (Verdict.DELIVERED, Verdict.NOT_YET, Verdict.MALFORMED, Verdict.LATER, Verdict.REFUSED)
_DELIVERED: Final = Outcome(Verdict.DELIVERED)

_Key = tuple[object, ...]
_Call = tuple[_Key, Callable[[], None]]


class TrackingSender:
    """Sends what `TraceLinker` has picked, and records. Any thread may call it; nothing is raised.

    Args:
        settings: The settings of the server.
        connections: How many calls go on at once.
        calls_per_second: How many are begun in a second at most.
        unknown_seconds: For how long a link waits for a version that nobody knows.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        connections: int = CONNECTIONS,
        calls_per_second: float = CALLS_PER_SECOND,
        unknown_seconds: float = UNKNOWN_SECONDS,
    ) -> None:
        self.timeout = settings.timeout
        self.keeps_time = True
        self._server = Server(settings, connections)
        self._models = Models(self._server)
        self._traces = Traces(self._server, self._models)
        self._connections = connections
        self._pace = _Pace(calls_per_second)
        self._unknown_seconds = unknown_seconds
        self._unknown: Latest[str, _Unknown] = Latest(_MAX_REMEMBERED)
        self._done: Latest[_Key, None] = Latest(_MAX_REMEMBERED)
        self._is_stopped = False
        # The spool's thread takes turns with those who flush when there can be no thread.
        self._one_at_a_time = threading.RLock()

    def export(self, spans: Sequence[ReadableSpan], payload: bytes) -> Outcome:
        """Try once."""
        return self.send(payload)

    def send(self, payload: bytes) -> Outcome:
        """Bring the server up to date with all that is in a request, as far as that is possible."""
        try:
            spans = otlp_payloads.decoded(payload)
            # Versions first. Results come last, as a trace is surely there once it is linked.
            stages = [(self._changes(spans), 1), (self._links(spans), self._connections)]
            stages.append((self._results(spans), self._connections))
        except Exception as error:
            return Outcome(Verdict.MALFORMED, f"it cannot be read: {error!r}", type(error).__name__)
        with self._one_at_a_time:
            outcome = _DELIVERED
            for calls, at_once in stages:
                outcome = _Round(self, calls).run(at_once, outcome)
                if outcome.verdict in (Verdict.LATER, Verdict.REFUSED):
                    break
            if outcome.verdict is Verdict.DELIVERED:
                for calls, _ in stages:
                    for key, _ in calls:
                        self._done.pop(key, None)
            return outcome

    def stop(self) -> None:
        """End soon what is under way. Another process can send what is left of it."""
        self._is_stopped = True

    def close(self) -> None:
        """Stop, and close the connections."""
        self.stop()
        self._server.close()

    # What a request asks for

    def _changes(self, spans: Sequence[ReadableSpan]) -> list[_Call]:
        calls: list[_Call] = []
        for span in spans:
            values = span.attributes or {}
            if attributes.EVENT in values and span.context is not None:
                event = records.event_of(values, span.start_time or 0, span.context.span_id)
                if event is not None:
                    key = ("change", event.model_id, event.kind, span.context.span_id)
                    calls.append((key, lambda event=event: self._models.apply(event)))  # type: ignore[misc]
        return calls

    def _links(self, spans: Sequence[ReadableSpan]) -> list[_Call]:
        links = [link for span in spans if (link := link_of(span)) is not None]
        return [(("link", link.trace_id, link.model_id), lambda link=link: self._link(link)) for link in links]  # type: ignore[misc]

    def _results(self, spans: Sequence[ReadableSpan]) -> list[_Call]:
        calls: list[_Call] = []
        for span in spans:
            if not is_result(span) or span.context is None:
                continue
            ids = (span.context.trace_id, span.context.span_id, span.parent.span_id if span.parent else None)
            assessment = Assessment.of_span(span.attributes or {}, *ids, span.start_time or 0)
            if assessment is not None:
                calls.append((("result", *ids), lambda said=assessment: self._traces.assess(said)))  # type: ignore[misc]
        return calls

    def _link(self, link: TraceLink) -> None:
        now = time.monotonic()
        unknown = self._unknown.get(link.model_id)
        if unknown is not None and now < min(unknown.ask_at, unknown.give_up_at):
            raise UnknownModelError(f"nobody has said yet what {link.model_id} is")
        try:
            model = catalogue.get(link.model_id)
            if model is not None and model.name is not None:
                self._models.id_of(link.model_id, model)
            self._traces.link(link, as_it_is=unknown is not None and now >= unknown.give_up_at)
        except UnknownModelError:
            give_up_at = now + self._unknown_seconds if unknown is None else unknown.give_up_at
            self._unknown[link.model_id] = _Unknown(now + _SECONDS_BETWEEN_QUESTIONS, give_up_at)
            raise

    # What came of it

    def tried(self, call: _Call) -> Outcome:
        """Make a call, unless it has been made before."""
        key, make = call
        if key in self._done:
            return _DELIVERED
        self._pace.wait()
        if self._is_stopped:
            return Outcome(Verdict.NOT_YET, "this process ends")
        try:
            make()
        except UnknownModelError as error:
            return Outcome(Verdict.NOT_YET, str(error), type(error).__name__)
        except ServerError as error:
            return _outcome_of(error, is_of_result=key[0] == "result")
        except Exception as error:
            swallow("telling the tracking server")
            return Outcome(Verdict.MALFORMED, repr(error), type(error).__name__)
        self._done[key] = None
        return _DELIVERED


class _Unknown:
    """A version that neither side knows."""

    __slots__ = ("ask_at", "give_up_at")

    def __init__(self, ask_at: float, give_up_at: float) -> None:
        self.ask_at = ask_at
        self.give_up_at = give_up_at


class _Round:
    """Several calls at once, until all are made or one shows that the others would fail, too.

    It makes its own threads. A pool would not survive a fork, and takes no work while the interpreter ends.
    """

    def __init__(self, sender: TrackingSender, calls: Sequence[_Call]) -> None:
        self._sender = sender
        self._calls = iter(calls)
        self._count = len(calls)
        self._lock = threading.Lock()
        self._worst = _DELIVERED

    def run(self, at_once: int, outcome: Outcome) -> Outcome:
        """Make the calls. Returns the worst of their outcomes and an earlier one."""
        self._worst = outcome
        helpers: list[threading.Thread] = []
        for _ in range(min(at_once, self._count) - 1):
            helper = threading.Thread(target=self._work, name="OtelLoggedModelTracking", daemon=True)
            try:
                helper.start()
            except RuntimeError:
                break  # at the interpreter's end no thread can be started
            helpers.append(helper)
        self._work()
        for helper in helpers:
            helper.join()
        return self._worst

    def _work(self) -> None:
        with uninstrumented():
            while (call := self._next()) is not None:
                outcome = self._sender.tried(call)
                with self._lock:
                    self._worst = max(self._worst, outcome, key=lambda one: _SEVERITY.index(one.verdict))

    def _next(self) -> _Call | None:
        with self._lock:
            is_over = self._worst.verdict in (Verdict.LATER, Verdict.REFUSED)
            return None if is_over else next(self._calls, None)


class _Pace:
    """Lets callers through at a steady rate."""

    def __init__(self, per_second: float) -> None:
        self._seconds = 1.0 / per_second
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Wait for a turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._seconds
        if turn > now:
            time.sleep(turn - now)


def _outcome_of(error: ServerError, *, is_of_result: bool) -> Outcome:
    error_type = error.error_code if error.status is None else str(error.status)
    if error.may_pass:
        return Outcome(Verdict.LATER, str(error), error_type, error.retry_after)
    if not error.is_of_content:
        return Outcome(Verdict.REFUSED, str(error), error_type)
    # A result may arrive before the trace that it is about.
    verdict = Verdict.NOT_YET if is_of_result and error.is_absent else Verdict.MALFORMED
    return Outcome(verdict, str(error), error_type)
