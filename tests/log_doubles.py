# SPDX-License-Identifier: Apache-2.0
"""An exporter of log records that keeps them, and log records as each release of the SDK wants them."""

from typing import Any

from opentelemetry import _logs, trace

from otel_loggedmodel.delivery.log_types import IS_READABLE, LogRecordExporter, LogRecordExportResult


class Memory(LogRecordExporter):
    """Keeps what is exported."""

    def __init__(self) -> None:
        self.exported: list[Any] = []

    def export(self, batch: Any) -> Any:
        self.exported += batch
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        pass

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True

    @property
    def versions(self) -> list[object]:
        return [(data.log_record.attributes or {}).get("logged_model.id") for data in self.exported]


def make_record(**parts: Any) -> Any:
    """A log record that says something."""
    if IS_READABLE:
        return _logs.LogRecord(**{"body": "said", **parts})
    from opentelemetry.sdk._logs import LogRecord

    # Nobody else fills these in, and what lacks them cannot be sent.
    span = trace.get_current_span().get_span_context()
    known = {
        "body": "said",
        "timestamp": 1,
        "observed_timestamp": 1,
        "severity_number": _logs.SeverityNumber.INFO,
        "trace_id": span.trace_id,
        "span_id": span.span_id,
        "trace_flags": span.trace_flags,
    }
    return LogRecord(**{**known, **parts})
