# SPDX-License-Identifier: Apache-2.0
"""Calls of models that carry no version in traces of versions: an instrumentation lost the context."""

from typing import TYPE_CHECKING

from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.schema import call

if TYPE_CHECKING:
    from otel_loggedmodel.store.measuring import Scope


def calls_of(database: Database, scope: "Scope") -> dict[str, int]:
    """How many there are in traces of each version, by its id; versions without any are left out."""
    is_stray = f"{call('stray')} != 0"
    if not database.query(f"SELECT 1 AS found FROM {scope.columns.spans} WHERE {is_stray} LIMIT 1"):
        return {}
    version, spans, entry = scope.version, scope.spans, scope.entry
    rows = database.query(
        f"""
        SELECT version, uniqExact(trace, id) AS calls FROM (
            SELECT toString({version.sql}) AS version, TraceId AS trace
            FROM {scope.columns.spans} WHERE {spans.sql} AND {entry.sql}
        ) AS entries
        JOIN (
            SELECT TraceId AS trace, SpanId AS id FROM {scope.columns.spans} WHERE {is_stray}
        ) AS strays USING (trace)
        GROUP BY version""",
        {**version.parameters, **spans.parameters, **entry.parameters},
    )
    return {row["version"]: row["calls"] for row in rows}
