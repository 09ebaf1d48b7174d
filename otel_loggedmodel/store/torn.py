# SPDX-License-Identifier: Apache-2.0
"""Runs whose steps are traces of their own, as an instrumentation starts spans without a parent.

Only time tells which steps belong to one run, among those of one version, instrumentation and service. If every step is
a trace, a step within the time of a longer step belongs to that step's trace. If HTTP requests are traces, a request
within the time of a call of a model belongs to the call's trace. A tool that a child process asked for belongs to the
trace of the span by which that process waited for it. If runs overlap in time, a shorter one may be taken for a part of
a longer one; a note says so.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_loggedmodel.conventions.scopes import (
    REQUESTS_WITHOUT_PARENTS,
    SERVING_TOOLS,
    WAITING_FOR_TOOLS,
    WITHOUT_PARENTS,
)
from otel_loggedmodel.conventions.status import CLIENT_KINDS
from otel_loggedmodel.conventions.things import Kind
from otel_loggedmodel.store.adding import CALLS_SQL
from otel_loggedmodel.store.conventions_sql import KINDS, codes, one_of
from otel_loggedmodel.store.counted import COUNTS
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.entering import NO_PARENT
from otel_loggedmodel.store.schema import call
from otel_loggedmodel.store.span_times import END, START

if TYPE_CHECKING:
    from otel_loggedmodel.store.scope import Scope

# With more steps, nobody looks up which belong together.
_MOST_STEPS: Final = 200_000
SCOPES: Final = codes((*WITHOUT_PARENTS, *REQUESTS_WITHOUT_PARENTS, *WAITING_FOR_TOOLS))
"""The hashes of the names of instrumentations that tear runs apart, as the part `origin` has them, as SQL."""
_IS_ROOT: Final = f"{call('parent')} = {NO_PARENT}"
_KIND: Final = f"toUInt8({call('kind')})"
_OF_TOOL: Final = f"{_KIND} = {KINDS.index(Kind.TOOL) + 1}"
_WAITS: Final = f"{one_of('ScopeName', WAITING_FOR_TOOLS)} AND {_OF_TOOL}"
_IS_TOOL: Final = f"({_WAITS} OR {one_of('ScopeName', SERVING_TOOLS)} AND {_IS_ROOT} AND {_OF_TOOL})"
# A step; a call of a model and what may be its request; or a tool that runs, and who waits for it.
_IS_PART: Final = (
    f"({_IS_TOOL} OR {_IS_ROOT} AND {one_of('ScopeName', WITHOUT_PARENTS)} OR"
    f" {one_of('ScopeName', REQUESTS_WITHOUT_PARENTS)} AND ({_KIND} IN {CALLS_SQL}"
    f" OR {_IS_ROOT} AND {_KIND} = 0 AND {one_of('SpanKind', CLIENT_KINDS)}))"
)
IS_TORN: Final = f"bitShiftRight({call('origin')}, 16) IN ({SCOPES})"
"""Whether a call may be of such a run, by the hash of its instrumentation's name."""


def moves(database: Database, scope: "Scope") -> dict[int, int]:
    """The trace that a step belongs to, by the trace that it is, both as hashes."""
    version, spans = scope.version, scope.spans
    rows = database.query(
        f"""
        SELECT toString({version.sql}) AS version, if({_IS_TOOL}, 'tools', ScopeName) AS scope,
            if({_IS_TOOL}, '', ServiceName) AS service, {call("trace")} AS trace, {START} AS start, {END} AS end,
            {_IS_TOOL} OR {one_of("ScopeName", REQUESTS_WITHOUT_PARENTS)} AS is_asked,
            if({_IS_TOOL}, {_WAITS}, {_KIND} IN {CALLS_SQL}) AS is_call
        FROM {scope.source}
        WHERE {spans.sql} AND {COUNTS} AND {call("lone")} = 0 AND {_IS_PART}
        ORDER BY version, scope, service, start, end DESC, trace LIMIT {_MOST_STEPS + 1}""",
        {**version.parameters, **spans.parameters},
    )
    return {} if len(rows) > _MOST_STEPS else dict(_within(rows))


def _within(rows: Iterable[Mapping[str, Any]]) -> Iterable[tuple[int, int]]:
    """Each trace within the time of one before it, and that trace; what a call asked for only within that call's."""
    outer: Mapping[str, Any] | None = None
    for row in rows:
        is_alike = outer is not None and all(outer[what] == row[what] for what in ("version", "scope", "service"))
        is_inside = outer is not None and is_alike and row["end"] <= outer["end"]
        if row["is_asked"]:
            if row["is_call"]:
                outer = outer if is_inside else row
                continue
            if not is_inside:
                continue
        if outer is None or not is_inside:
            outer = row
        elif row["trace"] != outer["trace"]:
            yield row["trace"], outer["trace"]


def followed(moved: Mapping[int, int]) -> dict[int, int]:
    """The same moves, each to the end: if a trace moves to one that is moved itself, it goes where that one goes."""
    found = {}
    for trace, first in moved.items():
        seen, home = {trace}, first
        while home in moved and home not in seen:
            seen.add(home)
            home = moved[home]
        if home not in seen:
            found[trace] = home
    return found
