# SPDX-License-Identifier: Apache-2.0
"""A version that is chosen at the edge, in services behind it: Python's and Node's, all into one real Collector.

The edge is the one that docs/across-services.md prints. Another server stands for a third party: it keeps the headers
that it was sent, and nothing else.
"""

import contextlib
import os
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import node_packages
from collector.conftest import collector_binary, run_collector  # noqa: F401 - fixtures
from collector.otlp import CLIENT, SERVER, Span
from collector.running import REQUIRED, Collector
from integrations.applications import instrumenting
from integrations.servers import BIN, Server, telemetry_to
from integrations.situations import Page
from integrations.telemetry import reference
from waiting import wait_until

NODE_PACKAGES = (
    "@opentelemetry/api@1.10.0",
    "@opentelemetry/baggage-span-processor@0.5.0",
    "@opentelemetry/exporter-trace-otlp-proto@0.301.0",
    "@opentelemetry/instrumentation-http@0.301.0",
    "@opentelemetry/sdk-node@0.301.0",
    "@opentelemetry/sdk-trace@3.1.0",
)
NODE_SERVICE = """
const { sdk } = require("./telemetry.cjs");
const { trace } = require("@opentelemetry/api");
const http = require("node:http");

http.createServer((request, response) => {
  trace.getTracer("search").startActiveSpan("look up", (span) => {
    span.end();
    response.setHeader("content-type", "application/json");
    response.end("{}");
  });
}).listen(Number(process.argv[2]), "127.0.0.1");
process.on("SIGTERM", () => sdk.shutdown().finally(() => process.exit(0)));
"""
# A service that knows nothing of versions; what it calls in its turn is asked for.
PYTHON_SERVICE = """
import fastapi
import requests
from opentelemetry import trace

app = fastapi.FastAPI()


@app.get("/search")
def search(next: str = ""):
    with trace.get_tracer("search").start_as_current_span("look up"):
        if next:
            requests.get(next)
    return {}
"""


class ThirdParty(ThreadingHTTPServer):
    """A server of somebody else's, with the baggage headers that it got."""

    def __init__(self) -> None:
        self.baggage: list[str | None] = []
        super().__init__(("127.0.0.1", 0), _ThirdPartyHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, host: str) -> str:
        return f"http://{host}:{self.server_port}/"

    def __exit__(self, *exception: object) -> None:
        self.shutdown()
        super().__exit__(*exception)


class _ThirdPartyHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.baggage.append(self.headers["baggage"])
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def collector(run_collector) -> Iterator[Collector]:  # noqa: F811
    with run_collector() as collector:
        yield collector


@pytest.fixture
def third_party() -> Iterator[ThirdParty]:
    with ThirdParty() as server:
        yield server


@contextlib.contextmanager
def service(directory: Path, module: str, source: str, collector: Collector, **variables: str) -> Iterator[Server]:
    """A FastAPI application under opentelemetry-instrument."""
    directory.mkdir()
    (directory / f"{module}.py").write_text(source)
    settings = telemetry_to(
        collector.url,
        OTEL_SERVICE_NAME=module,
        OTEL_PYTHON_EXCLUDED_URLS="openapi",
        **instrumenting("fastapi"),
        OTEL_BSP_SCHEDULE_DELAY="100",  # uvicorn ends by the signal that stops it: what is not exported by then is lost
        PATH=f"{BIN}:{os.environ['PATH']}",
        **variables,
    )
    start = ["opentelemetry-instrument", "uvicorn", f"{module}:app", "--port"]
    with Server(lambda port: ["env", *start, str(port)], directory, settings, ready="/openapi.json") as server:
        yield server
        server.stop()


def get(server: Server, path: str, **query: str) -> object:
    return server.get(f"{path}?{urllib.parse.urlencode(query)}")


def spans_of(collector: Collector, name: str, requests: int) -> list[Span]:
    """The spans of a service, when those of that many requests came out: the server's own is the last of each."""

    def found() -> list[Span]:
        return [
            span
            for span in collector.spans()
            if span.resource["service.name"] == name and "logged_model.event" not in span.attributes
        ]

    wait_until(lambda: [span.kind for span in found()].count(SERVER) == requests, f"{requests} requests to {name}")
    return found()


def versions(spans: list[Span]) -> set[object]:
    return {span.attributes.get("logged_model.id") for span in spans}


EDGE = Page("across-services").files["edge.py"]
HOSTS = Page("across-services").console[0].partition('="')[2].rstrip('"\n')


def test_a_version_follows_a_request_from_python_to_python(tmp_path, collector, third_party) -> None:
    (accept, _) = Page("across-services").console[1].splitlines()
    name, _, value = accept.removeprefix("export ").partition("=")
    with (
        service(tmp_path / "edge", "edge", EDGE, collector, OTEL_LOGGEDMODEL_PROPAGATE_HOSTS=HOSTS) as edge,
        service(tmp_path / "search", "search", PYTHON_SERVICE, collector, **{name: value}) as search,
    ):
        behind = third_party.url("127.0.0.1")
        for version in ("blue", "green"):
            url = f"http://127.0.0.1:{search.port}/search?next={behind}"
            assert get(edge, "/answer", version=version, url=url) == {"status": 200}
            assert get(edge, "/answer", version=version, url=third_party.url("localhost")) == {"status": 200}
        searched, asked = spans_of(collector, "search", requests=2), spans_of(collector, "edge", requests=4)
    # What came in goes on; who is not on the list learns nothing, and nobody learns more than the id.
    assert sorted(third_party.baggage, key=str) == [
        None,
        None,
        *sorted(f"logged_model.id={reference(version)}" for version in ("blue", "green")),
    ]
    ids = {reference("blue"), reference("green")}
    calls = [span for span in asked if span.kind == CLIENT]
    assert versions(searched) == versions(calls) == ids
    version_of_trace = {span.trace_id: span.attributes["logged_model.id"] for span in calls}
    assert [span for span in searched if span.attributes["logged_model.id"] != version_of_trace[span.trace_id]] == []
    # The service behind accepted the versions; the edge, which chose them, recorded them.
    recorders = {span.resource["service.name"] for span in collector.spans() if "logged_model.event" in span.attributes}
    assert recorders == {"edge"}


def test_a_version_follows_a_request_from_python_to_node(tmp_path, collector) -> None:
    packages = node_packages.environment(REQUIRED, *NODE_PACKAGES)
    Page("another-language").write_to(tmp_path, ["telemetry.cjs"])
    (tmp_path / "search.cjs").write_text(NODE_SERVICE)
    settings = telemetry_to(collector.url, OTEL_SERVICE_NAME="search", **packages)
    with (
        service(tmp_path / "edge", "edge", EDGE, collector, OTEL_LOGGEDMODEL_PROPAGATE_HOSTS=HOSTS) as edge,
        Server(lambda port: ["node", "search.cjs", str(port)], tmp_path, settings, ready="/ready") as search,
    ):
        for version in ("blue", "green"):
            assert get(edge, "/answer", version=version, url=f"http://127.0.0.1:{search.port}/{version}")
        spans_of(collector, "edge", requests=2)
        search.stop()
    # The server's own span and the one within, of each request.
    wait_until(lambda: len(of_requests(collector)) == 4, "the spans of Node")
    by_version = {version: of_requests(collector, version) for version in (reference("blue"), reference("green"))}
    for spans in by_version.values():
        assert sorted(span.name for span in spans) == ["GET", "look up"]
        assert len({span.trace_id for span in spans}) == 1


def of_requests(collector: Collector, version: str | None = None) -> list[Span]:
    """Node's spans that belong to traces of the edge."""
    traces = {span.trace_id for span in collector.spans() if span.resource["service.name"] == "edge"}
    return [
        span
        for span in collector.spans()
        if span.resource["service.name"] == "search"
        and span.trace_id in traces
        and version in (None, span.attributes.get("logged_model.id"))
    ]


HOSTILE = {
    "line breaks": "m-1%0D%0ASet-Cookie:%20a=b",
    "long": "x" * 4000,
    "too long for baggage": "x" * 10_000,
    "SQL": "1';%20DROP%20TABLE%20otel_traces;--",
    "Unicode": "%E2%80%AE%F0%9F%92%A9",
    "a path": "..%2F..%2Fetc%2Fpasswd",
    "markup": "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    "nothing": "",
}


def test_hostile_baggage_reaches_neither_a_span_nor_an_outgoing_header(tmp_path, collector, third_party) -> None:
    behind = third_party.url("127.0.0.1")
    with service(
        tmp_path / "search", "search", PYTHON_SERVICE, collector, OTEL_LOGGEDMODEL_ACCEPT_BAGGAGE="1"
    ) as search:
        for value in HOSTILE.values():
            search.get(f"/search?next={behind}", baggage=f"user=ann,logged_model.id={value}")
        search.get(f"/search?next={behind}", baggage="user=ann,logged_model.id=m-good")
        spans = spans_of(collector, "search", requests=len(HOSTILE) + 1)
    good = third_party.baggage.pop()
    assert good == "user=ann,logged_model.id=m-good"
    assert set(third_party.baggage) == {"user=ann", None}  # None: the whole header was too long
    assert len(third_party.baggage) == len(HOSTILE)
    stamped = [span for span in spans if "logged_model.id" in span.attributes]
    assert versions(stamped) == {"m-good"}
    assert len({span.trace_id for span in stamped}) == 1


def test_hosts_that_are_named_in_code(tmp_path, collector, third_party) -> None:
    source = Page("across-services").files["hosts.py"] + EDGE
    with service(tmp_path / "edge", "edge", source, collector) as edge:
        for host in ("localhost", "127.0.0.1"):
            assert get(edge, "/answer", version="blue", url=third_party.url(host)) == {"status": 200}
    assert third_party.baggage == [None, f"logged_model.id={reference('blue')}"]


def test_a_collector_that_checks_what_other_languages_accepted(run_collector) -> None:  # noqa: F811
    checks = Page("another-language").files["checked.yaml"]
    base = """
receivers: {otlp: {protocols: {http: {endpoint: "${env:LOGGEDMODEL_COLLECTOR_HTTP}"}}}}
exporters: {file: {path: "${env:LOGGEDMODEL_COLLECTOR_FILE_PATH}"}}
extensions: {health_check: {endpoint: "${env:LOGGEDMODEL_COLLECTOR_HEALTH}"}}
service:
  extensions: [health_check]
  pipelines: {traces: {receivers: [otlp], processors: [transform/checked], exporters: [file]}}
"""
    with run_collector(config=f"yaml:{base}", overrides=(f"yaml:{checks}",)) as collector:
        bad = Span("bad", attributes={"logged_model.id": "<script>", "kept": "yes"})
        good = Span("good", attributes={"logged_model.id": "m-good"})
        collector.send([bad, good, Span("none")])
        wait_until(lambda: len(collector.spans()) == 3, "the spans came out")
        found = {span.name: dict(span.attributes) for span in collector.spans()}
    assert found == {"bad": {"kept": "yes"}, "good": {"logged_model.id": "m-good"}, "none": {}}


def test_the_node_packages_are_those_of_the_page() -> None:
    required = {
        line.partition('require("')[2].partition('")')[0]
        for line in Page("another-language").files["telemetry.cjs"].splitlines()
        if "require(" in line
    }
    assert required <= {package.rpartition("@")[0] for package in NODE_PACKAGES}
