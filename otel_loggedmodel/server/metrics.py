# SPDX-License-Identifier: Apache-2.0
"""What the backend says about itself to Prometheus."""

import contextlib
import platform

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, ProcessCollector, generate_latest

from otel_loggedmodel.store.reading import ReadingError
from otel_loggedmodel.store.schema import SPANS
from otel_loggedmodel.store.upkeep import Upkeep
from otel_loggedmodel.version import __version__

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SPANS = (1, 10, 100, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000)


class SignalMetrics:
    """What is counted of requests with spans, or with log records.

    Attributes:
        duplicates: Requests that had been stored, or were about to be, when they came again.
        accepted: Spans that were stored.
        rejected: Spans that were not, by `reason`.
        repairs: What was changed in spans, by `kind`.
        insert_seconds: How long inserts took.
        insert_spans: How many spans they had.
        insert_failures: Those that failed, by `reason` (`unavailable`, `refused`, `error`).
        last_insert: When the last one succeeded, in seconds since the epoch.
        queue_bytes: Bytes in the queue or being stored.
        queue_spans: Spans in the queue or being stored.

    Args:
        registry: Where they are.
        prefix: How their names begin.
        noun: What names of metrics call the items.
        plural: What their descriptions call the items.
    """

    def __init__(self, registry: CollectorRegistry, prefix: str, noun: str = "spans", plural: str = "spans") -> None:
        self.duplicates = Counter(
            prefix + "duplicate_requests", "Requests that were not stored again", registry=registry
        )
        items = plural.capitalize()
        self.accepted = Counter(f"{prefix}accepted_{noun}", f"{items} that were stored", registry=registry)
        self.rejected = Counter(
            f"{prefix}rejected_{noun}", f"{items} that were rejected", ["reason"], registry=registry
        )
        self.repairs = Counter(prefix + "repairs", f"Changes made to {plural}", ["kind"], registry=registry)
        self.insert_seconds = Histogram(
            prefix + "insert_seconds", "Duration of inserts", buckets=_SECONDS, registry=registry
        )
        self.insert_spans = Histogram(
            f"{prefix}insert_{noun}", f"{items} in one insert", buckets=_SPANS, registry=registry
        )
        self.insert_failures = Counter(prefix + "insert_failures", "Inserts that failed", ["reason"], registry=registry)
        self.last_insert = Gauge(
            prefix + "last_insert_timestamp_seconds", "When the last insert succeeded", registry=registry
        )
        self.queue_bytes = Gauge(prefix + "queue_bytes", "Bytes that wait for being stored", registry=registry)
        self.queue_spans = Gauge(f"{prefix}queue_{noun}", f"{items} that wait for being stored", registry=registry)


class Metrics(SignalMetrics):
    """The metrics of one backend, in a registry of their own.

    Attributes:
        requests: Answered requests of OTLP, by `transport` (`http`, `grpc`) and `code` (the status).
        received_bytes: Bytes of these requests, as they were sent, by `transport`.
        logs: What is counted of requests with log records; this object itself is for spans.
        deleted: Spans that were deleted as too old.
        set_aside: Rows in parts of the store that are not read, as they are damaged.
        set_aside_parts: These parts.
        gone: Rows that are not there any more.
        questions: Answered questions of the JSON API, by `code`.
        question_seconds: How long they took, with waiting.
    """

    def __init__(self) -> None:
        self._upkeep: Upkeep | None = None
        registry = self._registry = CollectorRegistry()
        prefix = "otel_loggedmodel_"
        super().__init__(registry, prefix)
        self.logs = SignalMetrics(registry, prefix + "log_", "records", "log records")
        self.requests = Counter(
            prefix + "requests", "Answered requests of OTLP", ["transport", "code"], registry=registry
        )
        self.received_bytes = Counter(
            prefix + "received_bytes", "Bytes of requests of OTLP, as sent", ["transport"], registry=registry
        )
        self.deleted = Counter(prefix + "deleted_spans", "Spans that were deleted as too old", registry=registry)
        self.questions = Counter(
            prefix + "questions", "Answered questions of the JSON API", ["code"], registry=registry
        )
        self.question_seconds = Histogram(
            prefix + "question_seconds", "Duration of questions of the JSON API", buckets=_SECONDS, registry=registry
        )
        self.set_aside = Gauge(
            prefix + "set_aside_rows", "Rows in damaged parts of the store that are not read", registry=registry
        )
        self.set_aside_parts = Gauge(prefix + "set_aside_parts", "Damaged parts of the store", registry=registry)
        self.gone = Gauge(prefix + "gone_rows", "Rows that the store had and has no more", registry=registry)
        Info(prefix + "build", "What is running", registry=registry).info(
            {"version": __version__, "python": platform.python_version()}
        )
        ProcessCollector(registry=registry)

    def watch_store(self, upkeep: Upkeep) -> None:
        """Say with each answer how whole the store is."""
        self._upkeep = upkeep

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        if self._upkeep is not None:
            with contextlib.suppress(ReadingError):
                condition = self._upkeep.condition()
                spans = [part for part in condition.set_aside if part.table == SPANS]
                self.set_aside_parts.set(len(spans))
                self.set_aside.set(sum(part.rows or 0 for part in spans))
                self.gone.set(sum((condition.gone or {}).values()))
        return generate_latest(self._registry)
