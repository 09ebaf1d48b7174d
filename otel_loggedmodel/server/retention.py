# SPDX-License-Identifier: Apache-2.0
"""Lets spans go when they are too old."""

import logging
import threading
from datetime import datetime, timedelta, timezone

from otel_loggedmodel.server.metrics import Metrics
from otel_loggedmodel.store.writing import LogRecordWriter, SpanWriter

_logger = logging.getLogger(__name__)


class Retention:
    """Deletes old spans, from time to time, in a thread of its own.

    Args:
        writer: Where they are.
        days: How old they may get.
        metrics: What is counted.
        log_writer: Where log records are, if they are kept.
        first_seconds: After how long to begin; not at once, as starting is work enough.
        every_seconds: How often.
    """

    def __init__(
        self,
        writer: SpanWriter,
        days: float,
        metrics: Metrics,
        first_seconds: float = 60.0,
        every_seconds: float = 3600.0,
        log_writer: LogRecordWriter | None = None,
    ) -> None:
        self._writer = writer
        self._age = timedelta(days=days)
        self._metrics = metrics
        self._log_writer = log_writer
        self._first_seconds = first_seconds
        self._every_seconds = every_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otel-loggedmodel retention")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop, after the deletion that is running."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        seconds = self._first_seconds
        while not self._stopping.wait(seconds):
            seconds = self._every_seconds
            try:
                before = datetime.now(timezone.utc) - self._age
                deleted = self._writer.delete_before(before)
                if self._log_writer is not None:
                    self._log_writer.delete_before(before)
            except Exception:
                _logger.exception("old spans could not be deleted; trying again in %d s", seconds)
            else:
                self._metrics.deleted.inc(deleted)
                if deleted:
                    _logger.info("deleted %d spans of more than %g days", deleted, self._age / timedelta(days=1))
