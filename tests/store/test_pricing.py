# SPDX-License-Identifier: Apache-2.0
"""A call costs in SQL what `genai-prices` says it costs."""

import random
from datetime import datetime, timezone
from typing import Any

import genai_prices
import pytest
from genai_prices import data

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.store import pricing, schema

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=timezone.utc)


def known_models() -> list[str]:
    return [f"{provider.id}/{model.id}" for provider in data.providers for model in provider.models]


def expected_cost(llm: str, usage: dict[str, int]) -> float | None:
    provider, _, model = llm.partition("/")
    try:
        found = genai_prices.calc_price(
            genai_prices.Usage(**usage), model, provider_id=provider, genai_request_timestamp=NOW
        )
    except LookupError:
        return None
    return float(found.total_price)


def test_every_model_costs_what_the_package_says(clickhouse_server: ClickHouseServer) -> None:
    rng = random.Random(3)
    models = known_models()
    calls: list[tuple[str, dict[str, int]]] = []
    for llm in models:
        for size in (100, 130_000, 210_000, 1_100_000):
            total = rng.randrange(size // 2, size)
            read = rng.randrange(total // 2)
            calls.append(
                (llm, {"input_tokens": total, "cache_read_tokens": read, "output_tokens": rng.randrange(10_000)})
            )
            calls.append((llm, {"input_tokens": total, "output_tokens": rng.randrange(10_000)}))
    prices = pricing.prices_of(models, NOW)
    columns = schema.Columns(schema.COLUMNS)
    cost, parameters = pricing.cost_sql(prices, columns)
    values: dict[str, Any] = {
        "llms": [llm for llm, _ in calls],
        **{
            kind: [usage.get(kind, 0) for _, usage in calls]
            for kind in ("input_tokens", "output_tokens", "cache_read_tokens")
        },
    }
    sql = f"""
        SELECT {cost} AS cost FROM (
            SELECT call.1 AS LoggedModelLlm, call.2 AS LoggedModelInputTokens, call.3 AS LoggedModelOutputTokens,
                call.4 AS LoggedModelCacheReadTokens, toUInt64(0) AS LoggedModelCacheWriteTokens,
                toUInt8(1) AS LoggedModelUsage, toFloat64(0) AS LoggedModelCost
            FROM (
                SELECT arrayJoin(arrayZip({{llms:Array(String)}}, {{input_tokens:Array(UInt64)}},
                    {{output_tokens:Array(UInt64)}}, {{cache_read_tokens:Array(UInt64)}})) AS call
            )
        )"""
    client = clickhouse_server.client(form_encode_query_params=True)
    found = [row[0] for row in client.query(sql, parameters={**parameters, **values}).result_rows]
    wrong = [
        (llm, usage, cost, expected)
        for (llm, usage), cost in zip(calls, found, strict=True)
        if (expected := expected_cost(llm, usage)) is not None and cost != pytest.approx(expected, rel=1e-6, abs=1e-9)
    ]
    print(len(wrong), wrong[:12])
    assert len(prices) > 500
    assert not wrong


def test_models_are_found_without_their_provider_and_unknown_ones_are_not() -> None:
    prices = pricing.prices_of(
        ["openai/gpt-4o", "/gpt-4o", "my-gateway/gpt-4o", "openai/no-such-model", "openai/"], NOW
    )
    assert set(prices) == {"openai/gpt-4o", "/gpt-4o", "my-gateway/gpt-4o"}
    first = prices["openai/gpt-4o"][0]
    assert (first.input, first.output) == pytest.approx((2.5e-6, 1e-5))
