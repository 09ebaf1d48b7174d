# SPDX-License-Identifier: Apache-2.0
"""What people read first of a trace in a list: what was asked, what was answered, or why it failed."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from otel_loggedmodel.attributes import EVALUATION_RESULT, EXPECTATION, TRACE_TAG
from otel_loggedmodel.conventions import previews
from otel_loggedmodel.conventions.things import Thing
from otel_loggedmodel.store import conventions_sql, log_messages
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.schema import Columns
from otel_loggedmodel.store.trace_results import SpanEvent, TraceSummary

# The rest of a longer list has no previews. A page has fewer.
MOST_TRACES: Final = 500
_MOST_CHARACTERS: Final = 300
# So much of a value is read. JSON that is cut off there is mended.
_MOST_READ: Final = 30_000
_SPANS_OF_TRACE: Final = 6
_CONVERSATION: Final = conventions_sql.raw_text(Thing.CONVERSATION)
# Spans that judge the trace later do not count.
_IS_WORK: Final = f"NOT {conventions_sql.one_of('SpanName', (EVALUATION_RESULT, EXPECTATION, TRACE_TAG))}"
_SAID: Final = (Thing.INPUT, Thing.OUTPUT, Thing.RESPONSE_MODEL, Thing.REQUEST_MODEL, Thing.CONVERSATION)
_SAYS_SOMETHING: Final = f"({conventions_sql.has_text(*_SAID)} OR {conventions_sql.FAILS})"


@dataclass
class _Said:
    """What the spans of a trace say."""

    input: str = ""
    output: str = ""
    reason: str = ""
    conversation: str = ""


def with_previews(database: Database, columns: Columns, summaries: Sequence[TraceSummary]) -> list[TraceSummary]:
    """The same summaries, those of the first `MOST_TRACES` traces with what people read first."""
    ids = list(dict.fromkeys(summary.trace_id for summary in summaries[:MOST_TRACES]))
    if not ids:
        return list(summaries)
    said = {trace_id: _Said() for trace_id in ids}
    read: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in database.query(_spans(columns, "ASC"), {"trace_ids": ids}):
        _read(said[row["TraceId"]], row)
        read[row["TraceId"]].append(row)
    # Where the root does not say what was answered, the last call of a model does. Of a small trace, it has been read.
    silent = [trace_id for trace_id, one in said.items() if not one.output and not one.reason]
    last = [row for trace_id in silent for row in _latest_first(read[trace_id])]
    larger = [trace_id for trace_id in silent if len(read[trace_id]) >= _SPANS_OF_TRACE]
    if larger:
        last += database.query(_spans(columns, "DESC"), {"trace_ids": larger})
    for row in last:
        one = said[row["TraceId"]]
        one.output = one.output or previews.answered_in(row["attributes"], _events(row))
    _add_logged(database, said, {one.trace_id for one in summaries if one.error and not one.status_message})
    return [_with(summary, said.get(summary.trace_id, _Said())) for summary in summaries]


def _latest_first(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """All spans of a trace that say something, its root first, then the latest; none if there may be more."""
    if len(rows) >= _SPANS_OF_TRACE:
        return []
    latest = rows[::-1]
    return [row for is_root in (True, False) for row in latest if bool(row["is_root"]) is is_root]


def _add_logged(database: Database, said: Mapping[str, _Said], failed: Collection[str]) -> None:
    """What log records say, of traces whose spans do not."""
    silent = [
        trace_id
        for trace_id, one in said.items()
        if not one.input or not (one.output or one.reason) or (trace_id in failed and not one.reason)
    ]
    for trace_id, logged in log_messages.exchanges(database, silent).items():
        one = said[trace_id]
        one.input = one.input or logged.asked
        one.output = one.output or ("" if one.reason else logged.answered)
        one.reason = one.reason or logged.raised


def _spans(columns: Columns, order: str) -> str:
    """The spans of each trace that say something, its root first, then the earliest or the latest."""
    return f"""
        SELECT TraceId, ParentSpanId = '' AS is_root, StatusMessage, {conventions_sql.FAILS} AS failed,
            {_CONVERSATION} AS conversation,
            mapApply((key, value) -> (key, substringUTF8(value, 1, {_MOST_READ})), SpanAttributes) AS attributes,
            arrayMap(time -> toUnixTimestamp64Nano(time), `Events.Timestamp`) AS event_times,
            `Events.Name` AS event_names, `Events.Attributes` AS event_attributes
        FROM {columns.spans}
        WHERE TraceId IN {{trace_ids:Array(String)}} AND {_IS_WORK} AND {_SAYS_SOMETHING}
        ORDER BY ParentSpanId != '', Timestamp {order}
        LIMIT {_SPANS_OF_TRACE} BY TraceId"""


def _events(row: Mapping[str, Any]) -> list[SpanEvent]:
    return [
        SpanEvent(time_ns=time, name=name, attributes=attributes)
        for time, name, attributes in zip(row["event_times"], row["event_names"], row["event_attributes"], strict=True)
    ]


def _read(said: _Said, row: Mapping[str, Any]) -> None:
    events = _events(row)
    said.input = said.input or previews.asked_in(row["attributes"], events)
    said.conversation = said.conversation or row["conversation"]
    if row["is_root"]:
        said.output = said.output or previews.answered_in(row["attributes"], events)
    if row["failed"]:
        raised = next((one.attributes for one in events if one.attributes.get("exception.message")), {})
        said.reason = said.reason or row["StatusMessage"] or raised.get("exception.message", "")


def _with(summary: TraceSummary, said: _Said) -> TraceSummary:
    return replace(
        summary,
        input=_shown(said.input),
        output=_shown(said.output),
        reason=(summary.status_message or said.reason)[:_MOST_CHARACTERS] if summary.error else "",
        conversation=said.conversation[:_MOST_CHARACTERS] or None,
    )


def _shown(text: str) -> str | None:
    shown = " ".join(text.split())
    return (shown if len(shown) <= _MOST_CHARACTERS else f"{shown[: _MOST_CHARACTERS - 1]}…") or None
