# SPDX-License-Identifier: Apache-2.0
"""What was asked and answered, and what was raised, in traces that say so in log records, for lists of many traces.

One trace has all of its log records by `trace_logs`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from otel_loggedmodel.conventions import previews
from otel_loggedmodel.conventions.log_events import EXCEPTIONS, MESSAGES, NAME_ATTRIBUTE
from otel_loggedmodel.store import conventions_sql, log_schema, logged_events
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.log_schema import LOGS
from otel_loggedmodel.store.trace_results import SpanEvent

# Of one value; what is cut off there is mended where it is JSON.
_MOST_READ: Final = 30_000
# Of a trace with more, the first and the last say what was asked and answered.
_MOST_OF_TRACE: Final = 20
# Exceptions of the standard library's `logging` have no name.
_IS_READ: Final = (
    f"({conventions_sql.one_of('EventName', sorted(MESSAGES | EXCEPTIONS))} OR EventName = '' AND ("
    + conventions_sql.one_of(f"LogAttributes['{NAME_ATTRIBUTE}']", sorted(MESSAGES | EXCEPTIONS))
    + " OR LogAttributes['exception.type'] != ''))"
)


@dataclass(frozen=True)
class Exchange:
    """What was asked and answered, as people read it; empty where no log record says so.

    Attributes:
        asked: The first that was asked.
        answered: The last that was answered.
        raised: What the first exception says.
        by_span: The same of single spans: what was asked and what was answered, by the span's id.
    """

    asked: str = ""
    answered: str = ""
    raised: str = ""
    by_span: dict[str, tuple[str, str]] = field(default_factory=dict)


def exchanges(database: Database, trace_ids: Iterable[str]) -> dict[str, Exchange]:
    """What log records of these traces say, by the trace's id."""
    ids = list(trace_ids)
    if not ids or not log_schema.is_there(database):
        return {}
    cut = f"mapApply((key, value) -> (key, substringUTF8(value, 1, {_MOST_READ})), LogAttributes)"
    selected = logged_events.SELECTED.replace("LogAttributes AS", f"{cut} AS").replace(
        "Body AS", f"substringUTF8(Body, 1, {_MOST_READ}) AS"
    )
    newest_too = f"""
        SELECT * FROM (
            SELECT TraceId, {selected},
                row_number() OVER (PARTITION BY TraceId ORDER BY Timestamp, SpanId) AS place,
                count() OVER (PARTITION BY TraceId) AS records
            FROM {LOGS} WHERE TraceId IN {{trace_ids:Array(String)}} AND {_IS_READ}
        ) WHERE place <= {_MOST_OF_TRACE} OR place > records - {_MOST_OF_TRACE}
        ORDER BY TraceId, place"""
    said: dict[str, dict[str, list[SpanEvent]]] = {}
    for row in database.query(newest_too, {"trace_ids": ids}):
        event = SpanEvent(
            time_ns=row["time_ns"], name=logged_events.name_of(row), attributes=logged_events.attributes_of(row)
        )
        said.setdefault(row["TraceId"], {}).setdefault(row["span_id"], []).append(event)
    return {trace_id: _exchange(of_spans) for trace_id, of_spans in said.items()}


def _exchange(of_spans: dict[str, list[SpanEvent]]) -> Exchange:
    by_span = {
        span_id: (previews.asked_in({}, events), previews.answered_in({}, events))
        for span_id, events in of_spans.items()
    }
    said = (event.attributes for events in of_spans.values() for event in events)
    return Exchange(
        raised=next((one["exception.message"] for one in said if one.get("exception.message")), ""),
        asked=next((asked for asked, _ in by_span.values() if asked), ""),
        answered=next((answered for _, answered in reversed(by_span.values()) if answered), ""),
        by_span=by_span,
    )
