# SPDX-License-Identifier: Apache-2.0
"""The conditions of a `TraceFilter` as SQL: which traces have a text, a model, an error, a route, a score.

A trace is found by what any of its spans has, but by the route and the error of its entry span.
"""

import re
from dataclasses import replace
from datetime import timedelta, timezone
from typing import Any, Final

from otel_loggedmodel.conventions.things import Thing
from otel_loggedmodel.store import measuring, trace_scores
from otel_loggedmodel.store.conventions_sql import ERROR_KIND, FAILS, raw_text
from otel_loggedmodel.store.reading import EVERYTHING, ReadingError, TraceFilter
from otel_loggedmodel.store.schema import call
from otel_loggedmodel.store.scope import Query, Scope

_AROUND: Final = timedelta(days=1)
_HAS_TEXT: Final = """(positionCaseInsensitiveUTF8(SpanName, {text:String}) > 0
    OR positionCaseInsensitiveUTF8(StatusMessage, {text:String}) > 0
    OR arrayExists(one -> positionCaseInsensitiveUTF8(one, {text:String}) > 0, mapValues(SpanAttributes))
    OR arrayExists(event -> arrayExists(one -> positionCaseInsensitiveUTF8(one, {text:String}) > 0, mapValues(event)),
        `Events.Attributes`))"""
_CONVERSATION: Final = raw_text(Thing.CONVERSATION)
_BOUND: Final = re.compile(r"(?P<name>.+?)\s*(?P<sign><=|>=|<|>|=)\s*(?P<value>-?\d+(?:\.\d+)?)")


def entries(scope: Scope, which: TraceFilter) -> Query:
    """The condition on entry spans whose traces a filter finds, or on what stands for one where a trace is cut off.

    Raises:
        ReadingError: The bound of a score cannot be understood.
    """
    version, spans, begins, found = scope.version, scope.spans, scope.begins, condition(scope, which)
    parameters = {**version.parameters, **spans.parameters, **begins.parameters, **found.parameters}
    conditions = [spans.sql, begins.sql, found.sql]
    if scope.model_ids is not None:
        conditions.append(f"{version.sql} IN {{model_ids:Array(String)}}")
        parameters["model_ids"] = list(scope.model_ids)
    if which.errors_only:
        measured = measuring.traces(scope, with_usage=False)
        conditions.append(f"{scope.trace} IN (SELECT trace FROM ({measured.sql}) WHERE has(entries.failed, true))")
        parameters.update(measured.parameters)
    return Query(" AND ".join(conditions), parameters)


def condition(scope: Scope, which: TraceFilter) -> Query:
    """The condition on the trace of an entry span.

    Raises:
        ReadingError: The bound of a score cannot be understood.
    """
    conditions: list[str] = []
    parameters: dict[str, Any] = {}
    spans, when = scope.columns.spans, _within(scope)
    called = f"has({models(call('llm'))}, {{model:String}})"
    for name, value, table, has in (
        ("text", which.text, spans, _HAS_TEXT),
        ("model", which.model, scope.columns.counted, called),
        ("conversation", which.conversation, spans, f"{_CONVERSATION} = {{conversation:String}}"),
    ):
        if value is not None:
            conditions.append(f"TraceId IN (SELECT TraceId FROM {table} WHERE {has}{when.sql})")
            parameters.update({name: value, **when.parameters})
    if which.error_type is not None:
        # Entry spans have the error by which a trace is known. If none has this one, it is one of a span below.
        known = f"SELECT DISTINCT LoggedModelError FROM {scope.columns.counted} WHERE {measuring.FAILED}"
        inside = f"SELECT TraceId FROM {spans} WHERE {FAILS} AND {ERROR_KIND} = {{error_type:String}}{when.sql}"
        conditions.append(
            f"LoggedModelError = {{error_type:String}} AND {measuring.FAILED}"
            f" OR {{error_type:String}} NOT IN ({known}) AND TraceId IN ({inside})"
        )
        parameters.update(error_type=which.error_type, **when.parameters)
    if which.route is not None:
        named = f"SELECT cityHash64(SpanId) FROM {spans} WHERE SpanName = {{route:String}}{when.sql}"
        routes = f"SELECT DISTINCT LoggedModelRoute FROM {scope.columns.counted}"
        conditions.append(
            f"LoggedModelRoute = {{route:String}} OR {{route:String}} NOT IN ({routes}) AND {scope.span} IN ({named})"
        )
        parameters.update(route=which.route, **when.parameters)
    if which.score is not None:
        bound = _scored(scope, which.score)
        conditions.append(bound.sql)
        parameters.update(bound.parameters)
    return Query(" AND ".join(f"({one})" for one in conditions) or "1", parameters)


def models(llm: str) -> str:
    """The names of the models that a span called, as SQL: the one that answered, and the one that was asked for.

    Args:
        llm: What `LoggedModelCall.llm` says of the span, as SQL.
    """
    lines = f"splitByChar('\\n', toString({llm}))"
    answered = f"substring({lines}[1], position({lines}[1], '/') + 1)"
    asked = f"arrayMap(one -> substring(one, 7), arrayFilter(one -> startsWith(one, 'asked '), arraySlice({lines}, 2)))"
    return f"arrayFilter(one -> one != '', arrayPushFront({asked}, {answered}))"


def _within(scope: Scope) -> Query:
    """The time that was asked for, with a day before and after it, as a trace takes its time."""
    conditions, parameters = "", {}
    if scope.selection.since is not None:
        conditions += " AND Timestamp >= {found_from:DateTime64(9, 'UTC')}"
        parameters["found_from"] = scope.selection.since.astimezone(timezone.utc) - _AROUND
    if scope.selection.until is not None:
        conditions += " AND Timestamp < {found_to:DateTime64(9, 'UTC')}"
        parameters["found_to"] = scope.selection.until.astimezone(timezone.utc) + _AROUND
    return Query(conditions, parameters)


def _scored(scope: Scope, text: str) -> Query:
    match = _BOUND.fullmatch(text.strip())
    if match is None:
        raise ReadingError(f"{text!r} is no bound of a score: write NAME<0.5, NAME>=0.5 or NAME=1")
    found = trace_scores.means(replace(scope, selection=EVERYTHING, model_ids=None))
    return Query(
        f"TraceId IN (SELECT TraceId FROM ({found.sql}) WHERE name = {{score_name:String}}"
        f" AND mean {match['sign']} {{score_value:Float64}})",
        {**found.parameters, "score_name": match["name"].strip(), "score_value": float(match["value"])},
    )
