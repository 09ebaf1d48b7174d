# SPDX-License-Identifier: Apache-2.0
"""The command `doctor` against what it can meet: nothing, the wrong thing, a refusal, a receiver."""

import contextlib
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import certifi
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from typer.testing import Result

from answering import Answer, AnsweringServer, as_json
from effort import some
from memory_reader import MemoryReader
from otel_loggedmodel.commands.diagnosis.endpoint import endpoint_of_environment
from otel_loggedmodel.commands.diagnosis.examination import examine
from otel_loggedmodel.commands.diagnosis.steps import Outcome
from otel_loggedmodel.exporter import otlp_exporter_from_environment
from otel_loggedmodel.store.trace_results import Trace
from otlp_grpc_receiver import OtlpGrpcReceiver
from otlp_receiver import OtlpReceiver

Run = Callable[..., Result]
Doctor = Callable[..., dict[str, dict[str, str]]]


@pytest.fixture
def doctor(run: Run) -> Doctor:
    """Run `doctor`; its last step of each name, with one more key for the exit code's."""

    def run_doctor(code: int, **env: str) -> dict[str, dict[str, str]]:
        report = json.loads(run("doctor", "--json", code=code, env=env).stdout)
        assert report["ok"] == (code == 0)
        return {step["name"]: step for step in report["steps"]}

    return run_doctor


@contextlib.contextmanager
def http_server(
    status: int, body: bytes = b"", headers: dict[str, str] | None = None, context: ssl.SSLContext | None = None
) -> Iterator[int]:
    """A server that answers everything the same; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *arguments: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def listener(answer: bytes | None = None) -> Iterator[int]:
    """A port that accepts connections and says nothing, or always the same; its number."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        is_done = threading.Event()
        kept = []

        def accept() -> None:
            while not is_done.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = server.accept()
                    kept.append(connection)
                    if answer is not None:
                        connection.sendall(answer)
                        connection.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            is_done.set()
            thread.join()
            for connection in kept:
                connection.close()


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of localhost that nobody signed, and its key."""
    directory = tmp_path_factory.mktemp("certificate")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate]
    try:
        subprocess.run([*command.split(), *names], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed, which makes the certificate")
    return certificate, key


def tls_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def test_a_receiver_over_http(doctor: Doctor) -> None:
    with OtlpReceiver() as receiver:
        steps = doctor(
            0, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{receiver.port}", OTEL_LOGGEDMODEL_NAME="agent"
        )
        names = {span.name for span in receiver.spans()}
        trace_ids = {span.trace_id for span in receiver.spans()}
        assert not [span for span in receiver.spans() if "logged_model.id" in span.attributes]
    for name in ("name", "port", "protocol", "answer", "exporter"):
        assert steps[name]["outcome"] == "ok"
    # It is one span, sent as a client would that retries.
    assert names == {"otel-loggedmodel doctor"}
    assert len(trace_ids) == 1
    assert trace_ids.pop() in steps["stored"]["text"]
    assert steps["stored"]["outcome"] == "skipped"
    assert steps["active version"]["text"].endswith("from OTEL_LOGGEDMODEL_NAME")


def test_a_receiver_over_grpc(doctor: Doctor) -> None:
    with OtlpGrpcReceiver() as receiver:
        endpoint = f"http://127.0.0.1:{receiver.port}"
        steps = doctor(0, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
        assert {span.name for span in receiver.spans()} == {"otel-loggedmodel doctor"}
    for name in ("name", "port", "protocol", "answer", "exporter"):
        assert steps[name]["outcome"] == "ok"


def test_nothing_listens(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    steps = doctor(1, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert steps["port"]["outcome"] == "failed"
    assert f"nothing listens on 127.0.0.1:{port}" in steps["port"]["text"]
    assert "otel-loggedmodel serve" in steps["port"]["advice"]
    assert "answer" not in steps


def test_a_name_that_nobody_knows(doctor: Doctor) -> None:
    steps = doctor(1, OTEL_EXPORTER_OTLP_ENDPOINT="http://collector.invalid:4318")
    assert steps["name"]["outcome"] == "failed"
    assert "'collector.invalid' spelt right" in steps["name"]["advice"]


def test_grpc_where_http_is_meant_and_the_other_way_round(doctor: Doctor) -> None:
    with OtlpGrpcReceiver() as receiver:
        steps = doctor(1, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{receiver.port}")
        assert "speaks HTTP/2 without TLS, which is gRPC" in steps["protocol"]["text"]
        assert "OTEL_EXPORTER_OTLP_PROTOCOL=grpc" in steps["protocol"]["advice"]
    with OtlpReceiver() as receiver:
        endpoint = f"http://127.0.0.1:{receiver.port}"
        steps = doctor(1, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
        assert "gRPC is wanted" in steps["protocol"]["text"]
        assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in steps["protocol"]["advice"]


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, "well-formed"),
        (401, "OTEL_EXPORTER_OTLP_HEADERS='authorization=Bearer%20<token>'"),
        (403, "OTEL_EXPORTER_OTLP_HEADERS"),
        (404, "without /v1/traces, which is added"),
        (405, "Is it a receiver of OTLP traces?"),
        (413, "size"),
        (415, "does not take protobuf"),
        (429, "cannot take spans now"),
        (500, "cannot take spans now"),
        (503, "cannot take spans now"),
    ],
)
def test_refusals_over_http(doctor: Doctor, status: int, advice: str) -> None:
    with http_server(status) as port:
        steps = doctor(1, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert f"answers {status}" in steps["answer"]["text"]
    assert advice in steps["answer"]["advice"]
    assert "exporter" not in steps


def test_a_refusal_over_grpc(doctor: Doctor) -> None:
    with OtlpGrpcReceiver() as receiver:
        receiver.answer_with = 401
        endpoint = f"http://127.0.0.1:{receiver.port}"
        steps = doctor(1, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
    assert "UNAUTHENTICATED" in steps["answer"]["text"]
    assert "OTEL_EXPORTER_OTLP_HEADERS" in steps["answer"]["advice"]


def test_a_redirect(doctor: Doctor) -> None:
    with http_server(301, headers={"Location": "https://new.example/v1/traces"}) as port:
        steps = doctor(1, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=https://new.example/v1/traces" in steps["answer"]["advice"]


def test_a_page_is_no_receiver(doctor: Doctor) -> None:
    with http_server(200, b"<html>Welcome</html>", {"Content-Type": "text/html"}) as port:
        steps = doctor(0, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert steps["answer"]["outcome"] == "warning"
    assert "text/html" in steps["answer"]["text"]


@pytest.mark.parametrize(("rejected", "code", "outcome"), [(1, 1, "failed"), (0, 0, "warning")])
def test_partial_success(doctor: Doctor, rejected: int, code: int, outcome: str) -> None:
    partial = ExportTracePartialSuccess(rejected_spans=rejected, error_message="quota \x1b[31m used")
    body = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    with http_server(200, body, {"Content-Type": "application/x-protobuf"}) as port:
        steps = doctor(code, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert steps["answer"]["outcome"] == outcome
    assert "quota" in steps["answer"]["text"]


def test_what_is_no_server_of_either_kind(doctor: Doctor) -> None:
    with listener(b"220 mail.example ESMTP\r\n") as port:
        steps = doctor(1, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert "speaks neither HTTP nor gRPC" in steps["protocol"]["text"]


@pytest.mark.parametrize("protocol", some(["grpc", "http/protobuf"]))
def test_silence_ends_in_time(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with listener() as port:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        begin = time.monotonic()
        steps = list(examine(2.0))
        assert time.monotonic() - begin < 10
    assert steps[-1].outcome is Outcome.FAILED
    assert steps[-1].name == "answer"


def test_plain_http_where_tls_is_meant_and_the_other_way_round(doctor: Doctor, certificate: tuple[Path, Path]) -> None:
    with OtlpReceiver() as receiver:
        steps = doctor(1, OTEL_EXPORTER_OTLP_ENDPOINT=f"https://127.0.0.1:{receiver.port}")
        assert "TLS is wanted" in steps["protocol"]["text"]
        assert f"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:{receiver.port}" in steps["protocol"]["advice"]
    with http_server(200, context=tls_context(certificate)) as port:
        steps = doctor(1, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
        assert f"OTEL_EXPORTER_OTLP_ENDPOINT=https://127.0.0.1:{port}" in steps["protocol"]["advice"]


def test_certificates(doctor: Doctor, certificate: tuple[Path, Path]) -> None:
    with http_server(200, context=tls_context(certificate)) as port:
        endpoint = f"https://localhost:{port}"
        steps = doctor(1, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)
        assert "is not trusted: self-signed certificate" in steps["protocol"]["text"]
        assert "OTEL_EXPORTER_OTLP_CERTIFICATE" in steps["protocol"]["advice"]
        trusted = str(certificate[0])
        steps = doctor(0, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_CERTIFICATE=trusted)
        assert steps["exporter"]["outcome"] == "ok"
        other = {"OTEL_EXPORTER_OTLP_CERTIFICATE": trusted, "REQUESTS_CA_BUNDLE": certifi.where()}
        steps = doctor(1, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **other)
        assert "prefers it to OTEL_EXPORTER_OTLP_CERTIFICATE" in steps["environment"]["text"]
        assert "is not trusted" in steps["protocol"]["text"]
        steps = doctor(1, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_CERTIFICATE="/no/such/file")
        assert "cannot be read" in steps["protocol"]["text"]


def test_a_backend_of_ours_is_asked_for_the_span(
    doctor: Doctor, reader: MemoryReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"authorization": "Bearer t0ken"}
    from otel_loggedmodel.commands import opening

    monkeypatch.setattr(opening, "is_backend_running", lambda address: True)
    with OtlpReceiver() as receiver:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}",
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization={headers['authorization'].replace(' ', '%20')}",
        }

        class Filled(dict):  # type: ignore[type-arg]
            def __contains__(self, trace_id: object) -> bool:
                return trace_id in {span.trace_id for span in receiver.spans()}

            def __getitem__(self, trace_id: str) -> Trace:
                return Trace(trace_id=trace_id, spans=())

        reader.whole_traces = Filled()
        steps = doctor(0, **env)
        assert steps["stored"]["outcome"] == "ok"
        assert reader.asked[0] == ("open", f"http://127.0.0.1:{receiver.port}", "t0ken")
        reader.whole_traces = {}
        monkeypatch.setattr("otel_loggedmodel.commands.diagnosis.arriving._SECONDS", 0.5)
        steps = doctor(1, **env)
        assert "did not show the trace" in steps["stored"]["text"]


def test_secrets_are_not_shown(run: Run) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20hunter2,x-api-key=hunter2",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:hunter2@127.0.0.1:1",
        "OTEL_LOGGEDMODEL_TOKEN": "hunter2",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=support",
        "HTTPS_PROXY": "http://user:hunter2@proxy:3128",
    }
    for arguments in (["doctor"], ["doctor", "--json"]):
        result = run(*arguments, code=1, env=env)
        assert "hunter2" not in result.output
        assert "authorization=***,x-api-key=***" in result.stdout
        assert "service.name=support" in result.stdout


def test_misspelt_variables_and_switches(run: Run) -> None:
    env = {
        "OTEL_EXPORTER_OTLP_ENDPIONT": "http://127.0.0.1:1",
        "OTEL_SDK_DISABLED": "true",
        "OTEL_TRACES_EXPORTER": "console",
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "10000",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "flask, loggedmodel",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "127.0.0.1:1",
        "OTEL_LOGGEDMODEL_TAGS": "no-pairs",
        "OTEL_LOGGEDMODEL_NAME": "agent",
    }
    report = json.loads(run("doctor", "--json", code=1, env=env).stdout)
    said = "\n".join(f"{step['outcome']} {step['text']} {step['advice']} {step['details']}" for step in report["steps"])
    for text in (
        "OTEL_EXPORTER_OTLP_ENDPIONT is no variable that anything reads. Did you mean 'OTEL_EXPORTER_OTLP_ENDPOINT'",
        "failed OTEL_SDK_DISABLED switches OpenTelemetry off",
        "zero-code set-ups send nothing over OTLP",
        "OTEL_TRACES_SAMPLER drops every span",
        "read as seconds",
        "the instrumentation is disabled",
        "is '127.0.0.1:1', which is no URL",
    ):
        assert text in said


def test_a_span_is_tried_where_the_sdk_is_switched_off(doctor: Doctor) -> None:
    with OtlpReceiver() as receiver:
        steps = doctor(1, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint, OTEL_SDK_DISABLED="true")
        assert {span.name for span in receiver.spans()} == {"otel-loggedmodel doctor"}
    assert steps["answer"]["outcome"] == steps["exporter"]["outcome"] == "ok"


def test_an_endpoint_without_port_or_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost")
    step = next(step for step in examine(0.5) if step.name == "endpoint")
    assert step.outcome is Outcome.WARNING
    assert "it is 80; OTLP's is 4318" in step.advice


@pytest.mark.parametrize(
    ("variables", "url", "address", "is_tls"),
    [
        ({}, "http://localhost:4318/v1/traces", "localhost:4318", False),
        ({"PROTOCOL": "grpc"}, "http://localhost:4317", "localhost:4317", False),
        ({"ENDPOINT": "http://c:1/"}, "http://c:1/v1/traces", "c:1", False),
        ({"ENDPOINT": "https://c/otlp"}, "https://c/otlp/v1/traces", "c:443", True),
        ({"ENDPOINT": "http://c:1", "TRACES_ENDPOINT": "http://t:2/x"}, "http://t:2/x", "t:2", False),
        ({"ENDPOINT": "http://[::1]:1"}, "http://[::1]:1/v1/traces", "[::1]:1", False),
        ({"ENDPOINT": "c:1", "PROTOCOL": "grpc"}, "c:1", "c:1", True),
        ({"ENDPOINT": "c:1", "PROTOCOL": "grpc", "INSECURE": "true"}, "c:1", "c:1", False),
        ({"ENDPOINT": "https://c:1", "PROTOCOL": "grpc", "INSECURE": "true"}, "https://c:1", "c:1", True),
    ],
)
def test_the_endpoint_is_the_exporters(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, address: str, is_tls: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", value)
    endpoint = endpoint_of_environment()
    assert (endpoint.url, endpoint.address, endpoint.is_tls) == (url, address, is_tls)
    exporter = otlp_exporter_from_environment()
    if endpoint.is_grpc:
        assert exporter._endpoint == address
        assert exporter._insecure == (not is_tls)
    else:
        assert exporter._endpoint == url
    exporter.shutdown()


# The MLflow server


def mlflow_server(method: str, path: str, body: object) -> Answer:
    """What of MLflow's server this asks."""
    if path.startswith("/api/2.0/mlflow/experiments/get?"):
        return as_json(200, {"experiment": {"experiment_id": "7", "lifecycle_stage": "active"}})
    if path == "/api/2.0/mlflow/logged-models/search":
        return as_json(200, {"models": []})
    return 404, {"content-type": "text/html"}, b"<h1>Not Found</h1>"


def test_an_mlflow_server_that_gets_the_spans_is_all_that_is_asked(doctor: Doctor) -> None:
    with AnsweringServer(mlflow_server) as server:
        steps = doctor(
            0,
            MLFLOW_TRACKING_URI=server.uri,
            MLFLOW_EXPERIMENT_ID="7",
            OTEL_LOGGEDMODEL_MLFLOW="1",
            OTEL_TRACES_EXPORTER="loggedmodel",
        )
    assert (
        steps["MLflow server"]["text"]
        == f"{server.uri} can be told of spans, versions and their traces in experiment 7"
    )
    assert "endpoint" not in steps


def test_an_mlflow_server_beside_another_backend_is_a_step_of_its_own(doctor: Doctor) -> None:
    with AnsweringServer(mlflow_server) as server, OtlpReceiver() as receiver:
        endpoint = f"http://127.0.0.1:{receiver.port}"
        steps = doctor(
            0, OTEL_LOGGEDMODEL_MLFLOW=server.uri, MLFLOW_EXPERIMENT_ID="7", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint
        )
        assert receiver.spans()
    assert steps["MLflow server"]["text"].endswith("can be told of versions and their traces in experiment 7")


def test_what_is_wrong_with_an_mlflow_server_is_said(doctor: Doctor) -> None:
    steps = doctor(1, OTEL_LOGGEDMODEL_MLFLOW="1", OTEL_TRACES_EXPORTER="loggedmodel")
    assert "set MLFLOW_TRACKING_URI" in steps["MLflow server"]["text"]
    with AnsweringServer(lambda *_: as_json(401, {"message": "who is there?"})) as server:
        steps = doctor(1, OTEL_LOGGEDMODEL_MLFLOW=server.uri, OTEL_TRACES_EXPORTER="loggedmodel")
    assert "MLFLOW_TRACKING_TOKEN" in steps["MLflow server"]["text"]
    with AnsweringServer(lambda *_: (404, {"content-type": "text/html"}, b"")) as server:
        steps = doctor(1, OTEL_LOGGEDMODEL_MLFLOW=server.uri, OTEL_TRACES_EXPORTER="loggedmodel")
    assert "upgrade the server" in steps["MLflow server"]["text"]
    steps = doctor(1, OTEL_LOGGEDMODEL_MLFLOW="http://127.0.0.1:1", OTEL_TRACES_EXPORTER="loggedmodel")
    assert "cannot be reached" in steps["MLflow server"]["text"]
