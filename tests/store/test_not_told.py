# SPDX-License-Identifier: Apache-2.0
"""What an instrumentation does not tell, or estimates, is not known: no number, and a note."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clickhouse_server import ClickHouseServer
from effort import some
from otel_loggedmodel.conventions import scopes
from otel_loggedmodel.store.results import Comparison, VersionMetrics
from planted_traces import write_attributes

from .conftest import filled

_START = 1_790_000_000 * 10**9
_CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
}
_CLAUDE = {**_CHAT, "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude-sonnet-4-5"}
_CACHED = "gen_ai.usage.cache_read.input_tokens"
_PRICE = 1000 * 2.5e-6 + 100 * 10e-6


@dataclass(frozen=True)
class Case:
    """A call in a trace, and what is known of it: None is not known."""

    scope: str
    said: dict[str, Any]
    known: dict[str, float | None]
    note: str = ""
    agent: bool = False
    calls: int = field(default=1)


_ALL = {"input": 1000, "output": 100, "cache_read": 0, "cache_write": 0, "cost": _PRICE}
_NOTHING: dict[str, float | None] = dict.fromkeys(_ALL)
_UNCACHED = {**_ALL, "cache_read": None, "cost": None}
SILENT = scopes.WITHOUT_CACHED[0]
CASES = {
    **{
        f"cached tokens by {scope}": Case(scope, _CHAT, _UNCACHED, "do not tell cached tokens")
        for scope in scopes.WITHOUT_CACHED
        if scope not in scopes.WITH_ESTIMATES
    },
    "another instrumentation": Case("openinference.instrumentation.openai", _CHAT, _ALL),
    "none were cached, it says": Case(SILENT, {**_CHAT, _CACHED: 0}, _ALL),
    "a model that writes to a cache": Case(
        SILENT, _CLAUDE, {**_UNCACHED, "cache_write": None}, "do not tell cached tokens"
    ),
    "an embedding has no cache": Case(
        SILENT,
        {
            "gen_ai.operation.name": "embeddings",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "text-embedding-3-small",
            "gen_ai.usage.input_tokens": 1000,
        },
        {"input": 1000, "output": 0, "cache_read": 0, "cache_write": 0, "cost": 1000 * 0.02e-6},
    ),
    "a stated cost is known": Case(
        SILENT, {**_CHAT, "gen_ai.usage.cost": 0.5}, {**_UNCACHED, "cost": 0.5}, "do not tell cached tokens"
    ),
    "a cost of cached tokens without their number": Case(
        "litellm",
        {**_CLAUDE, "gen_ai.cost.total_cost": 0.25, "gen_ai.cost.cache_read_cost": 0.01},
        {**_UNCACHED, "cache_write": None, "cost": 0.25},
        "do not tell cached tokens",
    ),
    "an estimate": Case(
        scopes.WITH_ESTIMATES[0], {**_CHAT, "gen_ai.response.id": "chatcmpl-1"}, _NOTHING, "say no tokens"
    ),
    "no estimate": Case(
        scopes.WITH_ESTIMATES[0],
        {**_CHAT, "gen_ai.response.id": "resp_1"},
        _UNCACHED,
        "do not tell cached tokens",
    ),
    "the last call on a span of the application": Case(
        "app", {**_CHAT, "litellm.call_id": "c-1"}, _NOTHING, "say no tokens"
    ),
    "a call on a span of its own": Case("litellm", {**_CHAT, "litellm.call_id": "c-1"}, _ALL),
    "reasoning twice": Case(
        "gcp.vertex.agent",
        {
            **_CHAT,
            "gen_ai.request.model": "openai/gpt-4o",
            "gen_ai.usage.output_tokens": 140,
            "gen_ai.usage.reasoning.output_tokens": 40,
        },
        _ALL,
    ),
    "an agent without a call": Case("app", {}, _NOTHING, "of agents without a call", agent=True, calls=0),
    "an agent with a call": Case("app", _CHAT, _ALL, agent=True),
    "an embedding that says nothing": Case(
        "app",
        {"gen_ai.operation.name": "embeddings", "gen_ai.request.model": "text-embedding-3-small"},
        {"input": None, "output": 0, "cache_read": 0, "cache_write": 0, "cost": None},
        "say no tokens",
    ),
    "cached tokens beside the input": Case(
        "openlit.otel.tracing",
        {**_CLAUDE, _CACHED: 400},
        {"input": 1400, "output": 100, "cache_read": 400, "cache_write": 0, "cost": 0.003 + 0.00012 + 0.0015},
    ),
}


def request(version: str, number: int, case: Case) -> bytes:
    message = ExportTraceServiceRequest()
    resource_spans = message.resource_spans.add()
    steps: list[tuple[str, dict[str, Any]]] = [("app", {"logged_model.name": version})]
    steps += [("app", {"gen_ai.operation.name": "invoke_agent"})] if case.agent else []
    steps += [(case.scope, case.said)] * case.calls
    for place, (scope, said) in enumerate(steps, 1):
        scope_spans = resource_spans.scope_spans.add()
        scope_spans.scope.name = scope
        span = scope_spans.spans.add(
            name="span", trace_id=number.to_bytes(16, "big"), span_id=(number * 10 + place).to_bytes(8, "big")
        )
        if place > 1:
            span.parent_span_id = (number * 10 + place - 1).to_bytes(8, "big")
        span.start_time_unix_nano = _START + place * 1000
        span.end_time_unix_nano = _START + 10**9 - place * 1000
        write_attributes(span.attributes, {"logged_model.id": version, **said})
    return message.SerializeToString()


# Each is asked about alone, as what a version beside it tells makes a difference.
TRIED = some(list(CASES), quick=12)


@pytest.fixture(scope="module")
def comparisons(clickhouse_server: ClickHouseServer) -> Iterator[dict[str, Comparison]]:
    requests = [request(f"v{number}", number, case) for number, case in enumerate(CASES.values(), 1)]
    with filled(clickhouse_server, requests) as reader:
        yield {name: reader.compare([f"v{number}"]) for number, name in enumerate(TRIED, 1)}


def known_of(metrics: VersionMetrics) -> dict[str, float | None]:
    tokens = metrics.tokens
    return {
        "input": tokens.input,
        "output": tokens.output,
        "cache_read": tokens.cache_read,
        "cache_write": tokens.cache_write,
        "cost": metrics.cost_usd,
    }


@pytest.mark.parametrize("name", TRIED)
def test_what_is_not_told_is_not_known(comparisons: dict[str, Comparison], name: str) -> None:
    case, comparison = CASES[name], comparisons[name]
    expected = {key: value if value is None else pytest.approx(value) for key, value in case.known.items()}
    assert known_of(comparison.versions[0]) == expected
    told = [note for note in comparison.notes if "not registered" not in note]
    assert len(told) == bool(case.note), told
    assert all(case.note in note for note in told)
