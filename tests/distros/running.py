# SPDX-License-Identifier: Apache-2.0
"""An application under a vendor's distribution, and everything about it that this library must not change."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from otlp_grpc_receiver import OtlpGrpcReceiver
from otlp_receiver import OtlpReceiver, ReceivedRequest, ReceivedSpan

APPLICATION: Final = """
import json, sys, threading

from flask import Flask
from opentelemetry import propagate, trace

app = Flask(__name__)

@app.get("/")
def index():
    with trace.get_tracer("app").start_as_current_span("step") as span:
        span.set_attribute("long", "x" * 20_000)
        span.set_attributes({f"key-{number}": number for number in range(200)})
    return "fine"

response = app.test_client().get("/")
provider = trace.get_tracer_provider()
exporters = []
for processor in provider._active_span_processor._span_processors:
    exporter = getattr(getattr(processor, "_batch_processor", processor), "_exporter", None)
    exporters.append(type(getattr(exporter, "wrapped", exporter)).__qualname__)
print(json.dumps({
    "body": response.text,
    "headers": {name: value for name, value in response.headers},
    "processors": [type(processor).__qualname__ for processor in provider._active_span_processor._span_processors],
    "exporters": exporters,
    "sampler": provider.sampler.get_description(),
    "propagators": sorted(propagate.get_global_textmap().fields),
    "threads": sorted(thread.name for thread in threading.enumerate()),
    "resource": dict(provider.resource.attributes),
    "modules": sorted(name for name in sys.modules if name.partition(".")[0] == "otel_loggedmodel"),
}))
"""
# These are new with every process.
_NEW: Final = ("process.pid", "process.parent_pid", "service.instance.id")
OFF: Final = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "loggedmodel"}


@dataclass(frozen=True)
class Ran:
    """What an application said of itself, and what it exported."""

    facts: Mapping[str, Any]
    requests: list[ReceivedRequest]
    log: str

    @property
    def spans(self) -> list[ReceivedSpan]:
        return [span for request in self.requests for span in request.spans]

    def span(self, name: str) -> ReceivedSpan:
        (span,) = [span for span in self.spans if span.name == name]
        return span

    def but_for_us(self) -> Mapping[str, Any]:
        """The facts that have to be the same with this library and without it."""
        facts = dict(self.facts)
        for fact in ("modules", "processors", "exporters"):
            del facts[fact]
        facts["resource"] = {key: value for key, value in facts["resource"].items() if key not in _NEW}
        facts["headers"] = sorted(facts["headers"])
        return facts


def run(*, over_http: bool = False, **variables: str) -> Ran:
    """Run the application as the vendors document it, exporting traces and nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MLFLOW_"))}
    bin_directory = Path(sys.executable).parent
    with OtlpReceiver() if over_http else OtlpGrpcReceiver() as receiver:
        environment = {
            **kept,
            "OTEL_SERVICE_NAME": "shop",
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            **({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"} if over_http else {}),
            **variables,
        }
        command = [bin_directory / "opentelemetry-instrument", sys.executable, "-c", APPLICATION]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return Ran(json.loads(done.stdout), receiver.requests(), done.stderr)


def check_stamped(ran: Ran, model_id: str) -> None:
    """Every span carries the version, the server's is its entry span, and the vendor's exporter took a record along."""
    assert {span.name: span.attributes.get("logged_model.id") for span in ran.spans} == dict.fromkeys(
        ("logged_model.activated", "GET /", "step"), model_id
    )
    record, request, step = map(ran.span, ("logged_model.activated", "GET /", "step"))
    assert record.attributes["logged_model.event"] == "activated"
    assert [link.trace_id for link in request.links] == [record.trace_id]
    assert not step.links
    assert (step.trace_id, step.parent_span_id) == (request.trace_id, request.span_id)
    assert record.resource == request.resource == step.resource


def check_switched_off(ran: Ran) -> None:
    """Nothing of this library is even imported."""
    assert ran.facts["modules"] == []
    assert ran.facts["processors"] == ["BatchSpanProcessor"]
    assert sorted(span.name for span in ran.spans) == ["GET /", "step"]
    assert [key for span in ran.spans for key in span.attributes if key.startswith("logged_model.")] == []
    assert [span.links for span in ran.spans] == [(), ()]


def check_the_same(on: Ran, off: Ran) -> None:
    """But for this library's processor, and what it puts on spans, two runs are alike."""
    assert on.but_for_us() == off.but_for_us()
    assert on.facts["processors"] == [*off.facts["processors"], "LoggedModelSpanProcessor"]
    assert on.facts["exporters"] == [*off.facts["exporters"], "NoneType"]
    # The SDK says of each attribute that it drops that it did; a stamp is one more.
    assert set(on.log.splitlines()) == set(off.log.splitlines())
    for name in ("GET /", "step"):
        with_us, without_us = on.span(name), off.span(name)
        ours = {key for key in with_us.attributes if key.startswith("logged_model.")}
        assert {key: value for key, value in with_us.attributes.items() if key not in ours} == without_us.attributes
        assert with_us.trace_state == without_us.trace_state
        assert with_us.kind == without_us.kind
    headers = [_but_for_receiver(request) for ran in (on, off) for request in ran.requests]
    assert headers == [headers[0]] * len(headers)


def _but_for_receiver(request: ReceivedRequest) -> Mapping[str, str]:
    return {name: value for name, value in request.headers.items() if name not in ("content-length", "host")}
