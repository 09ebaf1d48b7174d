# SPDX-License-Identifier: Apache-2.0
"""Delivers the results of rows while others are still being worked on, and notes in the journal what was delivered.

The SDK's batch processor drops the oldest spans if more come at once than its queue holds. So if rows are made faster
than the backend takes them, those who make them wait.
"""

import os
import threading
import time
from collections.abc import Sequence
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan

from otel_loggedmodel._errors import swallow
from otel_loggedmodel.genai.capturing import Capture
from otel_loggedmodel.genai.journal import Journal
from otel_loggedmodel.genai.recording import Recorder
from otel_loggedmodel.genai.working import DoneRowWork

# A kill may lose what was done since the last delivery.
_SECONDS_BETWEEN: Final = 1.0
_ROWS_BETWEEN: Final = 256
_DEFAULT_QUEUE: Final = 2048


class Delivery:
    """A thread that records results, has them flushed, and then notes their rows.

    Args:
        recorder: Takes the results.
        journal: Notes rows; None if nothing is to be noted.
        capture: Counts the spans that have ended.
    """

    def __init__(self, recorder: Recorder, journal: Journal | None, capture: Capture) -> None:
        self._recorder = recorder
        self._journal = journal
        self._capture = capture
        self._pending: list[DoneRowWork] = []
        self._condition = threading.Condition()
        self._closing = False
        self._last: Sequence[ReadableSpan] = ()
        self._flushed = capture.ended
        self._room = max(1, _queue_size() // 2)
        self._thread = threading.Thread(target=self._run, name="OtelLoggedModelEvaluationDelivery", daemon=True)
        self._thread.start()

    def put(self, done: DoneRowWork) -> None:
        """Deliver the results of a row soon. Waits while more spans have ended than the exporter has room for."""
        with self._condition:
            self._pending.append(done)
            if len(self._pending) >= _ROWS_BETWEEN or self._is_behind():
                self._condition.notify_all()
            # What is done and not delivered takes memory, too.
            while (self._is_behind() or len(self._pending) >= self._room) and self._thread.is_alive():
                self._condition.wait(_SECONDS_BETWEEN)

    def close(self, last: Sequence[ReadableSpan] = ()) -> None:
        """Deliver the rest, and then these spans, and stop."""
        with self._condition:
            self._last = last
            self._closing = True
            self._condition.notify_all()
        self._thread.join()

    def _is_behind(self) -> bool:
        return self._recorder.can_record and self._capture.ended - self._flushed > self._room

    def _run(self) -> None:
        while True:
            with self._condition:
                deadline = time.monotonic() + _SECONDS_BETWEEN
                while not (self._closing or self._is_behind() or len(self._pending) >= _ROWS_BETWEEN):
                    left = deadline - time.monotonic()
                    if left <= 0:
                        break
                    self._condition.wait(left)
                is_last = self._closing
                batch, self._pending = self._pending, []
            try:
                self._deliver(batch, self._last if is_last else ())
            except Exception:
                swallow("delivering evaluation results")
            if is_last:
                return

    def _deliver(self, batch: list[DoneRowWork], more: Sequence[ReadableSpan]) -> None:
        spans = [*(span for done in batch for span in done.results), *more]
        # Half of the queue is for these, and half for the spans of rows that are made meanwhile. A request for a few
        # spans costs nearly as much as one for many.
        for start in range(0, len(spans), self._room):
            if start:
                self._flush()
            self._recorder.record(spans[start : start + self._room])
        if spans or batch or self._capture.ended > self._flushed:
            self._flush()
        if self._journal is not None:
            self._journal.add(
                [(done.row.key, done.trace_id, done.span_id, done.scores) for done in batch if done.error is None]
            )

    def _flush(self) -> None:
        ended = self._capture.ended
        try:
            self._recorder.flush()
        finally:
            with self._condition:
                self._flushed = ended
                self._condition.notify_all()


def _queue_size() -> int:
    """How many spans the batch processor of the SDK holds.

    Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-span-processor
    """
    try:
        return int(os.environ.get("OTEL_BSP_MAX_QUEUE_SIZE", ""))
    except ValueError:
        return _DEFAULT_QUEUE
