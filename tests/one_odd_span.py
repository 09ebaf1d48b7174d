# SPDX-License-Identifier: Apache-2.0
"""Requests in which one span is odd in any of its fields, and the others are sound; in JSON and in protobuf."""

import copy
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

TEXT = "TEXT"
SPANS = 4
_YEAR_NS = 365 * 86_400 * 10**9


@dataclass(frozen=True)
class OneOdd:
    """A request.

    Attributes:
        body: As it is sent.
        trace_id: Of the spans that are sound.
        sound: The ids of these.
    """

    body: bytes
    trace_id: bytes
    sound: frozenset[bytes]


# Everything that a field may have in it by mistake, and much that none has.
_texts = st.one_of(
    st.text(max_size=10),
    st.sampled_from(["\ud83d", "a\udc00", "\0", "1e19", "NaN", "-1", "SPAN_KIND_SERVER", "AP8=", "ab" * 16, "ab" * 8]),
)
_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([-1, 2**31, 2**32, 2**63, 2**64, 1e19, 10**500]),
    st.floats(),
    _texts,
)
_odd_values = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["key", "value", "values", "stringValue", "intValue", "arrayValue", "kvlistValue"]),
                _texts,
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@st.composite
def in_json(draw: st.DrawFn) -> OneOdd:
    """Any value anywhere in one span of a request in JSON."""
    trace_id = uuid.uuid4().bytes
    spans = [_span_in_json(trace_id, number) for number in range(SPANS)]
    odd = draw(st.integers(0, SPANS - 1))
    places = list(_places(spans[odd], ()))
    for _ in range(draw(st.integers(1, 3))):
        spans[odd] = _replaced(spans[odd], draw(st.sampled_from(places)), draw(_odd_values))
    document = {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "s"}, "spans": spans}]}]}
    # Halves of characters come as escapes, and as what UTF-8 does not have.
    written = json.dumps(document, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    return OneOdd(written, trace_id, frozenset(_span_id(number) for number in range(SPANS) if number != odd))


@st.composite
def in_protobuf(draw: st.DrawFn) -> OneOdd:
    """Any bytes anywhere in one span of a serialized request."""
    trace_id = uuid.uuid4().bytes
    spans = [_span(trace_id, number).SerializeToString() for number in range(SPANS)]
    odd = draw(st.integers(0, SPANS - 1))
    spans[odd] = draw(
        st.one_of(
            _texts_that_are_none(spans[odd]),
            _changed_bytes(spans[odd]),
            st.integers(0, len(spans[odd]) - 1).map(lambda length: spans[odd][:length]),
            st.binary(max_size=60).map(lambda more: spans[odd] + more),
            st.binary(max_size=60),
        )
    )
    request = field(1, field(2, b"".join(field(2, span) for span in spans)))
    return OneOdd(request, trace_id, frozenset(_span_id(number) for number in range(SPANS) if number != odd))


def span_ids(request: bytes) -> list[bytes]:
    """Of the spans in a request that is sound."""
    read = ExportTraceServiceRequest.FromString(request)
    return [
        span.span_id
        for resource_spans in read.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def field(number: int, content: bytes) -> bytes:
    """A field of a message that is a text or another message: https://protobuf.dev/programming-guides/encoding/."""
    length, size = b"", len(content)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def _texts_that_are_none(span: bytes) -> st.SearchStrategy[bytes]:
    """One of its texts, or several, is not UTF-8; the length stays."""
    count = span.count(TEXT.encode())

    def put(which: set[int], text: bytes) -> bytes:
        first, *others = span.split(TEXT.encode())
        return first + b"".join(
            (text if number in which else TEXT.encode()) + other for number, other in enumerate(others)
        )

    odd = st.sampled_from(
        [b"c\xc3zz", b"caf\xc3", b"\xff\xfe\xfd\xfc", b"\xed\xa0\x80a", b"\xf8\x88\x80\x80", b"\x80abc"]
    )
    return st.builds(put, st.sets(st.integers(0, count - 1), min_size=1), odd)


def _changed_bytes(span: bytes) -> st.SearchStrategy[bytes]:
    def put(position: int, change: bytes) -> bytes:
        return (span[:position] + change + span[position + len(change) :])[: len(span)]

    return st.builds(put, st.integers(0, len(span) - 1), st.binary(min_size=1, max_size=3))


def _span(trace_id: bytes, number: int) -> Span:
    """With something in each of its fields, and the same text in all of them."""
    now = time.time_ns()
    span = Span(
        trace_id=trace_id,
        span_id=_span_id(number),
        parent_span_id=b"parentid",
        trace_state=TEXT,
        name=TEXT,
        kind=Span.SPAN_KIND_CLIENT,
        flags=257,
        start_time_unix_nano=now - _YEAR_NS,
        end_time_unix_nano=now,
        dropped_attributes_count=1,
        dropped_events_count=2,
        dropped_links_count=3,
    )
    span.status.code = 2
    span.status.message = TEXT
    event = span.events.add(time_unix_nano=now, name=TEXT)
    link = span.links.add(trace_id=b"t" * 16, span_id=b"s" * 8, trace_state=TEXT)
    for owner in (span, event, link):
        owner.attributes.add(key=TEXT).value.string_value = TEXT
        owner.attributes.add(key="int").value.int_value = -1
        owner.attributes.add(key="double").value.double_value = 0.5
        owner.attributes.add(key="bytes").value.bytes_value = b"\xff"
        owner.attributes.add(key="bool").value.bool_value = True
        values = owner.attributes.add(key="list").value.array_value.values
        values.add().string_value = TEXT
        values.add().kvlist_value.values.add(key=TEXT).value.string_value = TEXT
    return span


def _span_in_json(trace_id: bytes, number: int) -> dict[str, Any]:
    now = time.time_ns()
    attributes = [
        {"key": "text", "value": {"stringValue": TEXT}},
        {"key": "int", "value": {"intValue": "7"}},
        {"key": "double", "value": {"doubleValue": 0.5}},
        {"key": "bool", "value": {"boolValue": True}},
        {"key": "bytes", "value": {"bytesValue": "AP8="}},
        {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": TEXT}, {"intValue": 1}]}}},
        {"key": "map", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": TEXT}}]}}},
    ]
    return {
        "traceId": trace_id.hex(),
        "spanId": _span_id(number).hex(),
        "parentSpanId": "ab" * 8,
        "traceState": TEXT,
        "name": TEXT,
        "kind": 3,
        "flags": 257,
        "startTimeUnixNano": str(now - _YEAR_NS),
        "endTimeUnixNano": now,
        "status": {"code": 2, "message": TEXT},
        "droppedAttributesCount": 1,
        "attributes": attributes,
        "events": [{"timeUnixNano": str(now), "name": TEXT, "attributes": attributes}],
        "links": [{"traceId": "ab" * 16, "spanId": "cd" * 8, "traceState": TEXT, "attributes": attributes, "flags": 1}],
    }


def _span_id(number: int) -> bytes:
    return b"sound " + bytes([1, number])


_Place = tuple[str | int, ...]


def _places(value: Any, place: _Place) -> Iterator[_Place]:
    yield place
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from _places(part, (*place, key))


def _replaced(value: Any, place: _Place, new: Any) -> Any:
    if not place:
        return new
    changed = copy.copy(value)
    try:
        changed[place[0]] = _replaced(changed[place[0]], place[1:], new)
    except (KeyError, IndexError, TypeError):
        return new  # what was there before has been replaced
    return changed
