# SPDX-License-Identifier: Apache-2.0
"""Which spans of some traces a store has, so that an import leaves them out."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Final

from otel_loggedmodel.store import schema
from otel_loggedmodel.store.database import Database

# Traces take no longer, but for results of evaluations, which are told apart by their ids alone.
_AROUND: Final = timedelta(days=2)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def known_spans(database: Database, trace_ids: Sequence[str], start_us: int, end_us: int) -> set[tuple[str, str]]:
    """The ids of trace and span of those that are stored.

    Args:
        database: Where.
        trace_ids: Of which traces, 32 hex digits each.
        start_us: When the traces began, in microseconds since 1970.
        end_us: The same.

    Raises:
        StoreUnavailableError: It cannot be asked.
    """
    if not trace_ids:
        return set()
    rows = database.query(
        f"SELECT DISTINCT TraceId, SpanId FROM {schema.SPANS} WHERE TraceId IN {{ids:Array(String)}}"
        " AND Timestamp BETWEEN {since:DateTime64(9, 'UTC')} AND {until:DateTime64(9, 'UTC')}",
        {
            "ids": list(trace_ids),
            "since": _EPOCH + timedelta(microseconds=start_us) - _AROUND,
            "until": _EPOCH + timedelta(microseconds=end_us) + _AROUND,
        },
    )
    return {(row["TraceId"], row["SpanId"]) for row in rows}
