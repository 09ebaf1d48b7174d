# SPDX-License-Identifier: Apache-2.0
"""Span exporters that do what a test says: one more implementation of the interface."""

from collections.abc import Callable, Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult


class ScriptedExporter(SpanExporter):
    """Keeps what it took, and refuses or raises as long as `refuse` says so of a batch."""

    def __init__(self) -> None:
        self.batches: list[list[ReadableSpan]] = []
        self.attempts: list[list[ReadableSpan]] = []
        self.refuse: Callable[[Sequence[ReadableSpan]], bool] = lambda batch: False
        self.error: Exception | None = None
        self.is_shut_down = False
        self.flushes: list[int] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.attempts.append(list(spans))
        if self.error is not None:
            raise self.error
        if self.refuse(spans):
            return SpanExportResult.FAILURE
        self.batches.append(list(spans))
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        self.flushes.append(timeout_millis)
        return True

    def shutdown(self) -> None:
        self.is_shut_down = True

    @property
    def events(self) -> list[tuple[str, str]]:
        """What records it took: event and model id, in order."""
        return [
            (span.attributes["logged_model.event"], span.attributes["logged_model.id"])
            for batch in self.batches
            for span in batch
            if "logged_model.event" in span.attributes
        ]


def has_records(spans: Sequence[ReadableSpan]) -> bool:
    return any("logged_model.event" in (span.attributes or {}) for span in spans)
