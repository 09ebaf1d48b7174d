# SPDX-License-Identifier: Apache-2.0
"""Traces for scorers, made of spans that ended in this process, or that a store has."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id

from otel_loggedmodel.attributes import EVALUATION_RESULT, EXPECTATION, ID, TRACE_TAG
from otel_loggedmodel.conventions.status import status_name
from otel_loggedmodel.genai.traces import Trace, TraceSpan

_SAID: Final = (EVALUATION_RESULT, TRACE_TAG, EXPECTATION)


def trace_of_finished(spans: Sequence[ReadableSpan], judged: str | None = None) -> Trace:
    """The trace made of spans of this process."""
    return Trace([_finished(span) for span in spans if span.context is not None], judged)


def _finished(span: ReadableSpan) -> TraceSpan:
    context = span.context
    assert context is not None
    return TraceSpan(
        span.name,
        format_trace_id(context.trace_id),
        format_span_id(context.span_id),
        None if span.parent is None else format_span_id(span.parent.span_id),
        span.start_time or 0,
        span.end_time or span.start_time or 0,
        span.attributes or {},
        "ERROR" if span.status.status_code is StatusCode.ERROR else span.status.status_code.name,
        span.events,
    )


def trace_of_stored(stored: Any, judged: str | None = None) -> Trace:
    """The trace that a store gave.

    It may be anything whose spans have the field names of `store.trace_results.Span`.
    """
    found = [
        TraceSpan(
            span.name,
            span.trace_id,
            span.span_id,
            span.parent_span_id,
            span.start_ns,
            span.start_ns + span.duration_ns,
            {ID: span.model_id, **span.attributes} if getattr(span, "model_id", None) else span.attributes,
            status_name(span.status),
            span.events,
        )
        for span in stored.spans
    ]
    said = [span for span in found if span.name in _SAID]
    said += [one for span in found if span.name not in _SAID for one in _results_in_events(span)]
    spans = [span for span in found if span.name not in _SAID]
    return Trace(spans, judged or next((span.span_id for span in stored.spans if span.is_entry), None), said)


def _results_in_events(span: TraceSpan) -> Iterator[TraceSpan]:
    """The results that are events of a span, which is how a store has those that came as log records, too."""
    for place, event in enumerate(span.events):
        if event.name != EVALUATION_RESULT:
            continue
        at = getattr(event, "time_ns", 0)
        # An event has no id: this is the same whenever the trace is read, and is that of no other result.
        own_id = hashlib.blake2b(f"{span.span_id} {at} {place}".encode(), digest_size=8).hexdigest()
        yield TraceSpan(event.name, span.trace_id, own_id, span.span_id, at, at, event.attributes or {}, "UNSET")
