# SPDX-License-Identifier: Apache-2.0
"""What a call of a language model costs, in SQL: prices of the package `genai-prices` as constants of a query.

The prices are in the package, so nothing is looked up on the network; upgrading it brings newer ones. They are list
prices at the moment of the question, without discounts. A cost that a span states itself is preferred to them.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, Final

from otel_loggedmodel.store import schema

_TOKENS_PER_PRICE: Final = 1_000_000
_REQUESTS_PER_PRICE: Final = 1000
_KINDS: Final = ("input", "cache_read", "cache_write", "output", "request")


@dataclass(frozen=True)
class Prices:
    """US dollars per token of one model, for requests with at least so many input tokens.

    Attributes:
        llm: Provider and model, as the column `LoggedModelLlm` has them.
        from_tokens: The least input tokens of a request at these prices.
        input: Per input token that is of no kind with a price of its own.
        cache_read: Per input token that was read from a cache.
        cache_write: Per input token that was written to a cache.
        output: Per output token.
        request: For the request itself.
    """

    llm: str
    from_tokens: int
    input: float
    cache_read: float
    cache_write: float
    output: float
    request: float


def prices_of(llms: Iterable[str], at: datetime) -> dict[str, tuple[Prices, ...]]:
    """The prices of the models that have any, by the number of input tokens from which on they apply.

    Args:
        llms: Provider and model of each, as the column `LoggedModelLlm` has them.
        at: When; aware.
    """
    found = {}
    hour = at.replace(minute=0, second=0, microsecond=0)
    for llm in llms:
        price = _model_price(llm, hour)
        if price is not None:
            found[llm] = price
    return found


def cost_sql(prices: Mapping[str, Sequence[Prices]], columns: schema.Columns) -> tuple[str, dict[str, Any]]:
    """An expression for the cost of a span in US dollars, NULL where it has none, and its parameters.

    Args:
        prices: By model.
        columns: How the query writes our columns.
    """
    is_stated = f"bitTest({columns['LoggedModelUsage']}, {schema.COST_BIT})"
    stated = f"if({is_stated}, {columns['LoggedModelCost']}, NULL)"
    if not prices:
        return stated, {}

    def of_model(values: str, type_name: str) -> str:
        # Works on the dictionary of the column, not on each of its rows.
        return f"transform({columns['LoggedModelLlm']}, {{priced:Array(String)}}, {{{values}:Array({type_name})}}, 0)"

    total = f"toFloat64({columns['LoggedModelInputTokens']})"
    others = {
        "cache_read": f"toFloat64({columns['LoggedModelCacheReadTokens']})",
        "cache_write": f"toFloat64({columns['LoggedModelCacheWriteTokens']})",
        "output": f"toFloat64({columns['LoggedModelOutputTokens']})",
    }
    parameters: dict[str, Any] = {"priced": list(prices), "is_priced": [1] * len(prices)}
    steps = []
    for step in range(max(map(len, prices.values()))):
        # A model with fewer steps repeats its last.
        rows = [tiers[min(step, len(tiers) - 1)] for tiers in prices.values()]
        parameters[f"price_from_{step}"] = [row.from_tokens for row in rows]
        for kind in _KINDS:
            parameters[f"price_{kind}_{step}"] = [getattr(row, kind) for row in rows]
        rate = {kind: of_model(f"price_{kind}_{step}", "Float64") for kind in _KINDS}
        # Cached tokens are among the input tokens; a span that claims otherwise does not get money back.
        plain = f"greatest(0, {total} - {others['cache_read']} - {others['cache_write']})"
        cost = f"{plain} * {rate['input']}" + "".join(f" + {count} * {rate[kind]}" for kind, count in others.items())
        cost += f" + {rate['request']}"
        steps.append((f"{total} >= {of_model(f'price_from_{step}', 'UInt64')}", cost))
    choice = steps[0][1]
    for condition, cost in steps[1:]:
        choice = f"if({condition}, {cost}, {choice})"
    is_priced = of_model("is_priced", "UInt8")
    return f"multiIf({is_stated}, {columns['LoggedModelCost']}, {is_priced} = 1, {choice}, NULL)", parameters


def warm_up() -> None:
    """Load the prices, which takes a quarter of a second."""
    prices_of(["openai/gpt-4o"], datetime.now(timezone.utc))


@functools.lru_cache(maxsize=4096)
def _model_price(llm: str, at: datetime) -> tuple[Prices, ...] | None:
    import genai_prices

    provider, _, model = llm.partition("/")
    if not model:
        return None
    for provider_id in (provider, None) if provider else (None,):
        try:
            calculation = genai_prices.calc_price(
                genai_prices.Usage(input_tokens=0, output_tokens=0),
                model,
                provider_id=provider_id,
                genai_request_timestamp=at,
            )
        except LookupError:
            continue
        return _tiers(llm, calculation.model_price)
    return None


def _tiers(llm: str, price: Any) -> tuple[Prices, ...]:
    by_kind = {
        "input": price.input_mtok,
        "cache_read": _or_else(price.cache_read_mtok, price.input_mtok),
        "cache_write": _or_else(price.cache_write_mtok, price.input_mtok),
        "output": price.output_mtok,
    }
    starts = {0}
    for value in by_kind.values():
        # A tier begins with the first token after its start.
        starts.update(tier.start + 1 for tier in getattr(value, "tiers", ()))
    request = float(price.requests_kcount or 0) / _REQUESTS_PER_PRICE
    return tuple(
        Prices(llm, start, request=request, **{kind: _per_token(value, start) for kind, value in by_kind.items()})
        for start in sorted(starts)
    )


def _or_else(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None else value


def _per_token(value: Any, input_tokens: int) -> float:
    if value is None:
        return 0.0
    if not isinstance(value, Decimal):
        reached = [tier.price for tier in value.tiers if input_tokens > tier.start]
        value = reached[-1] if reached else value.base
    return float(value) / _TOKENS_PER_PRICE
