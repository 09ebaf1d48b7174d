# SPDX-License-Identifier: Apache-2.0
"""The SQL that finds the results of evaluations: of which version, by which scorer, on which row of which data set.

A result is a span named `gen_ai.evaluation.result`, child of the span it judges, or an event of that name, on a span or
as a log record (`log_scores`). A label that says whether it passed is 1 or 0. Results with another label have no
number; they are counted by label (`labels`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from otel_loggedmodel.attributes import (
    DATASET_ROW,
    DATASET_VALUES,
    EVALUATION_LABEL,
    EVALUATION_RESULT,
    EVALUATION_VALUE,
)
from otel_loggedmodel.store import log_scores, schema, tries
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.reading import EVERYTHING, Selection
from otel_loggedmodel.store.scope import Query, Scope
from otel_loggedmodel.store.span_times import START

_PREFIX: Final = "logged_model.evaluation."
_IS_RESULT: Final = schema.IS_RESULT
_MOST_DATASETS: Final = 1000
_HAS_VALUE: Final = "name != '' AND isFinite(value)"
# A key that is a digest of what the row asks means the same row in another data set. A key that is an id does not.
IS_DIGEST: Final = "match(row, '^[0-9a-f]{16}$')"
# What results say of themselves, under the prefix.
_DETAILS: Final = (
    "source",
    "source_id",
    "scorer",
    "dataset",
    "dataset_name",
    "row",
    "run",
    "run_name",
    "assessment",
)
# What is known of the run that counts, in the order of the columns that say it of each run.
_CHOSEN: Final = (
    "run",
    "run_name",
    "count",
    "mean",
    "variance",
    "failed",
    "at",
    "is_portable",
    "is_binary",
    "rows",
    "row_values",
    "row_groups",
)


def results(scope: Scope, *, is_labelled: bool = False, with_missing: bool = False) -> Query:
    """One row for each result: `version`, `TraceId`, `judged` (span id), `at` (ns), `attributes`, `name`, `value`.

    And `source`, `source_id`, `scorer`, `dataset`, `dataset_name`, `row`, `row_group`, `run` and `run_name`, each empty
    where the result does not say. With a selection of traces, only results on traces that were asked for count; a data
    set is that of the result.

    Args:
        scope: Which versions.
        is_labelled: Give the results instead that have a label which is no number.
        with_missing: Give the results, too, that have no value, as the scorer failed or a person gave a label that is
            no number.
    """
    spans, parameters = scope.wide.spans.sql, {**scope.spans.parameters, **scope.version.parameters}
    wanted = f"name != '' AND value IS NULL AND attributes['{EVALUATION_LABEL}'] != ''" if is_labelled else _HAS_VALUE
    if with_missing:
        wanted = (
            f"name != '' AND (isFinite(value) OR value IS NULL AND (attributes['error.type'] != ''"
            f" OR source = 'human' AND attributes['{EVALUATION_LABEL}'] != '' OR assessment != ''))"
        )
    if scope.model_ids is not None and (scope.aliases or scope.has_unclaimed or scope.has_logged):
        wanted += " AND version IN {model_ids:Array(String)}"
        parameters["model_ids"] = list(scope.model_ids)
    selection = scope.selection
    if selection.dataset is not None:
        wanted += " AND {dataset:String} IN (dataset, dataset_name)"
        parameters["dataset"] = selection.dataset
        # A trace of production that was made a row of a data set later does not say so itself.
        scope = replace(scope, selection=replace(selection, dataset=None))
    if selection.production:
        wanted += " AND dataset = ''"
    if replace(selection.of_traces, dataset=None) != EVERYTHING:
        wanted += (
            f" AND ((toString(version), TraceId) IN (SELECT toString({scope.version.sql}), TraceId"
            f" FROM {scope.source} WHERE {scope.spans.sql} AND {scope.begins.sql}){_or_evaluated_then(selection)})"
        )
        parameters.update(scope.begins.parameters)
        # Results come later than what they judge.
        spans = replace(scope.wide, selection=EVERYTHING).spans.sql
    details = ", ".join(
        f"attributes['{_PREFIX}{detail}'] AS {name}"
        for detail, name in (*((detail, detail) for detail in _DETAILS), ("group", "row_group"))
    )
    in_spans = spans
    if is_labelled and not scope.aliases:
        # Nearly all results have a number, and are left out before anything else is looked at.
        value = f"SpanAttributes['{EVALUATION_VALUE}']"
        in_spans += f" AND SpanAttributes['{EVALUATION_LABEL}'] != '' AND toFloat64OrNull({value}) IS NULL"
    parts = [_results_in_spans(scope.wide, in_spans)]
    if scope.has_events:
        parts.append(_results_in_events(scope.wide, spans))
    if scope.has_unclaimed:
        parts.append(_unclaimed_results(scope))
    if scope.has_logged:
        parts.append(log_scores.results(scope))
        wanted += " AND version != ''"
    return Query(
        f"""
        SELECT version, TraceId, judged, at, attributes, attributes['gen_ai.evaluation.name'] AS name,
            {_value("attributes")} AS value, {details}
        FROM ({" UNION ALL ".join(parts)})
        WHERE {wanted}""",
        parameters,
    )


def _or_evaluated_then(selection: Selection) -> str:
    """The condition for results on outputs that a data set holds itself, by their own time: no version made a trace."""
    if replace(selection.of_traces, since=None, until=None, dataset=None) != EVERYTHING:
        return ""
    times = [
        f"at {comparison} toUnixTimestamp64Nano({{{name}:DateTime64(9, 'UTC')}})"
        for comparison, name, time in ((">=", "since", selection.since), ("<", "until", selection.until))
        if time is not None
    ]
    return f" OR dataset != '' AND {' AND '.join(times)}"


def groups(scope: Scope, unfinished: Sequence[str] = ()) -> Query:
    """One row for each version, evaluation, scorer and data set, the newest first.

    If there are several runs on a data set, the newest whole run counts, or the newest of all if none is whole. If
    `Selection.runs` is `all`, all count together. If a person judged a span several times, the last time counts.

    Columns: `version`, `name`, `source`, `scorer`, `dataset`, `dataset_name`, `run`, `run_name`, `others` (runs that do
    not count), `count`, `mean`, `variance` (NaN of one value), `failed` (results without a value, as the scorer
    failed), `at`; for rows of a data set `rows` (hashes of their keys), `row_values` and `row_groups` (the hash of
    what rows that belong together have in common, else of the key; empty if no rows do), in the same order, and
    `is_portable`, whether their keys mean the same rows in another data set; `is_binary`, whether each value is 0 or 1.

    Args:
        scope: Which versions.
        unfinished: The runs that are not whole, as `run_records.key_of` has them.
    """
    found = results(scope, with_missing=True)
    if scope.selection.failed_rows == "zero":
        found = tries.with_failed(scope, found)
    run = "''" if scope.selection.pools_runs else "if(dataset = '', '', run)"
    by = "version, name, source, scorer, dataset"
    rows = _said(found.sql, run, by)
    if scope.selection.pass_at is not None:
        rows = tries.passing(rows, f"{by}, of_run", scope.selection.pass_at)
    return Query(
        f"""
        SELECT {by}, dataset_name, others, {", ".join(f"chosen.{at} AS {one}" for at, one in enumerate(_CHOSEN, 1))}
        FROM (
            SELECT {by}, max(of_dataset_name) AS dataset_name, count() - 1 AS others,
                argMax((of_run, of_run_name, number, average, spread, of_missing, newest, is_digest, are_binary, keys,
                    key_values, key_groups),
                    (concat(of_run, '/', dataset) NOT IN {{unfinished:Array(String)}}, newest)) AS chosen
            FROM (
                SELECT {by}, of_run, countArray(row_said) AS number, avgArray(row_said) AS average,
                    varSampStableArray(row_said) AS spread, sum(row_missing) AS of_missing, max(row_at) AS newest,
                    min({IS_DIGEST}) AS is_digest, max(row_dataset_name) AS of_dataset_name,
                    max(row_run_name) AS of_run_name, min(arrayAll(one -> one IN (0, 1), row_said)) AS are_binary,
                    groupArrayIf(cityHash64(row), dataset != '' AND row != '' AND notEmpty(row_said)) AS keys,
                    groupArrayIf(row_said[1], dataset != '' AND row != '' AND notEmpty(row_said)) AS key_values,
                    if(max(together) = '', [], groupArrayIf(cityHash64(if(together = '', row, together)),
                        dataset != '' AND row != '' AND notEmpty(row_said))) AS key_groups
                FROM (
                    {rows}
                )
                GROUP BY {by}, of_run
            )
            GROUP BY {by}
        )
        ORDER BY at DESC, source, scorer, dataset""",
        {**found.parameters, "unfinished": list(unfinished)},
    )


def _said(found: str, run: str, by: str, more: str = "") -> str:
    """One row for each row of a run: what was said of it, and what of that counts.

    Args:
        found: The query of results.
        run: The run of a result, as SQL.
        by: The columns that tell scores apart.
        more: What else is wanted of what was said, as SQL that begins with a comma.
    """
    whose = (
        "multiIf(source = 'human', cityHash64(TraceId, judged, source_id),"
        " row != '' AND run != '', cityHash64(TraceId), assessment != '', cityHash64(assessment), 0)"
    )
    return f"""
        -- Of one person, what was said last; of a row of a run, its newest trace. What was said of one row
        -- several times is one value.
        SELECT {by}, row, of_run, row_at, row_dataset_name, row_run_name, together,
            source = 'human' OR is_changeable AS is_newest,
            -- Sorted only where it matters, as there may be very many.
            if(is_newest OR row != '', arrayReverseSort(one -> one.1, said), said) AS newest_first,
            multiIf(
                is_newest,
                arrayFilter((one, time) -> time = 1 OR one.2 = 0, newest_first,
                    arrayEnumerateUniq(newest_first.2)),
                row != '' AND of_run != '',
                arrayFilter(one -> one.2 = newest_first[1].2, newest_first),
                newest_first) AS counted,
            arrayMap(one -> assumeNotNull(one.3), arrayFilter(one -> one.3 IS NOT NULL, counted)) AS valued,
            if(row = '' OR empty(valued), valued, [arrayAvg(valued)]) AS row_said,
            toUInt64(multiIf(is_newest, 0, row = '', length(counted) - length(valued),
                empty(valued))) AS row_missing
        FROM (
            SELECT toString(version) AS version, name, source, scorer, dataset, row, {run} AS of_run,
                groupArray((at, {whose}, value{more})) AS said, max(at) AS row_at,
                max(assessment != '') AS is_changeable,
                max(dataset_name) AS row_dataset_name, max(run_name) AS row_run_name,
                max(row_group) AS together
            FROM ({found})
            GROUP BY version, name, source, scorer, dataset, row, of_run
        )"""


def of_production(scope: Scope) -> Query:
    """What counts of what is said of traces of production: `version`, `name`, `source`, `scorer`, `value`, `trace`."""
    found = results(scope, with_missing=True)
    by = "version, name, source, scorer, dataset"
    rows = _said(f"SELECT * FROM ({found.sql}) WHERE dataset = ''", "''", by, ", cityHash64(TraceId)")
    return Query(
        f"""
        SELECT version, name, source, scorer, assumeNotNull(one.3) AS value, one.4 AS trace
        FROM (SELECT {by}, arrayJoin(arrayFilter(one -> one.3 IS NOT NULL, counted)) AS one FROM ({rows}))""",
        found.parameters,
    )


def labels(scope: Scope) -> Query:
    """One row for each version, evaluation and label that is no number: `version`, `name`, `label` and `count`."""
    found = results(scope, is_labelled=True)
    return Query(
        f"""
        SELECT version, name, label, count() AS count
        FROM (
            -- Of one person and span, what was said last.
            SELECT toString(version) AS version, name, argMax(attributes['{EVALUATION_LABEL}'], at) AS label
            FROM ({found.sql})
            GROUP BY version, name, TraceId, judged, source,
                if(source = 'human', source_id, toString(cityHash64(at, scorer, attributes['{EVALUATION_LABEL}'])))
        )
        GROUP BY version, name, label ORDER BY name, version, count DESC, label LIMIT 100""",
        found.parameters,
    )


def datasets(columns: schema.Columns, *, has_logged: bool = False) -> Query:
    """One row for each data set that there are results on: `digest` and `name`, the one used last first."""
    found = f"""
            SELECT SpanAttributes['{_PREFIX}dataset'] AS digest, SpanAttributes['{_PREFIX}dataset_name'] AS name,
                Timestamp
            FROM {columns.spans}
            WHERE {_IS_RESULT} AND LoggedModelRole = 'evaluation' AND digest != ''"""
    if has_logged:
        found += f" UNION ALL {log_scores.datasets()}"
    return Query(
        f"""
        SELECT digest, argMax(name, Timestamp) AS name FROM ({found})
        GROUP BY digest ORDER BY max(Timestamp) DESC, digest LIMIT {_MOST_DATASETS}"""
    )


def has_datasets(database: Database) -> tuple[bool, bool]:
    """Whether there are results on spans, and rows of data sets; mostly there is neither, which one look tells."""
    rows = database.query(
        f"SELECT DISTINCT SpanName AS name FROM {schema.SPANS}"
        f" WHERE SpanName IN ('{EVALUATION_RESULT}', '{DATASET_ROW}')"
    )
    names = {row["name"] for row in rows}
    return EVALUATION_RESULT in names, DATASET_ROW in names


def kept_datasets(columns: schema.Columns) -> Query:
    """One row for each data set that is kept as records: `name` and `rows`, the one that was changed last first."""
    return Query(
        f"""
        SELECT name, countIf(is_there) AS rows
        FROM (
            SELECT SpanAttributes['{_PREFIX}dataset_name'] AS name, SpanAttributes['{_PREFIX}row'] AS row,
                argMax(SpanAttributes['{DATASET_VALUES}'] != '', Timestamp) AS is_there, max(Timestamp) AS changed
            FROM {columns.spans} WHERE SpanName = '{DATASET_ROW}' AND LoggedModelRole = 'record'
            GROUP BY name, row
        )
        WHERE name != '' GROUP BY name HAVING rows > 0 ORDER BY max(changed) DESC, name LIMIT {_MOST_DATASETS}"""
    )


def _results_in_spans(scope: Scope, spans: str) -> str:
    model_id, role = "LoggedModelId", "LoggedModelRole"
    found = f"""
            SELECT {model_id} AS model_id, TraceId, ParentSpanId, SpanAttributes AS attributes, {START} AS own_ns
            FROM {scope.columns.results} WHERE {_IS_RESULT} AND {role} = 'evaluation' AND {spans}
            LIMIT 1 BY cityHash64(TraceId, SpanId)"""
    if not scope.aliases:
        return f"SELECT model_id AS version, TraceId, ParentSpanId AS judged, own_ns AS at, attributes FROM ({found})"
    # A result counts for the version of the span that it judges. An alias stands for the version that it stood for when
    # that span began.
    version = scope.version_of("model_id", "if(judged_ns = 0, own_ns, judged_ns)")
    return f"""
            SELECT {version.sql} AS version, TraceId, ParentSpanId AS judged, own_ns AS at, attributes
            FROM ({found}) AS results
            LEFT JOIN (
                SELECT TraceId, SpanId AS ParentSpanId, min({START}) AS judged_ns FROM {scope.columns.spans}
                WHERE {role} IN ('span', 'entry') AND (TraceId, SpanId) IN (
                    SELECT TraceId, ParentSpanId FROM {scope.columns.spans}
                    WHERE {_IS_RESULT} AND {role} = 'evaluation' AND {model_id} IN {{alias_ids:Array(String)}}
                )
                GROUP BY TraceId, SpanId
            ) AS judged_spans USING (TraceId, ParentSpanId)"""


def counted(columns: schema.Columns) -> Query:
    """One row: how many results there are as spans, and whether some name no version (`unclaimed`)."""
    return Query(
        f"""
        SELECT count() AS results, max(LoggedModelId = '') AS unclaimed FROM {columns.spans}
        WHERE {_IS_RESULT} AND LoggedModelRole = 'evaluation'"""
    )


def on_spans(columns: schema.Columns) -> Query:
    """A row where there are results that are events of spans."""
    return Query(f"SELECT 1 AS found FROM {columns.spans} WHERE LoggedModelHasScores LIMIT 1")


_IS_UNCLAIMED: Final = f"{_IS_RESULT} AND LoggedModelRole = 'evaluation' AND LoggedModelId = ''"


def _unclaimed_results(scope: Scope) -> str:
    """Results that name no version. They count for that of the span that they judge, else of the trace's entry span.

    People who give feedback later often know only the trace.
    """
    model_id, role = "LoggedModelId", "LoggedModelRole"
    condition = _IS_UNCLAIMED
    if scope.trace_ids is not None:
        condition += " AND TraceId IN {trace_ids:Array(String)}"
    version = scope.version_of("owner.1", "owner.2")
    return f"""
            SELECT {version.sql} AS version, TraceId, judged, at, attributes FROM (
                SELECT TraceId, result, any(parent) AS judged, any(own_ns) AS at, any(own_attributes) AS attributes,
                    argMin((owner_id, owner_ns), (owner_span != parent, is_no_entry, owner_ns)) AS owner
                FROM (
                    SELECT TraceId, SpanId AS result, ParentSpanId AS parent, {START} AS own_ns,
                        SpanAttributes AS own_attributes
                    FROM {scope.columns.results} WHERE {condition}
                    LIMIT 1 BY TraceId, SpanId
                ) AS unclaimed
                JOIN (
                    SELECT TraceId, SpanId AS owner_span, toString({model_id}) AS owner_id, {START} AS owner_ns,
                        {role} != 'entry' AS is_no_entry
                    FROM {scope.columns.spans}
                    WHERE {role} IN ('span', 'entry')
                        AND TraceId IN (SELECT TraceId FROM {scope.columns.results} WHERE {condition})
                ) AS owners USING (TraceId)
                GROUP BY TraceId, result
            )"""


def _results_in_events(scope: Scope, spans: str) -> str:
    return f"""
            SELECT version, TraceId, SpanId AS judged, at, arrayJoin(found) AS attributes FROM (
                SELECT {scope.version.sql} AS version, TraceId, SpanId, {START} AS at, arrayFilter(
                    (attributes, name) -> name = '{EVALUATION_RESULT}', `Events.Attributes`, `Events.Name`
                ) AS found
                FROM {scope.columns.spans}
                WHERE LoggedModelHasScores
                    AND LoggedModelRole IN ('span', 'entry') AND {spans}
                LIMIT 1 BY TraceId, SpanId
            )"""


def _value(attributes: str) -> str:
    label = f"lower({attributes}['{EVALUATION_LABEL}'])"
    value = f"{attributes}['{EVALUATION_VALUE}']"
    return (
        f"coalesce(toFloat64OrNull({value}), multiIf(lower({value}) = 'true', 1., lower({value}) = 'false', 0., NULL),"
        f" multiIf({label} IN ('pass', 'passed', 'true', 'yes', 'correct'), 1.,"
        f" {label} IN ('fail', 'failed', 'false', 'no', 'incorrect'), 0., NULL))"
    )
