# SPDX-License-Identifier: Apache-2.0
"""Puts the log records of a trace beside its spans: each becomes an event of the span that it belongs to.

So whoever reads messages, exceptions and results of evaluations from the events of spans finds those that were sent as
log records, too. The fields of an event's body are attributes here, as they are where a span has the event.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from otel_loggedmodel.attributes import EVALUATION_RESULT
from otel_loggedmodel.store import log_scores, logged_events
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.log_schema import LOGS
from otel_loggedmodel.store.trace_results import Span, SpanEvent, Trace

# A trace is shown with at most so many log records, earliest first.
MAX_RECORDS: Final = 10_000
_MESSAGES: Final = (
    "gen_ai.system_instructions",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.tool.definitions",
)
# What was sent again after its acknowledgement was lost is there twice.
_ORDER: Final = "ORDER BY Timestamp, SpanId LIMIT 1 BY Timestamp, SpanId, EventName, Body, toString(LogAttributes)"


def with_log_records(database: Database, trace: Trace) -> Trace:
    """A trace with its log records as events; the table of log records has to be there."""
    select = f"SELECT {logged_events.SELECTED} FROM {LOGS} WHERE"
    rows = database.query(
        f"{select} TraceId = {{trace_id:String}} {_ORDER} LIMIT {MAX_RECORDS}",
        {"trace_id": trace.trace_id},
    )
    calls = _calls(trace)
    if calls and log_scores.are_there(database):
        # Results that name a response of this trace, and no span of it.
        rows += database.query(
            f"{select} {log_scores.IS_RESULT} AND TraceId != {{trace_id:String}}"
            f" AND LogAttributes['{log_scores.RESPONSE_ID}'] IN {{responses:Array(String)}} {_ORDER}",
            {"trace_id": trace.trace_id, "responses": list(calls)},
        )
    if not rows or not trace.spans:
        return trace
    added: dict[str, list[SpanEvent]] = {}
    place = _Place(trace, calls)
    taken = set(_results_of(trace.spans))
    for row in rows:
        span = place.of(row)
        event = SpanEvent(time_ns=row["time_ns"], name=logged_events.name_of(row), attributes=_attributes(row, span))
        if event.name == EVALUATION_RESULT and _key(span.span_id, event.attributes) in taken:
            continue  # it was sent both ways
        added.setdefault(span.span_id, []).append(event)
    return replace(trace, spans=tuple(_with_events(trace.spans, added)))


class _Place:
    """Where in a trace a record belongs."""

    def __init__(self, trace: Trace, calls: Mapping[str, Span]) -> None:
        self._calls = calls
        self._spans: dict[str, Span] = {}
        for span in trace.spans:
            self._spans.setdefault(span.span_id, span)
        self._entry = next((span for span in trace.spans if span.is_entry), trace.spans[0])

    def of(self, row: Mapping[str, Any]) -> Span:
        """The span of a record: its own, or that of the response which a result names, or else the entry span."""
        own = self._spans.get(row["span_id"])
        if logged_events.name_of(row) == EVALUATION_RESULT and (own is None or own.model_id is None):
            own = self._calls.get(row["attributes"].get(log_scores.RESPONSE_ID, ""), own)
        return own or self._entry


def _calls(trace: Trace) -> dict[str, Span]:
    """The first span of each response."""
    found: dict[str, Span] = {}
    for span in trace.spans:
        response = span.attributes.get(log_scores.RESPONSE_ID)
        if response:
            found.setdefault(response, span)
    return found


def _attributes(row: Mapping[str, Any], span: Span) -> dict[str, str]:
    found = logged_events.attributes_of(row)
    for key in _MESSAGES:
        if key in span.attributes:
            found.pop(key, None)  # said by the span, too
    return found


def _results_of(spans: Iterable[Span]) -> Iterator[tuple[str, ...]]:
    for span in spans:
        if span.name == EVALUATION_RESULT:
            yield _key(span.parent_span_id or "", span.attributes)
        for event in span.events:
            if event.name == EVALUATION_RESULT:
                yield _key(span.span_id, event.attributes)


def _key(judged: str, attributes: Mapping[str, str]) -> tuple[str, ...]:
    return (judged, *(attributes.get(part, "") for part in log_scores.TOLD_APART_BY))


def _with_events(spans: Iterable[Span], added: Mapping[str, list[SpanEvent]]) -> Iterator[Span]:
    left = dict(added)
    for span in spans:
        # A client and a server of Zipkin's share an id: the first gets them.
        events = left.pop(span.span_id, None) if left else None
        if events is None:
            yield span
        else:
            yield replace(span, events=tuple(sorted((*span.events, *events), key=lambda event: event.time_ns)))
