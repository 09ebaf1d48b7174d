# SPDX-License-Identifier: Apache-2.0
"""AutoGen's agents with their own telemetry, beside OpenInference's: an agent that calls a tool."""

import asyncio

import telemetry
from autogen_agentchat.agents import AssistantAgent
from autogen_ext.models.openai import OpenAIChatCompletionClient
from openinference.instrumentation.autogen_agentchat import AutogenAgentChatInstrumentor

telemetry.start()
AutogenAgentChatInstrumentor().instrument()


async def get_weather(city: str) -> str:
    """Weather."""
    return f"SUNNY-{city}"


model = OpenAIChatCompletionClient(model="gpt-4o", api_key="none", base_url=f"{telemetry.MODELS}/v1", max_retries=0)
agent = AssistantAgent(
    "weather",
    model_client=model,
    tools=[get_weather],
    system_message=telemetry.INSTRUCTIONS,
    reflect_on_tool_use=True,
    model_client_stream=telemetry.SCENARIO == "stream",
)


async def ask() -> None:
    if telemetry.SCENARIO == "stream":
        async for _ in agent.run_stream(task=telemetry.QUESTION):
            pass
        return
    await agent.run(task=telemetry.QUESTION)
    if telemetry.SCENARIO == "turns":
        await agent.run(task=f"{telemetry.QUESTION}-again")


try:
    asyncio.run(ask())
except Exception as error:
    telemetry.expect_failure(error)
