# SPDX-License-Identifier: Apache-2.0
"""The commands `spool status`, `spool drain` and `spool export` on directories that processes have left."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, StatusCode
from typer.testing import Result

from delivery.storing import put_aside
from otel_loggedmodel.delivery.destinations import destination_of
from otel_loggedmodel.delivery.spool import Kind, Spool
from otlp_receiver import OtlpReceiver

from .conftest import unboxed

Run = Callable[..., Result]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def request(*names: str) -> bytes:
    """A request with a span of each name, as an application makes them."""
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "shop"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("tests", "1")
    for name in names:
        with tracer.start_as_current_span(f"{name} parent") as parent:
            span = tracer.start_span(
                name,
                kind=SpanKind.CLIENT,
                links=[Link(parent.get_span_context(), {"number": 3})],
                attributes={"text": "günstig \u2028", "flag": True, "float": 0.5, "big": 2**60, "list": ["a", "b"]},
            )
            span.add_event("event", {"key": "value"})
            span.set_status(StatusCode.ERROR, "why")
            span.end()
    provider.shutdown()
    spans = [span for span in memory.get_finished_spans() if span.name in names]
    return encode_spans(spans).SerializeToString()


def left(root: Path, endpoint: str, *requests: tuple[Kind, bytes, int], headers: dict[str, str] | None = None) -> str:
    """What a process leaves for an endpoint, in the directory that the exporter would use; its key."""
    exporter = OTLPSpanExporter(endpoint=endpoint, headers=headers)
    destination = destination_of(exporter)
    exporter.shutdown()
    about = {"endpoint": destination.endpoint, "protocol": destination.protocol}
    spool = Spool(root / destination.key, about=about)
    for kind, payload, count in requests:
        spool.append(kind, payload, count)
    spool.close()
    return destination.key


def test_nothing_waits(run: Run, root: Path) -> None:
    assert run("spool", "status", root).stderr == f"Nothing waits in {root}.\n"
    assert json.loads(run("spool", "status", root, "--json").stdout) == {"directory": str(root), "destinations": []}
    assert run("spool", "export", root).stdout == ""
    assert "Nothing waits" in run("spool", "drain", root).stderr
    assert not root.exists()


def test_the_directory_is_that_of_the_environment(run: Run, root: Path, tmp_path: Path) -> None:
    assert str(root) in run("spool", "status", env={"OTEL_LOGGEDMODEL_SPOOL_DIR": str(root)}).stderr
    found = run("spool", "status", env={"XDG_STATE_HOME": str(tmp_path)}).stderr
    assert f"{tmp_path}/otel-loggedmodel/spool" in found


def test_status(run: Run, root: Path) -> None:
    key = left(root, "http://collector:4318/v1/traces", (Kind.MODELS, b"m" * 10, 2), (Kind.SPANS, b"s" * 5000, 1234))
    other = left(root, "http://user:secret@other:4318/v1/traces?token=secret", (Kind.SPANS, b"s", 1))
    spool = Spool(root / key)
    put_aside(spool, b"poison", 7, "400")
    (later,) = (root / other).glob("*/spans*")
    later.with_name(later.name.replace(".v1", ".v9")).write_bytes(b"?")
    printed = run("spool", "status", root)
    assert "secret" not in printed.stdout + (root / other / "destination.json").read_text()
    lines = {line.split()[0]: line.split() for line in printed.stdout.splitlines()[2:]}
    assert lines[key[:12]][1:7] == ["http://collector:4318/v1/traces", "http/protobuf", "2", "1,234", "7", "5.27"]
    assert " ".join(lines[key[:12]][-4:]) == "1 running, 1 gone"
    assert "which are left alone: 1." in printed.stderr
    report = json.loads(run("spool", "status", root, "--json").stdout)
    found = {one["key"]: one for one in report["destinations"]}
    assert found[key]["models"] == 2
    assert found[key]["spans"] == 1234
    assert found[key]["refused"] == 7
    assert found[key]["files"] == 3
    assert found[key]["bytes"] == sum(path.stat().st_size for path in (root / key).glob("*/*.v1"))
    assert 0 <= found[key]["oldest_age_seconds"] < 60
    assert sorted(owner["is_running"] for owner in found[key]["owners"]) == [False, True]
    assert found[other]["newer"] == 1
    assert found[other]["endpoint"] == "http://other:4318/v1/traces"
    spool.close()


def test_looking_changes_nothing(run: Run, root: Path) -> None:
    left(root, "http://collector:4318/v1/traces", (Kind.SPANS, request("a"), 1))
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")}
    run("spool", "status", root)
    run("spool", "export", root)
    assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*")} == before


def test_export_is_otlp_json(run: Run, root: Path) -> None:
    left(
        *(root, "http://collector:4318/v1/traces", (Kind.SPANS, request("a", "b"), 2)),
        *((Kind.SPANS, request("c"), 1), (Kind.MODELS, request("model"), 1)),
    )
    lines = [json.loads(line) for line in run("spool", "export", root).stdout.splitlines()]
    spans = [[span["name"] for span in line["resourceSpans"][0]["scopeSpans"][0]["spans"]] for line in lines]
    assert spans == [["model"], ["a", "b"], ["c"]]
    span = lines[1]["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert len(bytes.fromhex(span["traceId"])) == 16
    assert len(bytes.fromhex(span["spanId"])) == len(bytes.fromhex(span["parentSpanId"])) == 8
    assert span["links"][0]["spanId"] == span["parentSpanId"]
    assert span["kind"] == 3
    assert span["status"] == {"message": "why", "code": 2}
    attributes = {one["key"]: one["value"] for one in span["attributes"]}
    assert attributes["text"] == {"stringValue": "günstig \u2028"}
    assert attributes["big"] == {"intValue": str(2**60)}
    assert lines[1]["resourceSpans"][0]["resource"]["attributes"][-1] == {
        "key": "service.name",
        "value": {"stringValue": "shop"},
    }


def test_export_of_what_was_refused(run: Run, root: Path) -> None:
    key = left(root, "http://collector:4318/v1/traces", (Kind.SPANS, request("waits"), 1))
    spool = Spool(root / key)
    put_aside(spool, request("poison"), 1, "400: too long")
    put_aside(spool, b"\xff\xff", 1, "400")
    result = run("spool", "export", root, "--refused")
    assert "poison" in result.stdout
    assert "waits" not in result.stdout
    assert result.stderr == "Left out, as they are no requests of OTLP: 1.\n"
    assert "poison" not in run("spool", "export", root).stdout
    spool.close()


def test_export_of_one_destination(run: Run, root: Path) -> None:
    one = left(root, "http://one:4318/v1/traces", (Kind.SPANS, request("one"), 1))
    left(root, "http://two:4318/v1/traces", (Kind.SPANS, request("two"), 1))
    printed = run("spool", "export", root, "--from", one[:8]).stdout
    assert '"one"' in printed
    assert '"two"' not in printed
    assert "no destination's key begins with 'zz'" in unboxed(
        run("spool", "export", root, "--from", "zz", code=2).stderr
    )


def test_export_may_be_cut_short(root: Path) -> None:
    left(root, "http://one:4318/v1/traces", *[(Kind.SPANS, request("one"), 1)] * 200)
    command = f"{sys.executable} -m otel_loggedmodel spool export {root} | head -n 1"
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert result.stdout.count("\n") == 1
    assert result.stderr == ""


def test_drain_to_the_endpoint_of_the_environment(run: Run, root: Path) -> None:
    with OtlpReceiver() as receiver:
        endpoint = f"http://127.0.0.1:{receiver.port}"
        left(root, f"{endpoint}/v1/traces", (Kind.SPANS, request("a", "b"), 2), (Kind.MODELS, request("model"), 1))
        # Under other headers, as before a token was changed.
        left(root, f"{endpoint}/v1/traces", (Kind.SPANS, request("c"), 1), headers={"authorization": "old"})
        result = run("spool", "drain", root, env={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
        assert sorted(span.name for span in receiver.spans()) == ["a", "b", "c", "model"]
    assert sorted(result.stderr.splitlines()) == [
        f"{endpoint}/v1/traces: 1 delivered.",
        f"{endpoint}/v1/traces: 3 delivered.",
    ]
    assert list(root.rglob("*.v1")) == []


def test_drain_elsewhere_has_to_be_said(run: Run, root: Path) -> None:
    key = left(root, "http://gone:4318/v1/traces", (Kind.SPANS, request("a"), 1))
    other = left(root, "http://also-gone:4318/v1/traces", (Kind.SPANS, request("b"), 1))
    with OtlpReceiver() as receiver:
        endpoint = f"http://127.0.0.1:{receiver.port}"
        refusal = run("spool", "drain", root, "--endpoint", endpoint, code=2)
        assert f"--from {key}   http://gone:4318/v1/traces" in refusal.stderr
        assert receiver.spans() == []
        result = run("spool", "drain", root, "--endpoint", endpoint, "--from", key[:10], "--json")
        assert [span.name for span in receiver.spans()] == ["a"]
        (one,) = json.loads(result.stdout)["destinations"]
        assert one == {
            **{"key": key, "endpoint": "http://gone:4318/v1/traces", "delivered": 1, "rejected": 0, "error": None},
            "left": {"models": 0, "spans": 0, "bytes": 0},
        }
        run("spool", "drain", root, "--endpoint", endpoint, "--all")
        assert [span.name for span in receiver.spans()] == ["a", "b"]
    assert list((root / other).rglob("*.v1")) == []


def test_drain_where_nothing_listens(run: Run, root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
    left(root, f"{endpoint}/v1/traces", (Kind.SPANS, request("a"), 1))
    result = run("spool", "drain", root, "--endpoint", endpoint, "--patience", "0.5", code=1)
    assert "0 delivered, 1 left." in result.stderr
    assert "refused" in result.stderr
    assert '"a"' in run("spool", "export", root).stdout


def test_what_running_processes_have_is_left_to_them(run: Run, root: Path) -> None:
    with OtlpReceiver() as receiver:
        endpoint = f"http://127.0.0.1:{receiver.port}"
        key = left(root, f"{endpoint}/v1/traces", (Kind.SPANS, request("left"), 1))
        spool = Spool(root / key)
        spool.append(Kind.SPANS, request("mine"), 1)
        result = run("spool", "drain", root, "--endpoint", endpoint)
        assert [span.name for span in receiver.spans()] == ["left"]
        assert "1 delivered, 1 with running processes." in result.stderr
        assert spool.pending.spans == 1
        spool.close()


def test_a_directory_of_somebody_else(run: Run, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root.mkdir()

    def forbidden(path: Path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", forbidden)
    assert f"{root} cannot be read: Permission denied" in run("spool", "status", root, code=3).stderr


def test_looking_imports_nothing_that_takes_long(root: Path) -> None:
    left(root, "http://one:4318/v1/traces", (Kind.SPANS, b"x", 1))
    code = (
        f"import sys; sys.argv = ['x', 'spool', 'status', {str(root)!r}, '--json']\n"
        "from otel_loggedmodel.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = ('grpc', 'requests', 'google.protobuf', 'chdb')\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ}, capture_output=True, text=True, check=True
    )
    assert result.stderr == "[]\n"
