# SPDX-License-Identifier: Apache-2.0
"""The SQL that finds results of evaluations among log records, and what each of them is about.

A result belongs to the first of these that is stored and has a version: the span whose context it has; the call of a
model with its `gen_ai.response.id`, of several the first; the entry span of its trace. It counts for that span's
version. Where there is none of these, it counts for the version that it names itself. Else it is unmatched, and does
not count until what it is about arrives. A result that is there as a span or as an event of a span, too, counts once.

Source: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-events/
"""

from typing import Final

from otel_loggedmodel.attributes import (
    EVALUATION_LABEL,
    EVALUATION_NAME,
    EVALUATION_RESULT,
    EVALUATION_RUN,
    EVALUATION_SCORER,
    EVALUATION_SOURCE_ID,
    EVALUATION_VALUE,
    ID,
)
from otel_loggedmodel.conventions.log_events import NAME_ATTRIBUTE
from otel_loggedmodel.store import schema
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.log_schema import LOGS
from otel_loggedmodel.store.scope import Query, Scope
from otel_loggedmodel.store.span_times import START

RESPONSE_ID: Final = "gen_ai.response.id"
IS_RESULT: Final = f"'{EVALUATION_RESULT}' IN (EventName, LogAttributes['{NAME_ATTRIBUTE}'])"
TOLD_APART_BY: Final = (
    EVALUATION_NAME,
    EVALUATION_VALUE,
    EVALUATION_LABEL,
    EVALUATION_SCORER,
    EVALUATION_RUN,
    EVALUATION_SOURCE_ID,
)
"""The attributes in which the results of one span differ: where all are equal, it is one that was sent both ways."""
_IS_SPAN_OF_VERSION: Final = "LoggedModelRole IN ('span', 'entry')"


def are_there(database: Database) -> bool:
    """Whether there are results among log records; the table has to be there."""
    return bool(database.query(f"SELECT 1 AS found FROM {LOGS} WHERE {IS_RESULT} LIMIT 1"))


def results(scope: Scope) -> str:
    """One row for each: `version` (empty where it is unmatched), `TraceId`, `judged`, `at` and `attributes`."""
    version = scope.version_of("owner.3", "owner.4").sql
    in_traces = " AND TraceId IN {trace_ids:Array(String)}" if scope.trace_ids is not None else ""
    return f"""
        SELECT version, TraceId, judged, at, attributes FROM (
            SELECT {version} AS version, owner.1 AS TraceId, owner.2 AS judged, at, attributes
            FROM ({_owned(scope.columns)})
        )
        WHERE {_key("TraceId", "judged", "attributes")} NOT IN ({_elsewhere(scope.columns)}){in_traces}"""


def unmatched(columns: schema.Columns) -> Query:
    """How many are unmatched: one row with `count`."""
    return Query(f"SELECT count() AS count FROM ({_owned(columns)}) WHERE owner.3 = ''")


def datasets() -> str:
    """One row for each result on a data set: `digest`, `name` and `Timestamp`."""
    prefix = "LogAttributes['logged_model.evaluation."
    return (
        f"SELECT {prefix}dataset'] AS digest, {prefix}dataset_name'] AS name, Timestamp"
        f" FROM {LOGS} WHERE {IS_RESULT} AND digest != ''"
    )


def _owned(columns: schema.Columns) -> str:
    """One row for each result: `at`, `attributes`, and `owner` (trace, span, id of the version, start in ns)."""
    response = f"LogAttributes['{RESPONSE_ID}']"
    stated = f"if(LogAttributes['{ID}'] != '', LogAttributes['{ID}'], ResourceAttributes['{ID}'])"
    # What was sent again after its acknowledgement was lost is there twice.
    said = f"""
        SELECT TraceId AS said_trace, SpanId AS said_span, LogAttributes AS attributes,
            toUnixTimestamp64Nano(Timestamp) AS at, if({response} = '', 0, cityHash64({response})) AS response,
            {columns.owner_of_record("LogAttributes", stated)} AS own_id
        FROM {LOGS} WHERE {IS_RESULT}
        LIMIT 1 BY Timestamp, TraceId, SpanId, toString(LogAttributes)"""
    of_span = f"SELECT TraceId, SpanId, toString(LoggedModelId) AS id, {START} AS ns FROM {columns.spans}"
    by_span = f"""
        {of_span} WHERE {_IS_SPAN_OF_VERSION}
            AND (TraceId, SpanId) IN (SELECT TraceId, SpanId FROM {LOGS} WHERE {IS_RESULT} AND TraceId != '')"""
    called = schema.call("response")
    by_hash = f"""
        SELECT {called} AS response, min(({START}, {schema.call("span")}, TraceId, toString(LoggedModelId))) AS first
        FROM {columns.counted}
        WHERE {called} != 0 AND {_IS_SPAN_OF_VERSION}
            AND {called} IN (SELECT cityHash64({response}) FROM {LOGS} WHERE {IS_RESULT} AND {response} != '')
        GROUP BY response"""
    # The table of what counts has hashes of the ids of spans alone. Random texts do not compress, so that the ids
    # would take 5 % of what storing a span takes, and few results name a response.
    by_response = f"""
        SELECT response, (first.3, SpanId, first.4, first.1) AS found
        FROM (SELECT *, first.3 AS TraceId, first.2 AS hash FROM ({by_hash})) AS calls
        LEFT ANY JOIN (
            SELECT TraceId, SpanId, cityHash64(SpanId) AS hash FROM {columns.spans}
            WHERE TraceId IN (SELECT first.3 FROM ({by_hash}))
        ) AS spans USING (TraceId, hash)"""
    by_trace = f"""
        SELECT TraceId, argMin((toString(LoggedModelId), {START}), (LoggedModelRole != 'entry', {START})) AS found
        FROM {columns.spans}
        WHERE {_IS_SPAN_OF_VERSION} AND TraceId IN (SELECT TraceId FROM {LOGS} WHERE {IS_RESULT} AND TraceId != '')
        GROUP BY TraceId"""
    return f"""
        SELECT at, attributes, multiIf(
                span.id != '', (said_trace, said_span, span.id, span.ns),
                called.found.3 != '', called.found,
                entry.found.1 != '', (said_trace, said_span, entry.found.1, entry.found.2),
                (said_trace, said_span, own_id, at)
            ) AS owner
        FROM ({said}) AS said
        LEFT ANY JOIN ({by_span}) AS span ON said_trace = span.TraceId AND said_span = span.SpanId
        LEFT ANY JOIN ({by_response}) AS called ON said.response = called.response
        LEFT ANY JOIN ({by_trace}) AS entry ON said_trace = entry.TraceId"""


def _elsewhere(columns: schema.Columns) -> str:
    """The keys of the results that are also there as spans or as events of spans."""
    return f"""
        SELECT {_key("TraceId", "ParentSpanId", "SpanAttributes")} FROM {columns.spans}
        WHERE SpanName = '{EVALUATION_RESULT}'
        UNION ALL
        SELECT arrayJoin(arrayMap(
            event -> {_key("TraceId", "SpanId", "event.2")},
            arrayFilter(event -> event.1 = '{EVALUATION_RESULT}', arrayZip(`Events.Name`, `Events.Attributes`))
        )) FROM {columns.spans} WHERE LoggedModelHasScores"""


def _key(trace: str, judged: str, attributes: str) -> str:
    said = ", ".join(f"{attributes}['{part}']" for part in TOLD_APART_BY)
    return f"cityHash64({trace}, {judged}, {said})"
