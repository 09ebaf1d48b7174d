# SPDX-License-Identifier: Apache-2.0
"""Requests as lines of OTLP JSON, which the Collector's `otlpjsonfile` receiver reads.

OTLP's JSON differs from protobuf's in two things: ids are in hex, and enumerations are numbers.
Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

import base64
import json
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_IDS: Final = ("traceId", "spanId", "parentSpanId")


def line_of(payload: bytes, signal: str = "traces") -> str:
    """An ExportTraceServiceRequest or ExportLogsServiceRequest in protobuf as one line of JSON.

    It is ASCII, as other characters may also end a line.

    Args:
        payload: The request.
        signal: `traces` or `logs`.

    Raises:
        ValueError: It is no such request.
    """
    try:
        request = (ExportLogsServiceRequest if signal == "logs" else ExportTraceServiceRequest).FromString(payload)
    except DecodeError as error:
        raise ValueError(f"no request of OTLP: {error}") from None
    content = MessageToDict(request, use_integers_for_enums=True)
    for resource_spans in content.get("resourceSpans", ()):
        for scope_spans in resource_spans.get("scopeSpans", ()):
            for span in scope_spans.get("spans", ()):
                _write_ids_in_hex(span)
                for link in span.get("links", ()):
                    _write_ids_in_hex(link)
    for resource_logs in content.get("resourceLogs", ()):
        for scope_logs in resource_logs.get("scopeLogs", ()):
            for record in scope_logs.get("logRecords", ()):
                _write_ids_in_hex(record)
    return json.dumps(content, separators=(",", ":"))


def _write_ids_in_hex(content: dict[str, Any]) -> None:
    for key in _IDS:
        if key in content:
            content[key] = base64.b64decode(content[key]).hex()
