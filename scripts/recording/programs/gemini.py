# SPDX-License-Identifier: Apache-2.0
"""Google's Gen AI SDK with its official instrumentation."""

import telemetry
from google import genai
from google.genai import types
from opentelemetry.instrumentation.google_genai import GoogleGenAiSdkInstrumentor
from opentelemetry.trace import get_tracer

telemetry.start()
GoogleGenAiSdkInstrumentor().instrument()


def get_weather(city: str) -> str:
    """Weather."""
    return f"SUNNY-{city}"


client = genai.Client(api_key="none", http_options=types.HttpOptions(base_url=telemetry.MODELS))
tools = [get_weather] if telemetry.SCENARIO == "tool" else None
config = types.GenerateContentConfig(system_instruction=telemetry.INSTRUCTIONS, tools=tools)
asked = {"model": "gemini-2.5-flash", "contents": telemetry.QUESTION, "config": config}
try:
    with get_tracer("app").start_as_current_span("ask"):
        if telemetry.SCENARIO == "stream":
            for _ in client.models.generate_content_stream(**asked):
                pass
        else:
            client.models.generate_content(**asked)
except Exception as error:
    telemetry.expect_failure(error)
