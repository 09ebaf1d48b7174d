# SPDX-License-Identifier: Apache-2.0
"""A program in any language is linked to its version by what the Collector does with its resource attributes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import node_packages

from . import otlp
from .conftest import RunCollector
from .otlp import Span
from .running import REQUIRED, Collector

# The versions of what a Node program with OpenTelemetry installs, and nothing of ours.
NODE_PACKAGES = ("@opentelemetry/api@1.10.0", "@opentelemetry/sdk-node@0.301.0")

NODE_PROGRAM = """
const { NodeSDK } = require("@opentelemetry/sdk-node");
const { ROOT_CONTEXT, SpanKind, propagation, trace } = require("@opentelemetry/api");

const sdk = new NodeSDK();
sdk.start();
const tracer = trace.getTracer("shop");

tracer.startActiveSpan("job", (job) => {
  tracer.startActiveSpan("step", (step) => step.end());
  job.end();
});
const caller = propagation.extract(ROOT_CONTEXT, { traceparent: process.argv[2] });
tracer.startActiveSpan("GET /answer", { kind: SpanKind.SERVER }, caller, (request) => {
  tracer.startActiveSpan("retrieve", { attributes: { "logged_model.id": "m-own" } }, (span) => span.end());
  request.end();
});
sdk.shutdown();
"""


@pytest.fixture(scope="module")
def collector(run_collector: RunCollector) -> Iterator[Collector]:
    with run_collector() as collector:
        yield collector


def came_out(collector: Collector, *sent: Span) -> dict[str, Span]:
    """Return those of these spans that have come out, by their names."""
    ids = {(span.trace_id, span.span_id) for span in sent}
    return {span.name: span for span in collector.spans() if (span.trace_id, span.span_id) in ids}


def test_id_of_the_resource_is_lifted_to_every_span(collector: Collector) -> None:
    root = Span("root")
    child = root.child("child")

    collector.send([root, child], {"service.name": "shop", "logged_model.id": "m-1"})

    arrived = came_out(collector, root, child)
    assert [arrived[name].attributes for name in ("root", "child")] == [{"logged_model.id": "m-1"}] * 2
    assert arrived["root"].resource == {"service.name": "shop", "logged_model.id": "m-1"}


def test_a_spans_own_id_wins(collector: Collector) -> None:
    root = Span("root", attributes={"logged_model.id": "m-own"})

    collector.send([root], {"logged_model.id": "m-1", "logged_model.name": "bot"})

    # Nor does it get the name, which is that of another version.
    assert came_out(collector, root)["root"].attributes == {"logged_model.id": "m-own"}


def test_nothing_is_made_up_for_a_resource_without_a_version(collector: Collector) -> None:
    root = Span("root", attributes={"a": "b"})

    collector.send([root], {"service.name": "shop"})

    assert came_out(collector, root)["root"].attributes == {"a": "b"}


def test_name_of_the_resource_is_lifted_to_entry_spans_only(collector: Collector) -> None:
    root = Span("root")
    child = root.child("child")
    behind_a_call = Span("behind a call", parent_id=otlp.random_span_id(), flags=otlp.REMOTE_PARENT)
    named = Span("named", attributes={"logged_model.name": "own"})
    sent = (root, child, behind_a_call, named)

    collector.send(sent, {"logged_model.id": "m-1", "logged_model.name": "bot"})

    names = {name: span.attributes.get("logged_model.name") for name, span in came_out(collector, *sent).items()}
    assert names == {"root": "bot", "child": None, "behind a call": "bot", "named": "own"}


def test_records_and_evaluation_results_speak_for_themselves(collector: Collector) -> None:
    record = otlp.model_record("m-0123456789abcdef0123456789abcdef")
    # A judge's, which has a version of its own.
    result = Span("answer").child("gen_ai.evaluation.result", attributes={"gen_ai.evaluation.name": "helpful"})

    collector.send([record, result], {"logged_model.id": "m-judge", "logged_model.name": "judge"})

    arrived = came_out(collector, record, result)
    assert arrived["logged_model"].attributes == record.attributes
    assert arrived["gen_ai.evaluation.result"].attributes == result.attributes


@pytest.fixture(scope="session")
def node_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Node program that knows of OpenTelemetry's own SDK alone."""
    program = tmp_path_factory.mktemp("node") / "program.cjs"
    program.write_text(NODE_PROGRAM, encoding="utf-8")
    return program


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_node_program_is_linked_by_its_environment_alone(
    collector: Collector, node_program: Path, protocol: str
) -> None:
    caller = Span("caller")
    endpoint = collector.url if protocol != "grpc" else f"http://{collector.grpc_address}"
    environment = {
        **node_packages.environment(REQUIRED, *NODE_PACKAGES),
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_RESOURCE_ATTRIBUTES": "logged_model.id=m-node,logged_model.name=node-bot",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
    }

    outcome = subprocess.run(
        ["node", str(node_program), f"00-{caller.trace_id}-{caller.span_id}-01"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert outcome.returncode == 0, outcome.stderr
    request = next(span for span in collector.spans() if span.parent_id == caller.span_id)
    job = next(span for span in reversed(collector.spans()) if span.name == "job")
    arrived = {span.name: span for span in collector.spans() if span.trace_id in (request.trace_id, job.trace_id)}
    versions = {
        name: (span.attributes.get("logged_model.id"), span.attributes.get("logged_model.name"))
        for name, span in arrived.items()
    }
    assert versions == {
        "job": ("m-node", "node-bot"),
        "step": ("m-node", None),
        "GET /answer": ("m-node", "node-bot"),
        "retrieve": ("m-own", None),
    }
    assert job.resource["service.name"] == "shop"
