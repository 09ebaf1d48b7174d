# SPDX-License-Identifier: Apache-2.0
"""The tables: those of the Collector's `clickhouse` exporter, unchanged, and columns of ours that follow from them.

What counts is in a table of ours beside them (`counted`).

The exporter's tables are what a Collector makes when `create_schema` is on
(https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/clickhouseexporter). Ours are
`MATERIALIZED` columns: computed from the others at each insert, invisible to inserts that name their columns and to
`SELECT *`. Where they are missing the same expressions stand in the query, which is slower by a factor of ten.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.attributes import EVALUATION_RESULT
from otel_loggedmodel.store import conventions_sql as sql
from otel_loggedmodel.store import counted, seen_table
from otel_loggedmodel.store.database import Database, quoted
from otel_loggedmodel.store.reading import ReadingError, StoreUnavailableError

SPANS: Final = counted.SPANS
# The table is sorted by the names of spans, so that this alone leaves nearly everything out.
IS_RESULT: Final = f"SpanName = '{EVALUATION_RESULT}'"

# Raised by one whenever an expression changes; each column remembers in its comment from which it is.
SCHEMA_VERSION: Final = 6
_COMMENT: Final = "otel-loggedmodel schema "


@dataclass(frozen=True)
class Column:
    """A column that follows from others.

    Attributes:
        type: Its type in ClickHouse.
        expression: How it follows; other columns of ours are written `{Name}`.
    """

    type: str
    expression: str


COLUMNS: Final[Mapping[str, Column]] = {
    # An SDK of another language puts the version into its resource. Records and evaluation results name a version that
    # need not be their sender's.
    "LoggedModelId": Column(
        "LowCardinality(String)",
        "if(SpanAttributes['logged_model.id'] != '' OR SpanAttributes['logged_model.event'] != ''"
        f" OR SpanName = '{EVALUATION_RESULT}', SpanAttributes['logged_model.id'],"
        " ResourceAttributes['logged_model.id'])",
    ),
    # What a span is to its version. The flags that tell a remote parent are not stored. So a server's or consumer's
    # span is taken for an entry span, and so is a span that carries the version's name or a link to it. Building an
    # agent is no request, and a notification is none.
    "LoggedModelRole": Column(
        "Enum8('none' = 0, 'span' = 1, 'entry' = 2, 'record' = 3, 'evaluation' = 4, 'build' = 5)",
        "multiIf(SpanAttributes['logged_model.event'] != '', 'record',"
        f" SpanName = '{EVALUATION_RESULT}', 'evaluation',"
        f" {{LoggedModelId}} = '', 'none', {sql.is_no_request()}, 'build',"
        f" ParentSpanId = '' OR {sql.IS_SERVED}"
        f" OR SpanAttributes['logged_model.name'] != '' AND NOT {sql.is_copying()}"
        " OR arrayExists(link -> link['logged_model.id'] != '', `Links.Attributes`), 'entry', 'span')",
    ),
    # The version's name as an entry span says it, for versions that nothing else names.
    "LoggedModelName": Column(
        "LowCardinality(String)",
        "multiIf({LoggedModelRole} != 'entry', '', SpanAttributes['logged_model.name'] != '',"
        " SpanAttributes['logged_model.name'], {LoggedModelId} = ResourceAttributes['logged_model.id'],"
        " ResourceAttributes['logged_model.name'], '')",
    ),
    "LoggedModelHasScores": Column("Bool", f"has(`Events.Name`, '{EVALUATION_RESULT}')"),
}
# Columns that earlier releases made and nothing reads any more.
RETIRED: Final = (
    "LoggedModelCacheReadTokens",
    "LoggedModelCacheWriteTokens",
    "LoggedModelCall",
    "LoggedModelCost",
    "LoggedModelInputTokens",
    "LoggedModelIsSum",
    "LoggedModelLlm",
    "LoggedModelOutputTokens",
    "LoggedModelParentKey",
    "LoggedModelSpanKey",
    "LoggedModelTraceKey",
    "LoggedModelUsage",
)


class Columns:
    """How a query reads our columns: from the tables where they have them, else worked out as they are read.

    Args:
        present: The names of those that the table of spans has.
        is_counted: Whether there is the table of what counts, and nothing is missing in it.
        is_seen: Whether the same holds for the table of what was seen (`seen_table`).

    Attributes:
        present: The names of those that the table of spans has.
        is_counted: Whether the table of what counts is read.
        is_seen: Whether the table of what was seen is read.
        spans: The table of spans, as it stands after FROM.
        counted: What counts of them, with the columns of `counted`.
        is_prepared: Whether nothing is worked out as it is read.
        results: The spans that are results of evaluations, and perhaps others.
        stored: The same, with each span under the version that it names itself.
    """

    def __init__(self, present: Collection[str], *, is_counted: bool, is_seen: bool = False) -> None:
        self.present = present
        self.is_counted = is_counted
        self.is_seen = is_counted and is_seen
        self.spans = self._of()
        self.counted = counted.TABLE if is_counted else f"({counted.as_read(self.spans)})"
        self.is_prepared = self.is_seen and self.spans == SPANS
        self.results = self.spans
        self.stored: Columns = self

    def _of(self, where: str = "") -> str:
        by_name = {name: name for name in COLUMNS}
        kept = [name for name in COLUMNS if name in self.present]
        missing = [
            f"CAST({column.expression.format_map(by_name)}, {sql.literal(column.type)}) AS {name}"
            for name, column in COLUMNS.items()
            if name not in self.present
        ]
        return f"(SELECT *, {', '.join([*kept, *missing])} FROM {SPANS}{where})" if missing or where else SPANS

    def owner_of_record(self, said: str, stated: str) -> str:
        """The version of a result that came as a log record, if no stored span tells it, as SQL.

        Args:
            said: The attributes of the record.
            stated: The id of the version that it names.
        """
        return stated

    def of_day(self, day: str, hour: int | None = None) -> str:
        """The spans of a day, by the name of its partition, or of an hour of it, as they stand after FROM."""
        of_hour = "" if hour is None else f" AND toHour(Timestamp) = {hour}"
        return self._of(f" WHERE _partition_id = {sql.literal(day)}{of_hour}")


AS_READ: Final = Columns((), is_counted=False)
"""All columns worked out as they are read, whatever an earlier release has left in them."""


def call(part: str) -> str:
    """A part of what a span says, as SQL: `input`, `kind`, ..."""
    return f"LoggedModelCall.{part}"


def inspect(database: Database) -> Columns:
    """How queries read our columns.

    Raises:
        StoreUnavailableError: There is no table of spans, or it is of a newer release.
    """
    present = _present(database)
    if present is None:
        raise StoreUnavailableError(
            f"{database.name} has no table {SPANS}: let a Collector make it, or run `otel-loggedmodel store prepare`"
        )
    current = [name for name, comment in present.items() if name in COLUMNS and _version_of(comment) == SCHEMA_VERSION]
    return Columns(current, is_counted=counted.state(database).is_whole, is_seen=seen_table.is_whole(database))


def is_older(database: Database) -> bool:
    """Whether an earlier release has made columns of the table of spans."""
    versions = [_version_of(comment) for comment in (_present(database) or {}).values()]
    return any(version is not None and version < SCHEMA_VERSION for version in versions)


def prepare(
    database: Database,
    *,
    cluster: str | None = None,
    backfill: bool = False,
    fill: bool = True,
    dry_run: bool = False,
    on_day: Callable[[str, int, int], object] = lambda day, place, days: None,
) -> list[str]:
    """Make the tables, columns and the view that are not there; a second time does nothing, except for a backfill.

    Args:
        database: Where.
        cluster: Name of the cluster, for `ON CLUSTER`.
        backfill: Compute the columns for the spans that are there already, too. Otherwise a new column is computed for
            them when it is read, and a changed column keeps the values that it has.
        fill: Fill in the days that the table of what counts lacks. If that was stopped, it goes on with the same day.
        dry_run: Do nothing.
        on_day: Called before a day is filled in: with its name, its place from 1 on, and how many there are.

    Returns:
        The statements, in order.

    Raises:
        StoreUnavailableError: The table is of a newer release, or this user may not make tables or views.
        ReadingError: The table is of a kind that cannot be altered like this.
    """
    statements: list[str] = []

    def do(more: Iterable[str]) -> None:
        for statement in [*more]:
            statements.append(statement)
            if not dry_run:
                database.command(statement)

    making = list(_statements(database, cluster, backfill=backfill))
    days = missing_days(database) if fill else ()
    # A filling that was stopped may have left a part of a day.
    is_torn = counted.state(database).is_fed
    # The table of what was seen is filled in with the days of the other one, if both are made now.
    is_unseen = fill and is_torn and not seen_table.is_whole(database)
    do(making)
    for place, day in enumerate(days, 1):
        on_day(day, place, len(days))
        do(counted.refilling(day, [AS_READ.of_day(day)], days[place:], _on_cluster(cluster), is_torn=is_torn))
    if is_unseen:
        do(seen_table.filling(database, _on_cluster(cluster)))
    return statements


def missing_days(database: Database) -> tuple[str, ...]:
    """The days that the table of what counts lacks, or will lack when it is made."""
    if _present(database) is None:
        return ()
    state = counted.state(database)
    return state.missing if state.is_fed else counted.days(database)


def _on_cluster(cluster: str | None) -> str:
    return f" ON CLUSTER {quoted(cluster)}" if cluster else ""


def _statements(database: Database, cluster: str | None, *, backfill: bool) -> Iterator[str]:
    on_cluster = _on_cluster(cluster)
    present = _present(database)
    is_new = present is None
    if present is None:
        yield from _exporter_tables(on_cluster, "ReplicatedMergeTree()" if cluster else "MergeTree()")
        present = {}
    by_name = {name: name for name in COLUMNS}
    changes = []
    for name, column in COLUMNS.items():
        definition = (
            f"{name} {column.type} MATERIALIZED {column.expression.format_map(by_name)}"
            f" COMMENT '{_COMMENT}{SCHEMA_VERSION}'"
        )
        if name not in present:
            changes.append(f"ADD COLUMN IF NOT EXISTS {definition}")
        elif (_version_of(present[name]) or 0) < SCHEMA_VERSION:
            changes.append(f"MODIFY COLUMN {definition}")
    changes += [f"DROP COLUMN IF EXISTS {name}" for name in RETIRED if _version_of(present.get(name, "")) is not None]
    # One statement each: every ALTER is a round through the cluster, and every mutation one through the data.
    if changes:
        yield f"ALTER TABLE {SPANS}{on_cluster}\n    " + ",\n    ".join(changes)
    # All of them, changed now or not: a backend that was started in between has changed them and computed nothing.
    if backfill:
        yield f"ALTER TABLE {SPANS}{on_cluster}\n    " + ",\n    ".join(
            f"MATERIALIZE COLUMN {name}" for name in COLUMNS
        )
    is_anew = not counted.state(database).is_fed
    if is_anew and not is_new:
        yield from seen_table.unmaking(on_cluster)
    yield from counted.making(database, on_cluster, is_new=is_new)
    yield from seen_table.making(database, on_cluster, is_new=is_new, is_anew=is_anew)


def _present(database: Database) -> dict[str, str] | None:
    """The table's columns with their comments; None where there is no table."""
    tables = database.query(
        "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
        {"table": SPANS},
    )
    if not tables:
        return None
    if tables[0]["engine"] == "Distributed":
        raise ReadingError(
            f"{SPANS} of {database.name} is a Distributed table: name the database of the table behind it"
        )
    rows = database.query(
        "SELECT name, type, comment FROM system.columns WHERE database = currentDatabase() AND table = {table:String}",
        {"table": SPANS},
    )
    types = {row["name"]: row["type"] for row in rows}
    if not types.get("SpanAttributes", "").startswith("Map("):
        raise ReadingError(
            f"{SPANS} of {database.name} is not the table of the Collector's clickhouse exporter with its attributes in"
            f" maps: SpanAttributes is {types.get('SpanAttributes', 'missing')}"
        )
    comments = {row["name"]: row["comment"] for row in rows}
    newest = max((_version_of(comments.get(name, "")) or 0 for name in COLUMNS), default=0)
    if newest > SCHEMA_VERSION:
        raise StoreUnavailableError(
            f"{database.name} was made by a newer otel-loggedmodel (schema {newest}, this one knows {SCHEMA_VERSION}):"
            " upgrade this one"
        )
    return comments


def _version_of(comment: str) -> int | None:
    match = re.fullmatch(re.escape(_COMMENT) + r"(\d+)", comment)
    return int(match[1]) if match else None


def _exporter_tables(on_cluster: str, engine: str) -> Iterator[str]:
    """What the Collector's exporter makes, in its release 0.161, without a TTL."""
    yield f"""\
CREATE TABLE IF NOT EXISTS {SPANS}{on_cluster} (
    Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    TraceState String CODEC(ZSTD(1)),
    SpanName LowCardinality(String) CODEC(ZSTD(1)),
    SpanKind LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1)),
    StatusMessage String CODEC(ZSTD(1)),
    Events Nested (
        Timestamp DateTime64(9),
        Name LowCardinality(String),
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    Links Nested (
        TraceId String,
        SpanId String,
        TraceState String,
        Attributes Map(LowCardinality(String), String)
    ) CODEC(ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX idx_res_attr_key mapKeys(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_res_attr_value mapValues(ResourceAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_span_attr_key mapKeys(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_span_attr_value mapValues(SpanAttributes) TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX idx_duration Duration TYPE minmax GRANULARITY 1
) ENGINE = {engine}
PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1"""
    yield f"""\
CREATE TABLE IF NOT EXISTS {SPANS}_trace_id_ts{on_cluster} (
    TraceId String CODEC(ZSTD(1)),
    Start DateTime CODEC(Delta, ZSTD(1)),
    End DateTime CODEC(Delta, ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = {engine}
PARTITION BY toDate(Start)
ORDER BY (TraceId, Start)
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1"""
    yield f"""\
CREATE MATERIALIZED VIEW IF NOT EXISTS {SPANS}_trace_id_ts_mv{on_cluster} TO {SPANS}_trace_id_ts
AS SELECT TraceId, min(Timestamp) AS Start, max(Timestamp) AS End
FROM {SPANS}
WHERE TraceId != ''
GROUP BY TraceId"""
