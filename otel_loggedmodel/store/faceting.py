# SPDX-License-Identifier: Apache-2.0
"""What a list of traces could be narrowed to: each value that its traces have, with how many have it.

What is counted is what the filter finds, whatever its order and its page, and each value as the filter would find it.
Of very many traces, the newest are counted, so that this takes about as long as the list itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from otel_loggedmodel.conventions.things import Thing
from otel_loggedmodel.store import finding, trace_scores
from otel_loggedmodel.store.conventions_sql import raw_text
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.measuring import FAILED, run
from otel_loggedmodel.store.reading import EVERYTHING, TraceFilter
from otel_loggedmodel.store.schema import call
from otel_loggedmodel.store.scope import Query, Scope
from otel_loggedmodel.store.span_times import START
from otel_loggedmodel.store.trace_results import Facets, FacetValue, TracesPart

MOST_TRACES: Final = 10_000
PARTS: Final = 48
"""How many parts the time of the traces has."""
# So many values of a kind are given, the most frequent ones.
_MOST_VALUES: Final = 20
_MOST_SCORES: Final = 6
_CONVERSATION: Final = raw_text(Thing.CONVERSATION)
_MS: Final = 1_000_000


@dataclass(frozen=True)
class _Counted:
    """The traces that are counted.

    Attributes:
        rows: Their entry spans: `trace`, `TraceId`, `version`, `service`, `route`, `error`, `start_ms` and
            `is_failed`.
        first_ms: When the first began.
        last_ms: When the last began.
    """

    rows: Query
    first_ms: int = 0
    last_ms: int = 0

    def around(self, trace: str) -> Query:
        """The condition on spans of these traces.

        Args:
            trace: The hash of a span's trace, as SQL.
        """
        times = {"counted_from": self.first_ms - 3_600_000, "counted_to": self.last_ms + 86_400_000}
        return Query(
            "Timestamp BETWEEN fromUnixTimestamp64Milli({counted_from:Int64})"
            " AND fromUnixTimestamp64Milli({counted_to:Int64})"
            f" AND {trace} IN (SELECT trace FROM ({self.rows.sql}))",
            {**self.rows.parameters, **times},
        )


def facets(database: Database, scope: Scope, which: TraceFilter) -> Facets:
    """What the traces that a filter finds have, with how many have it.

    Args:
        database: Where.
        scope: Which versions.
        which: Which of their traces; order, limit and offset do not matter.

    Raises:
        ReadingError: The bound of a score cannot be understood.
    """
    rows = _rows(scope, which)
    found = run(database, _of_entries(rows))
    by_kind = _by_kind(found)
    total = sum(row["traces"] for row in found if row["kind"] == "all")
    if not total:
        return Facets()
    is_cut = any(row["spans"] >= MOST_TRACES for row in found if row["kind"] == "all")
    first_ms, last_ms = found[0]["first_ms"], found[0]["last_ms"]
    counted = _Counted(rows, first_ms, last_ms)
    inside = run(database, _of_calls(scope, counted))
    by_kind |= _by_kind([row for row in inside if row["kind"] == "model"])
    by_kind["conversation"] = _conversations(database, scope, [row for row in inside if row["kind"] == "conversation"])
    if scope.has_results:
        by_kind["score"] = _scores(database, scope, counted)
    shown = ("version", "service", "route", "model", "error_type", "conversation", "score")
    failed_parts = {int(one.value): one.traces for one in by_kind.get("failed_part", ())}
    step_ms = (last_ms - first_ms) // PARTS + 1
    return Facets(
        traces=total,
        errors=sum(one.traces for one in by_kind.get("failed", ())),
        is_cut=is_cut,
        values={kind: by_kind[kind][:_MOST_VALUES] for kind in shown if by_kind.get(kind)},
        parts=tuple(
            TracesPart(
                start_ms=first_ms + int(one.value) * step_ms,
                traces=one.traces,
                errors=failed_parts.get(int(one.value), 0),
            )
            for one in sorted(by_kind.get("part", ()), key=lambda one: int(one.value))
        ),
        step_ms=step_ms,
    )


def _values(rows: Sequence[Mapping[str, Any]]) -> tuple[FacetValue, ...]:
    return tuple(FacetValue(value=row["value"], traces=row["traces"]) for row in rows)


def _by_kind(rows: Sequence[Mapping[str, Any]]) -> dict[str, tuple[FacetValue, ...]]:
    kinds = dict.fromkeys(row["kind"] for row in rows)
    return {kind: _values([row for row in rows if row["kind"] == kind]) for kind in kinds}


def _rows(scope: Scope, which: TraceFilter) -> Query:
    """The newest entry spans that a filter finds."""
    found, version = finding.entries(scope, which), scope.version
    return Query(
        f"""
        SELECT {scope.trace} AS trace, TraceId, toString({version.sql}) AS version, ServiceName AS service,
            LoggedModelRoute AS route, LoggedModelError AS error, intDiv({START}, {_MS}) AS start_ms,
            {FAILED} AS is_failed
        FROM {scope.source} WHERE {found.sql}
        ORDER BY Timestamp DESC, trace LIMIT {MOST_TRACES}""",
        {**version.parameters, **found.parameters},
    )


def _counts(pairs: str, rows: str, more: str = "") -> str:
    """One row for each kind and value: how many traces have it; the most frequent first.

    Args:
        pairs: Kinds and values of a row, as SQL.
        rows: What has them.
        more: Further columns, as SQL that ends with a comma.
    """
    return f"""
        SELECT {more} pair.1 AS kind, pair.2 AS value, uniqExact(trace) AS traces
        FROM (SELECT *, arrayJoin({pairs}) AS pair FROM ({rows}))
        WHERE value != '' OR kind IN ('all', 'failed')
        GROUP BY kind, value ORDER BY traces DESC, value LIMIT {max(PARTS, _MOST_VALUES)} BY kind"""


def _of_entries(rows: Query) -> Query:
    """What entry spans say, and when they began."""
    return Query(
        _counts(
            "arrayConcat([('all', ''), ('version', version), ('service', toString(service)),"
            " ('route', toString(route)), ('part', toString(part))],"
            " if(is_failed, [('failed', ''), ('failed_part', toString(part)), ('error_type', error)], []))",
            f"""
                SELECT *, min(start_ms) OVER () AS first, max(start_ms) OVER () AS last,
                    intDiv(start_ms - first, intDiv(last - first, {PARTS}) + 1) AS part
                FROM ({rows.sql})""",
            "count() AS spans, any(first) AS first_ms, any(last) AS last_ms,",
        ),
        rows.parameters,
    )


def _of_calls(scope: Scope, counted: _Counted) -> Query:
    """What spans below say that count: models, and conversations as hashes."""
    trace = call("trace")
    around = counted.around(trace)
    models = finding.models(call("llm"))
    rows = f"""
        SELECT {trace} AS trace, TraceId, {models} AS models, {call("conversation")} AS conversation
        FROM {scope.columns.counted} WHERE {around.sql}"""
    pairs = (
        "arrayConcat(arrayMap(one -> ('model', one), models),"
        " [('conversation', if(conversation = 0, '', toString(conversation)))])"
    )
    return Query(_counts(pairs, rows, "any(TraceId) AS sample,"), around.parameters)


def _conversations(database: Database, scope: Scope, rows: Sequence[Mapping[str, Any]]) -> tuple[FacetValue, ...]:
    """The ids of conversations that have several turns; rows have only their hashes."""
    several = {row["value"]: row for row in rows[:_MOST_VALUES] if row["traces"] > 1}
    if not several:
        return ()
    named = database.query(
        f"""
        SELECT DISTINCT toString(cityHash64(id)) AS hash, id
        FROM (
            SELECT {_CONVERSATION} AS id FROM {scope.columns.spans} WHERE TraceId IN {{samples:Array(String)}}
        )
        WHERE id != ''""",
        {"samples": [row["sample"] for row in several.values()]},
    )
    ids = {row["hash"]: row["id"] for row in named}
    return tuple(FacetValue(value=ids[value], traces=row["traces"]) for value, row in several.items() if value in ids)


def _scores(database: Database, scope: Scope, counted: _Counted) -> tuple[FacetValue, ...]:
    """Bounds of scores that split the traces: 0 and 1 where there is nothing else, else what is below the middle."""
    means = trace_scores.means(replace(scope, selection=EVERYTHING, model_ids=None))
    said = f"SELECT name, mean FROM ({means.sql}) WHERE TraceId IN (SELECT TraceId FROM ({counted.rows.sql}))"
    parameters = {**counted.rows.parameters, **means.parameters}
    found: list[FacetValue] = []
    for row in database.query(
        f"""
        SELECT name, count() AS traces, min(mean) AS least, max(mean) AS most, countIf(mean NOT IN (0, 1)) AS between,
            countIf(mean = 0) AS zeros
        FROM ({said}) GROUP BY name ORDER BY traces DESC, name LIMIT {_MOST_SCORES}""",
        parameters,
    ):
        name, low = row["name"], row["zeros"]
        bounds = (f"{name}=0", f"{name}=1")
        if row["between"]:
            middle = _middle(row["least"], row["most"])
            bounds = (f"{name}<{middle}", f"{name}>={middle}")
            (split,) = database.query(
                f"SELECT countIf(mean < {{middle:Float64}}) AS low FROM ({said}) WHERE name = {{named:String}}",
                {**parameters, "middle": float(middle), "named": name},
            )
            low = split["low"]
        found += [
            FacetValue(value=bound, traces=traces)
            for bound, traces in zip(bounds, (low, row["traces"] - low), strict=True)
            if traces
        ]
    return tuple(found)


def _middle(least: float, most: float) -> str:
    """What splits values, as a filter takes it: without an exponent."""
    if 0 <= least < 0.5 <= most <= 1:
        return "0.5"
    middle = float(f"{(least + most) / 2:.2g}")
    return f"{middle:.6f}".rstrip("0").rstrip(".") if abs(middle) < 1e6 else f"{middle:.0f}"
