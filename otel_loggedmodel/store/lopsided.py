# SPDX-License-Identifier: Apache-2.0
"""Means that one unit makes nearly alone: which trace it is, and the winsorised means, which do not depend on it.

A winsorised mean takes each of the largest 1 % of the units, and at least one, for the largest of the others (Tukey,
1962, "The future of data analysis"). It stands beside the mean, and no rule names it: what it limits values to depends
on the very values, so that its interval is no better known than the mean's. Quantiles are robust and have one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from otel_loggedmodel.store import measuring, samples, statistics
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.design import Design
from otel_loggedmodel.store.scope import Query, Scope

if TYPE_CHECKING:
    from otel_loggedmodel.store.comparing import Measurement

# From this part of a sum on, one unit says more of the mean than all others.
LEAST: Final = 0.5
_LARGEST: Final = 0.01
_WHAT: Final = {"latencies": "latency", "costs": "cost", "inputs": "input tokens"}


def notes(database: Database, scope: Scope, measured: "Measurement") -> Iterator[str]:
    """A note on each sum that is that of one unit, more or less.

    Args:
        database: Where.
        scope: Which versions, and which of their traces.
        measured: Their numbers.
    """
    names = {version.model_id: version.name or version.model_id for version in measured.versions}
    for values, what in _WHAT.items():
        parts = measured.largest_parts(values)
        found = [model_id for model_id, part in parts.items() if part > LEAST]
        if not found:
            continue
        # Units and weights of all versions; strata make no difference to one version.
        design = replace(measured.design, strata={}, by="")
        settings = measuring.BOUNDED if design.is_large else None
        answered = measuring.answer(database, scope, _winsorised(values, design), settings=settings)
        rows = {row["version"]: row for row in answered}
        means = " and ".join(
            f"{_plain(rows[model_id]['mean'])}{' ms' if values == 'latencies' else ''} in {name}"
            for model_id, name in names.items()
            if model_id in rows
        )
        for model_id in found:
            yield (
                f"One {measured.unit} of {names[model_id]} is {100 * parts[model_id]:.0f} % of the sum of its {what}"
                f" (trace {_trace(database, scope, rows[model_id])}): the mean says little of the others. Winsorised"
                f" means, which limit the largest 1 %, are {means}. Medians and other quantiles do not depend on it."
            )


def _plain(number: float) -> str:
    return f"{number:.4g}" if number < 1000 else f"{number:,.0f}"


def largest_part(row: samples.Row, values: str) -> float:
    """Which part of a sum is that of the largest unit; 0 where there are too few units to tell."""
    moments = row["moments"][values]
    return moments.largest / moments.y if moments.units >= statistics.MIN_SAMPLES and moments.y > 0 else 0.0


def _winsorised(values: str, design: Design) -> Any:
    place = samples.VALUES.index(values) + 1
    x, y = f"parts[{place}]", f"parts[{place + len(samples.VALUES)}]"

    def build(traces: Query) -> Query:
        found = samples.values(traces, design)
        return Query(
            f"""
            WITH arrayReverseSort(groupArray(of_y)) AS sorted
            SELECT version, sorted[least(toUInt64(ceil(length(sorted) * {_LARGEST})) + 1, length(sorted))] AS most,
                arraySum(arrayMap(one -> least(one, most), sorted)) / sum(of_x) AS mean,
                argMax(largest, of_y) AS trace, sum(is_entangled) AS entangled
            FROM (
                SELECT version, unit, sum(weight * {x}) AS of_x, sum(weight * {y}) AS of_y,
                    argMax(trace, {y}) AS largest, max(counts[-1]) AS is_entangled
                FROM ({found.sql}) GROUP BY version, unit HAVING of_x > 0
            )
            GROUP BY version""",
            found.parameters,
        )

    return build


def _trace(database: Database, scope: Scope, row: Mapping[str, Any]) -> str:
    found = database.query(
        f"SELECT TraceId FROM {scope.source} WHERE {scope.spans.sql} AND {scope.trace} = {{largest:UInt64}} LIMIT 1",
        {**scope.spans.parameters, "largest": row["trace"]},
    )
    return str(found[0]["TraceId"]) if found else "unknown"
