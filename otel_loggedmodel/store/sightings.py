# SPDX-License-Identifier: Apache-2.0
"""What spans tell of versions: which there are, how much each was used, when and where, its name and its history."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from otel_loggedmodel.attributes import EVALUATION_RESULT
from otel_loggedmodel.store import measuring, plain, sampled, seen_table
from otel_loggedmodel.store.call_column import STAND_IN
from otel_loggedmodel.store.counted import COUNTS, IS_ENTRY
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.sampled import Sampled
from otel_loggedmodel.store.schema import Columns, call
from otel_loggedmodel.store.scope import Query, Scope
from otel_loggedmodel.store.span_times import DURATION, START
from otel_loggedmodel.store.version_results import HistoryEntry
from otel_loggedmodel.versions.arriving import Arrived, numbered_events_of
from otel_loggedmodel.versions.model import ModelEvent

# The newest so many events of a version are shown, and of what continues them as many spans are read.
_MAX_HISTORY: Final = 1000
FEW_IDS: Final = 500
"""So many ids fit into one query, of a server's too."""


def seen_ids(database: Database, columns: Columns) -> frozenset[str]:
    """The ids that results have, or spans that count."""
    return _ids(
        database,
        f"SELECT LoggedModelId AS id FROM {_uses(columns)} AND id != '' UNION DISTINCT"
        f" SELECT LoggedModelId AS id FROM {columns.spans}"
        f" WHERE SpanName = '{EVALUATION_RESULT}' AND LoggedModelRole = 'evaluation' AND id != ''",
    )


def seen_among(database: Database, columns: Columns, model_ids: Collection[str]) -> frozenset[str]:
    """The ids among these that spans have which count."""
    few = len(model_ids) <= FEW_IDS
    if not model_ids:
        return frozenset()
    among = " AND id IN {ids:Array(String)}" if few else ""
    sql = f"SELECT DISTINCT LoggedModelId AS id FROM {_uses(columns)} AND id != ''{among}"
    return _ids(database, sql, {"ids": sorted(model_ids)} if few else {}).intersection(model_ids)


def _uses(columns: Columns) -> str:
    """Where the ids of spans that count are looked up, as it stands after FROM, with a condition."""
    if columns.is_seen:
        return f"{seen_table.TABLE} WHERE IsUse"
    return f"{columns.counted} WHERE LoggedModelRole != 'build'"


def every_id(database: Database, columns: Columns) -> frozenset[str]:
    """The ids that any spans have, which takes longer."""
    return _ids(database, f"SELECT DISTINCT LoggedModelId AS id FROM {columns.spans} WHERE id != ''")


def _ids(database: Database, sql: str, parameters: Mapping[str, Any] | None = None) -> frozenset[str]:
    return frozenset(row["id"] for row in database.query(sql, parameters))


def cut_off_ids(database: Database, columns: Columns) -> frozenset[str]:
    """The ids that spans have and no entry span has: all of their traces lack their beginning."""
    if columns.is_seen:
        return _ids(
            database,
            f"SELECT LoggedModelId AS id FROM {seen_table.TABLE} WHERE id != ''"
            " GROUP BY id HAVING max(LastEntry) IS NULL",
        )
    rows = database.query(
        f"""
        SELECT LoggedModelId AS id FROM {columns.counted} WHERE LoggedModelRole IN ('span', 'entry')
        GROUP BY id HAVING max(LoggedModelRole = 'entry') = 0"""
    )
    return frozenset(row["id"] for row in rows)


def last_seen(database: Database, scope: Scope, cut_off: Collection[str]) -> dict[str, int]:
    """When the last trace of each version began, in ns since the epoch, by its id; `cut_off` are `cut_off_ids`."""
    rows = _of_beginnings(database, scope, cut_off, f"max({START}) AS last_ns")
    return {model_id: row["last_ns"] for model_id, row in rows.items()}


def usage(database: Database, scope: Scope, *, may_be_sampled: bool = True) -> dict[str, dict[str, Any]]:
    """How much each version was used, by its id.

    Args:
        database: Where.
        scope: Which versions.
        may_be_sampled: Whether a trace may stand for several, or end before it began.
    """
    counted = sampled.looked_at(database, scope) if may_be_sampled else Sampled()
    if counted == Sampled() and not scope.moves.sql and not scope.adopted:
        query = _used_plainly(scope)
        rows = database.query(query.sql, query.parameters)
        if not any(row["entangled"] for row in rows):
            return {row["model_id"]: {**row, "p95": known(row["quantiles"][0])} for row in rows}
    rows = measuring.answer(database, scope, lambda traces: _used(traces, counted), with_usage=False)
    return {row["model_id"]: {**row, "p95": known(row["quantiles"][0])} for row in rows}


def _used_plainly(scope: Scope) -> Query:
    """What `_used` says if all traces are plain (`plain`); `entangled` says how many are not.

    It is one step, without arrays, as lists ask for all traces of all versions.
    """
    version, spans, entry = scope.version, scope.spans, scope.selected
    parameters = {**version.parameters, **spans.parameters, **entry.parameters}
    wanted = ""
    if scope.model_ids is not None:
        wanted = "WHERE version IN {model_ids:Array(String)}"
        parameters["model_ids"] = list(scope.model_ids)
    sql = f"""
        SELECT toString(version) AS model_id, count() AS traces, countIf(failed) AS errors,
            errors / traces AS error_rate,
            arrayMap(one -> one / 1e6, quantilesExactInclusive(0.95)(took)) AS quantiles,
            min(start) AS first_ns, max(start) AS last_ns, countIf(entries != 1 OR others OR is_broken) AS entangled
        FROM (
            SELECT {version.sql} AS version, {scope.trace} AS trace,
                countIf({IS_ENTRY} AND {entry.sql}) AS entries,
                countIf({IS_ENTRY} AND NOT ({entry.sql})) AS others, anyIf({START}, {IS_ENTRY}) AS start,
                anyIf({DURATION}, {IS_ENTRY}) AS took, maxIf({measuring.FAILED}, {IS_ENTRY}) AS failed,
                max({plain.BREAKS}) AS is_broken
            FROM {scope.source} WHERE {spans.sql} AND {COUNTS} GROUP BY version, trace
            HAVING min({call("lone")}) = 0 OR max({call("lone")}) = {STAND_IN}
        ) {wanted} GROUP BY version"""
    return Query(sql, parameters)


def known(number: float) -> float | None:
    """The number, if it is one."""
    return number if math.isfinite(number) else None


def _used(traces: Query, counted: Sampled) -> Query:
    found = counted.joined(traces)
    sql = f"""
        SELECT toString(version) AS model_id, sum(length(entries)) AS traces,
            sum(arrayCount(entries.failed)) AS errors,
            sum(weight * arrayCount(entries.failed)) / sum(weight * length(entries)) AS error_rate,
            {counted.gathered(0.95)},
            min(arrayMin(entries.start)) AS first_ns, max(arrayMax(entries.start)) AS last_ns,
            sum(is_entangled) AS entangled
        FROM ({found.sql}) GROUP BY version"""
    return Query(counted.with_quantiles(sql, 0.95), found.parameters)


def times_and_places(database: Database, scope: Scope, cut_off: Collection[str]) -> dict[str, dict[str, Any]]:
    """When the traces of each version began, and of which services, by its id; `cut_off` are `cut_off_ids`."""
    services = "arraySort(groupUniqArrayIf(100)(toString(ServiceName), ServiceName != '')) AS services"
    times = f"min({START}) AS first_ns, max({START}) AS last_ns"
    return _of_beginnings(database, scope, cut_off, f"{services}, {times}")


def _of_beginnings(database: Database, scope: Scope, cut_off: Collection[str], what: str) -> dict[str, dict[str, Any]]:
    """Values over the entry spans of each version. If it has none, those are taken that its traces begin with."""
    found: dict[str, dict[str, Any]] = {}
    wanted = [(scope, scope.entry)]
    without = sorted(cut_off if scope.model_ids is None else {*cut_off}.intersection(scope.model_ids))
    if without:
        narrow = replace(scope, model_ids=without)
        wanted.append((narrow, narrow.begins))
    for asked, begins in wanted:
        version, spans = asked.version, asked.spans
        rows = database.query(
            f"""
            SELECT toString({version.sql}) AS model_id, {what}
            FROM {scope.source} WHERE {spans.sql} AND {begins.sql} GROUP BY model_id""",
            {**version.parameters, **spans.parameters, **begins.parameters},
        )
        for row in rows:
            found.setdefault(row["model_id"], row)
    return found


def names(database: Database, columns: Columns, model_ids: Sequence[str]) -> dict[str, str]:
    """The names that entry spans give to versions of which there is no record."""
    rows = database.query(
        f"""
        SELECT LoggedModelId AS model_id, any(LoggedModelName) AS name
        FROM {columns.counted}
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
        GROUP BY SpanId, SpanName ORDER BY time_ns DESC
        LIMIT {_MAX_HISTORY} BY SpanName = 'logged_model.continued'""",
        {"model_id": model_id},
    )
    spans = (Arrived(row["attributes"], row["time_ns"], int(row["SpanId"] or "0", 16)) for row in rows)
    entries = [_history_entry(rows[number], event) for number, event in numbered_events_of(spans)]
    return sorted(entries, key=lambda entry: (entry.time_ms, entry.kind != "created"))


def _history_entry(row: Mapping[str, Any], event: ModelEvent) -> HistoryEntry:
    return HistoryEntry(
        kind=event.kind,
        time_ms=event.time_ns // 1_000_000,
        service=row["service"],
        resource=row["resource"],
        params=dict(event.params),
        tags=dict(event.tags),
        tags_deleted=event.tags_deleted,
        status=None if event.status is None else str(event.status),
    )
