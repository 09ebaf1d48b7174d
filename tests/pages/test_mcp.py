# SPDX-License-Identifier: Apache-2.0
"""A coding agent asks a real backend through `otel-loggedmodel mcp`, with the protocol's own client."""

import asyncio
import importlib.util
import json
import sys
from typing import Any

import pytest

from cli.terminal import environment
from planted_versions import HOSTILE

from . import sent
from .conftest import Shop

pytestmark = pytest.mark.skipif(importlib.util.find_spec("mcp") is None, reason="needs the extra mcp")


async def ask_all(shop: Shop, *questions: tuple[str, dict[str, Any]]) -> tuple[list[str], list[Any]]:
    """The names of the tools, and the answers."""
    from mcp import Client, StdioServerParameters

    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "otel_loggedmodel", "mcp"],
        env=environment(OTEL_LOGGEDMODEL_STORE=shop.http),
    )
    async with Client(server) as client:
        tools = (await client.list_tools()).tools
        assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools)
        answers = []
        for name, arguments in questions:
            (content,) = (await client.call_tool(name, arguments)).content
            assert content.type == "text"
            answers.append(json.loads(content.text))
        return [tool.name for tool in tools], answers


def test_an_agent_finds_out_which_version_is_better_and_why(shop: Shop) -> None:
    old, new = sent.OLD_CHAT[-8:], sent.NEW_CHAT[-8:]
    tools, answers = asyncio.run(
        ask_all(
            shop,
            ("list_versions", {"name": sent.CHAT}),
            ("deployed_versions", {}),
            ("compare_versions", {"baseline": old, "candidate": new, "since": "30d"}),
            ("find_traces", {"version": new, "errors_only": True, "text": "timed out", "limit": 3}),
            ("show_trace", {"trace_id": sent.OTEL_TRACE}),
            ("compare_versions", {"baseline": "none", "candidate": new}),
            ("find_traces", {"since": "never"}),
            ("changed_rows", {"baseline": old, "candidate": new}),
        )
    )
    assert sorted(tools) == [
        *("changed_rows", "compare_versions", "deployed_versions", "find_traces", "list_versions", "show_trace"),
    ]
    listed, deployed, compared, found, shown, unknown, never, rows = answers
    assert {one["id"] for one in listed["versions"]} == {sent.OLD_CHAT, sent.NEW_CHAT}
    assert sent.NEW_CHAT in {one["model_id"] for one in deployed["deployed"]}
    assert "is faster" in compared["decision"]
    assert compared["groups"]["speed"] == "better"
    assert compared["metrics"]["latency_ms.p50"]["verdict"] == "better"
    assert {"kind": "param", "key": "temperature", "values": ["0.7", "0.2"]} in compared["changed"]
    assert len(found["traces"]) == 3
    assert all(one["failed"] and one["reason"] for one in found["traces"])
    assert any(span.get("output") == "It is in Graz." for span in shown["spans"])
    assert any(HOSTILE[:8] in span.get("input", "") for span in shown["spans"])
    assert "there is no version 'none'" in unknown["error"]
    assert "'never' is no time" in never["error"]
    assert rows == {"rows": []}
