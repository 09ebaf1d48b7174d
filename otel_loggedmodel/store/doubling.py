# SPDX-License-Identifier: Apache-2.0
"""Calls that are traces of their own although another trace has them, too: a second instrumentation states them.

If the span of the outer instrumentation is not the current one, the inner instrumentation begins a trace of its own,
and its calls would count as further traces. Two calls are one if they are of one version, by different
instrumentations, and one of these holds:

- they have the same response id, and some time in common;
- they are of one model, have the same tokens as far as both say them, or both failed, and the middle of the shorter is
  within the time of the longer.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from otel_loggedmodel.store import adding
from otel_loggedmodel.store.call_column import ALONE_BIT, FAILED_BIT
from otel_loggedmodel.store.counted import COUNTS
from otel_loggedmodel.store.schema import call
from otel_loggedmodel.store.span_times import END, START

if TYPE_CHECKING:
    from otel_loggedmodel.store.scope import Query, Scope

# Calls are looked for among those of the same five minutes, and a long one among those of the next two hours.
_PART_NS: Final = 300 * 10**9
_MOST_PARTS: Final = 24


def moves(scope: "Scope") -> "Query":
    """One row for each trace that is such a call: `copy`, and `home`, the trace that has the call, both as hashes."""
    version, spans = scope.version, scope.spans
    calls = f"""
        SELECT toString({version.sql}) AS version, {call("trace")} AS trace, {call("span")} AS id, {START} AS start,
            {END} AS end, {call("response")} AS response,
            bitAnd({call("origin")}, 65535) AS model, bitShiftRight({call("origin")}, 16) AS scope,
            {call("input")} AS input, {call("output")} AS output, bitTest({call("usage")}, {ALONE_BIT}) AS is_alone,
            bitTest({call("usage")}, {FAILED_BIT}) AS failed
        FROM {scope.source}
        WHERE {spans.sql} AND {COUNTS} AND toUInt8({call("kind")}) IN {adding.CALLS_SQL}"""
    is_other = """\
one.trace != other.trace AND one.scope != other.scope
                AND (NOT other.is_alone OR (other.start, -other.end, other.id) < (one.start, -one.end, one.id))"""
    by_response = f"""
            SELECT one.trace AS copy, other.trace AS home, other.is_alone AS is_alone, other.end - other.start AS took
            FROM ({calls} AND bitTest({call("usage")}, {ALONE_BIT}) AND {call("response")} != 0) AS one
            JOIN ({calls} AND {call("response")} != 0) AS other
            ON one.version = other.version AND one.response = other.response
            WHERE {is_other} AND one.start <= other.end AND other.start <= one.end"""
    by_time = f"""
            SELECT one.trace AS copy, other.trace AS home, other.is_alone AS is_alone, other.end - other.start AS took
            FROM (
                SELECT *, intDiv(start, {_PART_NS}) AS part FROM ({calls} AND bitTest({call("usage")}, {ALONE_BIT}))
            ) AS one
            JOIN (
                SELECT *, arrayJoin(range(toUInt64(intDiv(start, {_PART_NS})),
                    toUInt64(least(intDiv(end, {_PART_NS}), intDiv(start, {_PART_NS}) + {_MOST_PARTS})) + 1)) AS part
                FROM ({calls})
            ) AS other
            ON one.version = other.version AND one.model = other.model AND one.output = other.output
                AND one.failed = other.failed AND one.part = other.part
            WHERE {is_other} AND intDiv(one.start + one.end, 2) BETWEEN other.start AND other.end
                AND other.end - other.start >= one.end - one.start AND (one.input + one.output > 0 OR one.failed)
                AND (one.input = other.input OR one.output > 0 AND (one.input = 0 OR other.input = 0))"""
    sql = f"""
        SELECT copy, argMax(home, (NOT is_alone, took)) AS home
        FROM ({by_response} UNION ALL {by_time})
        GROUP BY copy"""
    return replace(version, sql=sql, parameters={**version.parameters, **spans.parameters})


def combined(found: Mapping[int, int]) -> "Query":
    """Known moves as a constant of two arrays, to stand in another query."""
    from otel_loggedmodel.store.scope import Query

    arrays = "tuple({moved:Array(UInt64)}, {homes:Array(UInt64)})"
    return Query(arrays, {"moved": list(found), "homes": list(found.values())})


def as_arrays(query: "Query") -> "Query":
    """The moves that a query finds, as a constant of two arrays, to stand in another query."""
    return replace(query, sql=f"(SELECT (groupArray(copy), groupArray(home)) FROM ({query.sql}))")
