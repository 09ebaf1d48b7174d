# SPDX-License-Identifier: Apache-2.0
"""What a reader of the numbers of versions has to know: calls without a price or without tokens, traces cut off."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from otel_loggedmodel.conventions.scopes import SWITCHES
from otel_loggedmodel.store import adding, log_scores, pricing
from otel_loggedmodel.store.call_column import COST_BIT, FAILED_BIT, TOKENS_BIT, UNCACHED_BIT
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.prices import Called
from otel_loggedmodel.store.schema import call
from otel_loggedmodel.store.scope import Query, Scope

if TYPE_CHECKING:
    from otel_loggedmodel.store.comparing import Measurement

_MOST_NAMES: Final = 5


def notes(database: Database, scope: Scope, measured: "Measurement") -> Iterator[str]:
    """The notes on tokens, cost and traces of a comparison.

    Args:
        database: Where.
        scope: Which versions, and which of their traces.
        measured: Their numbers.
    """
    unpriced, unsaid = measured.counted("unpriced"), measured.counted("unsaid")
    if unpriced:
        yield (
            f"{_calls(unpriced)} of language models have tokens but no price that is known, and their cost is not among"
            f" the costs: {_names(database, _unpriced(scope))}. A file of prices (--prices) can say what they cost."
        )
    if unsaid:
        yield (
            f"{_calls(unsaid)} of language models say no tokens, so that tokens and cost of their traces are not known:"
            f" {_names(database, _unsaid(scope))}."
        )
    if uncached := measured.counted("uncached"):
        names = database.query(*_scopes(scope, f"bitTest({call('usage')}, {UNCACHED_BIT})"))
        yield (
            f"{_calls(uncached)} of language models do not tell cached tokens from others, as {_list(names)} never does"
            " or could not: how many were cached is not known, nor the cost where cached tokens have another price."
        )
    if mute := measured.mute():
        yield (
            f"{_traces(mute)} of agents without a call of a language model: what states the calls is missing, so that"
            " tokens and cost are not known. See docs/frameworks.md."
        )
    if odd := measured.counted("odd"):
        yield f"{_calls(odd)} say numbers of tokens or a cost that cannot be, such as negative ones; they do not count."
    if doubled := measured.counted("doubled"):
        names = database.query(*_scopes(scope, f"{call('llm')} != ''"))
        yield (
            f"{_calls(doubled)} of language models were stated twice, by {_list(names)}, and count once:"
            f" switch one of the two off{_switch(names)}."
        )
    if cut := measured.counted("cut_off"):
        number = sum(cut.values())
        yield (
            f"{number} {'trace lacks its' if number == 1 else 'traces lack their'} beginning: the root span was not"
            " received, or not yet. The earliest span that is there stands for it."
        )
    if scope.torn:
        yield (
            f"{scope.torn} steps were traces of their own, as their instrumentation begins one for each, and were put"
            " into the trace of the longer step that they are within by time. Of runs that overlap, fewer are counted."
        )
    if scope.has_logged and (unmatched := database.query(log_scores.unmatched(scope.columns).sql)[0]["count"]):
        yield (
            f"Of the evaluations that came as log records, {unmatched} {'is' if unmatched == 1 else 'are'} not counted,"
            " as no span or response of a version is known that they could be about."
        )
    if measured.strays:
        yield (
            f"{_calls(measured.strays)} of language models in traces of these versions carry no version, and do not"
            " count: the instrumentation lost the context."
        )


def _calls(counts: Mapping[str, int]) -> str:
    number = sum(counts.values())
    return "1 call" if number == 1 else f"{number} calls"


def _traces(number: int) -> str:
    return "1 trace is" if number == 1 else f"{number} traces are"


def _list(names: Sequence[Mapping[str, object]]) -> str:
    return " and ".join(str(row["scope"]) for row in names) or "an instrumentation"


def _switch(names: Sequence[Mapping[str, object]]) -> str:
    found = [SWITCHES[str(row["scope"])] for row in names if row["scope"] in SWITCHES]
    return f", for example with {found[0]}" if found else ""


def _names(database: Database, query: Query) -> str:
    rows = database.query(query.sql, query.parameters)
    by_name: dict[str, int] = {}
    for row in rows:
        name = str(Called.of(row["llm"]))
        by_name[name] = by_name.get(name, 0) + row["calls"]
    shown = [f"{name} ({number})" for name, number in sorted(by_name.items(), key=lambda one: (-one[1], one[0]))]
    more = f" and {len(shown) - _MOST_NAMES} more" if len(shown) > _MOST_NAMES else ""
    return ", ".join(shown[:_MOST_NAMES]) + more


def _by_llm(scope: Scope, condition: str) -> Query:
    spans = scope.spans
    return Query(
        f"""
        SELECT {call("llm")} AS llm, uniqExact({call("span")}) AS calls FROM {scope.source}
        WHERE {spans.sql} AND llm != '' AND {condition}
        GROUP BY llm ORDER BY calls DESC, llm LIMIT 100""",
        dict(spans.parameters),
    )


def _unpriced(scope: Scope) -> Query:
    cost, parameters = pricing.cost_sql(scope.prices)
    bits = (1 << TOKENS_BIT) | (1 << UNCACHED_BIT)
    query = _by_llm(scope, f"bitAnd({call('usage')}, {bits}) = {1 << TOKENS_BIT} AND ({cost}) IS NULL")
    return Query(query.sql, {**query.parameters, **parameters})


def _unsaid(scope: Scope) -> Query:
    bits = (1 << TOKENS_BIT) | (1 << COST_BIT) | (1 << FAILED_BIT)
    return _by_llm(scope, f"bitAnd({call('usage')}, {bits}) = 0 AND toUInt8({call('kind')}) IN {adding.CALLS_SQL}")


def _scopes(scope: Scope, condition: str) -> tuple[str, dict[str, object]]:
    spans = scope.spans
    return (
        f"""
        SELECT ScopeName AS scope, count() AS calls FROM {scope.source}
        WHERE {spans.sql} AND {condition} GROUP BY scope ORDER BY calls DESC, scope LIMIT 3""",
        dict(spans.parameters),
    )
