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
from otel_loggedmodel.conventions import scopes
from otel_loggedmodel.conventions.status import EXCEPTION_EVENT, SCOPES_THAT_END_OK
from otel_loggedmodel.conventions.things import CALLS, Kind, Thing
from otel_loggedmodel.store import conventions_sql as sql
from otel_loggedmodel.store.database import Database, quoted
from otel_loggedmodel.store.reading import ReadingError, StoreUnavailableError

SPANS: Final = "otel_traces"

# Kinds of tokens with prices of their own, beside cached ones; they are among the input or the output tokens.
MODALITIES: Final = (
    Thing.INPUT_AUDIO_TOKENS,
    Thing.INPUT_IMAGE_TOKENS,
    Thing.CACHE_READ_AUDIO_TOKENS,
    Thing.OUTPUT_AUDIO_TOKENS,
    Thing.OUTPUT_IMAGE_TOKENS,
)

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


KINDS_TYPE: Final = (
    f"Enum8('none' = 0, {', '.join(f'{sql.literal(kind)} = {place}' for place, kind in enumerate(sql.KINDS, 1))})"
)


# What `LoggedModelCall.usage` says of a span, bit by bit.
TOKENS_BIT: Final = 0
"""It says how many tokens it took or gave."""
COST_BIT: Final = 1
"""It says what it cost."""
FAILED_BIT: Final = 2
"""It failed."""
SERVED_BIT: Final = 3
"""It is a server's or a consumer's."""
ODD_BIT: Final = 4
"""It says tokens or a cost that cannot be."""
ALONE_BIT: Final = 5
"""It is a call of a model without a parent."""
UNCACHED_BIT: Final = 6
"""It is a call that says tokens, but not how many of them were cached, which its instrumentation never does."""

_REPEATS: Final = f"{sql.kind()} = {sql.KINDS.index(Kind.REPEAT) + 1}"
# What a span says that is an estimate, or of the last one of several calls, is as if it said nothing.
_IS_TOLD: Final = (
    f"NOT ({sql.one_of('ScopeName', scopes.WITH_ESTIMATES)}"
    f" AND NOT startsWith({sql.name(Thing.RESPONSE_ID)}, '{scopes.RESPONSES_API}')"
    f" OR SpanAttributes['{scopes.LITELLM_CALL_ID}'] != '' AND ScopeName != '{scopes.LITELLM}')"
)
_HAS_TOKENS: Final = (
    f"(({sql.count(Thing.INPUT_TOKENS)} != 0 OR {sql.count(Thing.OUTPUT_TOKENS)} != 0) AND NOT ({_REPEATS})"
    f" AND {_IS_TOLD})"
)
_HAS_COST: Final = f"({sql.cost()} > 0 AND NOT ({_REPEATS}) AND {_IS_TOLD} OR {_HAS_TOKENS} AND {sql.says_free()})"
_IS_CALL: Final = f"kind IN {tuple(sql.KINDS.index(kind) + 1 for kind in CALLS)}"
_FAILED: Final = (
    f"({sql.HAS_ERROR_STATUS}"
    f" OR {sql.name(Thing.ERROR_TYPE)} != '' AND said[{sql.KIND_NUMBER}] != '' AND NOT {sql.HAS_OK_STATUS}"
    f" OR {sql.one_of('ScopeName', SCOPES_THAT_END_OK)} AND has(`Events.Name`, '{EXCEPTION_EVENT}'))"
)
_ASKED: Final = sql.name(Thing.REQUEST_MODEL)
_ANSWERED: Final = sql.name(Thing.RESPONSE_MODEL, Thing.REQUEST_MODEL)
# In a private network, or a name without a domain, as containers have.
_IS_LOCAL: Final = (
    f"match({sql.name(Thing.ADDRESS)},"
    r" '^([a-z]+://)?(localhost|127\\.|0\\.0\\.0\\.0|10\\.|192\\.168\\.|172\\.(1[6-9]|2[0-9]|3[01])\\."
    r"|\\[?::1|[^./:\\[\\]]+(:[0-9]+)?(/|$)|[^/:]+\\.(local|internal|lan|localdomain)(:[0-9]+)?(/|$))')"
)
# The names of models without their dates, and without the providers before them.
_MODEL_FAMILY: Final = (
    f"replaceRegexpOne(replaceRegexpOne({sql.name(Thing.REQUEST_MODEL, Thing.RESPONSE_MODEL)}, '^.*[/:]', ''),"
    r" '-20[0-9][0-9]-?[0-9][0-9]-?[0-9][0-9]$', '')"
)
_CACHED: Final = f"({sql.count(Thing.CACHE_READ_TOKENS)} + {sql.count(Thing.CACHE_WRITE_TOKENS)})"
_INPUT: Final = (
    f"({sql.count(Thing.INPUT_TOKENS)} + if({_CACHED} > {sql.count(Thing.INPUT_TOKENS)}"
    f" OR {sql.one_of('ScopeName', scopes.WITH_CACHED_BESIDE)}"
    f" AND {sql.one_of(sql.name(Thing.PROVIDER), scopes.PROVIDERS_WITH_CACHED_BESIDE)} OR {_CACHED} > 0"
    f" AND {sql.count(Thing.TOTAL_TOKENS)}"
    f" = {sql.count(Thing.INPUT_TOKENS)} + {_CACHED} + {sql.count(Thing.OUTPUT_TOKENS)}, {_CACHED}, 0))"
)
_OUTPUT: Final = (
    f"({sql.count(Thing.OUTPUT_TOKENS)} - if({sql.one_of('ScopeName', scopes.WITH_REASONING_TWICE)}"
    f" AND match({_ASKED}, '^[a-z0-9_]+/')"
    f" AND splitByChar('/', {_ASKED})[1] NOT IN ({', '.join(map(sql.literal, scopes.GEMINI_PATHS))}),"
    f" least({sql.count(Thing.REASONING_TOKENS)}, {sql.count(Thing.OUTPUT_TOKENS)}), 0))"
)
_SAYS_NO_CACHED: Final = (
    f"kind = {sql.KINDS.index(Kind.LLM) + 1} AND has_tokens AND {_CACHED} = 0 AND ({sql.says_cache_cost()}"
    f" OR {sql.one_of('ScopeName', scopes.WITHOUT_CACHED)} AND NOT {sql.says_cached()})"
)
_MODAL: Final = ", ".join(map(sql.count, MODALITIES))
_IS_STRAY: Final = f"{{LoggedModelRole}} = 'none' AND {_IS_CALL}"
_IS_KEPT: Final = f"(counts OR {_IS_STRAY})"
# What is worked out of `said` first, as the parts below need it more than once.
_STEPS: Final[Mapping[str, str]] = {
    # What names a model and no kind of work is a call of that model.
    "kind": f"if(said[{sql.KIND_NUMBER}] = '' AND {_ANSWERED} != '', {sql.KINDS.index(Kind.LLM) + 1}, {sql.kind()})",
    "has_tokens": _HAS_TOKENS,
    "has_cost": _HAS_COST,
    "failed": _FAILED,
    "is_told": _IS_TOLD,
    "counts": "{LoggedModelRole} = 'entry' OR {LoggedModelRole} = 'span'"
    f" AND (said[{sql.KIND_NUMBER}] != '' OR {_ANSWERED} != '' OR {_HAS_TOKENS} OR {_HAS_COST} OR {_FAILED})",
}


def _bits(*conditions: str) -> str:
    return " + ".join(f"bitShiftLeft(toUInt8({condition}), {bit})" for bit, condition in enumerate(conditions))


def _told(number: str) -> str:
    return f"if(is_told, {number}, 0)"


def _hash(text: str) -> str:
    return f"if({text} = '', 0, cityHash64({text}))"


# What a span says as a convention has it: each part with its type and how it follows from `said`.
#
# None is nullable: ClickHouse stores a part that is nearly everywhere 0 as its exceptions, and reads it for next to
# nothing.
_PARTS: Final[Mapping[str, tuple[str, str]]] = {
    # What kind of work it is.
    "kind": (KINDS_TYPE, "kind"),
    # Bits, see above.
    "usage": (
        "UInt8",
        _bits(
            *("has_tokens", "has_cost", "failed", sql.IS_SERVED, sql.says_odd()),
            f"ParentSpanId = '' AND {_IS_CALL}",
            _SAYS_NO_CACHED,
        ),
    ),
    # An instrumentation that follows no convention here leaves cached tokens out of the input. It shows where there are
    # more of them than input, or where the total has them beside it: they are added.
    "input": ("UInt64", _told(_INPUT)),
    "output": ("UInt64", _told(_OUTPUT)),
    # Tokens of the kinds that have prices of their own; they are among the input or the output.
    "cache_read": ("UInt64", _told(sql.count(Thing.CACHE_READ_TOKENS))),
    "cache_write": ("UInt64", _told(sql.count(Thing.CACHE_WRITE_TOKENS))),
    "reasoning": ("UInt64", _told(sql.count(Thing.REASONING_TOKENS))),
    # In the order of `MODALITIES`; empty where all are 0.
    "modal": ("Array(UInt64)", f"if(arraySum([{_MODAL}]) = 0, [], [{_MODAL}])"),
    "cost": ("Float64", _told(sql.cost())),
    # Provider and model of a call, for its price; then, each on a line of its own, the model that was asked for where
    # it is another, and whether its server is near.
    "llm": (
        "LowCardinality(String)",
        f"if({{LoggedModelRole}} IN ('span', 'entry') AND (has_tokens OR {_IS_CALL}) OR {_IS_STRAY},"
        f" concat({sql.name(Thing.PROVIDER)}, '/', {_ANSWERED},"
        f" if({_ASKED} NOT IN ('', {_ANSWERED}), concat('\\nasked ', {_ASKED}), ''), if({_IS_LOCAL}, '\\nlocal', '')),"
        " '')",
    ),
    # The name of a prompt and, on a line of its own, its version.
    "prompt": (
        "LowCardinality(String)",
        f"if({sql.name(Thing.PROMPT_NAME)} = '' OR {sql.name(Thing.PROMPT_VERSION)} = '',"
        f" {sql.name(Thing.PROMPT_NAME)},"
        f" concat({sql.name(Thing.PROMPT_NAME)}, '\\n', {sql.name(Thing.PROMPT_VERSION)}))",
    ),
    "agent": ("LowCardinality(String)", sql.name(Thing.AGENT)),
    # Hashes of ids, of the spans that counting reads, and of calls without a version: a quarter of what the ids take.
    "trace": ("UInt64", f"if({_IS_KEPT}, cityHash64(TraceId), 0)"),
    "span": ("UInt64", f"if({_IS_KEPT}, cityHash64(SpanId), 0)"),
    "parent": ("UInt64", f"if({_IS_KEPT}, cityHash64(ParentSpanId), 0)"),
    "conversation": ("UInt64", _hash(sql.name(Thing.CONVERSATION))),
    # What two instrumentations of one call have in common, and what not: the answer, the model, and who says so, the
    # latter two as 16 bits each.
    "response": ("UInt64", _hash(sql.name(Thing.RESPONSE_ID))),
    "origin": (
        "UInt32",
        f"if({_IS_KEPT}, bitOr(bitShiftLeft(toUInt32(modulo(cityHash64(ScopeName), 65536)), 16),"
        f" if({_IS_CALL}, toUInt32(modulo(cityHash64({_MODEL_FAMILY}), 65536)), 0)), 0)",
    ),
    "first_chunk": ("Float32", sql.first_chunk()),
    # The trace of a call that carries no version.
    "stray": ("UInt64", f"if({_IS_STRAY}, cityHash64(TraceId), 0)"),
}

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
    "LoggedModelCall": Column(
        f"Tuple({', '.join(f'{name} {type_name}' for name, (type_name, _) in _PARTS.items())})",
        f"arrayMap(said -> arrayMap(({', '.join(_STEPS)}) ->"
        f" ({', '.join(expression for _, expression in _PARTS.values())}),"
        f" {', '.join(f'[{step}]' for step in _STEPS.values())})[1], [{sql.said()}])[1]",
    ),
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
