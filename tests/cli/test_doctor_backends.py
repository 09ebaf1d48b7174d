# SPDX-License-Identifier: Apache-2.0
"""`doctor` says which backend takes the spans, by what the real ones answer, and what that does to records."""

import dataclasses
import socket
import time
from collections.abc import Mapping

import pytest

from answering import Answer, AnsweringServer, as_json
from otel_loggedmodel.commands.diagnosis import backends
from otel_loggedmodel.commands.diagnosis.endpoint import Endpoint, endpoint_of_environment
from otel_loggedmodel.commands.diagnosis.steps import Deadline, Outcome, Step

Answers = Mapping[str, Answer]
NOT_FOUND: Answer = (404, {}, b"404 page not found")
PAGE: Answer = (200, {"content-type": "text/html"}, b"<!doctype html><html><title>Something else</title></html>")
JAEGER = b'<title>Jaeger UI</title><script>JAEGER_VERSION = {"gitCommit":"1","gitVersion":"v1.76.0"};</script>'

# What each answers at the path that it is asked for.
ANSWERS: Mapping[str, tuple[str, Answers]] = {
    "Phoenix 20.26.1": ("phoenix", {"/arize_phoenix_version": (200, {}, b"20.26.1")}),
    "Zipkin 3.5.1": ("zipkin", {"/info": as_json(200, {"zipkin": {"version": "3.5.1", "commit": "1"}})}),
    "VictoriaTraces": ("victoriatraces", {"/": (200, {}, b"<h2>Single-node VictoriaTraces</h2></br>")}),
    "MLflow 3.18.0": ("mlflow", {"/version": (200, {}, b"3.18.0")}),
    "MLflow": (
        "mlflow",
        {
            "/version": (
                401,
                {},
                b"Please see https://www.mlflow.org/docs/latest/auth/index.html#authenticating-to-mlflow",
            )
        },
    ),
    "Jaeger v1.76.0": ("jaeger", {"/": (200, {}, JAEGER)}),
    "Tempo": ("tempo", {"/api/echo": (200, {}, b"echo")}),
    "Datadog 7.71.0": ("datadog", {"/info": as_json(200, {"version": "7.71.0", "endpoints": ["/v0.4/traces"]})}),
    "an OpenTelemetry Collector (or something built on one)": (
        "collector",
        {"/v1/traces": (405, {}, b"405 method not allowed, supported: [POST]")},
    ),
}


def recognised(monkeypatch: pytest.MonkeyPatch, kind: str, answers: Answers, otherwise: Answer = NOT_FOUND) -> Step:
    """The step for a server that gives some answers, at the endpoint, or beside it where it answers at another port."""
    with (
        AnsweringServer(lambda method, path, body: answers.get(path, otherwise)) as server,
        AnsweringServer(lambda method, path, body: NOT_FOUND) as other,
    ):
        is_beside = kind in ("jaeger", "tempo", "datadog")
        ports = dict.fromkeys(backends.PORTS, port_of(other)) | ({kind: port_of(server)} if is_beside else {})
        monkeypatch.setattr(backends, "PORTS", ports)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", (other if is_beside else server).uri)
        step = backends.recognise(endpoint_of_environment(), Deadline(30))
        return dataclasses.replace(step, text=step.text.replace(server.uri, "HERE").replace(other.uri, "BESIDE"))


def port_of(server: AnsweringServer) -> int:
    return int(server.http.server_address[1])


@pytest.mark.parametrize("name", ANSWERS)
def test_a_backend_is_known_by_what_only_it_answers(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    kind, answers = ANSWERS[name]
    step = recognised(monkeypatch, kind, answers)
    assert (step.outcome, step.text) == (Outcome.OK, f"{name} answers at HERE")
    assert step.details
    assert step.advice
    assert "{" not in step.advice


@pytest.mark.parametrize(
    ("url", "name", "advice"),
    [
        ("https://api.eu1.honeycomb.io", "Honeycomb", "OTEL_LOGGEDMODEL_REPEAT=30d"),
        ("https://ingress.eu-west-1.aws.dash0.com:4317", "Dash0", "OTEL_LOGGEDMODEL_SPOOL_MAX_AGE=6h"),
        ("https://otlp.nr-data.net", "New Relic", "docs/backends/new-relic.md"),
        ("https://abc12345.live.dynatrace.com/api/v2/otlp", "Dynatrace", "OTEL_LOGGEDMODEL_SPOOL_MAX_AGE=1h"),
        ("https://OTLP.datadoghq.com", "Datadog", "OTEL_LOGGEDMODEL_REPEAT=7d"),
        ("https://endpoint4.collection.sumologic.com/receiver", "Sumo Logic", "OTEL_LOGGEDMODEL_REPEAT=0"),
        ("https://telemetry.googleapis.com", "Google Cloud", "docs/backends"),
        ("https://otlp-gateway-prod-eu-west-0.grafana.net/otlp", "Tempo", "docs/backends/tempo.md"),
    ],
)
def test_a_vendor_is_known_by_its_host_and_not_asked(
    monkeypatch: pytest.MonkeyPatch, url: str, name: str, advice: str
) -> None:
    monkeypatch.setattr(backends, "_ask", lambda *_: pytest.fail("it was asked"))
    monkeypatch.setattr(backends.opening, "is_backend_running", lambda _: False)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
    endpoint = endpoint_of_environment()
    step = backends.recognise(endpoint, Deadline(30))
    assert (step.outcome, step.text) == (Outcome.OK, f"{endpoint.host} is {name}")
    assert step.details
    assert advice in step.advice


def test_a_host_that_ends_like_a_vendors_is_not_one() -> None:
    assert backends._vendor("honeycomb.io.example.com") is None
    assert backends._vendor("nothoneycomb.io") is None


def test_pages_for_everything_are_no_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    for answer in (PAGE, NOT_FOUND, (200, {}, b"\xff\xfe"), (500, {}, b"20.26.1"), as_json(200, ["zipkin"])):
        step = recognised(monkeypatch, "phoenix", {}, answer)
        assert step.outcome is Outcome.SKIPPED
        assert "none of those that are known here" in step.text


def test_over_grpc_a_backend_is_known_by_the_port_at_which_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with AnsweringServer(
        lambda method, path, body: (200, {}, b"3.18.0") if path == "/version" else NOT_FOUND
    ) as server:
        ports = dict.fromkeys(backends.PORTS, 1) | {"mlflow": port_of(server)}
        monkeypatch.setattr(backends, "PORTS", ports)
        step = backends.recognise(endpoint_of_environment(), Deadline(30))
    assert step.text == f"MLflow 3.18.0 answers at http://localhost:{port_of(server)}"


def test_what_is_silent_takes_a_second() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        endpoint = Endpoint(is_grpc=False, url=f"http://127.0.0.1:{port}", host="127.0.0.1", port=port, is_tls=False)
        started = time.monotonic()
        assert backends.recognise(endpoint, Deadline(0.5)).outcome is Outcome.SKIPPED
        assert time.monotonic() - started < 30
