#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# OpenInference for the Claude Agent SDK says how many tokens an answer had when it began.
#
# Versions: claude-agent-sdk 0.2.184, openinference-instrumentation-claude-agent-sdk 0.1.22.
# One would expect: `llm.token_count.completion` is the usage of the SDK's `ResultMessage`, which is what was paid for.
# What it does: it adds up the usage of `AssistantMessage`s. That is from the event `message_start`, which Anthropic's
# interface sends before there is an answer, with one output token or a few. The span says 1 for an answer of 103 tokens.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check claude-agent-sdk==0.2.184 \
  openinference-instrumentation-claude-agent-sdk==0.1.22 opentelemetry-sdk==1.45.2
cat > "$folder/run.py" <<'PYTHON'
import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import claude_agent_sdk
from openinference.instrumentation.claude_agent_sdk import ClaudeAgentSDKInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Anthropic(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": []}
        usage = {"input_tokens": 1007, "output_tokens": 1}
        events = [
            {"type": "message_start", "message": {**message, "stop_reason": None, "usage": usage}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "sunny"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {**usage, "output_tokens": 103}},
            {"type": "message_stop"},
        ]
        body = "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Anthropic)
threading.Thread(target=server.serve_forever, daemon=True).start()
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
ClaudeAgentSDKInstrumentor().instrument(tracer_provider=provider)
options = claude_agent_sdk.ClaudeAgentOptions(
    tools=[],
    model="claude-sonnet-4-5",
    setting_sources=[],
    env={
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{server.server_port}",
        "ANTHROPIC_API_KEY": "none",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    },
)


async def ask():
    messages = [one async for one in claude_agent_sdk.query(prompt="How is the weather?", options=options)]
    return messages[-1].usage["output_tokens"]


paid = asyncio.run(ask())
said = [span.attributes.get("llm.token_count.completion") for span in spans.get_finished_spans()]
print("output tokens of the result:", paid, "on spans:", said)
sys.exit((paid, said) != (103, [1]))
PYTHON
HOME=$folder "$folder/venv/bin/python" "$folder/run.py"
