#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Phoenix takes a span with a link over OTLP, says that it has stored it, and keeps no link.
#
# Version: arize-phoenix 20.26.1, as it starts by default.
# One would expect: the link with the span, in its interface for spans as OTLP at least, as the specification of OTLP has
# links among what a span is; or a partial success.
# What it does: 200 with no partial success, and the span comes back with its attributes and without the link.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check arize-phoenix==20.26.1 \
  opentelemetry-exporter-otlp-proto-http==1.45.2
cat > "$folder/run.py" <<'PYTHON'
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanContext, TraceFlags

folder = sys.argv[1]
with socket.socket() as http, socket.socket() as grpc:
    http.bind(("127.0.0.1", 0))
    grpc.bind(("127.0.0.1", 0))
    ports = {"PHOENIX_PORT": str(http.getsockname()[1]), "PHOENIX_GRPC_PORT": str(grpc.getsockname()[1])}
settings = {"PHOENIX_HOST": "127.0.0.1", "PHOENIX_WORKING_DIR": folder, "PHOENIX_TELEMETRY_ENABLED": "false"}
url = f"http://127.0.0.1:{ports['PHOENIX_PORT']}"
server = subprocess.Popen(
    [os.path.join(os.path.dirname(sys.executable), "phoenix"), "serve"],
    env={**os.environ, **ports, **settings},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)


def asked(path):
    with urllib.request.urlopen(url + path, timeout=30) as answer:
        return answer.read()


try:
    for _ in range(600):
        try:
            asked("/healthz")
            break
        except OSError:
            time.sleep(0.5)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{url}/v1/traces")))
    other = SpanContext(0x1234, 0x5678, is_remote=True, trace_flags=TraceFlags(1))
    provider.get_tracer("finding").start_span("linked", links=[Link(other)], attributes={"kept": "yes"}).end()
    provider.shutdown()
    found = []
    for _ in range(120):
        try:
            found = json.loads(asked("/v1/projects/default/spans/otlpv1"))["data"]
        except urllib.error.HTTPError:  # there is no project before the first span
            pass
        if found:
            break
        time.sleep(0.5)
finally:
    server.terminate()
    server.wait()
(span,) = found
print("attributes:", [one["key"] for one in span["attributes"]], "links:", span.get("links"))
sys.exit(not ("kept" in [one["key"] for one in span["attributes"]] and not span.get("links")))
PYTHON
"$folder/venv/bin/python" "$folder/run.py" "$folder"
