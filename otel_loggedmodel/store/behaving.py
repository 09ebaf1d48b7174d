# SPDX-License-Identifier: Apache-2.0
"""What is behind the numbers of versions: how they did over time, how latencies are distributed, errors, operations.

Traces are those of `measuring`, so that what is drawn adds up to what is compared. Errors and operations are read off
the spans themselves.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from otel_loggedmodel.store import adding, matching, measuring, sampled, sightings
from otel_loggedmodel.store import scores as evaluations
from otel_loggedmodel.store.chart_results import (
    Activation,
    Activities,
    Activity,
    Behaviour,
    ErrorKind,
    Operation,
    Point,
)
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.reading import EVERYTHING
from otel_loggedmodel.store.sampled import Sampled
from otel_loggedmodel.store.scope import Query, Scope
from otel_loggedmodel.store.span_times import DURATION, START
from otel_loggedmodel.store.steady import Steady

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS
_DAY_MS: Final = 24 * _HOUR_MS
# Lengths of time that people think in. The shortest is taken that makes few enough parts for a small picture.
_STEPS_MS: Final = (
    *(number * _MINUTE_MS for number in (1, 2, 5, 10, 15, 30)),
    *(number * _HOUR_MS for number in (1, 2, 3, 6, 12)),
    *(number * _DAY_MS for number in (1, 2, 7, 14, 28, 91, 364)),
)
_MOST_PARTS: Final = 48
_PARTS_OF_LIFE: Final = 24
_MOST_ACTIVATIONS: Final = 50
_MOST_KINDS: Final = 50
_MOST_OPERATIONS: Final = 200

# Latencies have so many bins for each factor of ten; the lowest bin is at a microsecond.
BINS_PER_DECADE: Final = 20
_LEAST_MS: Final = 0.001

_DURATION_MS: Final = f"{DURATION} / 1e6"


def activities(database: Database, scope: Scope, lasting: Steady | None = None) -> Activities:
    """How versions did over time.

    Args:
        database: Where.
        scope: Which versions, in order, and which of their traces.
        lasting: The same versions, if what was measured of them may be remembered.
    """
    model_ids = list(scope.model_ids or ())
    if scope.adopted or scope.moves.sql:
        lasting = None
    lives: Mapping[str, tuple[int, int]] = {}
    counted = Sampled()
    if lasting is not None:
        lives = lasting.lives
    elif model_ids:
        lives, counted = _lives(database, scope), sampled.looked_at(database, scope)
    start_ms, step_ms, parts = _parts(lives)
    totals: dict[str, Point] = {}
    points: dict[str, list[Point]] = defaultdict(list)
    life: dict[str, list[Point]] = defaultdict(list)

    def measure(some: Scope) -> dict[str, list[dict[str, Any]]]:
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for row in measuring.answer(
            database, some, lambda traces: _over_time(traces, counted, start_ms, step_ms, lives)
        ):
            rows[row["version"]].append(row)
        return rows

    if lasting is not None:
        rows_of = lasting.measure(scope, ("over time", start_ms, step_ms, repr(scope.prices)), measure)
    else:
        rows_of = measure(scope) if model_ids else {}
    for version, rows in rows_of.items():
        for row in rows:
            if row["is_total"]:
                totals[version] = _point(row, start_ms)
            elif row["is_life"]:
                first_ms, life_step_ms = lives.get(version, (start_ms, start_ms))[0], _life_step_ms(lives, version)
                life[version].append(_point(row, first_ms + row["life"] * life_step_ms))
            else:
                points[version].append(_point(row, start_ms + row["part"] * step_ms))
    activations = _activations(database, scope, model_ids)
    scores = matching.scores(database, scope, counted.design) if model_ids else {}
    score_trends = _score_trends(database, scope, counted, start_ms, step_ms, parts) if model_ids else {}
    return Activities(
        start_ms=start_ms,
        step_ms=step_ms,
        parts=parts,
        versions=tuple(
            Activity(
                model_id=model_id,
                total=totals.get(model_id, Point(start_ms=start_ms)),
                points=tuple(points[model_id]),
                life=tuple(life[model_id]),
                activations=tuple(activations.get(model_id, ())),
                scores=scores.get(model_id, {}),
                score_trends=score_trends.get(model_id, {}),
            )
            for model_id in model_ids
        ),
    )


def behaviour(database: Database, scope: Scope) -> Behaviour:
    """What is behind the numbers of versions.

    Args:
        database: Where.
        scope: Which versions, in order, and which of their traces.
    """
    model_ids = list(scope.model_ids or ())
    if not model_ids:
        return Behaviour(model_ids=())
    bins: dict[str, dict[int, int]] = defaultdict(dict)
    counted = sampled.looked_at(database, scope)
    for row in measuring.answer(database, scope, lambda traces: _latency_bins(traces, counted), with_usage=False):
        bins[row["version"]][row["bin"]] = row["traces"]
    return Behaviour(
        model_ids=tuple(model_ids),
        latency_bins=tuple(bins[model_id] for model_id in model_ids),
        errors=tuple(_errors(_run(database, _failures(scope)), model_ids)),
        operations=tuple(_operations(_durations(database, scope), model_ids)),
    )


def _run(database: Database, query: Query) -> list[dict[str, Any]]:
    return database.query(query.sql, query.parameters)


def _lives(database: Database, scope: Scope) -> dict[str, tuple[int, int]]:
    """When the first and the last trace of each version began, in ms."""
    found = _own_entries(scope)
    sql = (
        f"SELECT toString({scope.version.sql}) AS version, min({START}) AS first, max({START}) AS last"
        f" FROM {scope.source} WHERE {found.sql} GROUP BY version"
    )
    rows = database.query(sql, found.parameters)
    return {row["version"]: (row["first"] // 1_000_000, row["last"] // 1_000_000) for row in rows}


def _life_step_ms(lives: Mapping[str, tuple[int, int]], version: str) -> int:
    first_ms, last_ms = lives.get(version, (0, 0))
    return (last_ms - first_ms) // _PARTS_OF_LIFE + 1


def _parts(lives: Mapping[str, tuple[int, int]]) -> tuple[int, int, int]:
    """When the first part of time begins, how long each is, and how many there are."""
    first_ms = min((first for first, _ in lives.values()), default=0)
    last_ms = max((last for _, last in lives.values()), default=0)
    step_ms = next((step for step in _STEPS_MS if (last_ms - first_ms) / step < _MOST_PARTS), _STEPS_MS[-1])
    start_ms = first_ms // step_ms * step_ms
    return start_ms, step_ms, min((last_ms - start_ms) // step_ms + 1, 10 * _MOST_PARTS)


def _own_entries(scope: Scope) -> Query:
    """The condition on entry spans that were asked for, of these versions."""
    version, spans, entry = scope.version, scope.spans, scope.entry
    return Query(
        f"{spans.sql} AND {entry.sql} AND {version.sql} IN {{model_ids:Array(String)}}",
        {**version.parameters, **spans.parameters, **entry.parameters, "model_ids": list(scope.model_ids or ())},
    )


def _over_time(
    traces: Query, counted: Sampled, start_ms: int, step_ms: int, lives: Mapping[str, tuple[int, int]]
) -> Query:
    """Rows of each version: one in all, one for each part of time, and one for each part of its own life."""
    found = counted.joined(traces)
    sql = f"""
        SELECT toString(version) AS version, part, life, grouping(part) = 0 AS is_part, grouping(life) = 0 AS is_life,
            NOT (is_part OR is_life) AS is_total, sum(number) AS traces, sum(failures) AS errors,
            sum(weight * failures) / sum(weight * number) AS error_rate, {counted.gathered(0.5, 0.95)},
            sumIf(weight * (input + output), is_said) / sumIf(weight * number, is_said) AS tokens,
            sumIf(weight * cost, is_priced) / sumIf(weight * number, is_priced) AS cost,
            sumIf(said, is_said) AS said, sumIf(priced, is_priced) AS priced, sum(is_entangled) AS entangled
        FROM (
            SELECT version, intDiv(arrayMin(entries.start) - {{start_ns:Int64}}, {{step_ns:Int64}}) AS part,
                least({_PARTS_OF_LIFE} - 1, greatest(0, intDiv(
                    arrayMin(entries.start)
                        - transform(toString(version), {{lived:Array(String)}}, {{born_ns:Array(Int64)}}, 0),
                    transform(toString(version), {{lived:Array(String)}}, {{life_step_ns:Array(Int64)}}, 1)
                ))) AS life,
                latencies, weight, length(entries) AS number, arrayCount(entries.failed) AS failures, input, output,
                cost, said, priced, is_entangled, unsaid = 0 AS is_said, {adding.UNKNOWN_COST} = 0 AS is_priced
            FROM ({found.sql})
        )
        GROUP BY GROUPING SETS ((version), (version, part), (version, life))"""
    return Query(
        f"SELECT * FROM ({counted.with_quantiles(sql, 0.5, 0.95)}) ORDER BY version, part, life",
        {
            **found.parameters,
            "start_ns": start_ms * 1_000_000,
            "step_ns": step_ms * 1_000_000,
            "lived": list(lives),
            "born_ns": [first_ms * 1_000_000 for first_ms, _ in lives.values()],
            "life_step_ns": [_life_step_ms(lives, version) * 1_000_000 for version in lives],
        },
    )


def _point(row: Mapping[str, Any], start_ms: int) -> Point:
    p50, p95 = map(sightings.known, row["quantiles"])
    return Point(
        start_ms=start_ms,
        traces=row["traces"],
        errors=row["errors"],
        error_rate=row["error_rate"],
        p50_ms=p50,
        p95_ms=p95,
        tokens_per_trace=row["tokens"] if row["said"] else None,
        cost_usd_per_trace=row["cost"] if row["priced"] else None,
    )


def _score_trends(
    database: Database, scope: Scope, counted: Sampled, start_ms: int, step_ms: int, parts: int
) -> dict[str, dict[str, tuple[float | None, ...]]]:
    if not scope.has_results:
        return {}
    found = evaluations.results(scope)
    mean, said = "avg(value)", f"({found.sql})"
    parameters: Mapping[str, Any] = {}
    if counted.marks.sql:
        # Rows of data sets count once each, as no sampler chose them.
        weight = "if(mark_weight > 0 AND dataset = '', mark_weight, 1.)"
        mean = f"sum({weight} * value) / sum({weight})"
        said = (
            f"(SELECT *, cityHash64(TraceId) AS trace FROM ({found.sql})) AS said"
            f" LEFT JOIN ({counted.marks.sql}) AS marks USING (trace)"
        )
        parameters = counted.marks.parameters
    rows = database.query(
        f"""
        SELECT toString(version) AS version, name, {mean} AS mean, toInt64(least(greatest(
            intDiv(at - {{start_ns:Int64}}, {{step_ns:Int64}}), 0), {{parts:Int64}} - 1)) AS part
        FROM {said} GROUP BY version, name, part""",
        {
            **found.parameters,
            **parameters,
            "start_ns": start_ms * 1_000_000,
            "step_ns": step_ms * 1_000_000,
            "parts": parts,
        },
    )
    means: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for row in rows:
        means[row["version"], row["name"]][row["part"]] = row["mean"]
    trends: dict[str, dict[str, tuple[float | None, ...]]] = defaultdict(dict)
    for (version, name), by_part in sorted(means.items()):
        trends[version][name] = tuple(by_part.get(part) for part in range(parts))
    return trends


def _activations(database: Database, scope: Scope, model_ids: Sequence[str]) -> dict[str, list[Activation]]:
    """The newest activations of each version; copies of a record count once, at their newest."""
    model_id = "LoggedModelId"
    rows = database.query(
        f"""
        SELECT model_id, toUnixTimestamp64Milli(max(Timestamp)) AS time_ms, any(ServiceName) AS service
        FROM (
            SELECT toString({model_id}) AS model_id, SpanId, Timestamp, ServiceName FROM {scope.columns.spans}
            WHERE SpanName = 'logged_model.activated' AND LoggedModelRole = 'record'
        )
        WHERE model_id IN {{model_ids:Array(String)}}
        GROUP BY model_id, SpanId ORDER BY time_ms DESC LIMIT {_MOST_ACTIVATIONS} BY model_id""",
        {"model_ids": list(model_ids)},
    )
    found: dict[str, list[Activation]] = defaultdict(list)
    for row in reversed(rows):
        found[row["model_id"]].append(Activation(time_ms=row["time_ms"], service=row["service"]))
    return found


def _latency_bins(traces: Query, counted: Sampled) -> Query:
    found = counted.joined(traces)
    return Query(
        f"""
        SELECT toString(version) AS version,
            toInt32(floor(log10(greatest(latency, {_LEAST_MS})) * {BINS_PER_DECADE})) AS bin,
            toUInt64(round(sum(weight))) AS traces, sum(is_entangled) AS entangled
        FROM (SELECT version, is_entangled, weight, arrayJoin(latencies) AS latency FROM ({found.sql}))
        GROUP BY version, bin ORDER BY version, bin""",
        found.parameters,
    )


def _failures(scope: Scope) -> Query:
    found = _own_entries(scope)
    return Query(
        f"""
        SELECT version, kind, count() AS spans, argMax(TraceId, Timestamp) AS trace_id
        FROM (
            SELECT toString({scope.version.sql}) AS version, TraceId, Timestamp, LoggedModelError AS kind
            FROM {scope.source} WHERE {found.sql} AND {measuring.FAILED}
            LIMIT 1 BY TraceId, {scope.span}
        )
        GROUP BY version, kind""",
        found.parameters,
    )


def _errors(rows: Sequence[Mapping[str, Any]], model_ids: Sequence[str]) -> list[ErrorKind]:
    by_kind: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in rows:
        by_kind[row["kind"]][row["version"]] = row
    kinds = [
        ErrorKind(
            kind=kind,
            counts=tuple(found[model_id]["spans"] if model_id in found else 0 for model_id in model_ids),
            trace_ids=tuple(found[model_id]["trace_id"] if model_id in found else None for model_id in model_ids),
        )
        for kind, found in by_kind.items()
    ]
    return sorted(kinds, key=lambda one: (-sum(one.counts), one.kind))[:_MOST_KINDS]


def _durations(database: Database, scope: Scope) -> list[dict[str, Any]]:
    """One row for each version and name of span; copies count once, as everywhere.

    Finding copies means reading the ids of spans, which takes longer than all the rest. Copies have the same start and
    duration. So ids are read only for names with two spans that agree in both.
    """
    rows = _run(database, _sums(scope))
    doubtful = sorted({row["name"] for row in rows if row["different"] < row["spans"]})
    if not doubtful:
        return rows
    once = _sums(scope, _SPANS_ONCE)
    certain = [row for row in rows if row["name"] not in doubtful]
    return certain + database.query(once.sql, {**once.parameters, "names": doubtful})


_SPANS_ONCE: Final = "AND SpanName IN {names:Array(String)} LIMIT 1 BY cityHash64(TraceId, SpanId)"


def _sums(scope: Scope, which: str = "") -> Query:
    entries = f"SELECT TraceId FROM {scope.source} WHERE {scope.spans.sql} AND {scope.entry.sql}"
    parameters = scope.spans.parameters
    scope = scope.wide
    version, spans, entry = scope.version, scope.spans, scope.entry
    where = f"{spans.sql} AND LoggedModelRole IN ('span', 'entry')"
    if scope.selection.of_traces != EVERYTHING:
        where += f" AND TraceId IN ({entries})"
    return Query(
        f"""
        SELECT toString(span_version) AS version, name, count() AS spans, sum(span_ms) AS ms,
            countIf(is_entry) AS entries, uniqExact(extent) AS different
        FROM (
            SELECT {version.sql} AS span_version, SpanName AS name, {_DURATION_MS} AS span_ms,
                {entry.sql} AS is_entry, cityHash64(Timestamp, Duration) AS extent
            FROM {scope.source} WHERE {where} {which}
        )
        GROUP BY version, name HAVING version IN {{model_ids:Array(String)}}""",
        {
            **parameters,
            **version.parameters,
            **spans.parameters,
            **entry.parameters,
            "model_ids": list(scope.model_ids or ()),
        },
    )


def _operations(rows: Sequence[Mapping[str, Any]], model_ids: Sequence[str]) -> list[Operation]:
    entries: dict[str, int] = defaultdict(int)
    by_name: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in rows:
        entries[row["version"]] += row["entries"]
        by_name[row["name"]][row["version"]] = row

    def each(found: Mapping[str, Mapping[str, Any]], key: str) -> tuple[float | None, ...]:
        return tuple(
            (found[model_id][key] if model_id in found else 0) / entries[model_id] if entries[model_id] else None
            for model_id in model_ids
        )

    operations = [
        Operation(
            name=name,
            calls_per_trace=each(found, "spans"),
            mean_ms=tuple(
                found[model_id]["ms"] / found[model_id]["spans"] if model_id in found else None
                for model_id in model_ids
            ),
            ms_per_trace=each(found, "ms"),
        )
        for name, found in by_name.items()
    ]
    return sorted(operations, key=_importance)[:_MOST_OPERATIONS]


def _importance(operation: Operation) -> tuple[float, float, str]:
    """What differs most first, then what takes most."""
    known = [value for value in operation.ms_per_trace if value is not None] or [0.0]
    return (min(known) - max(known), -max(known), operation.name)
