# SPDX-License-Identifier: Apache-2.0
"""AG2 with its own telemetry: an agent that calls a tool."""

import asyncio

import telemetry
from ag2 import Agent
from ag2.config import OpenAIConfig
from ag2.middleware.builtin.telemetry import TelemetryMiddleware

telemetry.start()


def get_weather(city: str) -> str:
    """Weather."""
    return f"SUNNY-{city}"


config = OpenAIConfig(model="gpt-4o", api_key="none", base_url=f"{telemetry.MODELS}/v1", max_retries=0)
traced = TelemetryMiddleware(agent_name="weather", provider_name="openai", model_name="gpt-4o")
agent = Agent("weather", telemetry.INSTRUCTIONS, config=config, tools=[get_weather], middleware=[traced])


async def ask() -> None:
    reply = await agent.ask(telemetry.QUESTION)
    if telemetry.SCENARIO == "turns":
        await reply.ask(f"{telemetry.QUESTION}-again")


try:
    asyncio.run(ask())
except Exception as error:
    telemetry.expect_failure(error)
