# SPDX-License-Identifier: Apache-2.0
"""Looks at the entry spans of versions, to decide how their traces are compared (`Design`).

Two quick queries decide whether traces belong together in conversations, whether they say how many they stand for, and
whether two versions had the same traffic.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from otel_loggedmodel.store import counted, rounded, strata, weights
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.design import HOUR_NS, SIMPLE, Design, stratum_sql
from otel_loggedmodel.store.reading import BY_SESSION, BY_TRACE, ReadingError
from otel_loggedmodel.store.schema import call
from otel_loggedmodel.store.scope import Query, Scope
from otel_loggedmodel.store.span_times import IS_BROKEN, START
from otel_loggedmodel.store.strata import Plan, Traffic

# With more, the names of entry spans must have ids in them. Only hours are looked at then.
_MOST_ROWS: Final = 20_000
_USER: Final = "user.id"


@dataclass(frozen=True)
class Designs:
    """How versions are compared.

    Attributes:
        together: All of them, without strata.
        plans: Within which parts of the traffic each other version is compared with the first, by its id.
        said: What samplers say of how many traces one stands for.
        routes: Names of routes, by their hash.
    """

    together: Design = SIMPLE
    plans: Mapping[str, Plan] = field(default_factory=dict)
    said: Mapping[str, Mapping[str, weights.Said]] = field(default_factory=dict)
    routes: Mapping[int, str] = field(default_factory=dict)

    def of(self, candidate: str) -> Design:
        """How a version is compared with the first."""
        made = self.plans.get(candidate, Plan())
        if not made.shares:
            return self.together
        route = "mark_route" if made.route else "0"
        hour = f"intDiv(earliest, {HOUR_NS})" if made.hour else "0"
        return replace(self.together, stratum=stratum_sql(route, hour), strata=made.shares, by=made.by)

    def within(self, candidate: str, shares: Mapping[int, float]) -> "Designs":
        """The same, where a version is compared within these strata."""
        return replace(self, plans={**self.plans, candidate: replace(self.plans[candidate], shares=shares)})

    def without(self, candidate: str) -> "Designs":
        """The same, where a version is compared as a whole."""
        whole = replace(self.plans[candidate], by="", shares={})
        return replace(self, plans={**self.plans, candidate: whole})

    def notes(self, model_ids: Sequence[str], names: Mapping[str, str]) -> Iterator[str]:
        """What a reader has to know."""
        yield from weights.notes(self.said, names)
        for candidate, made in self.plans.items():
            yield from strata.notes(made, names[model_ids[0]], names[candidate], self.routes)


def designs(database: Database, scope: Scope, model_ids: Sequence[str]) -> Designs:
    """How versions are to be compared.

    Args:
        database: Where.
        scope: Which versions, in order, and which of their traces; `scope.selection.by` says what is independent.
        model_ids: The versions, in order.

    Raises:
        ReadingError: No trace has the attribute by which they are to be put together.
    """
    if not model_ids:
        return Designs()
    found = _looked_at(database, scope)
    traffic: dict[str, dict[strata.Cell, int]] = defaultdict(lambda: defaultdict(int))
    routes: dict[int, str] = {}
    for row in found:
        traffic[row["version"]][int(row["route"]), int(row["hour"])] += row["traces"]
        routes[int(row["route"])] = row["name"]
    # Mostly no trace says any, which the sizes of maps tell sooner than their keys.
    ways = set(weights.said_attributes(database, scope)) if any(row["is_marked"] for row in found) else set()
    if any(row["stated"] for row in found):
        ways.add(weights.STATE)
    said = weights.said(database, scope, frozenset(ways)) if ways else {}
    # Where every trace that says so stands for itself, nothing changes.
    changes = any(one.most > 1 or one.wrong for versions in said.values() for one in versions.values())
    used = frozenset(said) if changes else frozenset()
    base = Traffic(traffic.get(model_ids[0], {}))
    # Rows of a data set are no traffic: whoever runs them decides when.
    plans = {
        one: Plan() if scope.selection.dataset is not None else strata.plan(base, Traffic(traffic.get(one, {})))
        for one in model_ids[1:]
    }
    has_talks = any(row["turns"] for row in found)
    has_routes = any(made.route and made.shares for made in plans.values())
    return Designs(
        together=_together(database, scope, found, used, has_talks=has_talks, has_routes=has_routes),
        plans=plans,
        said=said,
        routes=routes,
    )


def _together(
    database: Database,
    scope: Scope,
    found: Sequence[Mapping[str, Any]],
    ways: frozenset[str],
    *,
    has_talks: bool,
    has_routes: bool,
) -> Design:
    by = scope.selection.by
    unit, units = ("if(conversation != 0, conversation, trace)", "conversation") if has_talks else ("trace", "trace")
    attribute = None
    if by == BY_TRACE:
        unit, units = "trace", "trace"
    elif by == BY_SESSION and _has(database, scope, _USER):
        attribute, units = _USER, "session"
    elif by not in (None, BY_SESSION):
        if not _has(database, scope, by):
            raise ReadingError(
                f"no trace of these versions has the attribute {by!r}, by which they are to be put together: name one"
                " that entry spans or their resources have, `session`, or `trace`"
            )
        attribute, units = by, by
    if by == BY_SESSION and units == "trace":
        raise ReadingError(
            "no trace of these versions says its session: entry spans have none of gen_ai.conversation.id, session.id"
            " and user.id. Name another attribute that they have, or leave --by out"
        )
    marks = _marks(scope, ways, attribute, has_routes=has_routes)
    if attribute is not None:
        own = "mark_unit"
        unit = (
            f"multiIf({own} != 0, {own}, trace)"
            if by != BY_SESSION
            else (f"multiIf(conversation != 0, conversation, {own} != 0, {own}, trace)")
        )
    return Design(
        unit=unit,
        units=units,
        weight="if(mark_weight > 0, mark_weight, 1.)" if ways else "1.",
        is_unweighted="mark_weight <= 0" if ways else "0",
        marks=marks,
        broken=_broken(scope) if any(row["broken"] for row in found) else Query(""),
        is_large=sum(row["traces"] for row in found) > rounded.MOST_EXACT,
    )


def _looked_at(database: Database, scope: Scope) -> list[dict[str, Any]]:
    """How many entry spans there are by version, route and hour.

    And how many of them are turns of a conversation, say a weight in their trace state, or end before they begin.
    """
    version, spans, entry = scope.version, scope.spans, scope.entry

    def query(name: str) -> list[dict[str, Any]]:
        return database.query(
            f"""
            SELECT toString(version) AS version, toString(name) AS name, cityHash64(toString(name)) AS route, hour,
                count() AS traces, countIf(is_turn) AS turns, countIf(is_stated) AS stated,
                countIf(is_broken) AS broken, max(is_marked) AS is_marked
            FROM (
                SELECT {version.sql} AS version, {name} AS name, intDiv({START}, {HOUR_NS}) AS hour,
                    {call("conversation")} != 0 AS is_turn, {weights.HAS_STATE} AS is_stated,
                    {IS_BROKEN} AS is_broken, notEmpty(LoggedModelSampling) AS is_marked
                FROM {scope.source} WHERE {spans.sql} AND {entry.sql}
            ) AS entries
            GROUP BY entries.version, entries.name, hour LIMIT {_MOST_ROWS + 1}""",
            {**version.parameters, **spans.parameters, **entry.parameters},
        )

    found = query("LoggedModelRoute")
    return found if len(found) <= _MOST_ROWS else query("''")


def _has(database: Database, scope: Scope, attribute: str) -> bool:
    scope = scope.wide
    spans, entry = scope.spans, scope.entry
    return bool(
        database.query(
            f"SELECT 1 FROM {scope.source} WHERE {spans.sql} AND {entry.sql} AND {_VALUE} != '' LIMIT 1",
            {**spans.parameters, **entry.parameters, "unit": attribute},
        )
    )


_VALUE: Final = (
    "if(mapContains(SpanAttributes, {unit:String}), SpanAttributes[{unit:String}], ResourceAttributes[{unit:String}])"
)


def _broken(scope: Scope) -> Query:
    spans, entry = scope.spans, scope.entry
    return Query(
        f"SELECT {call('trace')} FROM {scope.source} WHERE {spans.sql} AND {entry.sql} AND {IS_BROKEN}",
        {**spans.parameters, **entry.parameters},
    )


def _marks(scope: Scope, ways: frozenset[str], attribute: str | None, *, has_routes: bool) -> Query:
    """What traces say that is not in rows of `measuring.traces`; an empty query if nothing of it is wanted."""
    # Any attribute may be asked for, and only the table of spans has all of them.
    scope = scope if attribute is None else scope.wide
    spans, entry = scope.spans, scope.entry
    columns = []
    if ways:
        failed = f"{scope.trace} IN ({weights.failed_traces(scope)})" if weights.PERCENT in ways else "0"
        columns.append(f"argMin({weights.weight_sql(scope, ways, failed)}, Timestamp) AS mark_weight")
    if attribute is not None:
        columns.append(f"maxIf(cityHash64({_VALUE}), {_VALUE} != '') AS mark_unit")
    if has_routes:
        route = counted.ROUTE if scope.is_wide else "LoggedModelRoute"
        columns.append(f"argMin(cityHash64(toString({route})), Timestamp) AS mark_route")
    if not columns:
        return Query("")
    return Query(
        f"SELECT {scope.trace} AS trace, {', '.join(columns)} FROM {scope.source}"
        f" WHERE {spans.sql} AND {entry.sql} GROUP BY trace",
        {**spans.parameters, **entry.parameters, **({} if attribute is None else {"unit": attribute})},
    )
