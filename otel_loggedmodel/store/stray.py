# SPDX-License-Identifier: Apache-2.0
"""Calls of models that carry no version in traces of versions: an instrumentation lost the context.

If the instrumentation is known to lose it, a call inside of a span of a version, in the same service or in a process
that it started, is of that version. Parent ids tell what is inside, whatever spans are in between. Other calls may
really be of no version: a note says how many there are.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_loggedmodel.conventions.scopes import IN_CHILD_PROCESSES, WITHOUT_CONTEXT
from otel_loggedmodel.store.conventions_sql import IS_SERVED, one_of
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.schema import call

if TYPE_CHECKING:
    from otel_loggedmodel.store.scope import Scope

# With more spans, nobody looks up what they are inside of.
_MOST_SPANS: Final = 200_000
# The table of what counts is sorted by version, and no version comes first. So this is quick.
_IS_STRAY: Final = f"LoggedModelId = '' AND {call('stray')} != 0"
_IS_LOST: Final = f"{_IS_STRAY} AND {one_of('ScopeName', WITHOUT_CONTEXT)}"


def adopted(database: Database, scope: "Scope") -> dict[int, str]:
    """The versions of the calls that lost theirs, by the hashes of the span ids of these calls."""
    spans, source = scope.spans, scope.source
    if not _has_any(database, scope, _IS_LOST):
        return {}
    rows = database.query(
        f"""
        SELECT TraceId, SpanId, ParentSpanId, ServiceName, toString(LoggedModelId) AS version, {IS_SERVED} AS is_served,
            id IN (SELECT {call("span")} FROM {source} WHERE {_IS_LOST}) AS is_lost, {scope.wide.span} AS id,
            {one_of("ScopeName", IN_CHILD_PROCESSES)} AS is_child
        FROM {scope.wide.source}
        WHERE TraceId IN (SELECT TraceId FROM {source} WHERE {_IS_LOST})
            AND TraceId IN (SELECT TraceId FROM {source} WHERE {spans.sql})
        LIMIT {_MOST_SPANS + 1}""",
        spans.parameters,
    )
    if len(rows) > _MOST_SPANS:
        return {}
    traces: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in rows:
        traces[row["TraceId"]][row["SpanId"]] = row
    owners = {row["id"]: _owner(row, traces[row["TraceId"]]) for row in rows if row["is_lost"]}
    return {id_: owner for id_, owner in owners.items() if owner}


def _owner(row: Mapping[str, Any], trace: Mapping[str, Mapping[str, Any]]) -> str:
    """The version of the nearest span around a call that has a version; empty where there is none."""
    seen: set[str] = set()
    current = row
    while not current["is_served"] and current["SpanId"] not in seen:
        seen.add(current["SpanId"])
        parent = trace.get(current["ParentSpanId"])
        if parent is None or (parent["ServiceName"] != row["ServiceName"] and not row["is_child"]):
            return ""
        if parent["version"]:
            return str(parent["version"])
        current = parent
    return ""


def calls_of(database: Database, scope: "Scope") -> dict[str, int]:
    """How many other calls in traces of each version carry none, by its id; versions that have none are left out."""
    if not _has_any(database, scope, _IS_STRAY):
        return {}
    version, spans, entry = scope.version, scope.spans, scope.entry
    rows = database.query(
        f"""
        SELECT version, uniqExact(trace, id) AS calls FROM (
            SELECT toString({version.sql}) AS version, TraceId AS trace
            FROM {scope.source} WHERE {spans.sql} AND {entry.sql}
        ) AS entries
        JOIN (
            SELECT TraceId AS trace, {call("span")} AS id FROM {scope.source}
            WHERE {_IS_STRAY} AND {call("span")} NOT IN {{strays:Array(UInt64)}}
        ) AS strays USING (trace)
        GROUP BY version""",
        {**version.parameters, **spans.parameters, **entry.parameters, "strays": list(scope.adopted)},
    )
    return {row["version"]: row["calls"] for row in rows}


def _has_any(database: Database, scope: "Scope", condition: str) -> bool:
    return bool(database.query(f"SELECT 1 AS found FROM {scope.source} WHERE {condition} LIMIT 1"))
