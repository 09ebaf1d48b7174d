# SPDX-License-Identifier: Apache-2.0
"""The command `serve`, and the other commands against it: real processes, sockets and store."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import Result

import programs
from otel_loggedmodel.commands.diagnosis.steps import Deadline

from .conftest import unboxed
from .terminal import environment

Run = Callable[..., Result]
TRAFFIC = """
import time
def answer(version, seconds, fails):
    with mlflow.use_model(name=version):
        with tracer.start_as_current_span("answer") as span:
            time.sleep(seconds)
            span.set_attributes({"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10})
            if fails:
                span.set_status(trace.Status(trace.StatusCode.ERROR, "no answer"))
for number in range(30):
    answer("agent-v1", 0.001, False)
    answer("agent-v2", 0.02, number % 2)
provider.shutdown()
"""


@dataclass
class Backend:
    """A backend that runs."""

    process: "subprocess.Popen[str]"
    http: str
    grpc: str


@contextmanager
def backend(data: Path, *options: str, **variables: str) -> Iterator[Backend]:
    command = [sys.executable, "-m", "otel_loggedmodel", "serve", "--data", str(data), "--http-port", "0"]
    process = subprocess.Popen(
        [*command, "--grpc-port", "0", "--json", *options],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        ready = process.stdout.readline()
        assert ready, process.communicate()[1]
        addresses = json.loads(ready)
        assert addresses["store"] == f"chdb://{data}"
        yield Backend(process, addresses["http"], addresses["grpc"])
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            output, errors = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert (process.returncode, output) == (0, ""), errors


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor waits as long as a busy machine may take, instead of as long as somebody at a terminal does."""
    monkeypatch.setattr(Deadline, "__init__", lambda self, _: setattr(self, "_end", time.monotonic() + 120))
    monkeypatch.setattr(Deadline, "at_most", lambda self, _: self.seconds_left)


@pytest.mark.usefixtures("patience")
def test_the_whole_story(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    with backend(data) as running:
        env = {"OTEL_LOGGEDMODEL_STORE": running.http}
        programs.run(TRAFFIC, running.http)

        listed = json.loads(run("models", "--json", env=env).stdout)["versions"]
        assert {version["name"]: version["traces"] for version in listed} == {"agent-v1": 30, "agent-v2": 30}
        ids = {version["name"]: version["model_id"] for version in listed}

        comparison = json.loads(run("compare", "agent-v1", ids["agent-v2"], "--json", env=env).stdout)
        first, second = comparison["versions"]
        assert (first["traces"], first["errors"], second["traces"], second["errors"]) == (30, 0, 30, 15)
        assert second["tokens"]["input_per_trace"] == 100
        verdicts = {name: entry["verdict"] for name, entry in comparison["differences"][0]["metrics"].items()}
        assert verdicts["error_rate"] == "worse"
        assert verdicts["latency_ms.p50"] == "worse"
        assert "✗ worse" in run("compare", "agent-v1", "agent-v2", env=env).stdout
        since_tomorrow = run("compare", "agent-v1", "--since", "2100-01-01", "--json", env=env)
        assert json.loads(since_tomorrow.stdout)["versions"][0]["traces"] == 0

        assert "error_rate is worse" in run("gate", "agent-v1", "agent-v2", code=1, env=env).stdout
        run("gate", "agent-v1", "agent-v2", "--fail-if", "error_rate > 60%", code=0, env=env)
        run("gate", "agent-v1", "agent-v2", "--min-traces", "31", code=2, env=env)

        failed = json.loads(run("traces", "agent-v2", "--errors", "--limit", "3", "--json", env=env).stdout)["traces"]
        assert [trace["status_message"] for trace in failed] == ["no answer"] * 3
        assert "error: no answer" in run("traces", failed[0]["trace_id"], env=env).stdout
        assert "agent-v2" in run("show", ids["agent-v2"][:12], env=env).stdout
        assert ids["agent-v1"] in run("env", "agent-v1", env=env).stdout
        suggestion = run("show", "agent-v3", code=2, env=env).stderr
        assert "Did you mean agent-v" in suggestion

        report = json.loads(run("doctor", "--json", env={**env, "OTEL_EXPORTER_OTLP_ENDPOINT": running.http}).stdout)
        assert report["steps"][-1]["name"] == "stored"
        assert report["steps"][-1]["outcome"] == "ok"
        grpc = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{running.grpc}", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
        report = json.loads(run("doctor", "--json", env={**env, **grpc}).stdout)
        assert [step["outcome"] for step in report["steps"][-2:]] == ["ok", "ok"]

        locked = run_to_end("models", OTEL_LOGGEDMODEL_STORE=f"chdb://{data}")
        assert locked.returncode == 3
        assert "Traceback" not in locked.stderr
    # What was stored is there without the backend.
    alone = run_to_end("models", "--json", OTEL_LOGGEDMODEL_STORE=f"chdb://{data}")
    assert len(json.loads(alone.stdout)["versions"]) == 2


def run_to_end(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "otel_loggedmodel", *arguments]
    return subprocess.run(
        command, env=environment(**variables), capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.usefixtures("patience")
def test_a_backend_with_a_token(run: Run, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    with backend(tmp_path / "data", "--token-file", str(token)) as running:
        env = {"OTEL_LOGGEDMODEL_STORE": running.http}
        run("models", code=3, env=env)
        run("models", "--token-file", token, env=env)
        run("models", env={**env, "OTEL_LOGGEDMODEL_TOKEN": "s3cret"})
        endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": running.http}
        report = json.loads(run("doctor", "--json", code=1, env=endpoint).stdout)
        assert "401" in report["steps"][-1]["text"]
        headers = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret"}
        report = json.loads(run("doctor", "--json", env={**endpoint, **headers}).stdout)
        assert report["steps"][-1]["outcome"] == "ok"
        # A directory has one owner.
        second = run_to_end("serve", "--data", str(tmp_path / "data"), "--http-port", "0", "--no-grpc")
        assert second.returncode == 3
        assert len(second.stderr.splitlines()) == 1
        assert second.stdout == ""


def test_what_it_says_when_it_is_ready(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "otel_loggedmodel",
        "serve",
        "--data",
        str(tmp_path),
        "--http-port",
        "0",
        "--no-grpc",
    ]
    process = subprocess.Popen(
        [*command, "--retention-days", "7"],
        env=environment(OTEL_LOGGEDMODEL_TOKEN="s3cret"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(11)]
    mapped = Path(f"/proc/{process.pid}/maps")
    libraries = mapped.read_text() if mapped.exists() else ""
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=30)
    assert (process.returncode, rest, errors) == (0, "", "")
    said = "".join(lines)
    address = lines[1].split()[1]
    assert lines[0].startswith("otel-loggedmodel ")
    assert f"spans      chdb://{tmp_path}, kept for 7 days\n" in said
    assert "OTLP/gRPC  off\n" in said
    assert f"export OTEL_EXPORTER_OTLP_ENDPOINT={address} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\n" in said
    assert "  export OTEL_METRICS_EXPORTER=none  # metrics are not stored\n" in said
    assert "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20<token>" in said
    assert f"otel-loggedmodel models --store {address}\n" in said
    assert "s3cret" not in said
    # chDB would import both, and no answer of ours needs them.
    assert "pyarrow" not in libraries
    assert "numpy" not in libraries


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        result = run_to_end("serve", "--data", str(tmp_path), "--http-port", port, "--no-grpc")
    assert result.returncode == 3
    assert port in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--host", "0.0.0.0"], "--allow-anonymous"),
        (["--data", "here", "--store", "clickhouse://db"], "give one of --data and --store"),
        (["--store", "http://127.0.0.1:4318"], "keeps spans in chdb:// or clickhouse://"),
        (["--retention-days", "-1"], "more than 0"),
        (["--http-port", "4317"], "have to differ"),
        (["--http-port", "70000"], "less than or equal to 65535"),
    ],
)
def test_mistakes_are_usage_errors(run: Run, arguments: list[str], text: str) -> None:
    assert text in unboxed(run("serve", *arguments, code=2).stderr).replace("- ", "-")


def test_a_cluster_that_is_away(tmp_path: Path) -> None:
    result = run_to_end("serve", "--store", "clickhouse://me:hunter2@127.0.0.1:1/otel", "--http-port", "0", "--no-grpc")
    assert result.returncode == 3
    assert "hunter2" not in result.stderr
    assert "Traceback" not in result.stderr
