# SPDX-License-Identifier: Apache-2.0
"""Delivers what waits in a spool, in its order and one request at a time, for as long as the far end takes them.

Four rules keep one request from holding up the rest. A request that is refused for its content is taken apart until
only the offending spans are left, and those are set aside. A request that fails again and again lets the others go
first. If it breaks the connection or gets no answer while others get through, it is taken apart after a while and set
aside, too. A request that waits for something that only it needs lets the others go first, and is set aside if that
does not come.
"""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from opentelemetry import metrics

from otel_loggedmodel._errors import warn_rarely
from otel_loggedmodel.delivery.health import Health
from otel_loggedmodel.delivery.otlp_answers import Outcome, Verdict
from otel_loggedmodel.delivery.otlp_sending import Sender, sender_of
from otel_loggedmodel.delivery.signals import SPANS, Signal
from otel_loggedmodel.delivery.spool import Pending, Spool, Stored
from otel_loggedmodel.uninstrumented import uninstrumented

FIRST_RETRY_SECONDS: Final = 1.0
LAST_RETRY_SECONDS: Final = 30.0
_REFUSED_RETRY_SECONDS: Final = 60.0
# Whatever the jitter comes to, a retry waits at least this long.
_LEAST_RETRY_SECONDS: Final = 0.05
_TRIES_BEFORE_OTHERS: Final = 3
_RETRY_BUDGET: Final = 5
# Tries of a request that waits for something: some minutes, or a quarter of an hour for a single span.
_WAITING_TRIES: Final = 8
_WAITING_TRIES_ALONE: Final = 32
# If so many requests in a row are refused for their content, the far end refuses everything, and taking them apart is
# no use.
_MAX_REFUSED_IN_A_ROW: Final = 64
# These errors say that the far end is busy, so no request is to blame. All others may come from the request itself.
_INNOCENT: Final = frozenset({"429", "503", "UNAVAILABLE", "RESOURCE_EXHAUSTED"})


class FarEnd:
    """Whether a destination answers, and when to try again if it does not. Any thread may use it."""

    def __init__(self, first_retry: float = FIRST_RETRY_SECONDS, last_retry: float = LAST_RETRY_SECONDS) -> None:
        self._first_retry = first_retry
        self._last_retry = last_retry
        # Reentrant, as all locks here are: a signal handler that flushes must not wait for itself.
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
        """How long to leave it alone; 0.0 if it may be tried now."""
        return max(0.0, self._next_try - time.monotonic()) if self._failures else 0.0

    def seconds_to_next_stored(self) -> float:
        """The same for what waits. If that was refused, it is left alone for longer."""
        return max(0.0, self._next_stored - time.monotonic(), self.seconds_to_next_try())

    def answered(self) -> None:
        """It gave a definite answer."""
        with self._lock:
            self._failures = 0
            self._asked_to_wait = False

    def took(self) -> None:
        """It took something, so it may take what waits."""
        self._next_stored = 0.0

    def refused(self) -> None:
        """It is there, but does not take what waits."""
        with self._lock:
            self.failed_tries += 1
            self._next_stored = time.monotonic() + _REFUSED_RETRY_SECONDS

    def failed(self, retry_after: float | None) -> None:
        """It did not answer, or asked to be tried again later."""
        with self._lock:
            longest = min(self._last_retry, self._first_retry * 2.0 ** min(self._failures, 30))
            # Full jitter: many processes that lost one backend at the same time come back at different times.
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
    not_before: float = 0.0


class Delivery:
    """Delivers what waits in a spool, one request at a time.

    Args:
        spool: Where it waits.
        sender: What sends it.
        health: Where it is counted.
        name: The destination's name, for messages.
        signal: What is in the requests.
    """

    def __init__(self, spool: Spool, sender: Sender, health: Health, name: str, signal: Signal = SPANS) -> None:
        self.far_end = FarEnd()
        self._spool = spool
        self._sender = sender
        self._health = health
        self._name = name
        self._signal = signal
        self._deliveries = 0
        self._refused_in_a_row = 0
        self._failing: dict[object, _Failing] = {}
        self.is_resting = False

    def deliver_next(self) -> Outcome | None:
        """Try to deliver the next request. Returns None if there is none, or if all of them wait for something."""
        stored = self._spool.next()
        self.is_resting = stored is not None and self._is_resting(stored)
        if stored is None or self.is_resting:
            return None
        outcome = self._sender.send(stored.payload)
        self.heard(outcome)
        if outcome.verdict is Verdict.DELIVERED:
            self._spool.done(stored)
            self.count_delivered(stored.count, outcome)
            self._failing.pop(stored.handle, None)
        elif outcome.verdict is Verdict.LATER:
            self._failed(stored, outcome)
        elif outcome.verdict is Verdict.NOT_YET:
            self._let_wait(stored, outcome)
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

    def try_now(self) -> None:
        """Do not wait for the next try. This goes for requests that wait for something, too."""
        self.far_end.try_now()
        for failing in list(self._failing.values()):
            failing.not_before = 0.0
        self.is_resting = False

    def heard(self, outcome: Outcome) -> None:
        """Note what the far end said, to this or to another request."""
        if outcome.verdict is Verdict.LATER:
            if not self.far_end.is_away:
                warn_rarely(
                    f"away {self._name}",
                    "%s takes no %s at present (%s): they are kept, and delivered when it does",
                    self._name,
                    self._signal.plural,
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
                "%s took %d %s and rejected %d: %s",
                self._name,
                count - rejected,
                self._signal.plural,
                rejected,
                outcome.words or "it did not say why",
            )
        self._health.deliver(count - rejected)

    def count_refused(self, count: int, outcome: Outcome) -> None:
        """Count spans that the far end will not take."""
        self._health.drop(outcome.error_type, count)
        warn_rarely(
            f"refused {self._name} {outcome.error_type}",
            "%s refused %d %s for good: %s",
            self._name,
            count,
            self._signal.plural,
            outcome.words,
        )

    def _are_parts_of_use(self) -> bool:
        return self._refused_in_a_row < _MAX_REFUSED_IN_A_ROW

    def _take_apart(self, stored: Stored) -> None:
        self._failing.pop(stored.handle, None)
        self._spool.replace(stored, self._signal.codec.halves(stored.payload))

    def _set_aside(self, stored: Stored, outcome: Outcome) -> None:
        self._failing.pop(stored.handle, None)
        self._spool.set_aside(stored, outcome.words)
        self.count_refused(stored.count, outcome)

    def _is_resting(self, stored: Stored) -> bool:
        failing = self._failing.get(stored.handle)
        return failing is not None and failing.not_before > time.monotonic()

    def _let_wait(self, stored: Stored, outcome: Outcome) -> None:
        failing = self._noted(stored)
        failing.tries += 1
        if failing.tries < (_WAITING_TRIES if stored.count > 1 else _WAITING_TRIES_ALONE):
            longest = min(LAST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(failing.tries, 30))
            failing.not_before = time.monotonic() + random.uniform(longest / 2, longest)  # noqa: S311 - no secret
            self._spool.postpone(stored)
        elif stored.count > 1:
            self._take_apart(stored)
        else:
            self._set_aside(stored, outcome)

    def _noted(self, stored: Stored) -> _Failing:
        if len(self._failing) > 1000:
            self._failing.clear()
        return self._failing.setdefault(stored.handle, _Failing(deliveries=self._deliveries))

    def _failed(self, stored: Stored, outcome: Outcome) -> None:
        failing = self._noted(stored)
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
        error: What the far end said, if something is left.
    """

    delivered: int
    rejected: int
    left: Pending
    error: str | None


def drain(
    spool: Spool,
    exporter: Any,
    *,
    deadline: float,
    on_progress: Callable[[int, Pending], None] | None = None,
    signal: Signal = SPANS,
) -> Drained:
    """Deliver what waits in a spool until nothing is left, the far end refuses everything, or time is up.

    Args:
        spool: Where it waits.
        exporter: Where it goes, and how.
        deadline: When time is up, by `time.monotonic`.
        on_progress: Called after each request with what was delivered and what is left.
        signal: What waits there.
    """
    health = Health(lambda: spool.pending, meter_provider=metrics.NoOpMeterProvider())
    delivery = Delivery(spool, sender_of(exporter, signal), health, "the destination", signal)
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
