#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# AG2's own telemetry states the tokens of each call twice, on two spans beside each other.
#
# Version: ag2 1.2.1 with its TelemetryMiddleware.
# One would expect: gen_ai.usage.* on the span of the call, `chat gpt-4o`, and nowhere else, or on spans above it.
# What it does: a second span, `record_usage model_call`, without gen_ai.operation.name, has the same gen_ai.usage.* and the
# same parent. Whoever adds up gen_ai.usage.input_tokens over the spans of a trace gets twice what was paid for.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "ag2[openai]==1.2.1" opentelemetry-sdk==1.45.2
cat > "$folder/run.py" <<'PYTHON'
import asyncio
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from ag2 import Agent
from ag2.config import OpenAIConfig
from ag2.middleware.builtin.telemetry import TelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class OpenAI(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        usage = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}
        choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
        head = {"id": "c-1", "object": "chat.completion", "created": 1, "model": "gpt-4o"}
        body = json.dumps({**head, "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), OpenAI)
threading.Thread(target=server.serve_forever, daemon=True).start()
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
config = OpenAIConfig(model="gpt-4o", api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1")
traced = TelemetryMiddleware(tracer_provider=provider, provider_name="openai", model_name="gpt-4o")
asyncio.run(Agent("a", "be brief", config=config, middleware=[traced]).ask("?"))
key = "gen_ai.usage.input_tokens"
said = sorted((span.name, span.attributes[key]) for span in spans.get_finished_spans() if key in span.attributes)
print("one call of 1000 tokens:", said)
sys.exit(said != [("chat gpt-4o", 1000), ("record_usage model_call", 1000)])
PYTHON
"$folder/venv/bin/python" "$folder/run.py"
