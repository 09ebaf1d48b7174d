# SPDX-License-Identifier: Apache-2.0
"""Instrumented HTTP clients and a FastAPI service: whose version is on whose span, on both sides of a request."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor

import otel_loggedmodel as mlflow
from otlp_receiver import OtlpReceiver, ReceivedSpan

from .applications import instrumenting
from .servers import BIN, Server, telemetry_to
from .telemetry import Telemetry, is_entry, is_record, reference, version_on

SERVICE = """
import httpx
import requests
from fastapi import FastAPI, Request
from opentelemetry import trace

import otel_loggedmodel

app = FastAPI()
tracer = trace.get_tracer("app")

@app.get("/ready")
async def ready():
    return {}

@app.get("/plain")
async def plain():
    with tracer.start_as_current_span("work"):
        return {"version": otel_loggedmodel.get_active_model_id()}

@app.get("/routed/{name}")
async def routed(name: str, request: Request):
    with otel_loggedmodel.use_model(name=name):
        async with httpx.AsyncClient() as client:
            return (await client.get(str(request.url_for("plain")))).json()

@app.get("/in-a-thread/{name}")
def in_a_thread(name: str, request: Request):
    with otel_loggedmodel.use_model(name=name):
        return requests.get(str(request.url_for("plain"))).json()
"""


class Service:
    """The service in a process of its own, and what it exports to."""

    def __init__(
        self, directory: Path, *command: str | Path, source: str = SERVICE, log: str = "", **variables: str
    ) -> None:
        (directory / "service.py").write_text(source)
        self._log = log
        self.receiver = OtlpReceiver()
        self.server = Server(
            lambda port: [*command, BIN / "uvicorn", "--port", str(port), "--log-level", "warning", "service:app"],
            directory,
            telemetry_to(self.receiver.endpoint, **instrumenting("fastapi"), **variables),
        )
        self.url = f"http://127.0.0.1:{self.server.port}"

    def __enter__(self) -> "Service":
        return self

    def __exit__(self, *exception: object) -> None:
        self.server.__exit__(*exception)  # adds its log to a failure
        self.receiver.close()

    def finished(self) -> list[ReceivedSpan]:
        """Its spans, now that it has stopped, and said nothing that it was not to say."""
        # On SIGTERM uvicorn ends its process as that signal does by itself, without what Python does at exit.
        self.server.stop(signal.SIGINT)
        assert self.server.log == self._log
        return [span for span in self.receiver.spans() if not is_record(span)]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path, BIN / "opentelemetry-instrument", OTEL_LOGGEDMODEL_NAME="service") as service:
        yield service


@pytest.fixture(autouse=True)
def clients(telemetry: Telemetry) -> Iterator[None]:
    instrumentors = [RequestsInstrumentor(), HTTPXClientInstrumentor()]
    for instrumentor in instrumentors:
        instrumentor.instrument(tracer_provider=telemetry.provider)
    yield
    for instrumentor in instrumentors:
        instrumentor.uninstrument()


def with_requests(url: str) -> dict[str, str]:
    return requests.get(url, timeout=30).json()


def with_httpx(url: str) -> dict[str, str]:
    return httpx.get(url, timeout=30).json()


def with_async_httpx(url: str) -> dict[str, str]:
    async def get() -> dict[str, str]:
        async with httpx.AsyncClient(timeout=30) as client:
            return (await client.get(url)).json()

    return asyncio.run(get())


@pytest.mark.parametrize("get", [with_requests, with_httpx, with_async_httpx])
def test_client_and_server_each_have_their_own_version(telemetry: Telemetry, service: Service, get) -> None:
    with mlflow.use_model(name="caller"), telemetry.tracer.start_as_current_span("request"):
        assert get(f"{service.url}/plain") == {"version": reference("service")}
    call, request = telemetry.spans()
    assert call.kind == "CLIENT"
    assert [version_on(span) for span in (call, request)] == [reference("caller")] * 2
    assert [is_entry(span) for span in (call, request)] == [False, True]
    spans = service.finished()
    (server,) = [span for span in spans if span.kind == "SERVER"]
    assert {version_on(span) for span in spans} == {reference("service")}
    assert (server.trace_id, server.parent_span_id) == (call.trace_id, call.span_id)
    # Its parent is in another process, where another version was responsible.
    assert [span.name for span in spans if is_entry(span)] == [server.name]


def test_a_client_call_that_is_all_there_is_is_an_entry_span(telemetry: Telemetry, service: Service) -> None:
    mlflow.set_active_model(name="script")
    with_httpx(f"{service.url}/plain")
    (call,) = telemetry.spans()
    assert (call.kind, version_on(call), is_entry(call)) == ("CLIENT", reference("script"), True)


@pytest.mark.parametrize("path", ["routed", "in-a-thread"])
def test_calls_that_a_handler_makes_carry_the_version_that_it_chose(service: Service, path: str) -> None:
    names = [f"variant-{number % 3}" for number in range(12)]
    service.server.get_all([f"/{path}/{name}" for name in names], at_once=4)
    spans = service.finished()
    # The service calls itself; what it calls has chosen nothing.
    calls = {span.span_id: span for span in spans if span.kind == "CLIENT"}
    handlers = {span.span_id: span for span in spans if span.kind == "SERVER" and span.parent_span_id is None}
    called = [span for span in spans if span.kind == "SERVER" and span.parent_span_id is not None]
    assert len(calls) == len(handlers) == len(called) == len(names)
    assert {version_on(span) for span in called} == {reference("service")}
    assert sorted(map(str, map(version_on, calls.values()))) == sorted(map(reference, names))
    for call in calls.values():
        handler = handlers[str(call.parent_span_id)]
        path_of_handler = str(handler.attributes.get("url.path", handler.attributes.get("http.target")))
        assert version_on(call) == reference(path_of_handler.rpartition("/")[2])
        assert is_entry(call)
    assert sorted(str(span.parent_span_id) for span in called) == sorted(calls)


def test_errors_of_a_call_are_the_versions(telemetry: Telemetry, service: Service) -> None:
    mlflow.set_active_model(name="caller")
    assert httpx.get(f"{service.url}/nothing").status_code == 404
    service.server.stop()
    with pytest.raises(requests.ConnectionError):
        with_requests(f"{service.url}/plain")
    refused, broken = telemetry.spans()
    assert [version_on(span) for span in (refused, broken)] == [reference("caller")] * 2
    assert [span.status_code for span in (refused, broken)] == ["ERROR", "ERROR"]


# A service that sets its tracer provider when it starts to serve, long after it was instrumented

LATE = """
from contextlib import asynccontextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import set_tracer_provider
""" + SERVICE.replace(
    "app = FastAPI()",
    """
@asynccontextmanager
async def lifespan(app):
    provider = TracerProvider()
    set_tracer_provider(provider)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    yield
    provider.shutdown()

app = FastAPI(lifespan=lifespan)
""",
)
# What `opentelemetry-instrument` does, for a service that is started without it.
IN_CODE = """
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from otel_loggedmodel.instrumentor import LoggedModelInstrumentor

LoggedModelInstrumentor().instrument()
FastAPIInstrumentor().instrument()
HTTPXClientInstrumentor().instrument()
"""


def check_late(service: Service) -> None:
    assert service.server.get("/routed/chosen") == {"version": "my-agent-v1.0"}
    spans = service.finished()
    assert {version_on(span) for span in spans if span.name == "work"} == {"my-agent-v1.0"}
    assert {version_on(span) for span in spans if span.kind == "CLIENT"} == {reference("chosen")}
    assert sorted(span.kind for span in spans if is_entry(span)) == ["CLIENT", "SERVER", "SERVER"]
    assert all(version_on(span) for span in spans)
    records = [span for span in service.receiver.spans() if is_record(span)]
    assert [(span.attributes["logged_model.event"], version_on(span)) for span in records] == [
        ("activated", "my-agent-v1.0"),
        ("created", reference("chosen")),
        ("activated", reference("chosen")),
    ]


def test_a_provider_that_is_set_when_serving_starts(tmp_path: Path) -> None:
    # No configurator has that name: instrumentations are loaded, and the provider is left to the application.
    with Service(
        tmp_path,
        BIN / "opentelemetry-instrument",
        source=LATE,
        log="Configuration of configurator not loaded because none is set by OTEL_PYTHON_CONFIGURATOR\n",
        OTEL_PYTHON_CONFIGURATOR="none",
        MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0",
    ) as service:
        check_late(service)


def test_the_same_in_code(tmp_path: Path) -> None:
    with Service(tmp_path, source=IN_CODE + LATE, MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0") as service:
        check_late(service)


def test_a_second_provider_changes_nothing(tmp_path: Path) -> None:
    with Service(
        tmp_path,
        BIN / "opentelemetry-instrument",
        source=LATE,
        log="Overriding of current TracerProvider is not allowed\n",
        MLFLOW_ACTIVE_MODEL_ID="my-agent-v1.0",
    ) as service:
        check_late(service)
