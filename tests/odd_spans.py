# SPDX-License-Identifier: Apache-2.0
"""Spans with every kind of value that OTLP can carry, and the rows that the Collector's exporter makes of them.

`store/collector_rows.json` holds those rows, as release 0.161 of the Collector wrote them. The test
`collector/test_clickhouse.py` compares it with the real one, and writes it anew when OTEL_LOGGEDMODEL_WRITE_ROWS=1.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

START_NS = 1_795_000_000_123_456_789
UNSET = object()
HOSTILE = (
    'it\'s "a" \\ back\nline\ttab\r\b\f\v\0nul\x1b[31m<b>&amp;\u2028\u2029 ü 🚀 '
    "\\N {x:String} '; DROP TABLE otel_traces; --"
)

VALUES: Mapping[str, Any] = {
    "text": "plain",
    "text.empty": "",
    "text.hostile": HOSTILE,
    "bool.true": True,
    "bool.false": False,
    "int.zero": 0,
    "int.negative": -1,
    "int.beyond_double": 2**53 + 1,
    "int.max": 2**63 - 1,
    "int.min": -(2**63),
    "bytes": b"hello",
    "bytes.empty": b"",
    "bytes.binary": bytes(range(250, 256)) + b"\0",
    "unset": UNSET,
    "list.empty": [],
    "list.texts": ["a", "", HOSTILE],
    "list.ints": [1, -2, 2**53 + 1, 2**63 - 1],
    "list.doubles": [1.0, 0.1, 1e20, 1e21, 1e-6, 1e-7, -0.0, 123456789.0],
    "list.not_a_number": [1.0, math.nan],
    "list.mixed": ["a", 1, 1.5, True, b"\xff", UNSET],
    "list.nested": [[1, [2, [3, [4, [5, []]]]]], []],
    "list.maps": [{"b": 1, "a": "x"}, {}],
    "map.empty": {},
    "map.texts": {"z": "last", "a": "first", "": "no key", HOSTILE: HOSTILE},
    "map.mixed": {"int": 2**53 + 1, "double": 1.0, "bool": False, "bytes": b"\xff\0", "unset": UNSET, "list": [1, "a"]},
    "map.nested": {"a": {"b": {"c": {"d": {"e": {"f": [1.5, {"g": "h"}]}}}}}},
    "map.infinite": {"a": math.inf},
    **{
        f"double.{number!r}": number
        for number in (
            *(0.0, -0.0, 1.0, -1.0, 100.0, 0.1, 0.5, 1 / 3, 2 / 3, 123456789.0, 1234567.891, 100000.0, 1e6, 1e15),
            *(1e16, 1e17, 1e20, 1e21, 1e22, 123456789012345680000.0, 1.2345678901234567e21, 1e100, 1e-1, 1e-4, 1e-5),
            *(1e-6, 9.99e-7, 1e-7, 1.5e-10, 1.7976931348623157e308, 5e-324, 2.2250738585072014e-308, 2.0**53, 2.0**63),
            *(
                4.35,
                0.30000000000000004,
                1e23,
                9007199254740993.0,
                3.4028234663852886e38,
                math.nan,
                math.inf,
                -math.inf,
            ),
        )
    },
}


ROWS = Path(__file__).parent / "store" / "collector_rows.json"


def expected_rows() -> list[dict[str, Any]]:
    """The rows that the Collector's exporter makes of the request, in the form of `stored_rows`."""
    return list(json.loads(ROWS.read_text(encoding="utf-8")))


def stored_rows(client: Client, table: str) -> list[dict[str, Any]]:
    """All rows, by trace and span: 64-bit numbers and times are texts, maps are lists of pairs."""
    lines = client.raw_query(
        f"SELECT * FROM {table} ORDER BY TraceId, SpanId",
        fmt="JSONEachRow",
        settings={
            "session_timezone": "UTC",
            "output_format_json_quote_64bit_integers": 1,
            # An object could not have a key twice.
            "output_format_json_map_as_array_of_tuples": 1,
            "output_format_json_named_tuples_as_objects": 0,
        },
    )
    return [json.loads(line) for line in lines.splitlines()]


def odd_request() -> ExportTraceServiceRequest:
    """A request with all of them; ids and times are fixed."""
    request = ExportTraceServiceRequest()
    _add(request, {"service.name": "odd", **VALUES}, _span(1, "every value", attributes=VALUES, nested=VALUES))
    _add(
        request,
        {"service.name": "shapes", "service.version": "1.2.3"},
        # The last of each is not of this version of OTLP.
        *(_span(10 + kind, f"kind {kind}", kind=kind) for kind in range(7)),
        *(_span(20 + code, f"status {code}", status=code, message=HOSTILE) for code in range(4)),
        _span(30, "", start_ns=0, end_ns=0),
        _span(31, HOSTILE, parent=7, trace_state="ot=rv:ffffffffffffff,vendor=a b"),
        _span(32, "ends when it begins", end_ns=START_NS),
        _span(33, "ends before it begins", end_ns=START_NS - 1_500_000_000),
        _span(34, "takes long", end_ns=START_NS + 86_400 * 10**9 * 30),
        _span(35, "to the nanosecond", start_ns=START_NS + 1, end_ns=START_NS + 2),
        _span(36, "the same key twice", attributes={"a": 1}, again={"a": 2}),
        _span(37, "no key", attributes={"": "x"}),
        _span(38, "no value", bare="a"),
    )
    _add(request, {}, _span(40, "no service"))
    _add(request, {"service.name": ""}, _span(41, "empty service"))
    _add(request, {"service.name": 7}, _span(42, "service is a number"))
    _add(request, {"service.name": ["a", 1]}, _span(43, "service is a list"))
    _add(request, {"service.name": UNSET}, _span(44, "service is unset"))
    nothing = request.resource_spans.add().scope_spans.add()
    nothing.spans.append(_span(45, "no resource and no scope"))
    return request


def _add(request: ExportTraceServiceRequest, resource: Mapping[str, Any], *spans: Span) -> None:
    resource_spans = request.resource_spans.add(schema_url="https://opentelemetry.io/schemas/1.40.0")
    _write(resource_spans.resource.attributes, resource)
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name, scope_spans.scope.version = "odd.scope", "0.1"
    _write(scope_spans.scope.attributes, {"scope": "attribute"})
    scope_spans.spans.extend(spans)


def _span(
    number: int,
    name: str,
    *,
    start_ns: int = START_NS,
    end_ns: int = START_NS + 1_234_567,
    kind: int = 1,
    status: int = 0,
    message: str = "",
    parent: int = 0,
    trace_state: str = "",
    attributes: Mapping[str, Any] | None = None,
    again: Mapping[str, Any] | None = None,
    bare: str | None = None,
    nested: Mapping[str, Any] | None = None,
) -> Span:
    span = Span(
        trace_id=bytes(15) + bytes([number]),
        span_id=bytes(7) + bytes([number]),
        parent_span_id=bytes(7) + bytes([parent]) if parent else b"",
        trace_state=trace_state,
        name=name,
        kind=kind,
        start_time_unix_nano=start_ns,
        end_time_unix_nano=end_ns,
        flags=0x101,
    )
    if status or message:
        span.status.code, span.status.message = status, message
    _write(span.attributes, attributes or {})
    _write(span.attributes, again or {})
    if bare is not None:
        span.attributes.add(key=bare)
    if nested is not None:
        first = span.events.add(name=HOSTILE, time_unix_nano=START_NS + 1)
        _write(first.attributes, nested)
        span.events.add(name="", time_unix_nano=0)
        one = span.links.add(trace_id=b"\xab" * 16, span_id=b"\xcd" * 8, trace_state="a=b", flags=0x301)
        _write(one.attributes, nested)
        span.links.add()
    return span


def _write(into: Any, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        _put(into.add(key=key).value, value)


def _put(into: AnyValue, value: Any) -> None:
    if value is UNSET:
        into.SetInParent()
    elif isinstance(value, str):
        into.string_value = value
    elif isinstance(value, bool):
        into.bool_value = value
    elif isinstance(value, int):
        into.int_value = value
    elif isinstance(value, float):
        into.double_value = value
    elif isinstance(value, bytes):
        into.bytes_value = value
    elif isinstance(value, list):
        into.array_value.SetInParent()
        for one in value:
            _put(into.array_value.values.add(), one)
    else:
        into.kvlist_value.SetInParent()
        _write(into.kvlist_value.values, value)
