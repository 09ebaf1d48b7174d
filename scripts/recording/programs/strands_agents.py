# SPDX-License-Identifier: Apache-2.0
"""Strands Agents with its own telemetry and OpenAI's models: an agent that calls a tool."""

import asyncio

import telemetry
from strands import Agent, tool
from strands.models.openai import OpenAIModel

telemetry.start()


@tool
def get_weather(city: str) -> str:
    """Weather.

    Args:
        city: Where.
    """
    return f"SUNNY-{city}"


options = {"api_key": "none", "base_url": f"{telemetry.MODELS}/v1", "max_retries": 0}
model = OpenAIModel(client_args=options, model_id="gpt-4o")
agent = Agent(model=model, tools=[get_weather], system_prompt=telemetry.INSTRUCTIONS, callback_handler=None)


async def stream() -> None:
    async for _ in agent.stream_async(telemetry.QUESTION):
        pass


try:
    if telemetry.SCENARIO == "stream":
        asyncio.run(stream())
    else:
        agent(telemetry.QUESTION)
except Exception as error:
    telemetry.expect_failure(error)
