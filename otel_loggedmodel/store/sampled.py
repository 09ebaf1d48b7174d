# SPDX-License-Identifier: Apache-2.0
"""How often each trace counts in lists, trends and charts, so that they say what a comparison says.

Mostly each counts once, which one look at the entry spans tells. Where samplers say otherwise (`weights`), rates, means
and quantiles are Hajek's here, too. Spans that end before they begin have no latency.
"""

from dataclasses import dataclass
from typing import Any, Final

from otel_loggedmodel.store import samples, weights
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.design import SIMPLE, Design
from otel_loggedmodel.store.scope import Query, Scope
from otel_loggedmodel.store.span_times import IS_BROKEN

_NOTHING: Final = Query("")
_PLACES: Final = {level: place for place, level in enumerate(samples.QUANTILES.values(), 1)}


@dataclass(frozen=True)
class Sampled:
    """How often traces count.

    Attributes:
        weight: Of an entry span, as SQL over the spans of the scope.
        marks: The weight of each trace; no query where each counts once.
        broken: The traces with a span that ends before it begins; no query where there are none.
    """

    weight: str = "1."
    marks: Query = _NOTHING
    broken: Query = _NOTHING

    @property
    def design(self) -> Design:
        """The same for what is measured by a design."""
        return Design(weight="if(mark_weight > 0, mark_weight, 1.)", marks=self.marks) if self.marks.sql else SIMPLE

    def joined(self, traces: Query) -> Query:
        """The rows of `measuring.traces`, with `weight`, and `latencies` in ms."""
        latencies = "arrayMap((start, end) -> (end - start) / 1e6, entries.start, entries.end)"
        parameters: dict[str, Any] = dict(traces.parameters)
        if self.broken.sql:
            latencies = f"arrayFilter(one -> one > 0 OR trace NOT IN ({self.broken.sql}), {latencies})"
            parameters.update(self.broken.parameters)
        if not self.marks.sql:
            return Query(f"SELECT *, 1. AS weight, {latencies} AS latencies FROM ({traces.sql})", parameters)
        return Query(
            f"SELECT *, if(mark_weight > 0, mark_weight, 1.) AS weight, {latencies} AS latencies"
            f" FROM ({traces.sql}) AS traces LEFT JOIN ({self.marks.sql}) AS marks USING (trace)",
            {**parameters, **self.marks.parameters},
        )

    def gathered(self, *levels: float) -> str:
        """What has to be selected of groups of those rows for `with_quantiles`."""
        if self.marks.sql:
            return "arraySort(groupArrayArray(arrayMap(one -> (one, weight), latencies))) AS sorted_latencies"
        return f"quantilesExactInclusiveArray({', '.join(map(str, levels))})(latencies) AS quantiles"

    def with_quantiles(self, rows: str, *levels: float) -> str:
        """Rows that have what was gathered, with `quantiles` of their latencies; NaN where there are none."""
        if not self.marks.sql:
            return rows
        rows = f"SELECT *, arrayCumSum(one -> one.2, sorted_latencies) AS cumulated_latencies FROM ({rows})"
        found = ", ".join(f"if(empty(sorted_latencies), nan, points[{_PLACES[level]}].2)" for level in levels)
        return (
            f"SELECT * EXCEPT (sorted_latencies, cumulated_latencies, points), [{found}] AS quantiles"
            f" FROM (SELECT *, {samples.points('latencies')} AS points FROM ({rows}))"
        )


def looked_at(database: Database, scope: Scope) -> Sampled:
    """How often the traces of a scope count."""
    spans, entry = scope.spans, scope.entry
    parameters = {**spans.parameters, **entry.parameters}
    where = f"FROM {scope.source} WHERE {spans.sql} AND {entry.sql}"
    # Mostly there is nothing, which the sizes of maps tell sooner than their keys.
    (row,) = database.query(
        f"SELECT max(notEmpty(LoggedModelSampling)) AS is_said, max({weights.HAS_STATE}) AS is_stated,"
        f" max({IS_BROKEN}) AS is_broken {where}",
        parameters,
    )
    ways = frozenset(
        [
            *(weights.said_attributes(database, scope) if row["is_said"] else ()),
            *([weights.STATE] if row["is_stated"] else []),
        ]
    )
    broken = Query(f"SELECT {scope.trace} {where} AND {IS_BROKEN}", parameters) if row["is_broken"] else Query("")
    if not ways:
        return Sampled(broken=broken)
    failed = f"{scope.trace} IN ({weights.failed_traces(scope)})" if weights.PERCENT in ways else "0"
    said = weights.weight_sql(scope, ways, failed)
    marks = f"SELECT {scope.trace} AS trace, argMin({said}, Timestamp) AS mark_weight {where} GROUP BY trace"
    return Sampled(f"if({said} > 0, {said}, 1.)", Query(marks, parameters), broken)
