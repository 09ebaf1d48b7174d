# SPDX-License-Identifier: Apache-2.0
"""A call costs in SQL what `genai-prices` says it costs."""

import random
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import genai_prices
import pytest
from genai_prices import data

from clickhouse_server import ClickHouseServer
from effort import some, times
from otel_loggedmodel.store import price_file, pricing
from otel_loggedmodel.store.reading import ReadingError

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
    models = known_models()[:: times(full=1, quick=4)]
    calls: list[tuple[str, dict[str, int]]] = []
    for llm in models:
        for size in some([210_000, 100, 130_000, 1_100_000]):
            total = rng.randrange(size // 2, size)
            read = rng.randrange(total // 2)
            calls.append(
                (llm, {"input_tokens": total, "cache_read_tokens": read, "output_tokens": rng.randrange(10_000)})
            )
            calls.append((llm, {"input_tokens": total, "output_tokens": rng.randrange(10_000)}))
    prices = pricing.table_of(models)
    cost, parameters = pricing.cost_sql(prices)
    values: dict[str, Any] = {
        "llms": [llm for llm, _ in calls],
        **{
            kind: [usage.get(kind, 0) for _, usage in calls]
            for kind in ("input_tokens", "output_tokens", "cache_read_tokens")
        },
    }
    sql = f"""
        SELECT {cost} AS cost FROM (
            SELECT CAST((call.1, call.2, call.3, call.4, 0, [], 1, 0.), 'Tuple(llm String, input UInt64, output UInt64,
                cache_read UInt64, cache_write UInt64, modal Array(UInt64), usage UInt8, cost Float64)')
                AS LoggedModelCall, toDateTime64({{now:String}}, 9, 'UTC') AS Timestamp
            FROM (
                SELECT arrayJoin(arrayZip({{llms:Array(String)}}, {{input_tokens:Array(UInt64)}},
                    {{output_tokens:Array(UInt64)}}, {{cache_read_tokens:Array(UInt64)}})) AS call
            )
        )"""
    values["now"] = f"{NOW:%Y-%m-%d %H:%M:%S}"
    client = clickhouse_server.client(form_encode_query_params=True)
    found = [row[0] for row in client.query(sql, parameters={**parameters, **values}).result_rows]
    wrong = [
        (llm, usage, cost, expected)
        for (llm, usage), cost in zip(calls, found, strict=True)
        if (expected := expected_cost(llm, usage)) is not None and cost != pytest.approx(expected, rel=1e-6, abs=1e-9)
    ]
    print(len(wrong), wrong[:12])
    assert len(prices.prices) > 500
    assert not wrong


def found(*llms: str) -> set[str]:
    return set(pricing.table_of(llms).prices)


def test_models_are_found_without_their_provider_and_unknown_ones_are_not() -> None:
    known = {"openai/gpt-4o", "/gpt-4o", "my-gateway/gpt-4o", "/text-embedding-3-small"}
    assert found(*known, "openai/no-such-model", "openai/") == known
    first = pricing.table_of(["openai/gpt-4o"]).prices["openai/gpt-4o"][0]
    assert (first.input, first.output) == pytest.approx((2.5e-6, 1e-5))


@pytest.mark.parametrize(
    "llm",
    [
        *("openai/openai/gpt-4o", "openai/azure/gpt-4o", "vertex_ai/vertex_ai/gemini-2.5-pro", "openai/openai:gpt-4o"),
        *("gcp.gemini/models/gemini-2.5-flash", "openai.responses/gpt-4o-2024-08-06", "openai/mine\nasked gpt-4o"),
        *("openai/gpt-4o\nlocal", "anthropic/claude-sonnet-4-5\nlocal"),
    ],
)
def test_gateways_write_models_in_many_ways(llm: str) -> None:
    assert found(llm) == {llm}


@pytest.mark.parametrize(
    "llm",
    [
        *("ollama/deepseek-r1:8b", "hosted_vllm/mistral-large", "openai/ollama/llama3"),
        *(
            "openai/deepseek-r1:8b\nlocal",
            "openai/mistral-large\nlocal",
            "/kimi-k2\nlocal",
            "openai/gpt-oss-20b\nlocal",
        ),
    ],
)
def test_a_server_of_ones_own_has_no_list_price(llm: str) -> None:
    assert not found(llm)


def cost_of(usage: dict[str, Any], at: str, file: str, clickhouse_server: ClickHouseServer, path: Path) -> float | None:
    (path / "prices.toml").write_text(file, encoding="utf-8")
    parts = {"llm": "openai/m", "input": 0, "output": 0, "cache_read": 0, "cache_write": 0, "modal": []}
    parts |= {"usage": 1, "cost": 0.0, "reasoning": 0, **usage}
    table = pricing.table_of([parts["llm"]], price_file.read(path / "prices.toml"), has_modal=bool(parts["modal"]))
    cost, parameters = pricing.cost_sql(table)
    kinds = {"llm": "String", "modal": "Array(UInt64)", "usage": "UInt8", "cost": "Float64"}
    names = ", ".join(f"{name} {kinds.get(name, 'UInt64')}" for name in parts)
    values = ", ".join(repr(value) for value in parts.values())
    sql = (
        f"SELECT {cost} FROM (SELECT CAST(({values}), 'Tuple({names})') AS LoggedModelCall,"
        " toDateTime64({now:String}, 9, 'UTC') AS Timestamp)"
    )
    client = clickhouse_server.client(form_encode_query_params=True)
    value: float | None = client.query(sql, parameters={**parameters, "now": at}).result_rows[0][0]
    return value


OWN = """
[[price]]
model = "m*"
input = 2
output = 10
reasoning = 20
[[price]]
model = "m"
provider = "openai"
from = 2026-06-01
input = 1
output = 5
"""


def test_a_file_has_prices_by_time_and_kind(clickhouse_server: ClickHouseServer, tmp_path: Path) -> None:
    usage = {"input": 1_000_000, "output": 100_000, "reasoning": 50_000}
    before = cost_of(usage, "2026-05-31 23:59:59", OWN, clickhouse_server, tmp_path)
    after = cost_of(usage, "2026-06-01 00:00:00", OWN, clickhouse_server, tmp_path)
    assert before == pytest.approx(2 + 0.05 * 10 + 0.05 * 20)
    assert after == pytest.approx(1 + 0.1 * 5)


def test_audio_costs_what_audio_does(clickhouse_server: ClickHouseServer, tmp_path: Path) -> None:
    usage = {"llm": "openai/gpt-realtime", "input": 1000, "output": 500, "modal": [900, 0, 0, 400, 0]}
    cost = cost_of(usage, "2026-11-20 12:00:00", "", clickhouse_server, tmp_path)
    assert cost == pytest.approx(0.0564)


def test_prices_are_those_of_the_time_of_the_call(clickhouse_server: ClickHouseServer, tmp_path: Path) -> None:
    usage = {"llm": "deepseek/deepseek-v4-flash", "input": 1_000_000, "output": 0}
    hours = {hour: cost_of(usage, f"2026-11-20 {hour:02}:30:00", "", clickhouse_server, tmp_path) for hour in (0, 2, 5)}
    assert hours == {0: pytest.approx(0.15), 2: pytest.approx(0.3), 5: pytest.approx(0.15)}


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("[[price]\n", "is no TOML"),
        ('[[price]]\nmodel = "m"\ninput = 1\n', "line 1: the price of 'm' lacks 'output'"),
        (
            '\n[[price]]\nmodel = "m"\nimput = 1\noutput = 1\n',
            "line 2: a price has no key 'imput'; did you mean 'input'",
        ),
        ('[[price]]\nmodel = "m"\ninput = "1"\noutput = 1\n', "input is '1': write a number of US dollars"),
        ('[[price]]\nmodel = "m"\ninput = nan\noutput = 1\n', "input is nan: write a number"),
        ('[[price]]\nmodel = "m"\ninput = 1\noutput = 1\nfrom = "x"\n', "write a date without quotes"),
        ("[[price]]\ninput = 1\noutput = 1\n", "needs the name of its model"),
        ("prices = 1\n", "write each price under"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_place(file: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(file, encoding="utf-8")
    with pytest.raises(ReadingError, match=re.escape(message)) as failure:
        price_file.read(path)
    assert str(path) in str(failure.value)


def test_the_file_of_the_documentation_is_read(tmp_path: Path) -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "tokens-and-cost.md"
    printed = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(printed) == 1
    path = tmp_path / "prices.toml"
    path.write_text(printed[0], encoding="utf-8")
    assert price_file.read(path) != price_file.NO_FILE
