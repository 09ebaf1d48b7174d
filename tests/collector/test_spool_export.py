# SPDX-License-Identifier: Apache-2.0
"""What `otel-loggedmodel spool export` prints, read by a real Collector.

The Collector that is built here has the `otlp` receiver. The `otlpjsonfile` receiver reads a line in the same way as
`otlp` reads the body of a request in JSON.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, StatusCode

from otel_loggedmodel.commands.otlp_lines import line_of
from waiting import wait_until

from .conftest import RunCollector


def request() -> bytes:
    """Spans with everything that a span can have."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "shop", "n": 3}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("tests", "1", attributes={"scope": "attribute"})
    with tracer.start_as_current_span("parent") as parent:
        link = Link(parent.get_span_context(), {"number": 3})
        values = {"text": "günstig \x1b", "flag": True, "no": False, "float": -0.5, "infinite": float("inf")}
        span = tracer.start_span("child", kind=SpanKind.CONSUMER, links=[link], attributes=values)
        span.set_attributes({"big": 2**62, "negative": -1, "texts": ["a", ""], "numbers": [1, 2], "empty": []})
        span.add_event("event", {"key": "value"})
        span.set_status(StatusCode.ERROR, "why")
        span.end()
    provider.shutdown()
    return encode_spans(memory.get_finished_spans()).SerializeToString()


def post(url: str, body: bytes, content_type: str) -> None:
    outgoing = urllib.request.Request(f"{url}/v1/traces", body, {"Content-Type": content_type})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(outgoing, timeout=10) as response:
        assert response.status == 200


def spans_in(path: Path) -> Iterator[str]:
    """Each span with its resource and scope, as the Collector wrote it."""
    for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n"):
        for resource in json.loads(line)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    yield json.dumps([span, scope["scope"], resource["resource"]], sort_keys=True)


def test_a_line_is_read_as_the_request_itself(run_collector: RunCollector) -> None:
    payload = request()
    with run_collector() as collector:
        post(collector.url, payload, "application/x-protobuf")
        wait_until(lambda: len(collector.spans()) == 2, "the spans of the request")
        as_protobuf = sorted(spans_in(collector.output))
        post(collector.url, line_of(payload).encode(), "application/json")
        wait_until(lambda: len(collector.spans()) == 4, "the spans of the line")
        assert sorted(spans_in(collector.output)) == sorted(2 * as_protobuf)
    assert "g\\u00fcnstig" in as_protobuf[0] + as_protobuf[1]
