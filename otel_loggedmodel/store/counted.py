# SPDX-License-Identifier: Apache-2.0
"""The table of what counts: the part of spans that questions about versions read, sorted as they need it.

The table of spans is sorted as the Collector's exporter has it, by service and name. A question about a version would
read all of it. So a materialized view copies the spans that count into a narrow table that is sorted by version and
hour, whoever inserts. These are entry spans, and spans that failed or that say something of a call of a model, an agent
or a tool.

Other spans matter only to a trace of which nothing else was stored: the earliest of them stands for it. No insert can
know what will come. So the first span of each version, trace and quarter of an hour is copied from each insert that has
no entry span of these. Of copies for which something that counts was stored as well, questions take no notice. Neither
do they of any but the earliest, so it does not matter how spans were divided among inserts. Spans that build something
and notifications are copied, too, as a trace that has one needs no entry span.

The table follows from the table of spans alone. A view sees only inserts, so older spans are filled in day by day. The
comment of the table names the days that are missing, so that a filling that was stopped can go on. While a day is
missing, or where there is no such table, questions read the table of spans: the answers are the same and take longer. A
span that was filled in twice is a copy, and copies count once.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from otel_loggedmodel.attributes import EVALUATION_DATASET, EVALUATION_DATASET_NAME, EVALUATION_RUN
from otel_loggedmodel.conventions.status import EXCEPTION_EVENT
from otel_loggedmodel.store import call_column
from otel_loggedmodel.store import conventions_sql as sql
from otel_loggedmodel.store.database import Database, comments, text
from otel_loggedmodel.store.engine_settings import WORKED_OUT

SPANS: Final = "otel_traces"
TABLE: Final = f"{SPANS}_counted"
VIEW: Final = f"{TABLE}_mv"

_COMMENT: Final = "otel-loggedmodel"
_MISSING: Final = " without "

# Attributes by which samplers say how many traces one stands for (`weights`).
SAMPLING: Final = ("logged_model.adjusted_count", "_MS.sampleRate", "SampleRate", "logged_model.sampling.percent")
# What was asked of the application, read from an entry span.
ROUTE: Final = (
    "multiIf(SpanAttributes['http.route'] != '', SpanAttributes['http.route'],"
    " SpanAttributes['gen_ai.agent.name'] != '', SpanAttributes['gen_ai.agent.name'], toString(SpanName))"
)
# Where it ran, by its resource; in the present spelling or the one before.
ENVIRONMENT: Final = (
    "if(ResourceAttributes['deployment.environment.name'] != '', ResourceAttributes['deployment.environment.name'],"
    " ResourceAttributes['deployment.environment'])"
)

# Name, type with its codec, and how the column follows from a span. Some are filled only for entry spans, which lists
# and comparisons show.
_COLUMNS: Final[Sequence[tuple[str, str, str]]] = (
    ("Timestamp", "DateTime64(9) CODEC(Delta, ZSTD(1))", "Timestamp"),
    ("TraceId", "String CODEC(ZSTD(1))", "TraceId"),
    ("ServiceName", "LowCardinality(String) CODEC(ZSTD(1))", "ServiceName"),
    ("SpanKind", "LowCardinality(String) CODEC(ZSTD(1))", "SpanKind"),
    ("ScopeName", "LowCardinality(String) CODEC(ZSTD(1))", "ScopeName"),
    ("Duration", "UInt64 CODEC(ZSTD(1))", "Duration"),
    ("TraceState", "String CODEC(ZSTD(1))", "TraceState"),
    ("LoggedModelId", "LowCardinality(String) CODEC(ZSTD(1))", "LoggedModelId"),
    (
        "LoggedModelRole",
        "Enum8('none' = 0, 'span' = 1, 'entry' = 2, 'record' = 3, 'evaluation' = 4, 'build' = 5) CODEC(ZSTD(1))",
        "LoggedModelRole",
    ),
    ("LoggedModelName", "LowCardinality(String) CODEC(ZSTD(1))", "LoggedModelName"),
    (
        "LoggedModelCall",
        f"{call_column.TYPE} CODEC(ZSTD(1))",
        f"CAST({call_column.EXPRESSION}, {sql.literal(call_column.TYPE)})",
    ),
    ("LoggedModelDataset", "LowCardinality(String) CODEC(ZSTD(1))", f"SpanAttributes['{EVALUATION_DATASET}']"),
    ("LoggedModelDatasetName", "LowCardinality(String) CODEC(ZSTD(1))", f"SpanAttributes['{EVALUATION_DATASET_NAME}']"),
    ("LoggedModelRun", "LowCardinality(String) CODEC(ZSTD(1))", f"SpanAttributes['{EVALUATION_RUN}']"),
    # What samplers left on it.
    (
        "LoggedModelSampling",
        "Map(LowCardinality(String), String) CODEC(ZSTD(1))",
        f"mapFilter((key, text) -> {sql.one_of('key', SAMPLING)}, SpanAttributes)",
    ),
    ("LoggedModelEnvironment", "LowCardinality(String) CODEC(ZSTD(1))", ENVIRONMENT),
    ("LoggedModelRoute", "LowCardinality(String) CODEC(ZSTD(1))", f"if(LoggedModelRole != 'entry', '', {ROUTE})"),
    # What kind of error it ended with: its type, that of an exception, or what its status says.
    (
        "LoggedModelError",
        "String CODEC(ZSTD(1))",
        f"if(LoggedModelRole != 'entry', '', {sql.ERROR_KIND})",
    ),
)

IS_ENTRY: Final = "LoggedModelRole = 'entry'"
"""Whether a span is an entry span."""
COUNTS: Final = "LoggedModelCall.trace != 0"
"""Whether a span counts, or may stand for its trace. Every row of the table does; it matters where rows are worked out
as they are read."""
STANDS_IN: Final = f"LoggedModelCall.lone = {call_column.STAND_IN}"
"""Whether a span is one of those that stand for their traces if nothing of these counts."""
IS_FIRST: Final = "LoggedModelCall.first"
"""Whether the trace of a span may lack its beginning: every such trace has such a span, and few others have."""

# A span cannot count without this. It is looked at before anything else is worked out.
_MAY_COUNT: Final = (
    f"LoggedModelRole IN ('entry', 'build') OR LoggedModelRole IN ('none', 'span') AND ({sql.HAS_ERROR_STATUS}"
    f" OR has(`Events.Name`, '{EXCEPTION_EVENT}') OR {sql.may_say()})"
)
_NAMES: Final = ", ".join(name for name, *_ in _COLUMNS)
_EXPRESSIONS: Final = ", ".join(name if name == value else f"{value} AS {name}" for name, _, value in _COLUMNS)
QUARTER_SECONDS: Final = 900
# In every time zone, days begin with a quarter of an hour. So nothing that stands for a trace is deleted with a day
# although later spans of the trace stay.
_GROUP: Final = f"cityHash64(LoggedModelId, TraceId, intDiv(toUnixTimestamp(Timestamp), {QUARTER_SECONDS}))"


def as_read(source: str) -> str:
    """The rows of the table and some more, worked out from spans, as SQL. Columns that nobody asks for cost nothing.

    Args:
        source: The table of spans, or a query that has all its columns and ours.
    """
    return f"{WORKED_OUT} " + _copied(source, "LoggedModelRole = 'span'")


def rows(source: str) -> str:
    """The rows of the table, as SQL; see `as_read`.

    Args:
        source: What was inserted, or the spans of whole quarters of an hour. It is read twice, the first time only for
            the keys of what may stand for traces, which take little memory whatever spans carry. In a view, ClickHouse
            reads what was inserted both times (tried with 24.5, 24.8, 25.5 and 26.9).
    """
    firsts = (
        f"SELECT {_GROUP} AS key, min(Timestamp) FROM {source} WHERE LoggedModelRole IN ('span', 'entry')"
        f" GROUP BY key HAVING NOT max({IS_ENTRY})"
    )
    spans = _copied(source, f"LoggedModelRole = 'span' AND ({_GROUP}, Timestamp) IN ({firsts})")
    return f"SELECT {_NAMES} FROM ({spans}) WHERE {COUNTS}"


def _copied(source: str, is_first: str) -> str:
    return (
        f"SELECT {_EXPRESSIONS}, {is_first} AS {call_column.IS_FIRST} FROM {source}"
        f" WHERE {_MAY_COUNT} OR {call_column.IS_FIRST}"
    )


@dataclass(frozen=True)
class State:
    """How much of a table of what counts is there.

    Attributes:
        is_fed: Whether it is of this release, and a view feeds it.
        missing: The days that are not filled in, as the names of partitions, `20260131`.
        exists: Whether there is a table or a view at all.
    """

    is_fed: bool
    missing: tuple[str, ...] = ()
    exists: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether questions can be answered from it."""
        return self.is_fed and not self.missing


def state(database: Database) -> State:
    """How much of the table is there."""
    found = comments(database, TABLE, VIEW)
    mark, _, missing = found.get(TABLE, "").partition(_MISSING)
    is_fed = mark == _mark() and found.get(VIEW) == _mark()
    return State(is_fed, tuple(missing.split()) if is_fed else (), bool(found))


def making(database: Database, on_cluster: str = "", *, is_new: bool = False) -> Iterator[str]:
    """The statements that make the table and the view, where they are not there or are of another release.

    Nobody knows what was inserted while the view was not there, so the table is then made anew.

    Args:
        database: Where.
        on_cluster: ` ON CLUSTER ...`, or nothing.
        is_new: Whether the table of spans is made by the statements before.
    """
    there = state(database)
    if there.is_fed:
        return
    if there.exists:
        yield f"DROP TABLE IF EXISTS {VIEW}{on_cluster} SYNC"
        yield f"DROP TABLE IF EXISTS {TABLE}{on_cluster} SYNC"
    engine, expiry = ("MergeTree()", "") if is_new else of_spans(database)
    if on_cluster:
        engine = "ReplicatedMergeTree()"
    columns = ",\n    ".join(f"{name} {type_}" for name, type_, _ in _COLUMNS)
    yield f"""\
CREATE TABLE IF NOT EXISTS {TABLE}{on_cluster} (
    {columns},
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = {engine}
PARTITION BY toDate(Timestamp)
ORDER BY (LoggedModelId, toStartOfHour(Timestamp), TraceId){expiry}
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1
COMMENT {text(_comment(() if is_new else days(database)))}"""
    yield f"CREATE MATERIALIZED VIEW IF NOT EXISTS {VIEW}{on_cluster} TO {TABLE} AS\n{rows(SPANS)}\nCOMMENT '{_mark()}'"


def filling(source: str) -> str:
    """The statement that fills in a day, or a part of one.

    Args:
        source: The spans, as `rows` has it.
    """
    return f"INSERT INTO {TABLE} {rows(source)}"


def emptying(day: str, on_cluster: str = "") -> tuple[str, ...]:
    """The statements, if any, that empty a day before it is filled in.

    Today and yesterday are not emptied, as spans of these days may be on their way into both tables at this moment.
    What is filled in once more is a copy then.
    """
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    if day >= f"{yesterday:%Y%m%d}":
        return ()
    return (f"ALTER TABLE {TABLE}{on_cluster} DROP PARTITION ID {text(day)}",)


def refilling(
    day: str, sources: Iterable[str], left: Sequence[str], on_cluster: str = "", *, is_torn: bool = True
) -> Iterator[str]:
    """The statements that fill in a day, and say that it is no longer missing.

    Args:
        day: The name of its partition.
        sources: Its spans, in parts, each as `rows` has it.
        left: The days that are still missing after that.
        on_cluster: ` ON CLUSTER ...`, or nothing.
        is_torn: Whether a part of the day may be filled in already.
    """
    if is_torn:
        yield from emptying(day, on_cluster)
    for source in sources:
        yield filling(source)
    yield remembering(left, on_cluster)


def remembering(missing: Sequence[str], on_cluster: str = "") -> str:
    """The statement that says which days are missing."""
    return f"ALTER TABLE {TABLE}{on_cluster} MODIFY COMMENT {text(_comment(missing))}"


def days(database: Database) -> tuple[str, ...]:
    """The days of which there are spans, as the names of partitions."""
    found = database.query(f"SELECT DISTINCT _partition_id AS day FROM {SPANS} ORDER BY day")
    return tuple(row["day"] for row in found)


def of_spans(database: Database) -> tuple[str, str]:
    """The kind of engine that the table of spans has, and when its rows expire."""
    (row,) = database.query(
        "SELECT engine, engine_full FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
        {"table": SPANS},
    )
    expiry = re.search(r" TTL (toDateTime\(Timestamp\) \+ to\w+\(\d+\))", row["engine_full"])
    engine = "ReplicatedMergeTree()" if row["engine"].startswith("Replicated") else "MergeTree()"
    return engine, f"\nTTL {expiry[1]}" if expiry else ""


def _comment(missing: Sequence[str]) -> str:
    return _mark() + (_MISSING + " ".join(missing) if missing else "")


def _mark() -> str:
    return f"{_COMMENT} {_DIGEST}"


_DIGEST: Final = hashlib.sha256(repr((_COLUMNS, rows(SPANS))).encode()).hexdigest()[:16]
