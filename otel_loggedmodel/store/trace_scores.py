# SPDX-License-Identifier: Apache-2.0
"""The scores of traces, as SQL: what lists show of them, what they are found by, and what they are ordered by."""

from typing import Final

from otel_loggedmodel.store.scope import Query, Scope
from otel_loggedmodel.store.scores import results

# What was said again counts as it was said last: by a person of a span, or as an assessment that has an id. Any other
# result stands for itself.
_SAID_BY: Final = (
    "multiIf(source = 'human', cityHash64('human', source_id), assessment != '', cityHash64('assessment', assessment),"
    " cityHash64(at, source, scorer, run, value))"
)


def means(scope: Scope) -> Query:
    """One row for each trace and evaluation: `TraceId`, `name` and `mean`.

    Args:
        scope: Which versions; with a selection of traces, only results on these count.
    """
    found = results(scope, with_missing=True)
    return Query(
        f"""
        SELECT TraceId, name, avg(assumeNotNull(newest)) AS mean
        FROM (
            -- What was withdrawn is newest, too, and has no value. In a tuple, it is not passed over.
            SELECT TraceId, name, argMax(tuple(value), at).1 AS newest
            FROM ({found.sql})
            GROUP BY TraceId, name, judged, {_SAID_BY}
        )
        WHERE newest IS NOT NULL
        GROUP BY TraceId, name""",
        found.parameters,
    )
