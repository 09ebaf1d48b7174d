# SPDX-License-Identifier: Apache-2.0
"""Counting spans before they are parsed."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_loggedmodel.server.outline import has_more_messages, has_more_spans

from .backends import body_of


def delimited(tag: int, content: bytes) -> bytes:
    length = len(content)
    prefix = bytes([tag])
    while length > 127:
        prefix += bytes([length & 127 | 128])
        length >>= 7
    return prefix + bytes([length]) + content


@given(
    st.lists(
        st.lists(
            st.lists(st.sampled_from([b"", b"\x2a\x01x", b"\x39" + bytes(8), b"\x30\x05"]), max_size=4), max_size=3
        ),
        max_size=3,
    )
)
def test_parts_are_counted_as_protobuf_counts_them(tree: list[list[list[bytes]]]) -> None:
    noise = b"\x1a\x01u" + b"\x25abcd"  # a schema URL, and a field that nobody knows
    body = b"".join(
        delimited(
            0x0A,
            noise
            + b"".join(
                delimited(0x12, b"".join(delimited(0x12, span) for span in scope) + noise) for scope in resource
            ),
        )
        for resource in tree
    )
    request = ExportTraceServiceRequest.FromString(body)
    count = sum(
        1 + sum(1 + len(scope_spans.spans) for scope_spans in resource_spans.scope_spans)
        for resource_spans in request.resource_spans
    )
    assert not has_more_spans(body, count)
    if count and len(body) > 2 * (count - 1):
        assert has_more_spans(body, count - 1)


@given(st.binary(max_size=200))
def test_anything_may_be_looked_at(body: bytes) -> None:
    has_more_spans(body, 0)


@pytest.mark.parametrize(
    "body",
    [
        delimited(0x0A, delimited(0x12, b"\x12\x00" * 10**7)),
        delimited(0x0A, b"\x12\x00" * 10**7),
        b"\x0a\x00" * 10**7,
    ],
    ids=["spans", "scopes", "resources"],
)
def test_it_stops_at_the_limit(body: bytes) -> None:
    started = time.thread_time()
    assert has_more_spans(body, 1000)
    assert time.thread_time() - started < 0.5


def test_a_number_without_end_is_no_work() -> None:
    started = time.thread_time()
    assert not has_more_spans(b"\x0a" + b"\x80" * 10**7, 1000)
    assert time.thread_time() - started < 0.5


def test_small_requests_are_not_looked_at() -> None:
    assert not has_more_spans(body_of(3), 10**6)


def test_messages_are_counted_down_to_the_values_of_attributes() -> None:
    # A resource, a scope, a span, and two attributes with nothing in them, where an empty message takes two bytes.
    attributes = delimited(0x4A, b"") * 2
    body = delimited(0x0A, delimited(0x12, delimited(0x12, attributes)))
    assert not has_more_messages(body, 5)
    assert has_more_messages(body, 4)
    assert has_more_messages(b"\x0a\x00" * 1001, 1000)
    assert not has_more_messages(b"\x0a\x00" * 1000, 1000)
