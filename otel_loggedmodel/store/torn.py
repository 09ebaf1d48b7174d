# SPDX-License-Identifier: Apache-2.0
"""Runs of which every step is a trace of its own, as an instrumentation starts each span without a parent.

Nothing but time tells which steps are one run: what is within the time of a longer step, of one version,
instrumentation and service, is of that step's trace. Where runs overlap in time, a shorter one is taken for a part of a
longer one; a note says so.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_loggedmodel.conventions.scopes import WITHOUT_PARENTS
from otel_loggedmodel.store.conventions_sql import literal, one_of
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.schema import call

if TYPE_CHECKING:
    from otel_loggedmodel.store.measuring import Scope

# Of more steps it is not looked up which belong together.
_MOST_STEPS: Final = 200_000
_SCOPES: Final = ", ".join(f"modulo(cityHash64({literal(name)}), 65536)" for name in WITHOUT_PARENTS)
IS_TORN: Final = f"bitShiftRight({call('origin')}, 16) IN ({_SCOPES})"
"""Whether a call may be of such a run, by the hash of its instrumentation's name."""


def moves(database: Database, scope: "Scope") -> dict[int, int]:
    """The trace that a step belongs to, by the trace that it is, both as hashes."""
    version, spans = scope.version, scope.spans
    start = "toUnixTimestamp64Nano(Timestamp)"
    rows = database.query(
        f"""
        SELECT toString({version.sql}) AS version, ScopeName, ServiceName, {call("trace")} AS trace, {start} AS start,
            {start} + greatest(0, toInt64(Duration)) AS end
        FROM {scope.columns.spans}
        WHERE {spans.sql} AND {call("trace")} != 0 AND ParentSpanId = '' AND {one_of("ScopeName", WITHOUT_PARENTS)}
        ORDER BY version, ScopeName, ServiceName, start, end DESC, trace LIMIT {_MOST_STEPS + 1}""",
        {**version.parameters, **spans.parameters},
    )
    return {} if len(rows) > _MOST_STEPS else dict(_within(rows))


def _within(rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[int, int]]:
    outer: Mapping[str, Any] | None = None
    for row in rows:
        is_alike = outer is not None and all(
            outer[what] == row[what] for what in ("version", "ScopeName", "ServiceName")
        )
        if outer is None or not is_alike or row["end"] > outer["end"]:
            outer = row
        elif row["trace"] != outer["trace"]:
            yield row["trace"], outer["trace"]


def followed(moved: Mapping[int, int]) -> dict[int, int]:
    """The same where one that is moved is moved to one that is moved itself."""
    found = {}
    for trace, first in moved.items():
        seen, home = {trace}, first
        while home in moved and home not in seen:
            seen.add(home)
            home = moved[home]
        if home not in seen:
            found[trace] = home
    return found
