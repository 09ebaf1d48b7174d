# SPDX-License-Identifier: Apache-2.0
"""The SQL that makes one row of each trace of each version; what is listed and compared is made of these rows.

Three things are settled here, once:

- which spans count for a version: those that carry its id, or an id that stands for it (`catalogue`);
- what a trace is: an entry span that is not inside another entry span of the same version and trace (`entering`);
- how tokens and costs add up (`adding`).

Spans may be stored more than once, as a sender that was not answered sends again; copies count once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from enum import Enum, auto
from typing import Any, Final

from otel_loggedmodel.attributes import EVALUATION_DATASET, EVALUATION_DATASET_NAME
from otel_loggedmodel.store import plain, pricing, schema
from otel_loggedmodel.store.adding import CALLS_SQL, SAYS, USAGE, USAGE_STEPS, WORTH
from otel_loggedmodel.store.call_column import FAILED_BIT
from otel_loggedmodel.store.catalogue import Alias
from otel_loggedmodel.store.counted import COUNTS, IS_FIRST, QUARTER_SECONDS, STANDS_IN
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.entering import ENTRIES, LONE, STAND_IN, STEP_IN, SUMMED
from otel_loggedmodel.store.reading import EVERYTHING, Selection
from otel_loggedmodel.store.schema import call
from otel_loggedmodel.store.span_times import END, START

# A trace that began in the time that was asked for may have spans that began so long before it, or after it.
_BEFORE: Final = timedelta(hours=1)
_AFTER: Final = timedelta(days=1)

# Columns of spans that are needed of calls alone, too.
_OF_CALLS: Final = ("ids", "parents", "starts", "ends", "kinds", "used", "origins")
FAILED: Final = f"bitTest({call('usage')}, {FAILED_BIT})"


@dataclass(frozen=True)
class Query:
    """A piece of SQL and its parameters."""

    sql: str
    parameters: dict[str, Any] = field(default_factory=dict)


def run(database: Database, query: Query) -> list[dict[str, Any]]:
    """The rows that a query finds."""
    return database.query(query.sql, query.parameters)


@dataclass(frozen=True)
class Scope:
    """Which spans a question is about.

    Attributes:
        columns: How queries write our columns.
        aliases: The ids that stand for a version, in the order of `since_ns`; every alias of each id that matters.
        model_ids: The versions; None for all.
        selection: Which traces.
        prices: The prices of the models that were called.
        trace_ids: Only the spans of these traces.
        has_results: Whether there are results of evaluations at all; looking for them takes as long as all the rest.
        has_unclaimed: Whether there are results of evaluations that name no version.
        adopted: The versions of calls that carry none, by the hashes of their ids (`stray`).
        is_entangled: Whether some of the traces are taken not to be plain (`plain`).
        moves: The traces that are only a call of another trace, and these other traces, as two arrays; empty where
            there are none (`doubling`).
        torn: How many of the moved traces are steps of runs that time alone puts together (`torn`).
        is_wide: Whether all spans are asked, and not only what counts.
        has_events: Whether there are results of evaluations that are events of spans.
        has_logged: Whether there are results of evaluations among log records (`log_scores`).
        since_ns: No span of these versions began before, if that is known; in ns since the epoch.
        may_be_cut_off: Whether there may be traces without an entry span.
    """

    columns: schema.Columns
    aliases: Sequence[Alias] = ()
    model_ids: Sequence[str] | None = None
    selection: Selection = EVERYTHING
    prices: pricing.PriceTable = pricing.NO_PRICES
    trace_ids: Sequence[str] | None = None
    has_results: bool = True
    has_unclaimed: bool = False
    adopted: Mapping[int, str] = field(default_factory=dict)
    is_entangled: bool = True
    moves: Query = Query("")
    torn: int = 0
    has_logged: bool = False
    has_events: bool = True
    is_wide: bool = False
    since_ns: int | None = None
    may_be_cut_off: bool = True

    @property
    def wide(self) -> "Scope":
        """The same for a question about all spans, also those that do not count, and with all of their columns."""
        return replace(self, is_wide=True)

    @property
    def source(self) -> str:
        """What is asked, as it stands after FROM."""
        return self.columns.spans if self.is_wide else self.columns.counted

    @property
    def span(self) -> str:
        """The hash of a span's id, as SQL."""
        return "cityHash64(SpanId)" if self.is_wide else call("span")

    @property
    def trace(self) -> str:
        """The hash of a trace's id, as SQL."""
        return "cityHash64(TraceId)" if self.is_wide else call("trace")

    @property
    def version(self) -> Query:
        """The version that a span counts for."""
        if not self.adopted:
            return self.version_of("LoggedModelId", START)
        owner = f"transform({self.span}, {{adopted:Array(UInt64)}}, {{owners:Array(String)}}, '')"
        found = self.version_of(f"if(LoggedModelId = '', {owner}, toString(LoggedModelId))", START)
        own = {"adopted": list(self.adopted), "owners": list(self.adopted.values())}
        return Query(found.sql, {**found.parameters, **own})

    def version_of(self, model_id: str, start_ns: str) -> Query:
        """The version that an id stands for at some time, both as SQL."""
        if not self.aliases:
            return Query(model_id)
        place = (
            f"arrayLastIndex((alias, since) -> alias = {model_id} AND since <= {start_ns},"
            " {alias_ids:Array(String)}, {alias_since:Array(Int64)})"
        )
        return Query(
            f"if({model_id} IN {{alias_ids:Array(String)}} AND {place} > 0,"
            f" {{alias_targets:Array(String)}}[{place}], toString({model_id}))",
            {
                "alias_ids": [alias.alias for alias in self.aliases],
                "alias_since": [alias.since_ns for alias in self.aliases],
                "alias_targets": [alias.model_id for alias in self.aliases],
            },
        )

    @property
    def spans(self) -> Query:
        """The condition on spans that may count, entry spans or not: by version, time and trace."""
        conditions: list[str] = []
        parameters: dict[str, Any] = {}
        if self.model_ids is None:
            conditions.append("LoggedModelId != ''")
        else:
            conditions.append("LoggedModelId IN {ids:Array(String)}")
            parameters["ids"] = sorted({*self.model_ids, *(alias.alias for alias in self.aliases)})
        if self.adopted:
            wanted = parameters.get("ids")
            parameters["kept"] = [key for key, owner in self.adopted.items() if wanted is None or owner in wanted]
            conditions[0] = f"({conditions[0]} OR {self.span} IN {{kept:Array(UInt64)}} AND LoggedModelId = '')"
        if self.selection.since is not None:
            conditions.append("Timestamp >= {from:DateTime64(9, 'UTC')}")
            # Of what stands for traces, the first of each quarter of an hour is there (`counted`).
            seconds = self.selection.since.timestamp() // QUARTER_SECONDS * QUARTER_SECONDS
            parameters["from"] = datetime.fromtimestamp(seconds, timezone.utc) - _BEFORE
        if self.selection.until is not None:
            conditions.append("Timestamp < {to:DateTime64(9, 'UTC')}")
            parameters["to"] = self.selection.until.astimezone(timezone.utc) + _AFTER
        if self.since_ns is not None:
            conditions.append("Timestamp >= fromUnixTimestamp64Nano({since_ns:Int64})")
            parameters["since_ns"] = self.since_ns
        if self.trace_ids is not None:
            conditions.append("TraceId IN {trace_ids:Array(String)}")
            parameters["trace_ids"] = list(self.trace_ids)
        return Query(" AND ".join(conditions), parameters)

    @property
    def entry(self) -> Query:
        """Whether a span is an entry span that was asked for."""
        selected = self.selected
        return Query(f"LoggedModelRole = 'entry' AND {selected.sql}", selected.parameters)

    @property
    def begins(self) -> Query:
        """Whether a span is an entry span that was asked for, or could stand for one where the trace is cut off."""
        entry = self.entry
        if not self.may_be_cut_off:
            return entry
        spans, selected, version, trace = self.spans, self.selected, self.version, call("trace")
        counted, role, lone = f"{self.columns.counted} WHERE {spans.sql}", "LoggedModelRole", call("lone")
        key = f"toString({version.sql}), {trace}"
        # A trace of which an entry span came counts as that one. Of the others, the first span is wanted.
        firsts = (
            f"SELECT {key}, if(countIf({lone} = 0) > 0, minIf(Timestamp, {lone} = 0), minIf(Timestamp, {STANDS_IN}))"
            f" FROM {counted} AND {COUNTS} AND {trace} IN (SELECT {trace} FROM {counted} AND {IS_FIRST})"
            f" GROUP BY {key} HAVING countIf({role} = 'entry') = 0"
            f" AND (countIf({lone} = 0) > 0 OR countIf({role} = 'build') = 0)"
        )
        return Query(
            f"{selected.sql} AND ({role} = 'entry' OR {role} != 'build' AND {COUNTS}"
            f" AND ({key}, Timestamp) IN ({firsts}))",
            {**spans.parameters, **selected.parameters, **version.parameters},
        )

    @property
    def settled(self) -> str:
        """The condition by which only the first of what stands for a trace is left, where ids stand for others.

        Such an id means one version now and another one later. The versions of a trace must not follow from which of
        its spans are stored.
        """
        if not self.aliases:
            return COUNTS
        key = f"LoggedModelId, {self.trace}"
        firsts = (
            f"SELECT {key}, min(Timestamp) FROM {self.source} WHERE {self.spans.sql} AND {STANDS_IN} GROUP BY {key}"
        )
        return f"{COUNTS} AND (NOT {STANDS_IN} OR ({key}, Timestamp) IN ({firsts}))"

    @property
    def selected(self) -> Query:
        """Whether a span is one that was asked for, if it is an entry span."""
        conditions: list[str] = []
        parameters: dict[str, Any] = {}
        selection = self.selection
        if selection.since is not None:
            conditions.append("Timestamp >= {since:DateTime64(9, 'UTC')}")
            parameters["since"] = selection.since.astimezone(timezone.utc)
        if selection.until is not None:
            conditions.append("Timestamp < {until:DateTime64(9, 'UTC')}")
            parameters["until"] = selection.until.astimezone(timezone.utc)
        if selection.service is not None:
            conditions.append("ServiceName = {service:String}")
            parameters["service"] = selection.service
        if selection.attributes:
            having, parameters_of_those = self._having_attributes()
            conditions.append(having)
            parameters.update(parameters_of_those)
        dataset, dataset_name = "LoggedModelDataset", "LoggedModelDatasetName"
        if self.is_wide:
            dataset, dataset_name = (
                f"SpanAttributes['{EVALUATION_DATASET}']",
                f"SpanAttributes['{EVALUATION_DATASET_NAME}']",
            )
        if selection.dataset is not None:
            conditions.append(f"{{dataset:String}} IN ({dataset}, {dataset_name})")
            parameters["dataset"] = selection.dataset
        if selection.production:
            conditions.append(f"{dataset} = ''")
        for part, wanted in (("prompt", selection.prompt), ("agent", selection.agent)):
            if wanted is not None:
                # A prompt's version is on a line of its own; without one, all of them are meant.
                said = f"{call(part)} = {{{part}:String}}"
                if part == "prompt" and "\n" not in wanted:
                    said = f"splitByChar('\n', {call(part)})[1] = {{{part}:String}}"
                said += f" AND {call('lone')} = 0"
                conditions.append(f"TraceId IN (SELECT TraceId FROM {self.columns.counted} WHERE {said})")
                parameters[part] = wanted
        return Query(" AND ".join(conditions) or "1", parameters)

    def _having_attributes(self) -> tuple[str, dict[str, Any]]:
        """The condition on attributes, which are in the table of spans alone, and its parameters."""
        conditions: list[str] = []
        parameters: dict[str, Any] = {}
        for place, (key, value) in enumerate(self.selection.attributes.items()):
            name = f"{{attribute_{place}:String}}"
            conditions.append(
                f"if(mapContains(SpanAttributes, {name}), SpanAttributes[{name}], ResourceAttributes[{name}])"
                f" = {{attribute_value_{place}:String}}"
            )
            parameters[f"attribute_{place}"] = key
            parameters[f"attribute_value_{place}"] = value
        having = " AND ".join(conditions)
        if self.is_wide:
            return having, parameters
        spans = self.wide.spans
        found = f"SELECT cityHash64(SpanId) FROM {self.columns.spans} WHERE {spans.sql} AND {having}"
        return f"{call('span')} IN ({found})", {**parameters, **spans.parameters}


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
