# SPDX-License-Identifier: Apache-2.0
"""Programs in other languages with their own SDKs: what is stored is what they sent.

Each tells a span that fails, a long value, a clock that is late, and a value that a limit of twenty cuts in the middle
of a character: JavaScript and Java count in UTF-16, Go in characters, and Rust has no such limit.
"""

import time
import uuid

import pytest

import node_packages
from backend.serving import Serving
from one_odd_span import field

from .building import built
from .conftest import HERE, REQUIRED
from .running import outcome_of, sent
from .story import SMILE, check, check_javascript

NODE_PACKAGES = ("@opentelemetry/api@1.10.0", "@opentelemetry/sdk-node@0.301.0")

limits = pytest.mark.parametrize("limit", [20, None], ids=["cut at 20", "uncut"])


@limits
@pytest.mark.parametrize("protocol", ["http/json", "http/protobuf", "grpc"])
def test_node(serving: Serving, protocol: str, limit: int | None) -> None:
    packages = node_packages.environment(REQUIRED, *NODE_PACKAGES)
    trace, told = sent(["node", str(HERE / "node.cjs")], serving, protocol, limit, packages)
    check_javascript(trace, told, limit=limit, service="sender")


@pytest.mark.parametrize("protocol", ["http/json", "grpc"])
def test_log_records_of_node(serving: Serving, protocol: str) -> None:
    version = f"m-node-{protocol.replace('/', '-')}"
    variables = {
        **node_packages.environment(REQUIRED, *NODE_PACKAGES),
        "OTEL_LOGS_EXPORTER": "otlp",
        "OTEL_RESOURCE_ATTRIBUTES": f"logged_model.id={version}",
    }
    trace, told = sent(["node", str(HERE / "node_logs.cjs")], serving, protocol, None, variables)
    (span,) = trace["spans"]
    assert span["span_id"] == told["request"]["spanId"]
    events = {event["name"]: event["attributes"] for event in span["events"]}
    assert events["gen_ai.user.message"]["content"] == "hello from Node"
    assert events["gen_ai.user.message"]["nested"] == '[1, null, {"a": 0.5}]'
    assert [event["name"] for event in span["events"]].count("gen_ai.evaluation.result") == 2
    (measured,) = serving.get("/api/v1/compare", {"version": version})["versions"]
    assert {name: score["mean"] for name, score in measured["scores"].items()} == {
        "in context": 0.25,
        "by response": 1.0,
    }


@limits
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_go(serving: Serving, protocol: str, limit: int | None) -> None:
    trace, told = sent([go()], serving, protocol, limit)
    check(trace, told, limit=limit, cut="x" * 19 + SMILE)


def test_go_with_zstd_over_grpc(serving: Serving) -> None:
    """The core of gRPC has no zstd, and refuses it before the backend sees anything; its words name the header."""
    outcome = outcome_of([go()], serving, "grpc+zstd", None)
    assert outcome.returncode == 1
    assert "Error parsing 'grpc-encoding' metadata" in outcome.stderr


def go() -> str:
    return str(built("go", [("go", "mod", "tidy"), ("go", "build", "-o", "sender", ".")], "sender"))


@limits
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_java(serving: Serving, protocol: str, limit: int | None) -> None:
    program = built("java", [("mvn", "-B", "-q", "package")], "target/sender.jar")
    trace, told = sent(["java", "-jar", str(program)], serving, protocol, limit)
    # Its own writer has a question mark for half of a character.
    check(trace, told, limit=limit, cut="x" * 19 + "?", more={"half of a character": "x?"})


@pytest.mark.parametrize("protocol", ["http/json", "http/protobuf"])
def test_rust(serving: Serving, protocol: str) -> None:
    program = built("rust", [("cargo", "build", "--quiet")], "target/debug/sender")
    trace, told = sent([str(program)], serving, protocol, None)
    check(trace, told, limit=None, cut="")


def test_cpp(serving: Serving) -> None:
    """Its SDK cuts texts by bytes, and its protobuf writes what is not UTF-8. These are such bytes, without the SDK."""
    trace_id = uuid.uuid4().bytes
    now = time.time_ns().to_bytes(8, "little")
    times = b"\x39" + now + b"\x41" + now
    cut = field(9, field(1, b"cut") + field(2, field(1, b"caf\xc3")))
    latin = field(9, field(1, b"latin") + field(2, field(1, b"caf\xe9 au lait")))
    spans = [
        field(2, field(1, trace_id) + field(2, b"cpp span") + field(5, b"request") + times + cut + latin),
        field(2, field(1, trace_id) + field(2, b"cpp  two") + field(4, b"cpp span") + field(5, b"caf\xc3z") + times),
        field(2, field(1, trace_id) + field(2, b"cpp  bad") + field(5, b"garbled") + times + b"\x4a\x7f"),
    ]
    answer = serving.post(field(1, field(2, b"".join(spans))))
    assert answer.status == 200
    assert b"1 of 3 spans were rejected" in answer.body
    stored = {span["name"]: span for span in serving.get(f"/api/v1/traces/{trace_id.hex()}")["spans"]}
    assert stored.keys() == {"request", "caf\ufffdz"}
    assert stored["request"]["attributes"] == {"cut": "caf\ufffd", "latin": "caf\ufffd au lait"}
    assert stored["caf\ufffdz"]["parent_span_id"] == b"cpp span".hex()
