# SPDX-License-Identifier: Apache-2.0
"""The SQL that makes one row of each trace of each version; what is listed and compared is made of these rows.

Which spans count for a version, `scope` says. Two things are settled here, once:

- what a trace is: an entry span that is not inside another entry span of the same version and trace (`entering`);
- how tokens and costs add up (`adding`).

Spans may be stored more than once, as a sender that was not answered sends again; copies count once.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final

from otel_loggedmodel.store import plain, pricing
from otel_loggedmodel.store.adding import CALLS_SQL, SAYS, USAGE, USAGE_STEPS, WORTH
from otel_loggedmodel.store.call_column import FAILED_BIT
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.entering import ENTRIES, LONE, STAND_IN, STEP_IN, SUMMED
from otel_loggedmodel.store.schema import call
from otel_loggedmodel.store.scope import Query, Scope
from otel_loggedmodel.store.span_times import END, START

# Columns of spans that are needed of calls alone, too.
_OF_CALLS: Final = ("ids", "parents", "starts", "ends", "kinds", "used", "origins")
FAILED: Final = f"bitTest({call('usage')}, {FAILED_BIT})"


def run(database: Database, query: Query) -> list[dict[str, Any]]:
    """The rows that a query finds."""
    return database.query(query.sql, query.parameters)


class Way(Enum):
    """How traces are measured.

    `PLAIN` is right for plain traces, and marks the others. `EVERY` is right for all traces, and takes several times as
    long. `MIXED` measures plain traces as `PLAIN` does, and the others as `EVERY` does.
    """

    PLAIN = auto()
    EVERY = auto()
    MIXED = auto()


BOUNDED: Final = {
    # Beyond so many bytes, what is known of traces so far is put on disk, and put together there part by part. That
    # takes half as much time again, and 512 MiB in all: less is needed for half a million traces.
    "max_bytes_before_external_group_by": 352 * 1024 * 1024,
    "join_algorithm": "grace_hash",
    "max_bytes_in_join": 64 * 1024 * 1024,
    # No longer than a client waits for a server.
    "max_execution_time": 290,
}
"""Settings of the engine for a question about very many traces."""


def answer(
    database: Database,
    scope: Scope,
    build: Callable[[Query], Query],
    *,
    with_usage: bool = True,
    settings: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """What a query over traces finds, measured in the quickest way that holds for all of them.

    Args:
        database: Where.
        scope: Which traces.
        build: Makes the query from that of the traces. Its rows have `entangled`: how many of the traces are not plain.
        with_usage: Whether their tokens and cost are wanted.
        settings: Of the engine, for this query.
    """
    return answer_and_way(database, scope, build, with_usage=with_usage, settings=settings)[0]


def answer_and_way(
    database: Database,
    scope: Scope,
    build: Callable[[Query], Query],
    *,
    with_usage: bool = True,
    settings: Mapping[str, Any] | None = None,
) -> tuple[list[dict[str, Any]], Way]:
    """The same, and in which way it was found, for further queries over these traces."""
    way = Way.EVERY if (scope.is_entangled and with_usage) or scope.moves.sql else Way.PLAIN
    rows: list[dict[str, Any]] = []
    for again in (way, Way.MIXED):
        query = build(traces(scope, with_usage=with_usage, way=again))
        rows = database.query(query.sql, query.parameters, settings)
        way = again
        if not any(row["entangled"] for row in rows):
            break
    return rows, way


def traces(scope: Scope, *, with_usage: bool = True, way: Way = Way.EVERY) -> Query:
    """One row for each trace of each version.

    Args:
        scope: Which traces.
        with_usage: Whether their tokens and cost are wanted.
        way: How they are measured.

    Columns: `version`, `trace` (a hash of its id), `entries` (id, parent, start, end, failed, cut_off of the entry
    spans that count; times in ns), what follows from these (`entering.SUMMED`), `conversation` (a hash, or 0), and
    `is_entangled`, whether the row may be wrong as the trace is not plain. With usage also those of `adding.USAGE`.
    """
    version, spans, entry, moves = scope.version, scope.spans, scope.selected, scope.moves
    parameters = {**version.parameters, **spans.parameters, **entry.parameters, **moves.parameters}
    key, wanted = version.sql, "1"
    if scope.model_ids is not None:
        # Grouping by the place of an id is quicker than by the id, and tells at once which are not wanted. `transform`
        # works on the dictionary of the column.
        key = f"transform({version.sql}, {{model_ids:Array(String)}}, {{places:Array(UInt16)}}, 0)"
        wanted = "version != 0"
        parameters["model_ids"] = list(scope.model_ids)
        parameters["places"] = list(range(1, len(scope.model_ids) + 1))
    trace, role = call("trace"), "toUInt8(LoggedModelRole = 'entry')"
    if moves.sql:
        # A call that is a trace of its own although another trace has it, too, counts there, and is no entry span.
        role = f"if({trace} IN ({moves.sql}.1), 0, {role})"
        trace = f"transform({trace}, {moves.sql}.1, {moves.sql}.2, {trace})"
    cost = "0"
    if with_usage:
        cost, cost_parameters = pricing.cost_sql(scope.prices)
        parameters.update(cost_parameters)
    kind, used = f"toUInt8({call('kind')})", call("usage")
    columns = {
        "ids": call("span"),
        "parents": call("parent"),
        "starts": START,
        "ends": END,
        "kinds": kind,
        "used": used,
        # 2 is an entry span that was asked for, 1 another, and 3 a span that could be one if there is no other. From 4
        # on, it does not count by itself (`entering`).
        "entry": f"multiIf({call('lone')} != 0, {LONE - 2} + 2 * {call('lone')} + ({entry.sql}),"
        f" {role} != 0, 1 + ({entry.sql}), {entry.sql}, 3, 0)",
        "origins": call("origin"),
    }
    numbers = {}
    if with_usage:
        # Calls, whatever they say, and other spans that say tokens or a cost.
        columns["is_calls"] = f"({kind} IN {CALLS_SQL} OR bitAnd({used}, {SAYS}) != 0)"
        numbers = {
            "inputs": call("input"),
            "outputs": call("output"),
            "reads": call("cache_read"),
            "writes": call("cache_write"),
            "reasonings": call("reasoning"),
            "costs": f"ifNull({cost}, -1.)",
            "responses": call("response"),
            "chunks": call("first_chunk"),
            "worths": WORTH,
        }
    inner = ", ".join(f"{expression} AS s_{name}" for name, expression in {**columns, **numbers}.items())
    sql = f"""
            SELECT {key} AS version, {trace} AS trace, {call("conversation")} AS s_conversation, {inner}
            FROM {scope.columns.counted}
            WHERE {spans.sql} AND {scope.settled}"""
    if way is Way.PLAIN:
        sql = plain.traces(sql, wanted, with_usage=with_usage)
    elif way is Way.EVERY:
        sql = _every(sql, wanted, [*columns], [*numbers])
    else:
        simple = plain.traces(sql, wanted, with_usage=with_usage)
        sql += f" AND (version, trace) IN (SELECT version, trace FROM ({simple}) WHERE is_entangled)"
        names = ", ".join(("version", "trace", "conversation", "entries", *SUMMED, *(USAGE if with_usage else ())))
        sql = f"""
        SELECT {names}, is_entangled FROM ({simple}) WHERE NOT is_entangled
        UNION ALL SELECT {names}, is_entangled FROM ({_every(sql, wanted, [*columns], [*numbers])})"""
    if scope.model_ids is not None:
        sql = f"SELECT * REPLACE ({{model_ids:Array(String)}}[version] AS version) FROM ({sql})"
    return Query(sql, parameters)


def _every(spans: str, wanted: str, columns: Sequence[str], numbers: Sequence[str]) -> str:
    """One row for each trace, plain or not, as SQL.

    Args:
        spans: The query of spans.
        wanted: What has to be true of the version of a trace.
        columns: The columns of spans that are needed.
        numbers: Further columns that are needed of calls, if usage is wanted.
    """
    arrays = [STAND_IN, *(f"groupArrayIf(s_{name}, s_entry < {LONE}) AS {name}" for name in columns)]
    if numbers:
        arrays += [f"groupArrayIf(s_{name}, s_is_calls) AS c_{name}" for name in (*_OF_CALLS, *numbers)]
    sql = f"""
        SELECT version, trace, max(s_conversation) AS conversation, {", ".join(arrays)}
        FROM ({spans})
        GROUP BY version, trace
        HAVING {wanted}"""
    # Each step reads the columns of the one before. In one step, ClickHouse would work a column out again inside of
    # every lambda that uses it.
    for step in (*ENTRIES, STEP_IN):
        sql = f"SELECT {step} FROM ({sql})"
    sql += " WHERE notEmpty(entries)"
    for step in USAGE_STEPS if numbers else ():
        sql = f"SELECT {step} FROM ({sql})"
    names = "*" if numbers else "version, trace, conversation, entries"
    summed = ", ".join(f"{expression} AS {name}" for name, expression in SUMMED.items())
    return f"SELECT {names}, {summed}, toUInt8(0) AS is_entangled FROM ({sql})"
