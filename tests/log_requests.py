# SPDX-License-Identifier: Apache-2.0
"""Requests with log records, as senders make them."""

import base64
import json
import time
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


def value_of(value: Any) -> AnyValue:
    """A value of Python's as OTLP has it."""
    match value:
        case AnyValue():
            return value
        case None:
            return AnyValue()
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=map(value_of, value)))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=pairs_of(value)))
    return AnyValue(string_value=value)


def pairs_of(values: dict[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=value_of(value)) for key, value in values.items()]


def record(
    body: Any = "said",
    *,
    trace: str = "",
    span: str = "",
    event: str = "",
    at: int | None = None,
    attributes: dict[str, Any] | None = None,
    **fields: Any,
) -> LogRecord:
    """A log record."""
    return LogRecord(
        time_unix_nano=time.time_ns() if at is None else at,
        trace_id=bytes.fromhex(trace),
        span_id=bytes.fromhex(span),
        event_name=event,
        body=value_of(body),
        attributes=pairs_of(attributes or {}),
        **fields,
    )


def score(name: str, value: float | None = None, *, trace: str = "", span: str = "", **more: Any) -> LogRecord:
    """The result of an evaluation; underscores in the names of attributes stand for dots, but in `score_value`."""
    attributes: dict[str, Any] = {"gen_ai.evaluation.name": name}
    if value is not None:
        attributes["gen_ai.evaluation.score.value"] = value
    attributes |= more.pop("attributes", {})
    return record(None, trace=trace, span=span, event="gen_ai.evaluation.result", attributes=attributes, **more)


def request(*records: LogRecord, **resource: Any) -> ExportLogsServiceRequest:
    """A request with these records of one resource."""
    made = ExportLogsServiceRequest()
    resource_logs = made.resource_logs.add(schema_url="https://example.org/resource")
    named = {"service.name": "shop", **{key.replace("__", "."): value for key, value in resource.items()}}
    resource_logs.resource.attributes.extend(pairs_of(named))
    scope_logs = resource_logs.scope_logs.add(schema_url="https://example.org/scope")
    scope_logs.scope.name, scope_logs.scope.version = "lib", "1.0"
    scope_logs.scope.attributes.extend(pairs_of({"of": "scope"}))
    scope_logs.log_records.extend(records)
    return made


def odd_requests() -> list[ExportLogsServiceRequest]:
    """Requests with values of every kind, in the body and among the attributes, and records of every kind."""
    at = time.time_ns()
    values: list[Any] = [
        "text",
        "",
        'quotes " and <b> \u2028 \u00fc \U0001f680',
        True,
        -7,
        2**62,
        0.5,
        1e21,
        1e-7,
        -0.0,
        float("nan"),
        float("inf"),
        b"\x00bytes\xff",
        [1, "a", [None, 2.5]],
        {"b": 1, "a": {"deep": ["x"]}},
        None,
    ]
    of_values = [
        record(value, at=at + number, attributes={"value": value, "number": number})
        for number, value in enumerate(values)
    ]
    of_kinds = [
        record("correlated", trace=TRACE, span=SPAN, flags=257, at=at + 100, severity_number=17, severity_text="ERROR"),
        record("observed alone", at=0, observed_time_unix_nano=at + 101),
        record({"role": "user"}, at=at + 102, event="gen_ai.user.message"),
        score("good", 0.5, at=at + 103),
    ]
    return [request(*of_values, nested={"list": [1, 2]}), request(*of_kinds)]


def in_json(made: ExportLogsServiceRequest) -> bytes:
    """A request as OTLP's JSON has it: ids are hex digits."""
    document = json_format.MessageToDict(made, use_integers_for_enums=True)
    for resource_logs in document["resourceLogs"]:
        for scope_logs in resource_logs["scopeLogs"]:
            for one in scope_logs["logRecords"]:
                for key in {"traceId", "spanId"} & one.keys():
                    one[key] = base64.b64decode(one[key]).hex()
    return json.dumps(document, ensure_ascii=False).encode()


def records_of(requests: list[bytes]) -> list[LogRecord]:
    """The log records in requests."""
    return [
        one
        for body in requests
        for resource_logs in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope_logs in resource_logs.scope_logs
        for one in scope_logs.log_records
    ]
