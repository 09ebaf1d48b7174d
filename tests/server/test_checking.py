# SPDX-License-Identifier: Apache-2.0
"""What is stored of a request, and what is not."""

import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from odd_spans import expected_rows, odd_request
from otel_loggedmodel.server import repairing
from otel_loggedmodel.server.accounting import Account
from otel_loggedmodel.server.checking import Checked
from otel_loggedmodel.server.checking import check as check_at
from otel_loggedmodel.server.flat_request import FlatRequest
from otel_loggedmodel.server.refusing import Reason, RefusalError
from otel_loggedmodel.server.repairing import MAX_EVENTS_OR_LINKS
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.server.value_text import text_of

from .backends import body_of, request_of, spans_of, varint
from .odd_requests import complete_request, owners, requests

DAY_NS = 86400 * 10**9
LARGE = Settings()
SMALL = Settings(max_attributes=10, max_value_bytes=64)


def check(request: ExportTraceServiceRequest | bytes, limits: Settings = LARGE) -> Checked:
    body = request if isinstance(request, bytes) else request.SerializeToString()
    return check_at(body, limits, time.time_ns())


def only_span(checked: Checked) -> Span:
    [span] = spans_of(checked.payload)
    return span


def lists(depth: int, core: AnyValue | None = None) -> AnyValue:
    """A value in so many lists."""
    value = core or AnyValue(string_value="core")
    for _ in range(depth):
        outer = AnyValue()
        outer.array_value.values.add().CopyFrom(value)
        value = outer
    return value


def test_what_is_sound_goes_on_as_it_came() -> None:
    body = body_of(3)
    assert check(body) == Checked(body, 3)


@pytest.mark.parametrize(
    "unknown", [b"\x82\x7d\x03abc", b"\x10\x05", b"\x0b\x0c"], ids=["newer", "other type", "group"]
)
def test_what_is_not_known_is_left_out(unknown: bytes) -> None:
    """A store may read it as something else: with a known number and another type ClickHouse refuses everything."""
    request = request_of(3)
    spans_of(request)[1].MergeFromString(unknown)
    spans_of(request)[1].attributes.add(key="k").value.MergeFromString(unknown)
    checked = check(request.SerializeToString() + unknown)
    assert unknown not in checked.payload
    assert (checked.spans, checked.account) == (3, Account())


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"trace_id": b""}, "trace_id"),
        ({"trace_id": bytes(16)}, "trace_id"),
        ({"trace_id": b"x" * 15}, "trace_id"),
        ({"trace_id": b"x" * 17}, "trace_id"),
        ({"span_id": b""}, "span_id"),
        ({"span_id": bytes(8)}, "span_id"),
        ({"span_id": b"x" * 16}, "span_id"),
        ({"parent_span_id": b"x" * 4}, "parent_span_id"),
        ({"start_time_unix_nano": 0}, "start_time"),
        ({"start_time_unix_nano": 10**9}, "start_time"),
        ({"start_time_unix_nano": time.time_ns() + 2 * DAY_NS}, "start_time"),
        ({"start_time_unix_nano": 2**64 - 1}, "start_time"),
    ],
)
def test_a_span_that_makes_no_sense_is_rejected_alone(fields: dict[str, Any], reason: str) -> None:
    request = request_of(5)
    for name, value in fields.items():
        setattr(spans_of(request)[2], name, value)
    checked = check(request)
    assert checked.account.rejected == {reason: 1}
    assert checked.spans == 4
    assert [span.name for span in spans_of(checked.payload)] == ["span 1", "span 2", "span 4", "span 5"]


def test_clocks_that_are_a_day_off_are_believed() -> None:
    ahead = time.time_ns() + DAY_NS - 10**10
    checked = check(request_of(start_time_unix_nano=ahead, end_time_unix_nano=ahead + 1))
    assert (checked.spans, checked.account.rejected, checked.account.repaired) == (1, {}, {})


@pytest.mark.parametrize("end_ns", [0, 1, time.time_ns() + 3 * DAY_NS, 2**64 - 1], ids=range(4))
def test_an_end_that_cannot_be_is_the_start(end_ns: int) -> None:
    checked = check(request_of(end_time_unix_nano=end_ns))
    span = only_span(checked)
    assert span.end_time_unix_nano == span.start_time_unix_nano
    assert checked.account.repaired == {"end_time": 1}


def test_a_parent_of_zeros_is_none() -> None:
    checked = check(request_of(parent_span_id=bytes(8)))
    assert only_span(checked).parent_span_id == b""
    assert checked.account.repaired == {"parent_span_id": 1}


def test_links_to_nowhere_are_dropped_and_counted() -> None:
    request = request_of()
    span = spans_of(request)[0]
    good = {"trace_id": b"t" * 16, "span_id": b"s" * 8}
    for changes in ({}, {"trace_id": bytes(16)}, {"span_id": b"x"}, {"trace_id": b""}, {}):
        span.links.add(**{**good, **changes})
    span.dropped_links_count = 2
    checked = check(request)
    span = only_span(checked)
    assert [(link.trace_id, link.span_id) for link in span.links] == [(b"t" * 16, b"s" * 8)] * 2
    assert span.dropped_links_count == 5
    assert checked.account.repaired == {"links": 3}


@pytest.mark.parametrize("which", range(5), ids=["resource", "scope", "span", "event", "link"])
def test_too_many_attributes_are_dropped_and_counted(which: int) -> None:
    request = complete_request()
    owner = owners(request)[which]
    del owner.attributes[:]
    for number in range(25):
        owner.attributes.add(key=f"key {number}").value.int_value = number
    owner.dropped_attributes_count = 3
    checked = check(request, SMALL)
    owner = owners(ExportTraceServiceRequest.FromString(checked.payload))[which]
    assert [attribute.key for attribute in owner.attributes] == [f"key {number}" for number in range(10)]
    assert owner.dropped_attributes_count == 18
    assert checked.account.repaired == {"attributes": 15}
    assert checked.spans == 1


def test_attributes_of_versions_are_never_dropped() -> None:
    request = request_of()
    span = spans_of(request)[0]
    for number in range(30):
        key = f"logged_model.param.{number}" if number % 2 else f"key {number}"
        span.attributes.add(key=key).value.string_value = str(number)
    span = only_span(check(request, SMALL))
    kept = [attribute.key for attribute in span.attributes]
    assert [key for key in kept if key.startswith("logged_model.")] == [
        f"logged_model.param.{number}" for number in range(1, 30, 2)
    ]
    assert [key for key in kept if key.startswith("key")] == [f"key {number}" for number in range(0, 10, 2)]
    assert span.dropped_attributes_count == 10
    assert span.attributes[-1].value.string_value == "29"


def test_ten_thousand_attributes() -> None:
    request = request_of()
    span = spans_of(request)[0]
    for number in range(10_000):
        span.attributes.add(key=str(number)).value.bool_value = True
    span = only_span(check(request))
    assert len(span.attributes) == 1024
    assert span.dropped_attributes_count == 10_000 - 1024


def test_long_texts_are_cut_between_characters() -> None:
    request = complete_request()
    [resource, scope, span, event, link] = owners(request)
    long = "é" * 40  # 80 bytes
    scope.name = span.name = span.trace_state = span.status.message = event.name = long
    for owner in (resource, scope, span, event, link):
        owner.attributes.add(key="text").value.string_value = "x" + long
        owner.attributes.add(key="bytes").value.bytes_value = b"\xff" * 100
        owner.attributes.add(key="list").value.array_value.values.add().string_value = "x" + long
        owner.attributes.add(key=long).value.bool_value = True
        owner.attributes.add(key="short").value.string_value = "short"
    checked = check(request, SMALL)
    changed = ExportTraceServiceRequest.FromString(checked.payload)
    for owner in owners(changed):
        values = {attribute.key: attribute.value for attribute in owner.attributes}
        assert values["text"].string_value == "x" + "é" * 31
        assert values["bytes"].bytes_value == b"\xff" * 64
        assert values["list"].string_value == '["x' + "é" * 30
        assert values["é" * 32].bool_value
        assert values["short"].string_value == "short"
    [_, scope, span, event, _] = owners(changed)
    assert {scope.name, span.name, span.trace_state, span.status.message, event.name} == {"é" * 32}
    assert checked.account.repaired == {"values": 4 * 5 + 5, "lists_and_maps": 5}


def test_a_large_span_without_a_long_text_goes_on_as_it_came() -> None:
    request = request_of()
    for number in range(9):
        spans_of(request)[0].attributes.add(key=str(number)).value.string_value = "x" * 60
    body = request.SerializeToString()
    assert check(body, SMALL) == Checked(body, 1)


@pytest.mark.parametrize("which", range(5), ids=["resource", "scope", "span", "event", "link"])
def test_lists_and_maps_become_texts_wherever_they_are(which: int) -> None:
    request = complete_request()
    attributes = owners(request)[which].attributes
    attributes.add(key="before").value.string_value = "[1]"
    attributes.add(key="list").value.CopyFrom(lists(2))
    attributes.add(key="between").value.int_value = 1
    attributes.add(key="map").value.kvlist_value.values.add(key="k").value.CopyFrom(lists(1))
    attributes.add(key="no list").value.array_value.SetInParent()
    checked = check(request)
    attributes = owners(ExportTraceServiceRequest.FromString(checked.payload))[which].attributes
    assert {
        attribute.key: attribute.value.string_value for attribute in attributes if attribute.key != "service.name"
    } == {
        "before": "[1]",
        "list": '[["core"]]',
        "between": "",
        "map": '{"k":["core"]}',
        "no list": "[]",
    }
    assert attributes[-3].value.int_value == 1
    assert (checked.spans, checked.account.repaired) == (1, {"lists_and_maps": 3})


def test_lists_and_maps_have_the_text_that_the_collector_gives_them() -> None:
    request = odd_request()
    written = {row["SpanName"]: row for row in expected_rows()}["every value"]
    span = spans_of(request)[0]
    span.ClearField("links")  # the last of which is broken
    del request.resource_spans[1:]
    [span] = spans_of(check(request).payload)
    for owner, row in ((span, written["SpanAttributes"]), (span.events[0], written["Events.Attributes"][0])):
        expected = {key: text for key, text in row if key.startswith(("list.", "map."))}
        assert len(expected) > 10
        assert {
            attribute.key: attribute.value.string_value
            for attribute in owner.attributes
            if attribute.key.startswith(("list.", "map."))
        } == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_in_lists_read_back_as_they_were(number: float) -> None:
    text = text_of(lists(1, AnyValue(double_value=number)))
    read = float(text[1:-1])
    assert read == number
    assert math.copysign(1, read) == math.copysign(1, number)
    assert ("e" in text) == (number != 0 and not 1e-6 <= abs(number) < 1e21)


def test_lists_in_a_span_that_is_rejected_are_no_matter() -> None:
    request = request_of(3)
    for span in spans_of(request):
        span.attributes.add(key="list").value.CopyFrom(lists(1))
    spans_of(request)[1].trace_id = b""
    checked = check(request)
    assert (checked.spans, checked.account.rejected, checked.account.repaired) == (
        2,
        {"trace_id": 1},
        {"lists_and_maps": 2},
    )


@pytest.mark.parametrize("at_once", [0, 100], ids=["one by one", "at once"])
def test_each_span_keeps_its_own_lists_whatever_is_rejected_between(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repairing, "_MOST_PLACES_AT_ONCE", at_once)
    request = request_of(12)
    for number, span in enumerate(spans_of(request)):
        span.attributes.add(key="own").value.CopyFrom(lists(1, AnyValue(int_value=number)))
        span.attributes.add(key="same").value.CopyFrom(lists(1))
        span.events.add(name="e").attributes.add(key="of event").value.CopyFrom(lists(2))
        span.links.add(trace_id=b"t" * 16, span_id=b"s" * 8).attributes.add(key="k").value.CopyFrom(lists(1))
        if number % 5 == 2:
            span.trace_id = b"short"
        if number % 5 == 3:
            span.links.add(trace_id=b"nowhere")
    checked = check(request)
    kept = spans_of(checked.payload)
    told = [{attribute.key: attribute.value.string_value for attribute in span.attributes} for span in kept]
    numbers = [number for number in range(12) if number % 5 != 2]
    assert [texts["own"] for texts in told] == [f"[{number}]" for number in numbers]
    assert {texts["same"] for texts in told} == {'["core"]'}
    assert {span.events[-1].attributes[0].value.string_value for span in kept} == {'[["core"]]'}
    assert {span.links[-1].attributes[0].value.string_value for span in kept} == {'["core"]'}
    assert checked.account.repaired == {"lists_and_maps": 4 * len(numbers), "links": 2}
    assert checked.account.rejected == {"trace_id": 2}


def test_lists_beyond_the_limit_are_dropped_unread() -> None:
    request = request_of()
    for number in range(12):
        spans_of(request)[0].attributes.add(key=str(number)).value.CopyFrom(lists(1))
    checked = check(request, SMALL)
    assert checked.account.repaired == {"attributes": 2, "lists_and_maps": 10}
    assert only_span(checked).attributes[9].value.string_value == '["core"]'


def test_a_list_deeper_than_protobuf_reads_is_left_out() -> None:
    request = request_of()
    spans_of(request)[0].attributes.add(key="list").value.CopyFrom(lists(60))
    checked = check(request)
    size = spans_of(request)[0].attributes[0].value.ByteSize()
    assert only_span(checked).attributes[0].value.string_value == f"<{size} bytes of a list or a map were left out>"
    assert checked.account.repaired == {"values": 1}


def test_texts_in_lists_that_are_not_utf8_are_repaired() -> None:
    request = request_of()
    value = spans_of(request)[0].attributes.add(key="list").value
    value.CopyFrom(lists(2, AnyValue(string_value="NAME")))
    value.array_value.values.add().kvlist_value.values.add(key="KEYS").value.string_value = "fine"
    body = request.SerializeToString().replace(b"NAME", b"caf\xc3").replace(b"KEYS", b"\xff\xfekk")
    checked = check(body)
    text = only_span(checked).attributes[0].value.string_value
    assert text == '[["caf\ufffd"],{"\ufffd\ufffdkk":"fine"}]'
    assert checked.account.repaired == {"lists_and_maps": 1, "texts": 1}
    # The next of the same is repaired, and counted, too.
    spans_of(request)[0].attributes.add(key="again").value.CopyFrom(value)
    twice = request.SerializeToString().replace(b"NAME", b"N\xffME").replace(b"KEYS", b"K\xfeYS")
    assert check(twice).account.repaired == {"lists_and_maps": 2, "texts": 2}


@pytest.mark.parametrize(
    "body",
    [b"garbage", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x04\x12\x02\x12\xff", body_of(3)[:-5], b"\x0b"],
    ids=range(5),
)
def test_what_is_no_request_is_malformed(body: bytes) -> None:
    with pytest.raises(RefusalError, match="no ExportTraceServiceRequest") as raised:
        check(body)
    assert raised.value.reason is Reason.MALFORMED


def test_texts_that_are_not_utf8_are_repaired_wherever_they_are() -> None:
    request = complete_request()
    [_, scope, span, event, link] = owners(request)
    request.resource_spans[0].schema_url = request.resource_spans[0].scope_spans[0].schema_url = "TEXT"
    scope.name = scope.version = span.name = span.trace_state = span.status.message = event.name = "TEXT"
    link.trace_state = "TEXT"
    request.resource_spans[0].resource.entity_refs.add(type="TEXT").id_keys.append("TEXT")
    for owner in owners(request):
        owner.attributes.add(key="TEXT").value.string_value = "TEXT"
    checked = check(request.SerializeToString().replace(b"TEXT", b"c\xc3zt"))
    changed = ExportTraceServiceRequest.FromString(checked.payload)
    [_, scope, span, event, link] = owners(changed)
    texts = {scope.name, scope.version, span.name, span.trace_state, span.status.message, event.name, link.trace_state}
    for owner in owners(changed):
        texts |= {owner.attributes[-1].key, owner.attributes[-1].value.string_value}
    assert texts == {"c\ufffdzt"}
    # The resource, the scope and the span.
    assert (checked.spans, checked.account.rejected, checked.account.repaired) == (1, {}, {"texts": 3})


def test_a_repaired_text_is_cut_where_the_replacements_make_it_too_long() -> None:
    body = body_of(name="N" * 60).replace(b"N" * 60, b"\xff" * 60)
    assert only_span(check(body, SMALL)).name == "\ufffd" * 21


def test_a_garbled_span_is_rejected_alone() -> None:
    spans = [span.SerializeToString() for span in spans_of(request_of(3))]
    spans[1] = spans[1][:-1]
    checked = check(b"\x0a" + framed(b"\x12" + framed(b"".join(b"\x12" + framed(span) for span in spans))))
    assert [span.name for span in spans_of(checked.payload)] == ["span 1", "span 3"]
    assert checked.account.rejected == {"malformed": 1}
    assert "resource_spans[0].scope_spans[0].spans[1] cannot be read" in checked.account.example


@pytest.mark.parametrize("which", ["resource", "scope"])
def test_a_garbled_resource_or_scope_costs_its_own_spans(which: str) -> None:
    good, bad = request_of(2), request_of(3, seed=2)
    owner = getattr(bad.resource_spans[0] if which == "resource" else bad.resource_spans[0].scope_spans[0], which)
    owner.attributes.add(key="KEY").value.string_value = "text"
    # The key's tag becomes one that ends a group. No group was begun.
    body = bad.SerializeToString().replace(b"\x0a\x03KEY", b"\x0c\x03KEY") + good.SerializeToString()
    checked = check(body)
    assert [span.trace_id[7] for span in spans_of(checked.payload)] == [1, 1]
    assert checked.account.rejected == {"malformed": 3}


def test_a_million_texts_that_are_not_utf8_are_looked_through_in_bounded_time() -> None:
    odd, good = request_of(1), request_of(1, seed=2)
    attribute = b"\x4a" + framed(b"\x0a\x01\xff")
    span = spans_of(odd)[0].SerializeToString() + attribute * 1_500_000
    body = b"\x0a" + framed(b"\x12" + framed(b"\x12" + framed(span))) + good.SerializeToString()
    started = time.process_time()
    checked = check(body)
    assert time.process_time() - started < 20
    assert (checked.spans, checked.account.rejected) == (1, {"malformed": 1})
    assert "too many parts" in checked.account.example


def framed(content: bytes) -> bytes:
    return varint(len(content)) + content


def test_what_is_there_twice_is_stored_once_as_it_was_checked() -> None:
    [span] = spans_of(request_of())
    twice = b"\x0a\x03abc" + span.SerializeToString() + Span(name="last").SerializeToString()
    scope_spans = b"\x12" + varint(len(twice)) + twice
    body = b"\x0a" + varint(len(scope_spans) + 2) + b"\x12" + varint(len(scope_spans)) + scope_spans
    checked = check(body)
    assert checked.payload.count(b"abc") == checked.payload.count(span.name.encode()) == 0
    assert (only_span(checked).trace_id, only_span(checked).name) == (span.trace_id, "last")


def test_nothing_is_no_spans() -> None:
    assert check(b"") == Checked(b"", 0)


@given(requests())
@settings(max_examples=150)
def test_what_is_stored_is_sound_and_nothing_is_unaccounted_for(request: ExportTraceServiceRequest) -> None:
    checked = check(request, SMALL)
    assert checked.spans == len(spans_of(checked.payload))
    assert checked.spans + sum(checked.account.rejected.values()) == len(spans_of(request))
    again = check(checked.payload, SMALL)
    assert again == Checked(checked.payload, checked.spans)
    if not checked.account.rejected and not checked.account.repaired:
        assert checked.payload == request.SerializeToString()
    for span in spans_of(checked.payload):
        assert len(span.trace_id) == 16
        assert any(span.trace_id)
        assert len(span.span_id) == 8
        assert any(span.span_id)
        assert span.end_time_unix_nano >= span.start_time_unix_nano
    assert FlatRequest.FromString(checked.payload).IsInitialized()


def crowded(field: str, number: int) -> bytes:
    """A request whose span has so many empty attributes, events or links, of two bytes each."""
    request = request_of(1)
    [span] = spans_of(request.SerializeToString())
    span.ClearField(field)
    crowd = varint(span.DESCRIPTOR.fields_by_name[field].number << 3 | 2) + b"\0"
    parsed = ExportTraceServiceRequest()
    parsed.resource_spans.add().scope_spans.add().spans.add().MergeFromString(span.SerializeToString() + crowd * number)
    return parsed.SerializeToString()


@pytest.mark.parametrize(("field", "left"), [("attributes", 1024), ("events", MAX_EVENTS_OR_LINKS), ("links", 0)])
def test_what_comes_by_the_million_is_cut_off_unseen(field: str, left: int) -> None:
    started = time.process_time()
    checked = check(crowded(field, 2_000_000))
    # Looking at each of them took minutes for the thirty million that a request can hold.
    assert time.process_time() - started < 5
    span = only_span(checked)
    assert len(getattr(span, field)) == left
    assert getattr(span, f"dropped_{field}_count") == 2_000_000 - left
    assert checked.account.repaired[field] == 2_000_000 - left


def test_a_list_that_is_too_long_for_a_text_is_left_out() -> None:
    request = request_of(1)
    span = request.resource_spans[0].scope_spans[0].spans[0]
    values = span.attributes.add(key="long").value.array_value.values
    for _ in range(100):
        values.add().int_value = 1
    checked = check(request, SMALL)
    [text] = [attribute.value.string_value for attribute in only_span(checked).attributes if attribute.key == "long"]
    assert text == "<403 bytes of a list or a map were left out>"
    assert checked.account.repaired["values"] == 1
