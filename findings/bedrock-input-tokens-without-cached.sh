#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# OpenTelemetry's own instrumentation of boto3 leaves cached tokens out of gen_ai.usage.input_tokens.
#
# Versions: opentelemetry-instrumentation-botocore 0.66b2, boto3 1.44.8, a call of Bedrock's Converse.
# One would expect: gen_ai.usage.input_tokens with the cached tokens in it, as the GenAI conventions say
# (https://github.com/open-telemetry/semantic-conventions-genai) and as OpenInference counts the same answer.
# What it does: it copies Bedrock's inputTokens, which have none of the cached ones, and puts the cached ones beside it.
# A backend that takes the conventions at their word prices 606 tokens of 1007.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check boto3==1.44.8 \
  opentelemetry-instrumentation-botocore==0.66b2 opentelemetry-sdk==1.45.2
cat > "$folder/run.py" <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import boto3
from opentelemetry import trace
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Bedrock(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        usage = {"inputTokens": 606, "outputTokens": 103, "totalTokens": 1110, "cacheReadInputTokens": 401}
        message = {"message": {"role": "assistant", "content": [{"text": "yes"}]}}
        answer = {"output": message, "stopReason": "end_turn", "usage": usage, "metrics": {"latencyMs": 1}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Bedrock)
threading.Thread(target=server.serve_forever, daemon=True).start()
spans = InMemorySpanExporter()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(spans))
BotocoreInstrumentor().instrument()
client = boto3.client(
    "bedrock-runtime",
    region_name="us-east-1",
    endpoint_url=f"http://127.0.0.1:{server.server_port}",
    aws_access_key_id="none",
    aws_secret_access_key="none",
)
client.converse(modelId="anthropic.claude-sonnet-4-5", messages=[{"role": "user", "content": [{"text": "?"}]}])
said = spans.get_finished_spans()[0].attributes
found = {key: said[key] for key in ("gen_ai.usage.input_tokens", "gen_ai.usage.cache_read.input_tokens")}
print("a prompt of 1007 tokens, 401 of them cached:", found)
sys.exit(found != {"gen_ai.usage.input_tokens": 606, "gen_ai.usage.cache_read.input_tokens": 401})
PYTHON
"$folder/venv/bin/python" "$folder/run.py"
