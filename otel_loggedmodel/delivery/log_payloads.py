# SPDX-License-Identifier: Apache-2.0
"""Log records as the bytes that go over the wire, and back: the `otlp_payloads` of log records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from otel_loggedmodel.delivery import otlp_requests
from otel_loggedmodel.delivery.otlp_requests import Layers, attributes_of, value_of

_LAYERS = Layers("resource_logs", "scope_logs", "log_records")


def encoded(records: Sequence[Any]) -> bytes:
    """The request that exports these records."""
    # The SDK has no public name for it.
    from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs

    request: bytes = encode_logs(records).SerializePartialToString()
    return request


def encodable(records: Sequence[Any]) -> list[Any]:
    """The records that can be encoded."""
    return otlp_requests.encodable(records, encoded)


def is_record(record: object) -> bool:
    """Whether a log record is one of a model's records: none is, as those are spans."""
    return False


def halves(payload: bytes) -> list[tuple[bytes, int]]:
    """A request in two halves, each with the number of its records. With fewer than two it stays as it is."""
    return _LAYERS.halves(payload, parsed(payload))


def parsed(payload: bytes) -> Any:
    """A request as a message."""
    from opentelemetry.proto.collector.logs.v1 import logs_service_pb2

    return logs_service_pb2.ExportLogsServiceRequest.FromString(payload)


# Back to log records, for exporters that take nothing else


def decoded(payload: bytes) -> list[Any]:
    """The log records of a request, as this release of the SDK has them."""
    each = _LAYERS.each(parsed(payload))
    return [_decoded(record, resource, scope) for resource, scope, records in each for record in records]


def _decoded(record: Any, resource: Any, scope: Any) -> Any:
    from opentelemetry import _logs as api
    from opentelemetry.sdk import _logs as sdk
    from opentelemetry.trace import TraceFlags

    from otel_loggedmodel.delivery.log_types import IS_READABLE

    legacy: Any = sdk  # of releases before 1.39
    severity = api.SeverityNumber(record.severity_number) if record.severity_number in _severities() else None
    parts: dict[str, Any] = {
        "timestamp": record.time_unix_nano or None,
        "observed_timestamp": record.observed_time_unix_nano or None,
        "severity_text": record.severity_text or None,
        "severity_number": severity,
        "body": value_of(record.body),
        "attributes": attributes_of(record.attributes),
    }
    made: Any
    if IS_READABLE:
        made = api.LogRecord(**parts, event_name=getattr(record, "event_name", "") or None)
    else:
        made = legacy.LogRecord(resource=resource, **parts)
        if getattr(record, "event_name", ""):
            made.event_name = record.event_name
    # Set afterwards: a record that is made without ids gets those of the span that is current now.
    made.trace_id = int.from_bytes(record.trace_id, "big")
    made.span_id = int.from_bytes(record.span_id, "big")
    made.trace_flags = TraceFlags(record.flags & 0xFF)
    return sdk.ReadableLogRecord(made, resource, scope) if IS_READABLE else legacy.LogData(made, scope)


def _severities() -> frozenset[int]:
    from opentelemetry._logs import SeverityNumber

    return frozenset(number.value for number in SeverityNumber)
