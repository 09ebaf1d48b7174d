# SPDX-License-Identifier: Apache-2.0
"""Spans as the bytes that go over the wire, and back: encoding, taking a request apart, decoding for other exporters.

What is kept for later is the `ExportTraceServiceRequest` that OTLP would have sent, so delivering it over OTLP needs no
decoding. For exporters of other protocols it is decoded into spans.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from otel_loggedmodel import attributes
from otel_loggedmodel.delivery import otlp_requests
from otel_loggedmodel.delivery.otlp_requests import Layers, attributes_of
from otel_loggedmodel.delivery.rebuilt import RebuiltSpan

if TYPE_CHECKING:
    # Not imported with this module: protobuf takes longer than all of this library, and may never be needed.
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_LAYERS = Layers("resource_spans", "scope_spans", "spans")
_IS_REMOTE = 0x200  # SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK, which the oldest supported protobufs do not name


def encoded(spans: Sequence[ReadableSpan]) -> bytes:
    """The request that exports these spans."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    return encode_spans(spans).SerializePartialToString()


def encodable(spans: Sequence[ReadableSpan]) -> list[ReadableSpan]:
    """The spans that can be encoded."""
    return otlp_requests.encodable(spans, encoded)


def is_record(span: ReadableSpan) -> bool:
    """Whether a span is one of a model's records."""
    return attributes.EVENT in (span.attributes or {})


def halves(payload: bytes) -> list[tuple[bytes, int]]:
    """A request in two halves, each with the number of its spans. With fewer than two spans it stays as it is."""
    return _LAYERS.halves(payload, parsed(payload))


def parsed(payload: bytes) -> ExportTraceServiceRequest:
    """A request as a message."""
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

    return trace_service_pb2.ExportTraceServiceRequest.FromString(payload)


# Back to spans, for exporters that take nothing else


def decoded(payload: bytes) -> list[ReadableSpan]:
    """The spans of a request."""
    each = _LAYERS.each(parsed(payload))
    return [_decoded_span(span, resource, scope) for resource, scope, spans in each for span in spans]


def _decoded_span(span: Any, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    trace_id = int.from_bytes(span.trace_id, "big")
    parent = None
    if span.parent_span_id:
        parent = _context_of(trace_id, span.parent_span_id, "", is_remote=bool(span.flags & _IS_REMOTE))
    return RebuiltSpan(
        name=span.name,
        context=_context_of(trace_id, span.span_id, span.trace_state, is_remote=False),
        parent=parent,
        resource=resource,
        attributes=attributes_of(span.attributes),
        events=[Event(event.name, attributes_of(event.attributes), event.time_unix_nano) for event in span.events],
        links=[_link_of(link) for link in span.links],
        kind=SpanKind(max(0, span.kind - 1)),
        status=_status_of(span.status),
        start_time=span.start_time_unix_nano,
        end_time=span.end_time_unix_nano,
        instrumentation_scope=scope,
        dropped_attributes=span.dropped_attributes_count,
        dropped_events=span.dropped_events_count,
        dropped_links=span.dropped_links_count,
    )


def _context_of(trace_id: int, span_id: bytes, trace_state: str, *, is_remote: bool) -> SpanContext:
    return SpanContext(
        trace_id,
        int.from_bytes(span_id, "big"),
        is_remote,
        TraceFlags(TraceFlags.SAMPLED),
        TraceState.from_header([trace_state]) if trace_state else TraceState(),
    )


def _link_of(link: Any) -> Link:
    trace_id = int.from_bytes(link.trace_id, "big")
    context = _context_of(trace_id, link.span_id, link.trace_state, is_remote=bool(link.flags & _IS_REMOTE))
    return Link(context, attributes_of(link.attributes))


def _status_of(status: Any) -> Status:
    code = StatusCode(status.code)
    # The SDK takes a description only for errors, and warns of any other.
    return Status(code, status.message or None if code is StatusCode.ERROR else None)
