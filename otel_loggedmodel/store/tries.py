# SPDX-License-Identifier: Apache-2.0
"""What a row of a data set counts for that failed, or that was tried several times, where that is asked for.

A row that failed has no scores, so that a version which fails on the hard rows looks better than it is. With
`Selection.failed_rows` as `zero`, such a row counts as 0 for every scorer of its run.

With `Selection.pass_at` as `k`, scores that pass or fail are pass@k: how likely one of `k` tries passes. Of `n` tries
of a row of which `c` passed, the unbiased estimate is `1 - C(n - c, k) / C(n, k)` (Chen et al., 2021, "Evaluating large
language models trained on code", https://arxiv.org/abs/2107.03374).
"""

from collections.abc import Iterator, Mapping
from typing import Final

from otel_loggedmodel.attributes import CONVERSATION, EVALUATION_EXPLANATION
from otel_loggedmodel.store.conventions_sql import HAS_ERROR_STATUS
from otel_loggedmodel.store.scope import Query, Scope
from otel_loggedmodel.store.score_groups import Scores
from otel_loggedmodel.store.span_times import START

_PREFIX: Final = "logged_model.evaluation."
_COLUMNS: Final = (
    *("version", "TraceId", "judged", "at", "name", "value", "source", "source_id", "scorer", "dataset"),
    *("dataset_name", "row", "run", "run_name", "assessment", "row_group", "attributes"),
)
# Of a row that failed: nobody said it, and it is the same for each scorer of the run.
_OWN: Final = {
    "value": "toNullable(0.)",
    "source_id": "''",
    "assessment": "''",
    "attributes": (
        f"CAST(map('{EVALUATION_EXPLANATION}', concat('The row failed', if(message = '', '.', ': '), message)),"
        " 'Map(LowCardinality(String), String)')"
    ),
}
_OF_NEWEST: Final = ("TraceId", "judged", "dataset_name", "run_name", "row_group", "message")
_KIND: Final = {"name": 1, "source": 2, "scorer": 3}
# Of a scorer of conversations, what counts as 0 is the conversation whose turn failed.
_IS_WHOLE: Final = "kind.4 AND failure.row_group != ''"
_OF_CONVERSATION: Final = {
    "row": f"if({_IS_WHOLE}, failure.row_group, failure.row)",
    "row_group": f"if({_IS_WHOLE}, '', failure.row_group)",
}


def with_failed(scope: Scope, results: Query) -> Query:
    """Results, and one of value 0 for each scorer and each row that failed, with the columns of `scores.results`.

    The newest try of a row in its run decides. The scorers are those of the run, or if it has no result at all, as
    every row failed, those of the other runs on its data set.

    Args:
        scope: Of which versions.
        results: What `scores.results` finds of them.
    """
    scope = scope.wide
    version, spans, entry = scope.version, scope.spans, scope.entry
    said = {
        name: f"SpanAttributes['{_PREFIX}{name}']" for name in ("dataset", "dataset_name", "row", "run", "run_name")
    }
    said["row_group"] = f"SpanAttributes['{_PREFIX}group']"
    newest = ", ".join(f"argMax({name}, at_ns) AS {name}" for name in _OF_NEWEST)
    wanted = f"{spans.sql} AND {entry.sql} AND {said['row']} != '' AND {said['dataset']} != ''"
    if scope.model_ids is not None:
        wanted += " AND version IN {model_ids:Array(String)}"
    tries = f"""
            SELECT version, dataset, run, row, max(at_ns) AS at, {newest}
            FROM (
                SELECT toString({version.sql}) AS version, TraceId, SpanId AS judged, {START} AS at_ns,
                    {HAS_ERROR_STATUS} AS has_failed, StatusMessage AS message,
                    {", ".join(f"{sql} AS {name}" for name, sql in said.items())}
                FROM {scope.source} WHERE {wanted}
            )
            GROUP BY version, dataset, run, row HAVING argMax(has_failed, at_ns)"""
    kinds = f"""
            SELECT DISTINCT toString(version) AS version, dataset, run, (name, source, scorer,
                attributes['{CONVERSATION}'] != '') AS kind
            FROM ({results.sql}) WHERE dataset != '' AND row != '' AND source != 'human'"""
    failed = f"""
            SELECT *, arrayJoin(if(empty(own), others, own)) AS kind
            FROM (
                SELECT * FROM ({tries}) AS tries
                LEFT JOIN (SELECT version, dataset, run, groupUniqArray(kind) AS own FROM ({kinds})
                    GROUP BY version, dataset, run) AS of_run USING (version, dataset, run)
            ) AS failures
            LEFT JOIN (SELECT dataset, groupUniqArray(kind) AS others FROM ({kinds}) GROUP BY dataset) AS of_dataset
                USING (dataset)
            WHERE TraceId NOT IN (SELECT TraceId FROM ({results.sql}))"""
    said_of = _OWN | _OF_CONVERSATION | {name: f"kind.{place}" for name, place in _KIND.items()}
    columns = ", ".join(f"{said_of.get(name, name)} AS {name}" for name in _COLUMNS)
    known = ", ".join("toString(version) AS version" if name == "version" else name for name in _COLUMNS)
    parameters = {**results.parameters, **version.parameters, **spans.parameters, **entry.parameters}
    if scope.model_ids is not None:
        parameters["model_ids"] = list(scope.model_ids)
    return Query(
        f"SELECT {known} FROM ({results.sql}) UNION ALL SELECT {columns} FROM ({failed}) AS failure", parameters
    )


def passing(rows: str, by: str, tries: int) -> str:
    """Rows whose `row_said` is pass@k, if all values of their score pass or fail; a row of fewer tries has none.

    Args:
        rows: The query of rows, with `row`, `valued` (the values of its tries) and `row_said`.
        by: The columns that tell scores apart.
        tries: The number `k`.
    """
    count, passed = "length(valued)", "arraySum(valued)"
    # The product of nothing would be 0.
    estimate = (
        f"multiIf({passed} = 0, 0., {count} - {passed} < {tries}, 1., 1 - arrayProduct(one -> 1 - {tries} / one,"
        f" range(toUInt32({count} - {passed} + 1), toUInt32({count} + 1))))"
    )
    return f"""
        SELECT * REPLACE (multiIf(row = '' OR empty(valued) OR NOT are_passes, row_said,
            {count} < {tries}, CAST([] AS Array(Float64)), [{estimate}]) AS row_said)
        FROM (
            SELECT *, min(arrayAll(one -> one IN (0, 1), valued)) OVER (PARTITION BY {by}) AS are_passes
            FROM ({rows})
        )"""


def notes(tries: int, scores: Mapping[str, Scores], names: Mapping[str, str]) -> Iterator[str]:
    """What a reader of pass@k has to know.

    Args:
        tries: The number `k`.
        scores: What counts, by version and name.
        names: What versions are called.
    """
    yield f"Scores that pass or fail are pass@{tries}, over all runs; a row that was tried less often is left out."
    for model_id, by_name in scores.items():
        for name, groups in by_name.items():
            if not any(group.count or group.failed for group in groups):
                yield (
                    f"No row of {names[model_id]} was tried {tries} times for score {name}: evaluate the data set as"
                    " often, each time as a run, or ask for fewer."
                )
