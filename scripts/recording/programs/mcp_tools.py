# SPDX-License-Identifier: Apache-2.0
"""A server of the Model Context Protocol and its client, each in a process of its own; both make spans themselves."""

import asyncio
import os
import sys

import telemetry
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from opentelemetry.trace import get_tracer

telemetry.start()


def serve() -> None:
    from mcp.server.mcpserver import MCPServer

    server = MCPServer("weather")

    @server.tool()
    def get_weather(city: str) -> str:
        """Weather."""
        if city == "FAIL":
            raise ValueError("planted failure")
        return f"SUNNY-{city}"

    server.run()


async def call() -> None:
    server = StdioServerParameters(
        command=sys.executable, args=[__file__, telemetry.SCENARIO], env={**os.environ, "SERVE": "1"}
    )
    with get_tracer("app").start_as_current_span("ask"):
        async with stdio_client(server) as streams, ClientSession(*streams[:2]) as session:
            await session.initialize()
            await session.list_tools()
            city = "FAIL" if "fail" in telemetry.SCENARIO else "Bremen"
            result = await session.call_tool("get_weather", {"city": city})
            if result.is_error:
                raise RuntimeError("the tool failed")


if os.environ.get("SERVE"):
    serve()
else:
    try:
        asyncio.run(call())
    except Exception as error:
        telemetry.expect_failure(error)
