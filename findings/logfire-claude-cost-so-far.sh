#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Logfire says for each run of a conversation with the Claude Agent SDK what the conversation has cost so far.
#
# Versions: claude-agent-sdk 0.2.184, logfire 5.4.0.
# One would expect: `operation.cost` of an agent's span is the cost of that run, as its tokens are those of the run.
# What it does: it is `total_cost_usd` of the SDK's `ResultMessage`, which adds up the session. A sum over the spans of
# a conversation counts its first run as often as there are runs.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check claude-agent-sdk==0.2.184 \
  logfire==5.4.0
cat > "$folder/run.py" <<'PYTHON'
import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import claude_agent_sdk
import logfire
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
logfire.configure(
    send_to_logfire=False, console=False, additional_span_processors=[SimpleSpanProcessor(spans)]
)
logfire.instrument_claude_agent_sdk()
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
    paid = []
    async with claude_agent_sdk.ClaudeSDKClient(options=options) as client:
        for question in ("How is the weather?", "And tomorrow?"):
            await client.query(question)
            async for message in client.receive_response():
                if isinstance(message, claude_agent_sdk.ResultMessage):
                    paid.append(message.usage["input_tokens"])
    return paid


paid = asyncio.run(ask())
agents = [span.attributes for span in spans.get_finished_spans() if span.name == "invoke_agent"]
tokens = [one["gen_ai.usage.input_tokens"] for one in agents]
costs = [one["operation.cost"] for one in agents]
print("input tokens that were paid for:", paid, "on spans:", tokens, "cost on spans:", costs)
sys.exit(not (paid == tokens == [1007, 1007] and abs(costs[1] - 2 * costs[0]) < 1e-9))
PYTHON
HOME=$folder "$folder/venv/bin/python" "$folder/run.py"
