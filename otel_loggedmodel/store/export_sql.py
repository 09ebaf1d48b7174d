# SPDX-License-Identifier: Apache-2.0
"""The SQL of exports: columns of spans, traces, versions and scores, and spans and log records as OTLP in JSON.

docs/import-and-export.md has the columns; names and meanings are for users.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from otel_loggedmodel.attributes import EVALUATION_EXPLANATION, EVALUATION_LABEL, EVALUATION_VALUE, ID
from otel_loggedmodel.conventions.status import KINDS, STATUSES
from otel_loggedmodel.store import measuring, schema, scores
from otel_loggedmodel.store.conventions_sql import literal
from otel_loggedmodel.store.database import text
from otel_loggedmodel.store.log_schema import LOGS
from otel_loggedmodel.store.measuring import Way
from otel_loggedmodel.store.reading import EVERYTHING, Selection
from otel_loggedmodel.store.scope import Query, Scope
from otel_loggedmodel.store.span_times import DURATION

# A key for a resource that is the same in every file of an export.
RESOURCE: Final = "cityHash64(ServiceName, mapKeys(ResourceAttributes), mapValues(ResourceAttributes))"
_EVENTS: Final = (
    "CAST(arrayZip(`Events.Timestamp`, `Events.Name`, `Events.Attributes`), 'Array(Tuple(time DateTime64(9, \\'UTC\\'),"
    " name String, attributes Map(String, String)))')"
)
_LINKS: Final = (
    "CAST(arrayZip(`Links.TraceId`, `Links.SpanId`, `Links.Attributes`), 'Array(Tuple(trace_id String, span_id String,"
    " attributes Map(String, String)))')"
)
# Of several copies of a span one is one; Zipkin's client and server have one id, but are two spans. Two hashes of 64
# bits take less time than the three texts.
_ONCE: Final = "LIMIT 1 BY cityHash64(TraceId, SpanKind), cityHash64(SpanId)"
# Attributes whose values are whole numbers in every convention; the tables of the Collector have texts alone.
_WHOLE: Final = (
    "(startsWith({key}, 'gen_ai.usage.') OR startsWith({key}, 'llm.token_count.') OR startsWith({key}, 'llm.usage.')"
    " OR {key} IN ('http.response.status_code', 'http.status_code', 'sampling.priority', 'logged_model.created_at'))"
    " AND match({value}, '^-?[0-9]{{1,18}}$')"
)
_FRACTION: Final = f"{{key}} = '{EVALUATION_VALUE}' AND isFinite(toFloat64OrNull({{value}}))"


def of_time(selection: Selection) -> Query:
    """Which spans, or log records, are of the time that was asked for, as SQL."""
    found, parameters = ["1"], {}
    for name, comparison, time in (("since", ">=", selection.since), ("until", "<", selection.until)):
        if time is not None:
            found.append(f"Timestamp {comparison} {{{name}:DateTime64(9, 'UTC')}}")
            parameters[name] = time
    return Query(" AND ".join(found), parameters)


def condition(scope: Scope, day: str | None, *, of_logs: bool = False) -> Query:
    """Which spans, or log records, are asked for of a day such as `2026-11-30`, or of any, as SQL.

    With versions, these are all of their traces, their records, and log records that carry them.
    """
    times = of_time(scope.selection)
    found, parameters = [times.sql], dict(times.parameters)
    if day is not None:
        found.append(f"toDate(Timestamp) = {text(day)}")
    if scope.model_ids is not None:
        of_versions = replace(scope, selection=EVERYTHING).wide.spans
        in_traces = f"TraceId IN (SELECT TraceId FROM {scope.columns.spans} WHERE {of_versions.sql})"
        if of_logs:
            in_traces = f"(TraceId != '' AND {in_traces} OR LogAttributes['{ID}'] IN {{ids:Array(String)}})"
        found.append(in_traces)
        parameters.update(of_versions.parameters)
    return Query(" AND ".join(found), parameters)


def spans(scope: Scope, day: str) -> Query:
    """One row for each span."""
    where = condition(scope, day)
    return Query(
        f"""
        SELECT TraceId AS trace_id, SpanId AS span_id, ParentSpanId AS parent_span_id, SpanName AS name,
            SpanKind AS kind, ServiceName AS service, Timestamp AS start, {DURATION} AS duration_ns,
            StatusCode AS status, StatusMessage AS status_message, ScopeName AS scope, LoggedModelId AS version,
            toBool(LoggedModelRole = 'entry') AS is_entry, SpanAttributes AS attributes, {RESOURCE} AS resource,
            {_EVENTS} AS events, {_LINKS} AS links
        FROM {scope.columns.spans} WHERE {where.sql} {_ONCE}""",
        where.parameters,
    )


def resources(scope: Scope) -> Query:
    """One row for each resource of spans."""
    where = condition(scope, None)
    return Query(
        f"""
        SELECT resource, any(ServiceName) AS service, any(ResourceAttributes) AS attributes FROM (
            SELECT ServiceName, ResourceAttributes, {RESOURCE} AS resource FROM {scope.columns.spans} WHERE {where.sql}
        ) GROUP BY resource ORDER BY service, resource""",
        where.parameters,
    )


def entangled(scope: Scope) -> Query:
    """How many traces are not plain, so that they take longer to measure: one row with `entangled`."""
    plain = measuring.traces(scope, way=Way.PLAIN)
    return Query(f"SELECT countIf(is_entangled) AS entangled FROM ({plain.sql})", plain.parameters)


def traces(scope: Scope, *, are_plain: bool) -> Query:
    """One row for each trace of each version: for each entry span that counts.

    Args:
        scope: Which traces.
        are_plain: Whether all of them are.
    """
    measured = measuring.traces(scope, way=Way.PLAIN if are_plain else Way.EVERY if scope.moves.sql else Way.MIXED)
    known = "said > 0 AND unsaid = 0"
    span, of_spans = schema.call("span"), scope.spans
    # Where the entry span is missing, another stands for the trace.
    return Query(
        f"""
        SELECT TraceId AS trace_id, toString(version) AS version, LoggedModelRoute AS route,
            ServiceName AS service, fromUnixTimestamp64Nano(entry.start, 'UTC') AS start,
            entry.end - entry.start AS duration_ns, toBool(entry.failed) AS error, LoggedModelError AS error_kind,
            if({known}, input, NULL) AS input_tokens, if({known}, output, NULL) AS output_tokens,
            if(priced > 0 AND unsaid + unpriced + uncosted = 0, cost, NULL) AS cost_usd, calls,
            toBool(entry.cut_off) AS cut_off
        FROM (
            SELECT version, input, output, cost, said, priced, unsaid, unpriced, uncosted, calls,
                arrayJoin(entries) AS entry
            FROM ({measured.sql})
        ) AS measured
        JOIN (
            SELECT TraceId, LoggedModelRoute, ServiceName, LoggedModelError, {span} AS id
            FROM {scope.columns.counted}
            WHERE {of_spans.sql}
            LIMIT 1 BY id
        ) AS spans ON spans.id = entry.id""",
        {**measured.parameters, **of_spans.parameters},
    )


def scores_of(scope: Scope) -> Query:
    """One row for each result of an evaluation."""
    found = scores.results(scope, with_missing=True)
    details = "source, source_id, scorer, dataset, dataset_name, row, run, run_name"
    return Query(
        f"""
        SELECT TraceId AS trace_id, judged AS span_id, toString(version) AS version, name, value,
            attributes['{EVALUATION_LABEL}'] AS label,
            attributes['{EVALUATION_EXPLANATION}'] AS explanation, fromUnixTimestamp64Nano(at, 'UTC') AS time,
            {details}, attributes['error.type'] AS error
        FROM ({found.sql})""",
        found.parameters,
    )


def _attributes(pairs: str) -> str:
    """A map as OTLP's attributes in JSON."""
    whole = _WHOLE.format(key="key", value="value")
    fraction = _FRACTION.format(key="key", value="value")
    value = (
        f"multiIf({whole}, concat('{{\"intValue\":\"', value, '\"}}'),"
        f" {fraction}, concat('{{\"doubleValue\":', value, '}}'),"
        " concat('{\"stringValue\":', toJSONString(value), '}'))"
    )
    one = f"concat('{{\"key\":', toJSONString(key), ',\"value\":', {value}, '}}')"
    each = f"arrayMap((key, value) -> {one}, mapKeys({pairs}), mapValues({pairs}))"
    return f"concat('[', arrayStringConcat({each}, ','), ']')"


def _number(column: str, spellings: Sequence[Sequence[str]]) -> str:
    """The number that OTLP has for a kind or a status, in whichever spelling that is stored; 0 for none."""
    numbers = {name: number for number, names in enumerate(spellings, 1) for name in names}
    return f"transform(toString({column}), [{', '.join(map(literal, numbers))}], {list(numbers.values())}, 0)"


def _time(column: str) -> str:
    return f"toString(toUnixTimestamp64Nano({column}))"


def otlp(scope: Scope, day: str) -> Query:
    """Three columns for each span: its resource, its scope, and itself, as OTLP has them in JSON."""
    where = condition(scope, day)
    kind, status = _number("SpanKind", KINDS), _number("StatusCode", STATUSES)
    event = f"""concat('{{"timeUnixNano":"', {_time("time")}, '","name":', toJSONString(toString(name)),
                ',"attributes":', {_attributes("said")}, '}}')"""
    link = f"""concat('{{"traceId":"', trace, '","spanId":"', span, '","traceState":', toJSONString(state),
                ',"attributes":', {_attributes("said")}, '}}')"""
    return Query(
        f"""
        SELECT concat('{{"attributes":', {_attributes("ResourceAttributes")}, '}}') AS resource,
            concat('{{"name":', toJSONString(ScopeName), ',"version":', toJSONString(ScopeVersion), '}}') AS scope,
            concat('{{"traceId":"', TraceId, '","spanId":"', SpanId, '","parentSpanId":"', ParentSpanId,
                '","traceState":', toJSONString(TraceState), ',"name":', toJSONString(toString(SpanName)),
                ',"kind":', toString({kind}), ',"startTimeUnixNano":"', {_time("Timestamp")},
                '","endTimeUnixNano":"', toString(toUnixTimestamp64Nano(Timestamp) + toInt64({DURATION})),
                '","attributes":', {_attributes("SpanAttributes")},
                ',"events":[', arrayStringConcat(arrayMap((time, name, said) -> {event},
                    `Events.Timestamp`, `Events.Name`, `Events.Attributes`), ','),
                '],"links":[', arrayStringConcat(arrayMap((trace, span, state, said) -> {link},
                    `Links.TraceId`, `Links.SpanId`, `Links.TraceState`, `Links.Attributes`), ','),
                '],"status":{{"code":', toString({status}), ',"message":', toJSONString(StatusMessage), '}}}}') AS span
        FROM {schema.SPANS} WHERE {where.sql} {_ONCE}""",
        where.parameters,
    )


def otlp_logs(scope: Scope, day: str) -> Query:
    """Three columns for each log record, as of spans."""
    where = condition(scope, day, of_logs=True)
    return Query(
        f"""
        SELECT concat('{{"attributes":', {_attributes("ResourceAttributes")}, '}}') AS resource,
            concat('{{"name":', toJSONString(toString(ScopeName)), ',"version":', toJSONString(toString(ScopeVersion)),
                ',"attributes":', {_attributes("ScopeAttributes")}, '}}') AS scope,
            concat('{{"timeUnixNano":"', {_time("Timestamp")}, '","traceId":"', TraceId, '","spanId":"', SpanId,
                '","flags":', toString(TraceFlags), ',"severityText":', toJSONString(toString(SeverityText)),
                ',"severityNumber":', toString(SeverityNumber), ',"eventName":', toJSONString(toString(EventName)),
                ',"body":{{"stringValue":', toJSONString(Body), '}},"attributes":', {_attributes("LogAttributes")},
                '}}') AS record
        FROM {LOGS} WHERE {where.sql} LIMIT 1 BY Timestamp, TraceId, SpanId, Body, toString(LogAttributes)""",
        where.parameters,
    )


VERSION_COLUMNS: Final = (
    "version String, name Nullable(String), registered Bool, deleted Bool, experiment_id String,"
    " model_type Nullable(String), source_run_id Nullable(String), status String,"
    " created Nullable(DateTime64(3, 'UTC')), updated Nullable(DateTime64(3, 'UTC')), params Map(String, String),"
    " tags Map(String, String), traces UInt64, errors UInt64, p95_ms Nullable(Float64),"
    " first_seen Nullable(DateTime64(3, 'UTC')), last_seen Nullable(DateTime64(3, 'UTC')), services Array(String),"
    " references Array(String)"
)


def versions(rows: Sequence[str]) -> Query:
    """One row for each version.

    Args:
        rows: Of JSON, with the keys of `VERSION_COLUMNS`.
    """
    return Query(f"SELECT * FROM format(JSONEachRow, {literal(VERSION_COLUMNS)}, {text(chr(10).join(rows))})")
