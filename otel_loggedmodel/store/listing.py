# SPDX-License-Identifier: Apache-2.0
"""Traces: which there are of a version, in some order, and one with all its spans."""

import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from otel_loggedmodel.store import finding, measuring, previewing, schema, trace_scores
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.entering import SUMMED
from otel_loggedmodel.store.reading import EVERYTHING, FOUND_BY, ReadingError, TraceFilter, UnknownTraceError
from otel_loggedmodel.store.scope import Query, Scope
from otel_loggedmodel.store.span_times import DURATION, HUGE, START
from otel_loggedmodel.store.trace_results import Span, SpanEvent, SpanLink, Trace, TraceSummary

# A trace is shown with at most so many spans, earliest first.
MAX_SPANS: Final = 50_000
ORDERS: Final = ("newest", "slowest", "costliest", "worst")

_OF_SPAN: Final = f"""\
TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, {START} AS start_ns, Duration,
    StatusCode, StatusMessage, ScopeName, SpanAttributes, ResourceAttributes,
    arrayMap(time -> toUnixTimestamp64Nano(time), `Events.Timestamp`) AS event_times,
    `Events.Name` AS event_names, `Events.Attributes` AS event_attributes, `Links.TraceId` AS link_traces,
    `Links.SpanId` AS link_spans, `Links.Attributes` AS link_attributes,
    LoggedModelId AS model_id, LoggedModelRole = 'entry' AS is_entry"""
_SPANS_OF_TRACE: Final = """\
SELECT {selected} FROM {spans}
WHERE TraceId = {{trace_id:String}} {condition}
ORDER BY Timestamp, SpanId, SpanKind = 'Server'
LIMIT 1 BY SpanId, SpanKind
LIMIT {{most:UInt64}}"""


def traces(database: Database, scope: Scope, which: TraceFilter) -> list[TraceSummary]:
    """Traces, one for each entry span that counts.

    Args:
        database: Where.
        scope: Which versions; traces of no version are left out.
        which: Which of them, and in what order.

    Raises:
        ReadingError: There is no such order.
    """
    (found,) = lists(database, scope, [which])
    return found


def lists(database: Database, scope: Scope, kinds: Sequence[TraceFilter]) -> list[list[TraceSummary]]:
    """Several lists of the same versions' traces. What is told of each trace is asked once for all of them.

    Args:
        database: Where.
        scope: Which versions; traces of no version are left out.
        kinds: Which of them, and in what order.

    Raises:
        ReadingError: There is no such order.
    """
    for which in kinds:
        if which.order not in ORDERS:
            raise ReadingError(f"traces cannot be ordered by {which.order!r}: use one of {', '.join(ORDERS)}")
    candidates = [_candidates(database, scope, which) for which in kinds]
    wanted = list(dict.fromkeys(trace_id for of_kind in candidates for trace_id in of_kind))
    if not wanted:
        return [[] for _ in kinds]
    told = _summaries(database, replace(scope, trace_ids=wanted))
    shown = [_shown(told, frozenset(of_kind), which) for which, of_kind in zip(kinds, candidates, strict=True)]
    previewed = iter(previewing.with_previews(database, scope.columns, list(itertools.chain(*shown))))
    return [list(itertools.islice(previewed, len(of_kind))) for of_kind in shown]


def _summaries(database: Database, scope: Scope) -> list[tuple[int, TraceSummary]]:
    """What is told of the traces of a scope, with the hashes of their ids."""
    usage = {
        (row["version"], row["trace"], entry): {**row, "failed": failed, "cut_off": cut_off}
        for row in measuring.answer(database, scope, _told)
        for entry, failed, cut_off in zip(row["ids"], row["failures"], row["cuts"], strict=True)
    }
    scores = _scores_by_trace(database, scope)
    found = []
    for row in measuring.run(database, _entries(scope, sorted({entry for _, _, entry in usage}))):
        used = usage.get((row["version"], row["trace"], row["id"]))
        if used is not None:
            found.append((row["trace"], _summary(row, used, scores.get(row["TraceId"], {}))))
    return found


def _shown(
    told: Sequence[tuple[int, TraceSummary]], trace_ids: Collection[str], which: TraceFilter
) -> list[TraceSummary]:
    """The traces that a list has, in its order."""
    key = _KEYS[which.order]
    placed = [
        (key(summary), trace, summary.span_id, summary)
        for trace, summary in told
        if summary.trace_id in trace_ids and (summary.error or not which.errors_only)
    ]
    found = [summary for *_, summary in sorted(placed, key=lambda one: one[:3])]
    return found[which.offset : which.offset + which.limit]


def trace(database: Database, columns: schema.Columns, trace_id: str, most: int | None = None) -> Trace:
    """One trace.

    A span that was stored several times is given once. Zipkin's client and server share an id, but are two spans.

    Raises:
        UnknownTraceError: Nothing of it is stored.
    """
    trace_id = trace_id.lower()
    most = min(most or MAX_SPANS, MAX_SPANS)
    of_trace: dict[str, Any] = {"trace_id": trace_id, "most": most}
    (counted,) = database.query(
        f"SELECT uniqExact(SpanId, SpanKind) AS spans FROM {schema.SPANS} WHERE TraceId = {{trace_id:String}}", of_trace
    )
    number = int(counted["spans"])
    if not number:
        raise UnknownTraceError(f"there is no trace {trace_id!r}")
    # Sorting loads everything that is selected into memory. So the earliest spans of a large trace are found by their
    # times alone first.
    earliest = f"""AND Timestamp <= (SELECT max(Timestamp) FROM ({
        _SPANS_OF_TRACE.format(selected="Timestamp", spans=schema.SPANS, condition="")
    }))"""
    rows = database.query(
        _SPANS_OF_TRACE.format(selected=_OF_SPAN, spans=columns.spans, condition=earliest if number > most else ""),
        of_trace,
    )
    return Trace(trace_id=trace_id, spans=tuple(map(_span, rows)), left_out=max(0, number - len(rows)))


def _told(traces: Query) -> Query:
    return Query(
        f"SELECT * EXCEPT (entries, chunks, {', '.join(SUMMED)}),"
        " entries.id AS ids, entries.failed AS failures, entries.cut_off AS cuts,"
        f" is_entangled AS entangled FROM ({traces.sql})",
        traces.parameters,
    )


def _candidates(database: Database, scope: Scope, which: TraceFilter) -> list[str]:
    """The ids of the traces that will be shown, and perhaps of more.

    A trace has at least one entry span that counts, so as many traces are enough as rows are wanted. `newest` and
    `slowest` are read off the entry spans. `costliest` measures every trace. `worst` reads the scores. Where traces are
    equal, the hash of their ids decides, as it does among the rows: a longer list begins as a shorter one does.
    """
    if which.order == "worst" and not scope.has_results:
        return []
    query = _costliest(database, scope, which) if which.order == "costliest" else _first(scope, which)
    return [row["TraceId"] for row in measuring.run(database, query)]


def _first(scope: Scope, which: TraceFilter) -> Query:
    """The first traces in an order that is read off spans or scores."""
    found, trace = finding.entries(scope, which), schema.call("trace")
    where, parameters = found.sql, {**found.parameters, "wanted": which.offset + which.limit}
    if which.order in ("newest", "slowest"):
        key = "Timestamp" if which.order == "newest" else DURATION
        return Query(
            f"SELECT TraceId FROM {scope.source} WHERE {where}"
            f" ORDER BY {key} DESC, {trace} LIMIT 1 BY TraceId LIMIT {{wanted:UInt64}}",
            parameters,
        )
    means = trace_scores.means(scope)
    return Query(
        f"""
        SELECT TraceId FROM (SELECT TraceId, avg(mean) AS mean_of_all FROM ({means.sql}) GROUP BY TraceId)
        WHERE TraceId IN (SELECT TraceId FROM {scope.source} WHERE {where})
        ORDER BY mean_of_all, cityHash64(TraceId) LIMIT {{wanted:UInt64}}""",
        {**parameters, **means.parameters},
    )


def _costliest(database: Database, scope: Scope, which: TraceFilter) -> Query:
    """Traces by their cost, which is measured in the quickest way that holds for all of them."""
    found, trace = finding.entries(scope, which), schema.call("trace")
    is_narrowed = which.errors_only or any(getattr(which, name) is not None for name in FOUND_BY)
    only = f" AND trace IN (SELECT {trace} FROM {scope.source} WHERE {found.sql})" if is_narrowed else ""

    def build(traces: Query) -> Query:
        return Query(
            f"""
            SELECT sum(is_entangled) AS entangled,
                arraySlice(arraySort(groupArrayIf((-cost, trace), priced > 0{only})), 1, {{wanted:UInt64}}).2 AS first
            FROM ({traces.sql})""",
            {**found.parameters, "wanted": which.offset + which.limit, **traces.parameters},
        )

    (row,) = measuring.answer(database, scope, build)
    return Query(
        f"SELECT DISTINCT TraceId FROM {scope.source} WHERE {found.sql} AND {trace} IN {{first:Array(UInt64)}}",
        {**found.parameters, "first": row["first"]},
    )


def _entries(scope: Scope, keys: Sequence[int]) -> Query:
    """The entry spans that count, by the hashes of their ids."""
    scope = scope.wide
    version, spans = scope.version, scope.spans
    return Query(
        f"""
        SELECT {version.sql} AS version, TraceId, SpanId, {scope.trace} AS trace, {scope.span} AS id, SpanName,
            ServiceName, {START} AS start_ns, Duration,
            StatusMessage
        FROM {scope.source}
        WHERE {spans.sql} AND {scope.span} IN {{keys:Array(UInt64)}}
        LIMIT 1 BY TraceId, SpanId, SpanKind""",
        {**version.parameters, **spans.parameters, "keys": list(keys)},
    )


def _scores_by_trace(database: Database, scope: Scope) -> dict[str, dict[str, float]]:
    if not scope.has_results:
        return {}
    query = trace_scores.means(replace(scope, selection=EVERYTHING))
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for row in database.query(f"{query.sql} ORDER BY name", query.parameters):
        found[row["TraceId"]][row["name"]] = row["mean"]
    return found


def _summary(row: Mapping[str, Any], used: Mapping[str, Any], scores: Mapping[str, float]) -> TraceSummary:
    is_said = used["said"] and not used["unsaid"]
    unknown = used["unsaid"] + used["unpriced"] + used["uncosted"]
    return TraceSummary(
        trace_id=row["TraceId"],
        span_id=row["SpanId"],
        model_id=str(row["version"]),
        span_name=row["SpanName"],
        service=row["ServiceName"],
        start_ns=row["start_ns"],
        duration_ms=_duration(row["Duration"]) / 1e6,
        error=bool(used["failed"]),
        status_message=row["StatusMessage"],
        input_tokens=used["input"] if is_said else None,
        output_tokens=used["output"] if is_said else None,
        cost_usd=used["cost"] if used["priced"] and not unknown else None,
        scores=scores,
        cut_off=bool(used["cut_off"]),
    )


def _mean_score(summary: TraceSummary) -> float:
    return sum(summary.scores.values()) / len(summary.scores) if summary.scores else float("inf")


_KEYS: Final[Mapping[str, Callable[[TraceSummary], float]]] = {
    "newest": lambda summary: -summary.start_ns,
    "slowest": lambda summary: -summary.duration_ms,
    "costliest": lambda summary: -(summary.cost_usd or 0.0),
    "worst": _mean_score,
}


def _span(row: Mapping[str, Any]) -> Span:
    return Span(
        trace_id=row["TraceId"],
        span_id=row["SpanId"],
        parent_span_id=row["ParentSpanId"] or None,
        name=row["SpanName"],
        kind=row["SpanKind"],
        service=row["ServiceName"],
        start_ns=row["start_ns"],
        duration_ns=_duration(row["Duration"]),
        status=row["StatusCode"],
        status_message=row["StatusMessage"],
        scope=row["ScopeName"],
        model_id=row["model_id"] or None,
        is_entry=bool(row["is_entry"]),
        attributes=row["SpanAttributes"],
        resource=row["ResourceAttributes"],
        events=tuple(
            SpanEvent(time_ns=time, name=name, attributes=attributes)
            for time, name, attributes in _zipped(row["event_times"], row["event_names"], row["event_attributes"])
        ),
        links=tuple(
            SpanLink(trace_id=trace_id, span_id=span_id, attributes=attributes)
            for trace_id, span_id, attributes in _zipped(row["link_traces"], row["link_spans"], row["link_attributes"])
        ),
    )


def _zipped(*columns: Sequence[Any]) -> Iterable[tuple[Any, ...]]:
    return zip(*columns, strict=True)


def _duration(stored: int) -> int:
    """Nanoseconds; 0 for a span that ended before it began, whose duration was subtracted without sign."""
    return 0 if stored >= HUGE else stored
