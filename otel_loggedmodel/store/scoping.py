# SPDX-License-Identifier: Apache-2.0
"""What has to be known of calls before traces are measured: their prices, and which belong to another trace."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from otel_loggedmodel.store import adding, call_column, doubling, pricing, stray, torn
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.price_file import PriceFile
from otel_loggedmodel.store.schema import call
from otel_loggedmodel.store.scope import Scope

# What tells whether some calls could be stated twice, or torn from their traces.
_OF_CALLS: Final = (
    f"groupBitOr({call('usage')}) AS usage,"
    f" groupUniqArray(3)(bitShiftRight({call('origin')}, 16)) AS scopes, max({torn.IS_TORN}) AS is_torn"
)
_BY_MODEL: Final = (
    f"{call('llm')} AS llm, {_OF_CALLS}, max(length({call('modal')})) AS modal,"
    f" max(toUInt8({call('kind')}) IN {adding.SUMS_SQL}) AS has_sums"
)


def priced(
    database: Database,
    scope: Scope,
    prices: PriceFile,
    look: Callable[[Scope], Sequence[Mapping[str, Any]] | None] | None = None,
) -> Scope:
    """The same scope with all that is known of its calls.

    Args:
        database: Where.
        scope: Which traces.
        prices: What calls cost, before list prices.
        look: Looks at the calls of the scope, if somebody remembers what they say.
    """
    scope = replace(scope, adopted=stray.adopted(database, scope))
    called = look(scope) if look is not None else None
    if called is None:
        called = database.query(
            f"""
            SELECT {_BY_MODEL}
            FROM {scope.source} WHERE {scope.spans.sql} AND llm != '' GROUP BY llm""",
            scope.spans.parameters,
        )
    scope = replace(
        scope,
        prices=pricing.table_of(
            sorted({row["llm"] for row in called}), prices, has_modal=any(row["modal"] for row in called)
        ),
        is_entangled=any(row["has_sums"] for row in called) or _has_scopes(called),
    )
    return moved(database, scope, called)


def called_by_version(database: Database, scope: Scope) -> dict[str, list[dict[str, Any]]]:
    """What calls say, by the version that their spans carry; rows as `priced` looks at them."""
    found: dict[str, list[dict[str, Any]]] = {model_id: [] for model_id in scope.model_ids or ()}
    for row in database.query(
        f"""
        SELECT toString(LoggedModelId) AS model_id, {_BY_MODEL}
        FROM {scope.source} WHERE {scope.spans.sql} AND llm != '' GROUP BY model_id, llm""",
        scope.spans.parameters,
    ):
        found[row["model_id"]].append(row)
    return found


def moved(database: Database, scope: Scope, called: Sequence[Mapping[str, Any]] | None = None) -> Scope:
    """The same scope with the traces that are only a call of another trace.

    Args:
        database: Where.
        scope: Which traces.
        called: What a query has found of calls already, if any has.
    """
    if called is None:
        called = database.query(
            f"""
            SELECT {_OF_CALLS}
            FROM {scope.source} WHERE {scope.spans.sql} AND {call("llm")} != ''""",
            scope.spans.parameters,
        )
    is_alone = any(row["usage"] >> call_column.ALONE_BIT & 1 for row in called)
    doubled = doubling.moves(scope) if is_alone and _has_scopes(called) else None
    steps = torn.moves(database, scope) if any(row["is_torn"] for row in called) else {}
    if steps:
        rows = database.query(doubled.sql, doubled.parameters) if doubled else []
        found = torn.followed({**{row["copy"]: row["home"] for row in rows}, **steps})
        return replace(scope, moves=doubling.combined(found), torn=len(steps), is_entangled=True)
    if doubled and database.query(f"SELECT 1 AS found FROM ({doubled.sql}) LIMIT 1", doubled.parameters):
        return replace(scope, moves=doubling.as_arrays(doubled), is_entangled=True)
    return scope


def _has_scopes(called: Sequence[Mapping[str, Any]]) -> bool:
    """Whether several instrumentations state calls."""
    return len({one for row in called for one in row["scopes"]}) > 1
