# SPDX-License-Identifier: Apache-2.0
"""What spans tell of versions: which there are, how much each was used, when and where, its name and its history."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from otel_loggedmodel.store import measuring
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.measuring import Scope
from otel_loggedmodel.store.results import HistoryEntry
from otel_loggedmodel.store.schema import Columns
from otel_loggedmodel.versions.records import event_of

# The newest so many events of a version are shown.
_MAX_HISTORY: Final = 1000


def seen_ids(database: Database, columns: Columns) -> frozenset[str]:
    """The ids that spans have."""
    rows = database.query(f"SELECT DISTINCT LoggedModelId AS id FROM {columns.spans} WHERE id != ''")
    return frozenset(row["id"] for row in rows)


def last_seen(database: Database, scope: Scope) -> dict[str, int]:
    """When the last entry span of each version began, in ns since the epoch, by its id."""
    version, spans, entry = scope.version, scope.spans, scope.entry
    rows = database.query(
        f"""
        SELECT toString({version.sql}) AS model_id, max({measuring.START}) AS last_ns
        FROM {scope.columns.spans} WHERE {spans.sql} AND {entry.sql} GROUP BY model_id""",
        {**version.parameters, **spans.parameters, **entry.parameters},
    )
    return {row["model_id"]: row["last_ns"] for row in rows}


def usage(database: Database, scope: Scope) -> dict[str, dict[str, Any]]:
    """How much each version was used, by its id."""
    query = measuring.traces(scope, with_usage=False)
    rows = database.query(
        f"""
        SELECT toString(version) AS model_id, sum(length(entries)) AS traces,
            sum(arrayCount(entries.failed)) AS errors,
            quantileExactInclusiveArray(0.95)(
                arrayMap((start, end) -> (end - start) / 1e6, entries.start, entries.end)
            ) AS p95,
            min(arrayMin(entries.start)) AS first_ns, max(arrayMax(entries.start)) AS last_ns
        FROM ({query.sql}) GROUP BY version""",
        query.parameters,
    )
    return {row["model_id"]: row for row in rows}


def times_and_places(database: Database, scope: Scope) -> dict[str, dict[str, Any]]:
    """When the entry spans of each version began, and of which services they are, by its id."""
    version, spans, entry = scope.version, scope.spans, scope.entry
    rows = database.query(
        f"""
        SELECT toString({version.sql}) AS model_id,
            arraySort(groupUniqArrayIf(100)(toString(ServiceName), ServiceName != '')) AS services,
            min({measuring.START}) AS first_ns, max({measuring.START}) AS last_ns
        FROM {scope.columns.spans} WHERE {spans.sql} AND {entry.sql} GROUP BY model_id""",
        {**version.parameters, **spans.parameters, **entry.parameters},
    )
    return {row["model_id"]: row for row in rows}


def names(database: Database, columns: Columns, model_ids: Sequence[str]) -> dict[str, str]:
    """The names that entry spans give to versions of which there is no record."""
    rows = database.query(
        f"""
        SELECT LoggedModelId AS model_id, any(LoggedModelName) AS name
        FROM {columns.spans}
        WHERE model_id IN {{ids:Array(String)}} AND LoggedModelName != ''
        GROUP BY model_id""",
        {"ids": list(model_ids)},
    )
    return {row["model_id"]: row["name"] for row in rows}


def history(database: Database, columns: Columns, model_id: str) -> list[HistoryEntry]:
    """What records say that happened to a version, oldest first; of very many, the newest."""
    rows = database.query(
        f"""
        SELECT SpanId, argMin(SpanAttributes, Timestamp) AS attributes,
            toUnixTimestamp64Nano(min(Timestamp)) AS time_ns, argMin(ResourceAttributes, Timestamp) AS resource,
            argMin(ServiceName, Timestamp) AS service
        FROM {columns.spans}
        WHERE SpanName LIKE 'logged_model.%' AND LoggedModelRole = 'record'
            AND LoggedModelId = {{model_id:String}}
        GROUP BY SpanId ORDER BY time_ns DESC LIMIT {_MAX_HISTORY}""",
        {"model_id": model_id},
    )
    entries = [entry for row in rows for entry in _history_entries(row)]
    return sorted(entries, key=lambda entry: (entry.time_ms, entry.kind != "created"))


def _history_entries(row: Mapping[str, Any]) -> Iterable[HistoryEntry]:
    event = event_of(row["attributes"], row["time_ns"], int(row["SpanId"] or "0", 16))
    if event is not None:
        yield HistoryEntry(
            kind=event.kind,
            time_ms=event.time_ns // 1_000_000,
            service=row["service"],
            resource=row["resource"],
            params=dict(event.params),
            tags=dict(event.tags),
            tags_deleted=event.tags_deleted,
            status=None if event.status is None else str(event.status),
        )
