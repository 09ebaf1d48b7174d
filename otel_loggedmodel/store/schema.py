# SPDX-License-Identifier: Apache-2.0
"""The tables: those of the Collector's `clickhouse` exporter, unchanged, and columns of ours that follow from them.

The exporter's tables are what a Collector makes when `create_schema` is on
(https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/clickhouseexporter). Ours are
`MATERIALIZED` columns: computed from the others at each insert, invisible to inserts that name their columns and to
`SELECT *`. Where they are missing the same expressions stand in the query, which is slower by a factor of ten.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.attributes import EVALUATION_RESULT
from otel_loggedmodel.store import call_column
from otel_loggedmodel.store import conventions_sql as sql
from otel_loggedmodel.store.database import Database, quoted
from otel_loggedmodel.store.reading import ReadingError, StoreUnavailableError

SPANS: Final = "otel_traces"

# Raised by one whenever an expression changes; each column remembers in its comment from which it is.
SCHEMA_VERSION: Final = 4
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
    # What a span is to its version. The flags that tell a remote parent are not stored, so a server's or consumer's
    # span is taken for an entry span, as one that carries the version's name or the link to it. Building an agent is
    # no request.
    "LoggedModelRole": Column(
        "Enum8('none' = 0, 'span' = 1, 'entry' = 2, 'record' = 3, 'evaluation' = 4, 'build' = 5)",
        "multiIf(SpanAttributes['logged_model.event'] != '', 'record',"
        f" SpanName = '{EVALUATION_RESULT}', 'evaluation',"
        f" {{LoggedModelId}} = '', 'none', {sql.is_building()}, 'build',"
        f" ParentSpanId = '' OR {sql.IS_SERVED}"
        " OR SpanAttributes['logged_model.name'] != ''"
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
    # In one column, as what it is made of is worked out once.
    "LoggedModelCall": Column(call_column.TYPE, call_column.EXPRESSION),
}
# Columns that earlier releases made and nothing reads any more.
RETIRED: Final = (
    "LoggedModelCacheReadTokens",
    "LoggedModelCacheWriteTokens",
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
    """How a query reads our columns: from the table where it has them, else worked out as it is read.

    Args:
        present: The names of those that the table has.

    Attributes:
        spans: What stands after FROM.
    """

    def __init__(self, present: Collection[str]) -> None:
        by_name = {name: name for name in COLUMNS}
        kept = [name for name in COLUMNS if name in present]
        missing = [
            f"CAST({column.expression.format_map(by_name)}, {sql.literal(column.type)}) AS {name}"
            for name, column in COLUMNS.items()
            if name not in present
        ]
        self.spans = f"(SELECT *, {', '.join([*kept, *missing])} FROM {SPANS})" if missing else SPANS


def call(part: str) -> str:
    """A part of what a span says, as SQL: `input`, `kind`, ..."""
    return f"LoggedModelCall.{part}"


def inspect(database: Database) -> frozenset[str]:
    """The columns of ours that the table of spans has.

    Raises:
        StoreUnavailableError: There is no table of spans, or it is of a newer release.
    """
    present = _present(database)
    if present is None:
        raise StoreUnavailableError(
            f"{database.name} has no table {SPANS}: let a Collector make it, or run `otel-loggedmodel store prepare`"
        )
    return frozenset(
        name for name, comment in present.items() if name in COLUMNS and _version_of(comment) == SCHEMA_VERSION
    )


def is_older(database: Database) -> bool:
    """Whether an earlier release has made columns of the table of spans."""
    versions = [_version_of(comment) for comment in (_present(database) or {}).values()]
    return any(version is not None and version < SCHEMA_VERSION for version in versions)


def prepare(
    database: Database, *, cluster: str | None = None, backfill: bool = False, dry_run: bool = False
) -> list[str]:
    """Make the tables and columns that are not there; a second time does nothing, except for a backfill.

    Args:
        database: Where.
        cluster: Name of the cluster, for `ON CLUSTER`.
        backfill: Compute the columns for the spans that are there already, too. What a new column has of them is
            otherwise computed when read, and what a changed one has stays as it was.
        dry_run: Do nothing.

    Returns:
        The statements, in order.

    Raises:
        StoreUnavailableError: The table is of a newer release.
        ReadingError: The table is of a kind that cannot be altered so.
    """
    statements = list(_statements(database, cluster, backfill=backfill))
    if not dry_run:
        for statement in statements:
            database.command(statement)
    return statements


def _statements(database: Database, cluster: str | None, *, backfill: bool) -> Iterator[str]:
    on_cluster = f" ON CLUSTER {quoted(cluster)}" if cluster else ""
    present = _present(database)
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
