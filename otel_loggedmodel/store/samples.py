# SPDX-License-Identifier: Apache-2.0
"""What there is of the traces of each version: sums, quantiles, and tests against the first version.

Every value is read, sorted and tested in ClickHouse; a few dozen numbers come out of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from otel_loggedmodel.store import measuring, statistics
from otel_loggedmodel.store.adding import UNKNOWN_COST
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.measuring import Query, Scope

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}
VALUES: Final = ("latencies", "inputs", "outputs", "costs", "failures", "chunks")
# What is counted over the traces of a version.
_SUMMED: Final = (
    *("input", "output", "cache_read", "cache_write", "reasoning", "cost", "said", "priced", "unpriced"),
    *("unsaid", "unsaid_embeddings", "uncached", "uncosted", "mute"),
    *("odd", "calls", "failed_calls", "tool_calls", "doubled"),
)
_COUNTS: Final = {
    "traces": "length(entries)",
    "errors": "arrayCount(entries.failed)",
    "cut_off": "arrayCount(entries.cut_off)",
    **{name: name for name in _SUMMED},
    # Of traces of which all is known.
    "said_traces": "if(unsaid = 0, length(entries), 0)",
    "said_input": "if(unsaid = 0, input, 0)",
    "said_output": "if(unsaid = 0, output, 0)",
    "priced_traces": f"if({UNKNOWN_COST} = 0, length(entries), 0)",
    "priced_cost": f"if({UNKNOWN_COST} = 0, cost, 0)",
    "turns": "if(conversation = 0, 0, length(entries))",
    "turns_cost": "if(conversation = 0, 0, cost)",
    "turns_ns": "if(conversation = 0, 0, arraySum(entries.end) - arraySum(entries.start))",
}

Row = Mapping[str, Any]


def rows(database: Database, scope: Scope, model_ids: Sequence[str]) -> dict[str, Row]:
    """One row for each version that has traces, by its id.

    Args:
        database: Where.
        scope: Which of their traces.
        model_ids: The versions, in order.
    """
    found = measuring.answer(database, scope, lambda traces: _measured(traces, model_ids))
    return {row["version"]: _named(row) for row in found}


def _named(row: Row) -> Row:
    """A row with its counts and tests by name: naming them in SQL takes ClickHouse longer than all the rest."""
    return {
        **row,
        **{name: _number(name, total) for name, total in zip(_COUNTS, row["counts"][: len(_COUNTS)], strict=True)},
        **{f"welch_{name}": test for name, test in zip(VALUES, row["welch"], strict=True)},
    }


def _number(name: str, total: float) -> float:
    return total if "cost" in name else round(total)


def _measured(traces: Query, model_ids: Sequence[str]) -> Query:
    """One row for each version, with the tests of its values against those of the first version that has traces."""
    names = ", ".join(VALUES)
    counts = [*_COUNTS.values(), "is_entangled"]
    sql = f"""
        -- The first version is tested against nothing.
        SELECT row.1 AS version, row.2 AS counts, row.8 AS conversations, row.3 AS own,
            row.4 AS quantiles, row.5 AS mean,
            row.6 AS chunk_quantiles, row.7 AS chunk_mean,
            arrayResize(rows[if(place = 1, 0, 1)].3, length(own)) AS base
        FROM (
            SELECT arraySort(row -> indexOf({{model_ids:Array(String)}}, row.1),
                groupArray((version, counts, all_values, quantiles, mean, chunk_quantiles, chunk_mean,
                    conversations))) AS rows
            FROM (
                SELECT version, counts, conversations, [{names}] AS all_values, {_quantiles("latencies")} AS quantiles,
                    arrayAvg(latencies) AS mean, {_quantiles("chunks")} AS chunk_quantiles,
                    arrayAvg(chunks) AS chunk_mean
                FROM (
                    SELECT toString(version) AS version,
                        arraySort(groupArrayArray(arrayMap((start, end) -> (end - start) / 1e6,
                            entries.start, entries.end))) AS latencies,
                        groupArrayIf(input / length(entries), unsaid = 0) AS inputs,
                        groupArrayIf(output / length(entries), unsaid = 0) AS outputs,
                        groupArrayIf(cost / length(entries), {UNKNOWN_COST} = 0) AS costs,
                        groupArray(failed_calls / length(entries)) AS failures,
                        arraySort(groupArrayArray(arrayMap(one -> one * 1000., traces.chunks))) AS chunks,
                        sumForEach([{", ".join(f"toFloat64({one})" for one in counts)}]) AS counts,
                        uniqExactIf(conversation, conversation != 0) AS conversations
                    FROM ({traces.sql}) AS traces
                    GROUP BY version
                )
            )
        )
        ARRAY JOIN rows AS row, arrayEnumerate(rows) AS place"""
    for step in (_VARY, f"{_WELCH}, {_RANK} AS ranks"):
        sql = f"SELECT {step} FROM ({sql})"
    sql = f"""
        SELECT version, counts, counts[{len(counts)}] AS entangled, conversations, welch,
            quantiles, mean, chunk_quantiles, chunk_mean, length(own[{VALUES.index("chunks") + 1}]) AS chunks,
            ranks[1] AS rank_latencies, ranks[2] AS rank_chunks
        FROM ({sql})"""
    return Query(sql, {**traces.parameters, "model_ids": list(model_ids)})


def _quantiles(values: str) -> str:
    """Quantiles of a sorted array, interpolated as NumPy does, and their confidence limits.

    The limits are order statistics, by the normal approximation to the binomial distribution of their ranks (Conover,
    "Practical Nonparametric Statistics"); where there is no such rank, there is no limit.
    """
    position = f"level * (length({values}) - 1)"
    spread = f"{statistics.Z} * sqrt(length({values}) * (level * (1 - level)))"
    low = f"ceil(length({values}) * level - {spread})"
    high = f"ceil(length({values}) * level + {spread})"
    below = f"{values}[toUInt64(floor({position})) + 1]"
    above = f"{values}[toUInt64(ceil({position})) + 1]"
    return (
        f"arrayMap(level -> ({below} + ({above} - {below}) * ({position} - floor({position})),"
        f" if({low} >= 1, {values}[toInt64(greatest({low}, 1))], NULL),"
        f" if({high} <= length({values}), {values}[toInt64({high})], NULL)), {list(QUANTILES.values())})"
    )


# Tests of pairs of arrays, which are in the arrays `base` and `own`. One lambda for all pairs: how long ClickHouse
# takes to analyse a query grows with the number of columns that its outer parts name, times the size of its inner ones.
#
# NaN where there is nothing to test: too few values, or all the same. ClickHouse works out both sides of an `if`, and
# its tests raise errors on such values, so they get others then.
_VARY: Final = """\
*, arrayMap((before, after) -> length(before) > 1 AND length(after) > 1
    AND (arrayMin(before) < arrayMax(before) OR arrayMin(after) < arrayMax(after)), base, own) AS vary"""
_PAIR: Final = """\
if(varies, arrayConcat(before, after), [0., 1., 0., 1.]),
if(varies, arrayResize(arrayWithConstant(length(before), 0), length(before) + length(after), 1), [0, 0, 1, 1])"""
_WELCH: Final = f"""\
*, arrayMap((before, after, varies) -> tupleConcat(
    if(varies, arrayReduce('welchTTest({statistics.CONFIDENCE})', {_PAIR}), (nan, nan, nan, nan)),
    (arrayAvg(before), arrayAvg(after))), base, own, vary) AS welch"""
_RANK: Final = f"""\
arrayMap((before, after, varies) ->
    if(varies, arrayReduce('mannWhitneyUTest(\\'two-sided\\')', {_PAIR}), (nan, nan)),
    [base[1], base[6]], [own[1], own[6]], [vary[1], vary[6]])"""
