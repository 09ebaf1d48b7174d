# SPDX-License-Identifier: Apache-2.0
"""What is said of traces of production, over the independent units that they are, each as often as it stands for.

A score of a trace is one of its conversation where traces are of conversations, and counts as often as its trace does
where samplers left others out: else a scorer that judges what a sampler kept of the errors would judge mostly errors.
Rows of data sets are independent by themselves, and no sampler chose them.
"""

from collections.abc import Mapping

from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.design import Design
from otel_loggedmodel.store.estimates import Moments
from otel_loggedmodel.store.schema import call
from otel_loggedmodel.store.scope import Query, Scope
from otel_loggedmodel.store.scores import of_production

Key = tuple[str, str, str, str]


def moments(database: Database, scope: Scope, design: Design) -> Mapping[Key, Moments]:
    """Sums over units of what is said of traces of production, by version, name, source and scorer.

    Args:
        database: Where.
        scope: Of which versions.
        design: What is independent, and how often each trace counts.
    """
    units = units_of(scope, design)
    said = of_production(scope)
    rows = database.query(
        f"""
        SELECT version, name, source, scorer, sum(of_x) AS x, sum(of_y) AS y, sum(of_x * of_x) AS xx,
            sum(of_x * of_y) AS xy, sum(of_y * of_y) AS yy, count() AS units, max(of_y) AS largest,
            countIf(of_y != 0) AS hits
        FROM (
            SELECT version, name, source, scorer, if(unit = 0, trace, unit) AS own,
                sum(if(weight > 0, weight, 1.)) AS of_x, sum(if(weight > 0, weight, 1.) * value) AS of_y
            FROM (SELECT * FROM ({said.sql}) AS said LEFT JOIN ({units.sql}) AS units USING (trace))
            GROUP BY version, name, source, scorer, own
        )
        GROUP BY version, name, source, scorer""",
        {**said.parameters, **units.parameters},
    )
    names = ("x", "y", "xx", "xy", "yy", "units", "largest", "hits")
    return {
        (row["version"], row["name"], row["source"], row["scorer"]): Moments(*(row[name] for name in names))
        for row in rows
    }


def units_of(scope: Scope, design: Design) -> Query:
    """The `trace` of each entry span, a hash, its `unit` and `weight`."""
    spans, entry = scope.spans, scope.entry
    traces = f"""
            SELECT {call("trace")} AS trace, max({call("conversation")}) AS conversation
            FROM {scope.columns.counted} WHERE {spans.sql} AND {entry.sql} GROUP BY trace"""
    if design.marks.sql:
        traces = f"SELECT * FROM ({traces}) AS traces LEFT JOIN ({design.marks.sql}) AS marks USING (trace)"
    return Query(
        f"SELECT trace, {design.unit} AS unit, {design.weight} AS weight FROM ({traces})",
        {**spans.parameters, **entry.parameters, **design.marks.parameters},
    )
