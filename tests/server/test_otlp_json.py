# SPDX-License-Identifier: Apache-2.0
"""OTLP in JSON, as https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding has it."""

import base64
import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_loggedmodel.server.otlp_json import from_json
from otel_loggedmodel.server.refusing import Reason, RefusalError

from .backends import spans_of
from .odd_requests import requests

TRACE_ID = "5b8efff798038103d269b633813fc60c"
SPAN_ID = "eee19b7ec3c1b174"


def document(span: Any) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def read(span: Any) -> Any:
    [message] = spans_of(from_json(document(span), 1000))
    return message


def refusal(body: bytes) -> str:
    with pytest.raises(RefusalError) as raised:
        from_json(body, 1000)
    assert raised.value.reason is Reason.MALFORMED
    return str(raised.value)


def test_a_span() -> None:
    span = read(
        {
            "traceId": TRACE_ID.upper(),
            "spanId": SPAN_ID,
            "parentSpanId": "eee19b7ec3c1b173",
            "name": "chat",
            "kind": 3,
            "startTimeUnixNano": "1544712660000000000",
            "endTimeUnixNano": 1544712661000000000,
            "status": {"code": 2, "message": "no"},
            "attributes": [
                {"key": "text", "value": {"stringValue": "é"}},
                {"key": "int as text", "value": {"intValue": "-9223372036854775808"}},
                {"key": "int", "value": {"intValue": 7}},
                {"key": "bytes", "value": {"bytesValue": "AP8="}},
                {"key": "list", "value": {"arrayValue": {"values": [{"boolValue": True}, {"doubleValue": "NaN"}]}}},
                {"key": "nothing", "value": {}},
            ],
            "links": [{"traceId": TRACE_ID, "spanId": SPAN_ID}],
            "events": [{"timeUnixNano": "5", "name": "event"}],
            "aNewerField": {"traceId": 7},
            "trace_state": "a=b",
            "flags": 257.0,
        }
    )
    assert (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()) == (
        TRACE_ID,
        SPAN_ID,
        "eee19b7ec3c1b173",
    )
    assert (span.name, span.kind, span.status.code, span.status.message) == ("chat", 3, 2, "no")
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (1544712660000000000, 1544712661000000000)
    values = {attribute.key: attribute.value for attribute in span.attributes}
    assert values["text"].string_value == "é"
    assert values["int as text"].int_value == -(2**63)
    assert values["int"].int_value == 7
    assert values["bytes"].bytes_value == b"\x00\xff"
    assert values["list"].array_value.values[0].bool_value is True
    assert values["nothing"].WhichOneof("value") is None
    assert (span.links[0].trace_id.hex(), span.links[0].span_id.hex()) == (TRACE_ID, SPAN_ID)
    assert span.events[0].time_unix_nano == 5
    assert (span.trace_state, span.flags) == ("a=b", 257)


def test_names_of_kinds_are_taken_too() -> None:
    assert read({"kind": "SPAN_KIND_CLIENT"}).kind == 3
    assert read({"kind": 99}).kind == 99


@given(requests())
def test_what_protobuf_writes_is_read_back(request: ExportTraceServiceRequest) -> None:
    document = json_format.MessageToDict(request)
    for resource_spans in document.get("resourceSpans", []):
        for scope_spans in resource_spans.get("scopeSpans", []):
            for span in scope_spans.get("spans", []):
                for part in (span, *span.get("links", [])):
                    for name in ("traceId", "spanId", "parentSpanId"):
                        if name in part:
                            part[name] = base64.b64decode(part[name]).hex()
    read = from_json(json.dumps(document).encode(), 1000)
    # Bytes are compared: numbers that are none do not equal themselves.
    assert read.SerializeToString(deterministic=True) == request.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"resourceSpans": null}',
        b'{"resourceSpans": []}',
        b'{"unknown": [1]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": null}]}]}',
    ],
)
def test_no_spans_are_fine(body: bytes) -> None:
    assert spans_of(from_json(body, 1000)) == []


@pytest.mark.parametrize(
    ("span", "place"),
    [
        (5, "resourceSpans[0].scopeSpans[0].spans[0] is 5, not an object"),
        ({"traceId": 5}, "spans[0].traceId is 5, not hex digits"),
        ({"traceId": "W47/95gDgQPSabYzgT/GDA=="}, "spans[0].traceId is the text 'W47/95gDgQPSabYzgT/GDA=='"),
        ({"spanId": "abc"}, "spans[0].spanId is the text 'abc'"),
        ({"spanId": "ee e19b7ec3c1b174"}, "spans[0].spanId"),
        ({"parentSpanId": []}, "spans[0].parentSpanId is a list"),
        ({"links": [{}, {"traceId": "xyz"}]}, "spans[0].links[1].traceId is the text 'xyz'"),
        ({"links": {}}, "spans[0].links is an object, not a list"),
        ({"name": 5}, "name"),
        ({"kind": "no such kind"}, "kind"),
        ({"startTimeUnixNano": "yesterday"}, "startTimeUnixNano"),
        ({"startTimeUnixNano": 2**64}, "startTimeUnixNano"),
        ({"startTimeUnixNano": -1}, "startTimeUnixNano"),
        ({"attributes": {"key": "value"}}, "attributes"),
        ({"attributes": [{"key": "k", "value": "bare"}]}, "attributes"),
        ({"attributes": [{"key": "k", "value": {"stringValue": 5}}]}, "stringValue"),
        ({"attributes": [{"key": "k", "value": {"stringValue": "a", "intValue": "1"}}]}, "value"),
        ({"attributes": [{"key": "k", "value": {"bytesValue": "*"}}]}, "bytesValue"),
        ({"status": "ERROR"}, "status is the text 'ERROR', not an object"),
        ({"droppedAttributesCount": True}, "droppedAttributesCount is true, not a whole number"),
        ({"flags": 1.5}, "flags is 1.5, not a whole number"),
        (
            {"attributes": [{"key": "k", "value": {"doubleValue": "many"}}]},
            "doubleValue is the text 'many'",
        ),
        ({"attributes": [{"key": "k", "value": {"doubleValue": 10**400}}]}, "doubleValue is 1000"),
        ({"attributes": [{"key": "k", "value": {"boolValue": 1}}]}, "boolValue is 1, not true or false"),
    ],
)
def test_what_is_wrong_is_named(span: Any, place: str) -> None:
    assert place in refusal(document(span))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "Expecting value"),
        (b"[]", "all of it is a list, not an object"),
        (b"null", "all of it is null, not an object"),
        (b'{"resourceSpans": {}}', "resourceSpans is an object, not a list"),
        (b'{"resourceSpans": [null]}', "resourceSpans[0] is null, not an object"),
        (b'{"resourceSpans": [{"scopeSpans": "x"}]}', "resourceSpans[0].scopeSpans is the text 'x', not a list"),
        (b'{"resourceSpans": [', "Expecting value"),
        (b'{"x": "\xff', "utf-8"),
        (b'{"x": NaN}', "NaN is no JSON"),
        (b'{"x": ' + b"1" * 10_000 + b"}", "digits"),
        (b"[" * 100_000, "recursion"),
        (b'{"resourceSpans": [{"resource": {"attributes": [{"key": "\\ud800"}]}}]}', "key"),
    ],
    ids=range(12),
)
def test_what_is_no_otlp_is_malformed(body: bytes, text: str) -> None:
    assert text in refusal(body)


def test_values_nested_deeper_than_protobuf_reads_are_malformed() -> None:
    value: Any = {"boolValue": True}
    for _ in range(60):
        value = {"arrayValue": {"values": [value]}}
    refusal(document({"attributes": [{"key": "k", "value": value}]}))


@pytest.mark.parametrize("name", ["resourceSpans", "spans", "links"])
def test_too_many_parts_are_too_large(name: str) -> None:
    many = [{}] * 1001
    body = {
        "resourceSpans": json.dumps({"resourceSpans": many}).encode(),
        "spans": json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": many}]}]}).encode(),
        "links": document({"links": many}),
    }[name]
    with pytest.raises(RefusalError) as raised:
        from_json(body, 1000)
    assert raised.value.reason is Reason.TOO_LARGE
