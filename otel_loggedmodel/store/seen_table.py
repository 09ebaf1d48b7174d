# SPDX-License-Identifier: Apache-2.0
"""The table of what was seen: one row for each version, service and day, which lists are ordered and filled from.

A second view makes it from what is inserted into the table of what counts (`counted`), whoever inserts. What is read
from it is a least or greatest value, or a set. So spans that are stored twice change nothing, and neither does a day
that is filled in twice. Numbers of traces are not in it, as sums would count copies.

Where it is missing, or is not filled in yet, questions read the table of what counts instead.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final

from otel_loggedmodel.store import counted
from otel_loggedmodel.store.counted import IS_ENTRY
from otel_loggedmodel.store.database import Database, comments, text
from otel_loggedmodel.store.span_times import IS_BROKEN

TABLE: Final = f"{counted.SPANS}_seen"
VIEW: Final = f"{TABLE}_mv"

WEIGHT: Final = "Spans * cityHash64(Day, ServiceName)"
"""Of a row, as SQL. The sum over the rows of a version changes when a span is inserted that counts for it."""
_UNFILLED: Final = " unfilled"
_IS_CALL: Final = "LoggedModelCall.llm != ''"

# Name, type, and how the column follows from the spans that count. ClickHouse analyses this at each insert, so it is
# short. What is of entry spans is NULL where there is none.
_COLUMNS: Final[Sequence[tuple[str, str, str]]] = (
    ("First", "SimpleAggregateFunction(min, DateTime64(9))", "min(Timestamp)"),
    ("Last", "SimpleAggregateFunction(max, DateTime64(9))", "max(Timestamp)"),
    (
        "FirstEntry",
        "SimpleAggregateFunction(min, Nullable(DateTime64(9)))",
        f"minIf(toNullable(Timestamp), {IS_ENTRY})",
    ),
    (
        "LastEntry",
        "SimpleAggregateFunction(max, Nullable(DateTime64(9)))",
        f"maxIf(toNullable(Timestamp), {IS_ENTRY})",
    ),
    # How often a span was inserted, copies included. It only tells that something has changed.
    ("Spans", "SimpleAggregateFunction(sum, UInt64)", "count()"),
    # Whether a trace may stand for several, or end before it began.
    (
        "IsOdd",
        "SimpleAggregateFunction(max, UInt8)",
        f"max({IS_ENTRY} AND (notEmpty(LoggedModelSampling) OR position(TraceState, 'th:') > 0 OR {IS_BROKEN}))",
    ),
    # Whether a version is known by it: not by what builds something, or by notifications.
    ("IsUse", "SimpleAggregateFunction(max, UInt8)", "max(LoggedModelRole != 'build')"),
    ("Name", "SimpleAggregateFunction(max, String)", "max(LoggedModelName)"),
    # What calls of models say, and which instrumentations state them.
    ("Usage", "SimpleAggregateFunction(groupBitOr, UInt8)", f"groupBitOrIf(LoggedModelCall.usage, {_IS_CALL})"),
    (
        "Scopes",
        "SimpleAggregateFunction(groupUniqArrayArray, Array(UInt32))",
        f"groupUniqArrayIf(bitShiftRight(LoggedModelCall.origin, 16), {_IS_CALL})",
    ),
)


def rows(source: str) -> str:
    """The rows of the table, as SQL.

    Args:
        source: What counts, as it stands after FROM.
    """
    columns = ", ".join(f"{expression} AS {name}" for name, _, expression in _COLUMNS)
    return (
        f"SELECT toDate(Timestamp) AS Day, LoggedModelId, ServiceName, {columns}"
        f" FROM {source} GROUP BY Day, LoggedModelId, ServiceName"
    )


def is_whole(database: Database) -> bool:
    """Whether questions can be answered from it."""
    return comments(database, TABLE, VIEW) == {TABLE: _MARK, VIEW: _MARK}


def is_missing(database: Database) -> bool:
    """Whether there is a table that is fed, and that has to be filled in."""
    return comments(database, TABLE, VIEW) == {TABLE: _MARK + _UNFILLED, VIEW: _MARK}


def unmaking(on_cluster: str = "") -> Iterator[str]:
    """The statements that take it away; this comes before the table of what counts is made anew."""
    yield f"DROP TABLE IF EXISTS {VIEW}{on_cluster} SYNC"
    yield f"DROP TABLE IF EXISTS {TABLE}{on_cluster} SYNC"


def making(database: Database, on_cluster: str = "", *, is_new: bool = False, is_anew: bool = False) -> Iterator[str]:
    """The statements that make the table and the view, where they are not there or are of another release.

    Args:
        database: Where.
        on_cluster: ` ON CLUSTER ...`, or nothing.
        is_new: Whether the table of spans is made by the statements before.
        is_anew: Whether the table of what counts is. It is filled in later, and this one with it.
    """
    there = comments(database, TABLE, VIEW)
    if not is_anew and there.get(TABLE, "").removesuffix(_UNFILLED) == _MARK and there.get(VIEW) == _MARK:
        return
    if there and not is_anew:
        yield from unmaking(on_cluster)
    engine, expiry = ("MergeTree()", "") if is_new else counted.of_spans(database)
    is_replicated = bool(on_cluster) or engine.startswith("Replicated")
    columns = ",\n    ".join(f"{name} {type_}" for name, type_, _ in _COLUMNS)
    # Rows of a day stay until the last span of that day has expired.
    expiry = expiry.replace("toDateTime(Timestamp)", "toDateTime(Day) + toIntervalDay(1)")
    yield f"""\
CREATE TABLE IF NOT EXISTS {TABLE}{on_cluster} (
    Day Date,
    LoggedModelId LowCardinality(String),
    ServiceName LowCardinality(String),
    {columns},
    INDEX idx_last_entry LastEntry TYPE minmax GRANULARITY 1
) ENGINE = {"Replicated" if is_replicated else ""}AggregatingMergeTree()
PARTITION BY Day
ORDER BY (LoggedModelId, ServiceName){expiry}
SETTINGS index_granularity = 8192, ttl_only_drop_parts = 1
COMMENT {text(_MARK if is_anew else _MARK + _UNFILLED)}"""
    yield (
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {VIEW}{on_cluster} TO {TABLE} AS\n{rows(counted.TABLE)}"
        f"\nCOMMENT {text(_MARK)}"
    )


def filling(database: Database, on_cluster: str = "") -> Iterator[str]:
    """The statements that fill it in from the table of what counts, a day at a time; a second time does no harm."""
    days = database.query(f"SELECT DISTINCT _partition_id AS day FROM {counted.TABLE} ORDER BY day")
    for row in days:
        of_day = f"{counted.TABLE} WHERE _partition_id = {text(row['day'])}"
        yield f"INSERT INTO {TABLE} {rows(of_day)}"
    yield f"ALTER TABLE {TABLE}{on_cluster} MODIFY COMMENT {text(_MARK)}"


def forgetting(on_cluster: str = "") -> str:
    """The statement that says that it has to be filled in."""
    return f"ALTER TABLE {TABLE}{on_cluster} MODIFY COMMENT {text(_MARK + _UNFILLED)}"


_DIGEST: Final = hashlib.sha256(repr(_COLUMNS).encode()).hexdigest()[:16]
_MARK: Final = f"otel-loggedmodel {_DIGEST}"
