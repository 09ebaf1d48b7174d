# SPDX-License-Identifier: Apache-2.0
"""Asking a backend: the answers are those of the reader behind it."""

import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_reader import MemoryReader
from otel_loggedmodel.store.chart_results import (
    Activation,
    Activities,
    Activity,
    Behaviour,
    ErrorKind,
    Operation,
    Point,
)
from otel_loggedmodel.store.reading import (
    ALL_VERSIONS,
    EVERYTHING,
    MOST_CHANGED,
    RECENT,
    AmbiguousVersionError,
    Reader,
    ReadingError,
    RowFilter,
    Selection,
    StoreUnavailableError,
    TraceFilter,
    UnknownTraceError,
    UnknownVersionError,
    VersionFilter,
)
from otel_loggedmodel.store.remote import RemoteReader
from otel_loggedmodel.store.results import Dataset, LatencyMs, Score, Tokens, VersionMetrics
from otel_loggedmodel.store.row_results import RowChange, RowResult
from otel_loggedmodel.store.trace_results import Span, SpanEvent, SpanLink, Trace, TraceSummary
from otel_loggedmodel.store.version_results import HistoryEntry, Version, VersionDetail

from .backends import Backend

SELECTION = Selection(
    since=datetime(2026, 1, 1, 12, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    until=datetime(2026, 2, 1, tzinfo=timezone.utc),
    service="a&b=c",
    attributes={"region": "e u", "odd": "x=y&z#%"},
    by="tenant & id",
)
VERSION = Version(
    model_id="m-1",
    name='odd "name"\n',
    params={"p": "v"},
    tags={"t": "ü"},
    traces=3,
    errors=1,
    p95_ms=1.25,
    first_seen_ms=1_795_000_000_123,
    services=("s",),
    references=("m-0",),
)
DETAIL = VersionDetail(
    version=VERSION,
    metrics=VersionMetrics(
        model_id="m-1",
        traces=3,
        error_rate=1 / 3,
        latency_ms=LatencyMs(p50=0.1, mean=2e-7),
        tokens=Tokens(input=5, output=2**60, input_per_trace=5 / 3),
        cost_usd=0.1 + 0.2,
        scores={"quality": Score(mean=0.5, count=2)},
    ),
    history=(HistoryEntry(kind="updated", time_ms=5, tags_deleted=("t",), resource={"a": "b"}, status="FAILED"),),
)
SUMMARY = TraceSummary(
    trace_id="t",
    span_id="s",
    model_id="m-1",
    span_name="n",
    service="s",
    start_ns=1_795_000_000_123_456_789,
    duration_ms=1.5,
    scores={"quality": 1.0},
)
ACTIVITIES = Activities(
    start_ms=1_795_000_000_000,
    step_ms=60_000,
    parts=2,
    versions=(
        Activity(
            model_id="m-1",
            previous="m-0",
            total=Point(start_ms=1, traces=3, errors=1, p50_ms=0.1, p95_ms=1 / 3),
            points=(Point(start_ms=1, traces=3, tokens_per_trace=2.5, cost_usd_per_trace=1e-9),),
            activations=(Activation(time_ms=5, service="s"),),
            scores={"quality": Score(mean=0.5, count=2)},
        ),
    ),
)
BEHAVIOUR = Behaviour(
    model_ids=("a", "b"),
    latency_bins=({-60: 1, 0: 2, 80: 3}, {}),
    errors=(ErrorKind(kind='odd "kind"', counts=(1, 0), trace_ids=("t", None)),),
    operations=(Operation(name="n", calls_per_trace=(1.5, None), mean_ms=(None, 0.1), ms_per_trace=(0.0, None)),),
)
ROW = RowChange(
    model_id="m-1",
    score="quality",
    dataset="d",
    row="r",
    delta=-0.1,
    input="ü",
    base=RowResult(trace_id="t", span_id="s", value=0.3, label="pass", output="o"),
    candidate=RowResult(trace_id="u", span_id="v", value=0.2, explanation="e"),
)
TRACE = Trace(
    trace_id="t",
    spans=(
        Span(
            trace_id="t",
            span_id="s",
            parent_span_id=None,
            name="n",
            kind="Server",
            service="s",
            start_ns=1_795_000_000_123_456_789,
            duration_ns=5,
            status="Ok",
            attributes={"a": "b"},
            events=(SpanEvent(time_ns=1, name="e", attributes={"k": "v"}),),
            links=(SpanLink(trace_id="x", span_id="y"),),
        ),
    ),
)


@pytest.fixture
def remote(shared: Backend) -> RemoteReader:
    shared.reader.__init__()
    return RemoteReader(shared.addresses.http)


def test_it_is_a_reader(remote: RemoteReader) -> None:
    reader: Reader = remote
    reader.close()


def test_answers_come_back_as_they_were(shared: Backend, remote: RemoteReader) -> None:
    reader: MemoryReader = shared.reader
    reader.listed, reader.details, reader.summaries, reader.whole_traces = (
        [VERSION],
        {"v": DETAIL},
        [SUMMARY],
        {"t": TRACE},
    )
    assert remote.versions() == [VERSION]
    assert remote.version("v") == DETAIL
    reader.changed_rows = [ROW]
    assert remote.rows(["b", "a"]) == [ROW]
    assert remote.traces() == [SUMMARY]
    assert remote.trace("t") == TRACE
    assert remote.compare(["b", "a"]).versions == reader.compare(["b", "a"]).versions
    reader.active, reader.behaved, reader.revised = ACTIVITIES, BEHAVIOUR, "77"
    assert remote.activities(["a"]) == ACTIVITIES
    assert remote.behaviour(["a", "b"]) == BEHAVIOUR
    assert remote.revision() == "77"
    reader.known_datasets = [Dataset(digest="d&1", name="a b"), Dataset(digest="d2")]
    assert remote.datasets() == reader.known_datasets


def test_questions_arrive_as_they_were(shared: Backend, remote: RemoteReader) -> None:
    reader: MemoryReader = shared.reader
    reader.details = {"v": DETAIL}
    which = VersionFilter(name="a b", tags={"t": "x=y"}, params={"p": ""}, deleted=True, limit=3)
    traces = TraceFilter(errors_only=True, order="worst", limit=7, offset=9)
    remote.versions(which, SELECTION)
    remote.versions()
    remote.version("v", SELECTION)
    remote.compare(["x", "x", ""], SELECTION)
    remote.rows(["x", ""], RowFilter(score="a b", limit=3, change="lower"), replace(SELECTION, dataset="d&1"))
    remote.rows(["x", "y"], selection=Selection(production=True))
    remote.traces("v", traces, SELECTION)
    remote.traces()
    remote.activities(["b", "a"], SELECTION)
    remote.behaviour(["b", "a"], SELECTION)
    assert reader.asked == [
        ("versions", which, SELECTION),
        ("versions", ALL_VERSIONS, EVERYTHING),
        ("version", "v", SELECTION),
        ("compare", ("x", "x", ""), SELECTION),
        ("rows", ("x", ""), RowFilter(score="a b", limit=3, change="lower"), replace(SELECTION, dataset="d&1")),
        ("rows", ("x", "y"), MOST_CHANGED, Selection(production=True)),
        ("traces", ("v",), traces, SELECTION),
        ("traces", (), RECENT, EVERYTHING),
        ("activities", ("b", "a"), SELECTION),
        ("behaviour", ("b", "a"), SELECTION),
    ]


@given(name=st.text())
def test_names_of_any_characters_arrive_as_they_were(shared: Backend, name: str) -> None:
    shared.reader.__init__()
    shared.reader.details = {name: DETAIL}
    remote = RemoteReader(shared.addresses.http)
    assert remote.version(name) == DETAIL
    remote.compare([name])
    remote.versions(VersionFilter(name=name, tags={"k": name}))
    assert shared.reader.asked[0][1] == name
    assert shared.reader.asked[1][1] == (name,)
    assert shared.reader.asked[2][1] == VersionFilter(name=name, tags={"k": name})


def test_what_has_no_utf8_is_the_name_of_nothing(remote: RemoteReader) -> None:
    with pytest.raises(UnknownVersionError):
        remote.version("\udcff")


def test_an_unknown_version_comes_with_suggestions(shared: Backend, remote: RemoteReader) -> None:
    shared.reader.details = {"v1": DETAIL, "v2": DETAIL}
    with pytest.raises(UnknownVersionError, match="no version 'v3'") as raised:
        remote.version("v3")
    assert raised.value.suggestions == ("v1", "v2")


def test_an_unknown_trace(remote: RemoteReader) -> None:
    with pytest.raises(UnknownTraceError, match="no trace x"):
        remote.trace("x")


@pytest.mark.parametrize("kind", [AmbiguousVersionError, StoreUnavailableError, ReadingError])
def test_errors_come_back_as_they_were(shared: Backend, remote: RemoteReader, kind: type[ReadingError]) -> None:
    shared.reader.error = kind("the text of it")
    with pytest.raises(ReadingError, match="the text of it") as raised:
        remote.versions()
    assert type(raised.value) is kind


def test_a_limit_that_no_backend_takes_is_a_mistake(remote: RemoteReader) -> None:
    with pytest.raises(ReadingError, match="limit") as raised:
        remote.versions(VersionFilter(limit=10**6))
    assert type(raised.value) is ReadingError


def test_a_key_with_an_equals_sign_cannot_be_asked_for(shared: Backend, remote: RemoteReader) -> None:
    with pytest.raises(ReadingError, match="equals sign"):
        remote.versions(VersionFilter(tags={"a=b": "c"}))
    assert shared.reader.asked == []


def test_a_token_is_shown_or_asked_for(serve: Callable[..., Backend]) -> None:
    backend = serve(token="right")
    assert RemoteReader(backend.addresses.http, token="right").versions() == []
    with pytest.raises(StoreUnavailableError, match="set OTEL_LOGGEDMODEL_TOKEN"):
        RemoteReader(backend.addresses.http).versions()
    with pytest.raises(StoreUnavailableError, match="does not take this token") as raised:
        RemoteReader(backend.addresses.http, token="wrong").versions()
    assert "wrong" not in str(raised.value)


def test_a_path_before_the_api_is_kept(shared: Backend) -> None:
    address = shared.addresses.http
    for path in ("/proxied/", "/v1/traces"):
        with pytest.raises(StoreUnavailableError, match=f"no backend at {address}{path.rstrip('/')}: .* be {address}$"):
            RemoteReader(address + path).versions()


def test_the_port_for_grpc_is_told_from_that_for_questions(shared: Backend) -> None:
    with pytest.raises(StoreUnavailableError, match=r"speaks gRPC, .* 4318 by default$"):
        RemoteReader(f"http://{shared.addresses.grpc}").versions()


def test_tls_where_there_is_none(shared: Backend) -> None:
    address = shared.addresses.http
    with pytest.raises(StoreUnavailableError, match=f"does not speak TLS: try {address}$"):
        RemoteReader(address.replace("http:", "https:")).versions()


@pytest.mark.parametrize("url", ["", "localhost:4318", "ftp://host", "http://", "chdb:///path", "http://host:port"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="http://localhost:4318"):
        RemoteReader(url)


def test_nothing_there(unused_port: int) -> None:
    with pytest.raises(
        StoreUnavailableError, match=rf"nothing answers at http://127\.0\.0\.1:{unused_port} .*otel-loggedmodel serve"
    ):
        RemoteReader(f"http://127.0.0.1:{unused_port}").versions()


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(StoreUnavailableError, match="nothing answers"):
        RemoteReader("http://no-such-host.invalid:4318").versions()


class _Other(http.server.BaseHTTPRequestHandler):
    answers: tuple[int, bytes] = (200, b"")

    def do_GET(self) -> None:
        status, body = self.answers
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def other() -> Iterator[Callable[[int, bytes], str]]:
    """A web server that is something else."""
    handler = type("_Handler", (_Other,), {})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def answer(status: int, body: bytes) -> str:
            handler.answers = (status, body)
            return f"http://127.0.0.1:{server.server_address[1]}"

        yield answer
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [200, 302, 401, 404, 500])
@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b"[]", b'{"versions": [{}]}', b'{"error": "x"}', b"\xff\xfe"])
def test_something_else_there(other: Callable[[int, bytes], str], status: int, body: bytes) -> None:
    with pytest.raises(StoreUnavailableError, match=f"not an otel-loggedmodel backend.*answered {status}"):
        RemoteReader(other(status, body)).versions()


def test_what_a_newer_backend_adds_is_ignored(other: Callable[[int, bytes], str]) -> None:
    url = other(200, b'{"versions": [{"model_id": "m-1", "newer": {}}], "more": 1}')
    assert RemoteReader(url).versions() == [Version(model_id="m-1")]


def test_something_there_that_is_no_web_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(1000)
                client.sendall(b"220 mail ready\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        with pytest.raises(StoreUnavailableError, match="does not speak HTTP"):
            RemoteReader(f"http://127.0.0.1:{listener.getsockname()[1]}").versions()
        thread.join()


def test_something_there_that_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        remote = RemoteReader(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.2)
        with pytest.raises(StoreUnavailableError, match=r"did not answer within 0\.2 seconds"):
            remote.versions()


def test_importing_it_is_cheap() -> None:
    program = "import sys, otel_loggedmodel.store.remote; print(*sorted(sys.modules))"
    loaded = set(
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    )
    heavy = {
        "asyncio",
        "starlette",
        "uvicorn",
        "grpc",
        "httpx",
        "requests",
        "chdb",
        "clickhouse_connect",
        "pandas",
        "urllib.request",
    }
    assert not loaded & heavy
