# SPDX-License-Identifier: Apache-2.0
"""Calls, tools, turns and times of recorded runs, and calls of a child process that knows no version."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from clickhouse_server import ClickHouseServer
from conventions.scoring import RECORDED, names_of, request_of
from otel_loggedmodel.server.decoding import JSON, decode
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.store.opening import StoreReader
from otel_loggedmodel.store.results import VersionMetrics
from planted_traces import write_attributes
from store.conftest import filled

BESIDE = ("oi", "logfire", "langsmith")
_START = 1_790_000_000 * 10**9
_CLAUDE = "com.anthropic.claude_code.tracing"


def without_versions(pairs: Sequence[dict[str, Any]], service: str) -> list[dict[str, Any]]:
    """Attributes as a child process has them that was told of no version."""
    kept = [one for one in pairs if not one["key"].startswith("logged_model.") and one["key"] != "service.name"]
    return [*kept, {"key": "service.name", "value": {"stringValue": service}}]


def untold_child() -> bytes:
    """A recorded run whose application alone knows its version, as a context carries it there."""
    body = json.loads((RECORDED / "claude_agent_sdk.json").read_text("utf-8"))
    found = []
    for one in body["resourceSpans"]:
        attributes = one["resource"]["attributes"]
        if not any(pair["value"].get("stringValue") == "claude_agent_sdk-served_tool" for pair in attributes):
            continue
        is_child = any(scope["scope"]["name"] == _CLAUDE for scope in one["scopeSpans"])
        one["resource"]["attributes"] = without_versions(attributes, "claude-code" if is_child else "app")
        for span in (span for scope in one["scopeSpans"] for span in scope["spans"]):
            span["attributes"] = without_versions(span.get("attributes", []), "x")
            span["traceId"] = "ab" * 16
            if not is_child:
                for key in ("logged_model.id", "logged_model.name"):
                    span["attributes"].append({"key": key, "value": {"stringValue": "untold"}})
        found.append(one)
    return decode(json.dumps({"resourceSpans": found}).encode(), JSON, "identity", Settings()).checked.payload


def chain(version: str, calls: int, *, do_overlap: bool = False) -> bytes:
    """An agent whose calls each have the call before for a parent, as if that stayed current after its end."""
    request = ExportTraceServiceRequest()
    scope_spans = request.resource_spans.add().scope_spans.add()
    scope_spans.scope.name = "agents"
    for number in range(calls + 1):
        span = scope_spans.spans.add(name=f"{number}", trace_id=calls.to_bytes(16, "big"))
        span.span_id, span.parent_span_id = (
            (number + 1).to_bytes(8, "big"),
            number.to_bytes(8, "big") if number else b"",
        )
        span.start_time_unix_nano = _START + number * 1000
        span.end_time_unix_nano = (
            _START + (calls + 1) * 1000 if not number or do_overlap else span.start_time_unix_nano + 900
        )
        tokens, kind = (calls * 100, "invoke_agent") if number == 0 else (100, "chat")
        said = {"logged_model.id": version, "gen_ai.operation.name": kind, "gen_ai.usage.input_tokens": tokens}
        write_attributes(span.attributes, {**said, "gen_ai.request.model": "gpt-4o"})
    return request.SerializeToString()


def mostly_uncached(version: str, provider: str) -> bytes:
    """A call of Claude Code whose request was hardly in the cache."""
    request = ExportTraceServiceRequest()
    scope_spans = request.resource_spans.add().scope_spans.add()
    scope_spans.scope.name = _CLAUDE
    span = scope_spans.spans.add(
        name="claude_code.llm_request", trace_id=provider.encode().ljust(16), span_id=b"12345678"
    )
    span.start_time_unix_nano, span.end_time_unix_nano = _START, _START + 10**9
    said = {"logged_model.id": version, "span.type": "llm_request", "gen_ai.provider.name": provider}
    tokens = {"input_tokens": 5000, "output_tokens": 3, "cache_read_tokens": 10, "cache_creation_tokens": 7}
    write_attributes(span.attributes, {**said, **tokens})
    return request.SerializeToString()


@pytest.fixture(scope="module")
def reader(clickhouse_server: ClickHouseServer) -> Iterator[StoreReader]:
    names = [name for name in names_of(RECORDED) if name.startswith(("claude_agent_sdk", "langchain4j"))]
    requests = [*(request_of(RECORDED, name) for name in names), untold_child()]
    requests += [mostly_uncached(provider, provider) for provider in ("anthropic", "gcp.vertex_ai")]
    requests += [chain("chain", 60), chain("wrapped", 5, do_overlap=True)]
    with filled(clickhouse_server, requests) as opened:
        yield opened


def metrics_of(reader: StoreReader, version: str) -> VersionMetrics:
    (found,) = reader.compare([version]).versions
    return found


@pytest.mark.parametrize(
    ("version", "calls", "tools", "failed"),
    [
        ("claude_agent_sdk-chat", 1, 0, 0),
        ("claude_agent_sdk-tool", 2, 1, 0),
        ("claude_agent_sdk-served_tool", 2, 1, 0),
        ("claude_agent_sdk-turns", 1, 0, 0),
        ("claude_agent_sdk-fail", 1, 0, 1),
        ("claude_agent_sdk_logfire-tool", 2, 1, 0),
        ("claude_agent_sdk_logfire-fail", 1, 0, 1),
        ("claude_agent_sdk_langsmith-tool", 2, 1, 0),
        ("langchain4j-chat", 1, 0, 0),
        ("langchain4j-streams", 2, 0, 0),
        ("langchain4j-tool", 2, 0, 0),
        ("langchain4j-turns", 2, 0, 0),
        ("langchain4j-fail", 1, 0, 1),
        ("langchain4j_oi-tool", 2, 1, 0),
        ("langchain4j_oi-turns", 2, 0, 0),
        ("langchain4j_oi-fail", 1, 0, 1),
    ],
)
def test_calls_tools_and_failures_of_a_trace(
    reader: StoreReader, version: str, calls: int, tools: int, failed: int
) -> None:
    found = metrics_of(reader, version)
    assert (found.calls_per_trace, found.tool_calls_per_trace, found.failed_calls) == (calls, tools, failed)


@pytest.mark.parametrize("provider", ["anthropic", "gcp.vertex_ai"])
def test_claude_code_leaves_cached_tokens_out_of_the_input(reader: StoreReader, provider: str) -> None:
    assert metrics_of(reader, provider).tokens.input == 5017


@pytest.mark.parametrize(("version", "calls"), [("chain", 60), ("wrapped", 1)])
def test_calls_below_one_that_had_ended_are_calls_of_their_own(reader: StoreReader, version: str, calls: int) -> None:
    found = metrics_of(reader, version)
    # Of five calls that each wrap the next one there is one, and the agent says what is beyond it.
    assert (found.calls_per_trace, found.tokens.input) == (calls, {"chain": 6000, "wrapped": 500}[version])


@pytest.mark.parametrize("recording", ["claude_agent_sdk", *(f"claude_agent_sdk_{one}" for one in BESIDE)])
def test_turns_are_of_one_conversation(reader: StoreReader, recording: str) -> None:
    found = metrics_of(reader, f"{recording}-turns")
    assert (found.traces, found.conversations.count, found.conversations.turns) == (2, 1, 2)


def test_the_first_chunk_comes_before_the_end(reader: StoreReader) -> None:
    found = metrics_of(reader, "claude_agent_sdk-stream")
    assert found.first_chunk_ms.p50 is not None
    assert found.latency_ms.p50 is not None
    assert 0 < found.first_chunk_ms.p50 < found.latency_ms.p50


@pytest.mark.parametrize("recording", ["claude_agent_sdk", "claude_agent_sdk_logfire", "claude_agent_sdk_langsmith"])
def test_a_tool_of_the_parent_process_belongs_to_the_run_that_waits_for_it(reader: StoreReader, recording: str) -> None:
    found = reader.compare([f"{recording}-tool"])
    assert [one.traces for one in found.versions] == [1]
    assert [note for note in found.notes if "put into the trace" in note]


@pytest.mark.parametrize("version", ["claude_agent_sdk_oi-tool", "claude_agent_sdk_langsmith-tool"])
def test_numbers_from_the_beginning_of_an_answer_are_not_believed(reader: StoreReader, version: str) -> None:
    found = metrics_of(reader, version)
    assert (found.tokens.output, found.cost_usd) == (None, None)
    beside = reader.compare([version, "claude_agent_sdk-chat"]).versions
    assert [one.cost_usd is None for one in beside] == [True, False]


def test_calls_of_a_child_process_that_knows_no_version_are_those_of_its_parent(reader: StoreReader) -> None:
    told, untold = metrics_of(reader, "claude_agent_sdk-served_tool"), metrics_of(reader, "untold")
    assert untold.traces == 1
    assert untold.tokens == told.tokens
    assert untold.cost_usd == told.cost_usd
