# SPDX-License-Identifier: Apache-2.0
"""Amazon Bedrock's Converse with boto3, and whichever instrumentation of it is installed."""

import importlib.util

import boto3
import telemetry
from botocore.config import Config
from opentelemetry.trace import get_tracer

telemetry.start()
if importlib.util.find_spec("openinference") is not None:
    from openinference.instrumentation.bedrock import BedrockInstrumentor

    BedrockInstrumentor().instrument()
else:
    from opentelemetry.instrumentation.botocore import BotocoreInstrumentor

    BotocoreInstrumentor().instrument()

client = boto3.client(
    "bedrock-runtime",
    region_name="us-east-1",
    endpoint_url=telemetry.MODELS,
    aws_access_key_id="none",
    aws_secret_access_key="none",
    config=Config(retries={"total_max_attempts": 1}),
)
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
weather = {"toolSpec": {"name": "get_weather", "description": "Weather.", "inputSchema": {"json": schema}}}
messages = [{"role": "user", "content": [{"text": telemetry.QUESTION}]}]
asked = {
    "modelId": "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "system": [{"text": telemetry.INSTRUCTIONS}],
    "messages": messages,
    **({"toolConfig": {"tools": [weather]}} if telemetry.SCENARIO == "tool" else {}),
}
try:
    with get_tracer("app").start_as_current_span("ask"):
        if telemetry.SCENARIO == "stream":
            for _ in client.converse_stream(**asked)["stream"]:
                pass
        else:
            answer = client.converse(**asked)["output"]["message"]
            if telemetry.SCENARIO == "tool":
                use = answer["content"][0]["toolUse"]
                result = {"toolUseId": use["toolUseId"], "content": [{"text": f"SUNNY-{use['input']['city']}"}]}
                messages += [answer, {"role": "user", "content": [{"toolResult": result}]}]
                client.converse(**asked)
except Exception as error:
    telemetry.expect_failure(error)
