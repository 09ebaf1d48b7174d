# SPDX-License-Identifier: Apache-2.0
"""OTLP in JSON, as https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding has it."""

import base64
import json
import math
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from otel_loggedmodel.server.accounting import Account
from otel_loggedmodel.server.otlp_json import from_json
from otel_loggedmodel.server.refusing import Reason, RefusalError

from .backends import spans_of
from .odd_requests import requests

TRACE_ID = "5b8efff798038103d269b633813fc60c"
SPAN_ID = "eee19b7ec3c1b174"


def document(span: Any) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def read(span: Any) -> Any:
    [message] = spans_of(from_json(document(span), 1000, Account()))
    return message


def refusal(body: bytes) -> str:
    with pytest.raises(RefusalError) as raised:
        from_json(body, 1000, Account())
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
    read = from_json(json.dumps(document).encode(), 1000, Account())
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
    assert spans_of(from_json(body, 1000, Account())) == []


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
        (b'{"x": "\xff', "Unterminated string"),
        (b'{"x": ' + b"1" * 10_000, "delimiter"),
        (b"[" * 100_000, "recursion"),
        (b'{"resourceSpans": [{"resource": {"attributes": 5}}]}', "attributes is 5, not a list"),
    ],
    ids=range(11),
)
def test_what_is_no_otlp_is_malformed(body: bytes, text: str) -> None:
    assert text in refusal(body)


def test_values_nested_deeper_than_protobuf_reads_are_malformed() -> None:
    value: Any = {"boolValue": True}
    for _ in range(60):
        value = {"arrayValue": {"values": [value]}}
    refusal(document({"attributes": [{"key": "k", "value": value}]}))


@pytest.mark.parametrize("levels", [60, 400, 100_000])
@pytest.mark.parametrize("kind", ["list", "map", "unknown"])
def test_a_span_that_is_nested_too_deep_costs_the_others_nothing(levels: int, kind: str) -> None:
    """However deep: what Python's own parser gives up at is no reason to throw the request away."""
    begin, end = {
        "list": ('{"arrayValue": {"values": [', "]}}"),
        "map": ('{"kvlistValue": {"values": [{"key": "]\\"}", "value": ', "}]}}"),
        "unknown": ('{"x": [', "]}"),
    }[kind]
    deep = begin * levels + '{"stringValue": "[[{\\\\"}' + end * levels
    spans = [f'{{"traceId": "{TRACE_ID}", "spanId": "{number:016x}", "name": "[{{\\""}}' for number in range(1, 4)]
    spans[1] = spans[1][:-1] + f', "attributes": [{{"key": "k", "value": {deep}}}]}}'
    account = Account()
    body = '{"resourceSpans": [{"scopeSpans": [{"spans": [' + ", ".join(spans) + "]}]}]}"
    read = spans_of(from_json(body.encode(), 1000, account))
    assert [span.name for span in read] == ['[{"'] * len(read)
    # What is not known is not read, whatever is in it.
    assert [int.from_bytes(span.span_id, "big") for span in read] == ([1, 2, 3] if kind == "unknown" else [1, 3])
    assert sum(account.rejected.values()) == (kind != "unknown")


def test_looking_for_what_is_too_deep_takes_no_longer_for_texts_without_an_end() -> None:
    assert "no JSON" in refusal(b'{"a": 1' + b"0" * 5000 + b', "b": "' + b'\\"' * 500_000)


@pytest.mark.parametrize("name", ["resourceSpans", "spans", "links"])
def test_too_many_parts_are_too_large(name: str) -> None:
    many = [{}] * 1001
    body = {
        "resourceSpans": json.dumps({"resourceSpans": many}).encode(),
        "spans": json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": many}]}]}).encode(),
        "links": document({"links": many}),
    }[name]
    with pytest.raises(RefusalError) as raised:
        from_json(body, 1000, Account())
    assert raised.value.reason is Reason.TOO_LARGE


def value_of(value: Any) -> AnyValue:
    return read({"attributes": [{"key": "k", "value": value}]}).attributes[0].value


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("cut \ud83d", "cut \ufffd"),
        ("\udc00 at the start", "\ufffd at the start"),
        ("\udc00\ud800 turned", "\ufffd\ufffd turned"),
        ("\ud83d\ude00 whole", "\U0001f600 whole"),
        ("\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
    ],
)
@pytest.mark.parametrize("is_escaped", [True, False], ids=["escaped", "as bytes"])
def test_half_of_a_character_becomes_a_replacement(sent: str, stored: str, is_escaped: bool) -> None:
    span = {
        "name": sent,
        "traceState": sent,
        "status": {"message": sent},
        "attributes": [{"key": sent, "value": {"stringValue": sent}}],
        "events": [{"name": sent}],
    }
    written = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}, ensure_ascii=is_escaped)
    account = Account()
    [message] = spans_of(from_json(written.encode("utf-8", "surrogatepass"), 1000, account))
    assert {
        message.name,
        message.trace_state,
        message.status.message,
        message.attributes[0].key,
        message.attributes[0].value.string_value,
        message.events[0].name,
    } == {stored}
    assert not account.rejected
    # Escapes of both halves are one character to any reader of JSON, but not their bytes.
    assert account.repaired == ({} if is_escaped and sent == "\ud83d\ude00 whole" else {"texts": 6})


def test_bytes_that_are_not_utf8_become_a_replacement() -> None:
    body = document({"name": "NAME"}).replace(b"NAME", b"caf\xc3z")
    [message] = spans_of(from_json(body, 1000, Account()))
    assert message.name == "caf\ufffdz"


@pytest.mark.parametrize(
    ("number", "stored"),
    [(1e19, 1e19), (10**19, 1e19), (-(10**30), -1e30), ("1e30", 1e30), ("9223372036854775808", 2.0**63), (1.5, 1.5)],
)
def test_a_number_that_is_no_int64_is_kept_as_a_double(number: Any, stored: float) -> None:
    value = value_of({"intValue": number})
    assert (value.WhichOneof("value"), value.double_value) == ("double_value", stored)


@pytest.mark.parametrize(
    ("number", "stored"), [(1e18, 10**18), ("1e18", 10**18), ("7.0", 7), (-(2**63), -(2**63)), (2**63 - 1, 2**63 - 1)]
)
def test_a_number_that_is_an_int64_stays_one_however_it_is_written(number: Any, stored: int) -> None:
    value = value_of({"intValue": number})
    assert (value.WhichOneof("value"), value.int_value) == ("int_value", stored)


def test_null_keeps_its_place_among_values_and_is_left_out_elsewhere() -> None:
    values = value_of({"arrayValue": {"values": [{"intValue": 1}, None, {"intValue": 3}]}}).array_value.values
    assert [value.WhichOneof("value") for value in values] == ["int_value", None, "int_value"]
    span = read({"attributes": [None, {"key": "k", "value": None}], "events": [None], "links": [None, {}]})
    assert (len(span.attributes), len(span.events), len(span.links)) == (1, 0, 1)


@pytest.mark.parametrize("flags", [-1, 2**32, 1.5, "x", True])
def test_numbers_that_nobody_reads_cost_nothing(flags: Any) -> None:
    span = read({"name": "kept", "flags": flags, "droppedAttributesCount": flags, "links": [{"flags": flags}]})
    assert (span.name, span.flags, span.dropped_attributes_count, span.links[0].flags) == ("kept", 0, 0, 0)


def test_numbers_that_are_none_are_read_as_what_they_mean() -> None:
    assert math.isnan(value_of({"doubleValue": math.nan}).double_value)
    assert value_of({"doubleValue": -math.inf}).double_value == -math.inf


def test_what_is_wrong_is_left_out_and_nothing_else() -> None:
    def scope(*names: Any) -> Any:
        return {"spans": [{"name": name} for name in names]}

    body = {
        "resourceSpans": [
            {"scopeSpans": [scope("a", 7, "b"), {"scope": 5, **scope("c", 8)}, scope("d")]},
            {"scopeSpans": [scope("e", 9), scope("f")], "resource": {"attributes": {}}},
            scope,
            {"scopeSpans": [scope("g")]},
        ]
    }
    body["resourceSpans"][2] = "no object"
    account = Account()
    request = from_json(json.dumps(body).encode(), 1000, account)
    assert [span.name for span in spans_of(request)] == ["a", "b", "d", "g"]
    # One by itself, two in a scope, three in a resource, and at least one in what has no spans.
    assert account.rejected == {"malformed": 1 + 2 + 3 + 1}
    assert account.example == "resourceSpans[0].scopeSpans[0].spans[1].name is 7, not a text"


def test_a_number_of_ten_thousand_digits_costs_its_span_alone() -> None:
    body = b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "a"}, {"kind": %s}]}]}]}' % (b"1" * 10_000)
    account = Account()
    assert [span.name for span in spans_of(from_json(body, 1000, account))] == ["a"]
    assert account.rejected == {"malformed": 1}
