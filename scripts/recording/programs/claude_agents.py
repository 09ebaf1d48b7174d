# SPDX-License-Identifier: Apache-2.0
"""The Claude Agent SDK: an agent that calls a tool of this process, and talks to it in several turns.

The SDK starts a program that makes the calls of models. That program has telemetry of its own, which variables of the
environment switch on; a span that is current here becomes the parent of its spans.
"""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import Any

import claude_agent_sdk as sdk
import telemetry
from opentelemetry import trace

instrumented_by = os.environ.get("INSTRUMENTED_BY")
if instrumented_by != "logfire":
    telemetry.start()
if instrumented_by == "openinference":
    from openinference.instrumentation.claude_agent_sdk import ClaudeAgentSDKInstrumentor

    ClaudeAgentSDKInstrumentor().instrument()
elif instrumented_by == "logfire":
    import logfire

    logfire.configure(send_to_logfire=False, console=False)
    logfire.instrument_claude_agent_sdk()
elif instrumented_by == "langsmith":
    from langsmith.integrations.claude_agent_sdk import configure_claude_agent_sdk

    configure_claude_agent_sdk()


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


async def talk(questions: Sequence[str]) -> None:
    """Ask in one conversation."""
    async with sdk.ClaudeSDKClient(options=options) as client:
        for question in questions:
            await client.query(question)
            async for _ in client.receive_response():
                pass


turns = [telemetry.QUESTION]
if telemetry.SCENARIO == "turns":
    turns = [f"{telemetry.QUESTION}-{turn}" for turn in (1, 2)]
# These two have no spans for `query`.
is_client = len(turns) > 1 or instrumented_by in {"logfire", "langsmith"}
is_served = telemetry.SCENARIO.startswith("served")
tracer = trace.get_tracer("application")
try:
    with tracer.start_as_current_span("answer") if is_served else contextlib.nullcontext():
        asyncio.run(talk(turns) if is_client else ask())
except sdk.ClaudeSDKError as error:
    telemetry.expect_failure(error)
