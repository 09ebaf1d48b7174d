# SPDX-License-Identifier: Apache-2.0
"""Requests with anything in them, for tests of properties."""

import math
import time
from typing import Any

from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from .backends import request_of, spans_of

DAY_NS = 86400 * 10**9


def owners(request: ExportTraceServiceRequest) -> list[Any]:
    """One of everything that has attributes."""
    [resource_spans] = request.resource_spans
    [scope_spans] = resource_spans.scope_spans
    span = scope_spans.spans[0]
    return [resource_spans.resource, scope_spans.scope, span, span.events[0], span.links[0]]


def complete_request() -> ExportTraceServiceRequest:
    request = request_of()
    request.resource_spans[0].scope_spans[0].scope.name = "scope"
    span = spans_of(request)[0]
    span.events.add(name="event")
    span.links.add(trace_id=b"t" * 16, span_id=b"s" * 8)
    return request


def values(depth: int) -> st.SearchStrategy[AnyValue]:
    leaves = st.one_of(
        st.builds(AnyValue, string_value=st.text(max_size=80)),
        st.builds(AnyValue, bytes_value=st.binary(max_size=80)),
        st.builds(AnyValue, int_value=st.integers(-(2**63), 2**63 - 1)),
        # JSON has only one NaN, whatever its bits are.
        st.builds(AnyValue, double_value=st.floats(allow_nan=False) | st.just(math.nan)),
        st.builds(AnyValue, bool_value=st.booleans()),
        st.just(AnyValue()),
    )
    return leaves if depth == 0 else st.one_of(leaves, st.lists(values(depth - 1), max_size=3).map(list_of))


def list_of(items: list[AnyValue]) -> AnyValue:
    value = AnyValue()
    value.array_value.values.extend(items)
    return value


ids = st.one_of(st.binary(max_size=20), st.sampled_from([bytes(16), bytes(8), b"t" * 16, b"s" * 8]))
times = st.one_of(
    st.integers(0, 2**64 - 1), st.just(time.time_ns()), st.integers(0, 2 * DAY_NS).map(lambda n: n + time.time_ns())
)


@st.composite
def requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    request = complete_request()
    for owner in owners(request):
        for number in range(draw(st.sampled_from([0, 1, 12]))):
            owner.attributes.add(key=draw(st.sampled_from(["k", "logged_model.k", "x" * 90])) + str(number))
        if owner.attributes:
            owner.attributes[-1].value.CopyFrom(draw(values(2)))
    spans = request.resource_spans[0].scope_spans[0].spans
    for _ in range(draw(st.integers(0, 3))):
        span = spans.add(
            trace_id=draw(ids),
            span_id=draw(ids),
            parent_span_id=draw(ids),
            start_time_unix_nano=draw(times),
            end_time_unix_nano=draw(times),
            name=draw(st.text(max_size=100)),
        )
        span.links.add(trace_id=draw(ids), span_id=draw(ids))
    return request
