#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The official instrumentation of google-genai says the usage of the last of several calls alone.
#
# Versions: google-genai 2.34.0, opentelemetry-instrumentation-google-genai 1.3b0.
# One would expect: a span for each request to the model, or one span with the sum of what they used.
# What it does: where the SDK calls a tool by itself (automatic function calling, which is on where tools are functions),
# two requests are sent and paid for, and one span has the tokens of the second. With google-genai 3, which is what pip
# installs, there are no spans at all: this instrumentation takes releases below 3, and says so in a line of the log.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check google-genai==2.34.0 \
  opentelemetry-instrumentation-google-genai==1.3b0 opentelemetry-sdk==1.45.2
cat > "$folder/run.py" <<'PYTHON'
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from google import genai
from google.genai import types
from opentelemetry import trace
from opentelemetry.instrumentation.google_genai import GoogleGenAiSdkInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

sold = []


class Gemini(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        sold.append(1000 + len(sold))
        part = {"functionCall": {"name": "weather", "args": {"city": "Bremen"}}} if len(sold) == 1 else {"text": "sunny"}
        usage = {"promptTokenCount": sold[-1], "candidatesTokenCount": 10, "totalTokenCount": sold[-1] + 10}
        candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}
        body = json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def weather(city: str) -> str:
    """Weather."""
    return "sunny"


server = HTTPServer(("127.0.0.1", 0), Gemini)
threading.Thread(target=server.serve_forever, daemon=True).start()
spans = InMemorySpanExporter()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(spans))
GoogleGenAiSdkInstrumentor().instrument()
client = genai.Client(
    api_key="none", http_options=types.HttpOptions(base_url=f"http://127.0.0.1:{server.server_port}")
)
config = types.GenerateContentConfig(tools=[weather])
client.models.generate_content(model="gemini-2.5-flash", contents="How is the weather?", config=config)
key = "gen_ai.usage.input_tokens"
said = [span.attributes[key] for span in spans.get_finished_spans() if key in span.attributes]
print("tokens of the requests that were sent:", sold, "on spans:", said)
sys.exit((sold, said) != ([1000, 1001], [1001]))
PYTHON
"$folder/venv/bin/python" "$folder/run.py"
