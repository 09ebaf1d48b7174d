# SPDX-License-Identifier: Apache-2.0
"""The Claude Agent SDK: an agent that calls a tool of this process, and talks to it in several turns.

The SDK starts a program that makes the calls of models. That program has telemetry of its own, which variables of the
environment switch on; a span that is current here becomes the parent of its spans.
"""

import asyncio
import contextlib
import os
from typing import Any

import claude_agent_sdk as sdk
import telemetry
from opentelemetry import trace

provider = telemetry.start()
if os.environ.get("INSTRUMENTED_BY") == "openinference":
    from openinference.instrumentation.claude_agent_sdk import ClaudeAgentSDKInstrumentor

    ClaudeAgentSDKInstrumentor().instrument(tracer_provider=provider)


@sdk.tool("get_weather", "Weather.", {"city": str})
async def get_weather(arguments: dict[str, Any]) -> dict[str, Any]:
    """Weather of a city."""
    return {"content": [{"type": "text", "text": f"SUNNY-{arguments['city']}"}]}


options = sdk.ClaudeAgentOptions(
    tools=[],
    system_prompt=telemetry.INSTRUCTIONS,
    model="claude-sonnet-4-5",
    setting_sources=[],
    max_turns=4,
    include_partial_messages=telemetry.SCENARIO == "stream",
    env={
        "ANTHROPIC_BASE_URL": telemetry.MODELS,
        "ANTHROPIC_API_KEY": "none",
        "BETA_TRACING_ENDPOINT": os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"],
    },
)
if "tool" in telemetry.SCENARIO:
    options.mcp_servers = {"tools": sdk.create_sdk_mcp_server("tools", tools=[get_weather])}
    options.allowed_tools = ["mcp__tools__get_weather"]


async def ask() -> None:
    """Ask once."""
    async for _ in sdk.query(prompt=telemetry.QUESTION, options=options):
        pass


async def talk() -> None:
    """Ask twice in one conversation."""
    async with sdk.ClaudeSDKClient(options=options) as client:
        for turn in (1, 2):
            await client.query(f"{telemetry.QUESTION}-{turn}")
            async for _ in client.receive_response():
                pass


is_served = telemetry.SCENARIO.startswith("served")
tracer = trace.get_tracer("application")
try:
    with tracer.start_as_current_span("answer") if is_served else contextlib.nullcontext():
        asyncio.run(talk() if telemetry.SCENARIO == "turns" else ask())
except sdk.ClaudeSDKError as error:
    telemetry.expect_failure(error)
