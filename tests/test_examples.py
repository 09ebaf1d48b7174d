# SPDX-License-Identifier: Apache-2.0
"""The examples do what they say, and the receiver that demo and tests rely on reads OTLP as it is specified."""

import base64
import contextlib
import dataclasses
import gzip
import http.client
import importlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import genai_prices
import grpc
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace import Status as SpanStatus

import otlp_receiver
from collector.running import find_collector
from effort import times
from otel_loggedmodel.store import open_database, open_reader, results, trace_results
from otel_loggedmodel.store.reading import TraceFilter, UnknownVersionError
from otlp_grpc_receiver import OtlpGrpcReceiver
from otlp_receiver import Event, MalformedError, OtlpReceiver, ReceivedSpan, parse_file

REPOSITORY = Path(__file__).resolve().parents[1]
EXAMPLES = REPOSITORY / "examples"
DEMO = EXAMPLES / "demo" / "run.py"

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json; charset=utf-8"}

TRACE, SPAN, PARENT = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174", "eee19b7ec3c1b173"
MODEL_TRACE, MODEL_SPAN = "00000000000000000000000000000abc", "0000000000000def"

# Written by hand after https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: hex ids, numbers of 64 bits as
# texts, enumerations as numbers, and a field that no receiver knows.
DOCUMENT = {
    "resourceSpans": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeSpans": [
                {
                    "scope": {"name": "library", "version": "1.2"},
                    "spans": [
                        {
                            "traceId": TRACE.upper(),
                            "spanId": SPAN,
                            "parentSpanId": PARENT,
                            "traceState": "ot=rv:ffffffffffffff",
                            "flags": 769,
                            "name": "GET /",
                            "kind": 2,
                            "startTimeUnixNano": "1544712660000000001",
                            "endTimeUnixNano": "1544712661000000001",
                            "attributes": [
                                {"key": "text", "value": {"stringValue": "ä"}},
                                {"key": "number", "value": {"intValue": "9007199254740993"}},
                                {"key": "float", "value": {"doubleValue": 0.5}},
                                {"key": "flag", "value": {"boolValue": False}},
                                {"key": "bytes", "value": {"bytesValue": base64.b64encode(b"\0\xff").decode()}},
                                {"key": "list", "value": {"arrayValue": {"values": [{"intValue": "1"}, {}]}}},
                                {
                                    "key": "map",
                                    "value": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}},
                                },
                            ],
                            "droppedAttributesCount": 3,
                            "events": [
                                {
                                    "timeUnixNano": "1544712660500000000",
                                    "name": "retry",
                                    "attributes": [{"key": "n", "value": {"intValue": 2}}],
                                }
                            ],
                            "links": [
                                {
                                    "traceId": MODEL_TRACE,
                                    "spanId": MODEL_SPAN,
                                    "attributes": [{"key": "logged_model.id", "value": {"stringValue": "m-abc"}}],
                                }
                            ],
                            "status": {"code": 2, "message": "out of stock"},
                            "fieldOfTheFuture": {"a": [1]},
                        },
                        {"traceId": TRACE, "spanId": PARENT, "parentSpanId": "", "name": "root", "kind": 77},
                    ],
                }
            ],
        }
    ]
}
EXPECTED = [
    ReceivedSpan(
        trace_id=TRACE,
        span_id=SPAN,
        parent_span_id=PARENT,
        name="GET /",
        kind="SERVER",
        start_ns=1544712660000000001,
        end_ns=1544712661000000001,
        attributes={
            "text": "ä",
            "number": 9007199254740993,
            "float": 0.5,
            "flag": False,
            "bytes": b"\0\xff",
            "list": [1, None],
            "map": {"k": "v"},
        },
        links=(otlp_receiver.Link(MODEL_TRACE, MODEL_SPAN, {"logged_model.id": "m-abc"}),),
        events=(Event(1544712660500000000, "retry", {"n": 2}),),
        status_code="ERROR",
        status_message="out of stock",
        trace_state="ot=rv:ffffffffffffff",
        flags=769,
        resource={"service.name": "shop"},
        scope_name="library",
        scope_version="1.2",
        dropped_attributes=3,
    ),
    ReceivedSpan(
        trace_id=TRACE,
        span_id=PARENT,
        parent_span_id=None,
        name="root",
        kind="77",
        start_ns=0,
        end_ns=0,
        attributes={},
        links=(),
        events=(),
        status_code="UNSET",
        status_message="",
        trace_state="",
        flags=0,
        resource={"service.name": "shop"},
        scope_name="library",
        scope_version="1.2",
        dropped_attributes=0,
    ),
]


def a_request(name: str = "root", trace_id: bytes = bytes.fromhex(TRACE)) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.name, span.trace_id, span.span_id = name, trace_id, bytes.fromhex(SPAN)
    return request


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as receiver:
        yield receiver


class Client:
    """One connection that is kept open, as senders do."""

    def __init__(self, receiver: OtlpReceiver) -> None:
        self.connection = http.client.HTTPConnection(receiver.host, receiver.port, timeout=10)

    def send(
        self, body: bytes, headers: dict[str, str], path: str = "/v1/traces", method: str = "POST"
    ) -> tuple[http.client.HTTPResponse, bytes]:
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        return response, response.read()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


@pytest.fixture
def client(receiver: OtlpReceiver) -> Iterator[Client]:
    with Client(receiver) as client:
        yield client


# The receiver: what it takes

COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda body: body,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
}


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_what_was_sent_is_what_is_kept(receiver: OtlpReceiver, client: Client, encoding: str, compression: str) -> None:
    if encoding == "json":
        headers, body = JSON, json.dumps(DOCUMENT).encode()
    else:
        headers, body = PROTOBUF, otlp_receiver.decode_json(json.dumps(DOCUMENT)).SerializeToString()
    sent = COMPRESSIONS[compression](body)
    response, answer = client.send(sent, {**headers, "Content-Encoding": compression, "X-Tenant": "a"})
    assert response.status == 200
    assert response.headers["Content-Type"] == headers["Content-Type"].partition(";")[0]
    if encoding == "json":
        assert json.loads(answer) == {}
    else:
        assert ExportTraceServiceResponse.FromString(answer) == ExportTraceServiceResponse()
    assert receiver.spans() == EXPECTED
    assert EXPECTED[0].duration_ms == 1000
    (request,) = receiver.requests()
    assert (request.answer, request.body_bytes, request.headers["x-tenant"]) == (200, len(sent), "a")


@pytest.mark.parametrize("compression", list(Compression))
def test_the_sdk_exports_over_http(receiver: OtlpReceiver, compression: Compression) -> None:
    exporter = HttpExporter(receiver.traces_endpoint, compression=compression)
    sent = export_two_spans(exporter)
    check_two_spans(receiver.spans(), sent)
    exporter.shutdown()


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip])
def test_the_sdk_exports_over_grpc(compression: grpc.Compression | None) -> None:
    with OtlpGrpcReceiver() as receiver:
        exporter = GrpcExporter(receiver.endpoint, insecure=True, headers={"x-tenant": "a"}, compression=compression)
        sent = export_two_spans(exporter)
        check_two_spans(receiver.wait_for(lambda spans: len(spans) == 2), sent)
        (request,) = receiver.requests()
        assert (request.answer, request.headers["x-tenant"]) == (200, "a")
        exporter.shutdown()


def export_two_spans(exporter: SpanExporter) -> list[ReadableSpan]:
    memory = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("library", "1.2")
    with tracer.start_as_current_span("outer", kind=SpanKind.SERVER) as outer:
        link = Link(outer.get_span_context(), {"k": 1})
        with tracer.start_as_current_span("inner", links=[link], attributes={"list": ["a", "b"]}) as inner:
            inner.add_event("happened")
            inner.set_status(SpanStatus(StatusCode.ERROR, "broken"))
    spans = list(memory.get_finished_spans())
    assert exporter.export(spans) is SpanExportResult.SUCCESS
    provider.shutdown()
    return spans


def check_two_spans(received: list[ReceivedSpan], sent: list[ReadableSpan]) -> None:
    inner, outer = received
    assert [(span.name, span.start_ns, span.end_ns) for span in received] == [
        (span.name, span.start_time, span.end_time) for span in sent
    ]
    assert outer.trace_id == f"{sent[1].context.trace_id:032x}"
    assert outer.span_id == f"{sent[1].context.span_id:016x}"
    assert (outer.kind, outer.parent_span_id, outer.status_code) == ("SERVER", None, "UNSET")
    assert (inner.kind, inner.parent_span_id, inner.trace_id) == ("INTERNAL", outer.span_id, outer.trace_id)
    assert (inner.status_code, inner.status_message) == ("ERROR", "broken")
    assert inner.attributes == {"list": ["a", "b"]}
    assert inner.links == ((outer.trace_id, outer.span_id, {"k": 1}),)
    assert [event.name for event in inner.events] == ["happened"]
    assert inner.resource == outer.resource == {"service.name": "shop"}
    assert (inner.scope_name, inner.scope_version) == ("library", "1.2")


# The receiver: what it refuses

BOMB = zlib.compress(bytes(otlp_receiver.MAX_BODY_BYTES + 1), 9)
GOOD = a_request().SerializeToString()


def document_with(**fields: object) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [{"spanId": SPAN, **fields}]}]}]}).encode()


@pytest.mark.parametrize(
    ("status", "headers", "body", "says"),
    [
        pytest.param(400, PROTOBUF, b"\xff\xff\xff garbage", "ExportTraceServiceRequest", id="not protobuf"),
        pytest.param(400, PROTOBUF, GOOD[:-3], "ExportTraceServiceRequest", id="cut-off protobuf"),
        pytest.param(400, PROTOBUF, a_request(trace_id=b"short").SerializeToString(), "5 bytes, not 16", id="short id"),
        pytest.param(400, JSON, b"{", "JSON", id="not JSON"),
        pytest.param(400, JSON, b"\xff", "JSON", id="not UTF-8"),
        pytest.param(400, JSON, b"[]", "JSON object", id="a list"),
        pytest.param(400, JSON, b"[" * 200_000, "JSON", id="deep JSON"),
        pytest.param(400, JSON, b'{"resourceSpans": {}}', "resourceSpans", id="an object for a list"),
        pytest.param(400, JSON, b'{"resourceSpans": [1]}', "scopeSpans", id="a number for an object"),
        pytest.param(400, JSON, document_with(traceId="W47/95gDgQPSabYzgT/GDA=="), "hex", id="base64 for hex"),
        pytest.param(400, JSON, document_with(traceId="abcd"), "2 bytes, not 16", id="short hex"),
        pytest.param(400, JSON, document_with(traceId=TRACE, links=[{"traceId": 5}]), "hex", id="a number for an id"),
        pytest.param(400, JSON, document_with(traceId=TRACE, endTimeUnixNano="soon"), "JSON", id="a text for a number"),
        pytest.param(400, {**PROTOBUF, "Content-Encoding": "gzip"}, GOOD, "gzip", id="not gzip"),
        pytest.param(
            400, {**PROTOBUF, "Content-Encoding": "gzip"}, gzip.compress(GOOD)[:-9], "gzip", id="cut-off gzip"
        ),
        pytest.param(413, {**PROTOBUF, "Content-Encoding": "deflate"}, BOMB, "bytes", id="bomb"),
        pytest.param(415, {**PROTOBUF, "Content-Encoding": "br"}, GOOD, "br", id="unknown compression"),
        pytest.param(415, {"Content-Type": "text/plain"}, GOOD, "text/plain", id="unknown type"),
        pytest.param(415, {}, GOOD, "Content-Type", id="no type"),
    ],
)
def test_what_is_no_otlp_is_refused(
    receiver: OtlpReceiver, client: Client, status: int, headers: dict[str, str], body: bytes, says: str
) -> None:
    response, answer = client.send(body, headers)
    assert response.status == status
    assert says in message_of(response, answer)
    assert receiver.spans() == []
    assert [request.answer for request in receiver.requests()] == [status]
    # The connection is still good.
    assert client.send(GOOD, PROTOBUF)[0].status == 200
    assert [span.name for span in receiver.spans()] == ["root"]


def message_of(response: http.client.HTTPResponse, answer: bytes) -> str:
    """The message of an error, which is a google.rpc.Status in the encoding of the request."""
    if response.headers["Content-Type"] == "application/x-protobuf":
        return str(Status.FromString(answer).message)
    return str(json.loads(answer)["message"])


@pytest.mark.parametrize(
    ("status", "method", "path"),
    [
        (404, "POST", "/v1/logs"),
        (404, "POST", "/"),
        (404, "GET", "/"),
        (405, "GET", "/v1/traces"),
        (405, "PUT", "/v1/traces"),
    ],
)
def test_other_paths_and_methods_are_refused(client: Client, status: int, method: str, path: str) -> None:
    response, _ = client.send(b"" if method == "GET" else GOOD, PROTOBUF, path, method)
    assert response.status == status
    if status == 405:
        assert response.headers["Allow"] == "POST"
    assert client.send(GOOD, PROTOBUF)[0].status == 200


def test_a_body_of_unknown_or_too_large_size_is_refused(receiver: OtlpReceiver) -> None:
    for status, header in ((411, ("Transfer-Encoding", "chunked")), (413, ("Content-Length", str(2**40)))):
        with Client(receiver) as client:
            client.connection.putrequest("POST", "/v1/traces")
            client.connection.putheader(*header)
            client.connection.endheaders()
            assert client.connection.getresponse().status == status


# The receiver: how it behaves


def test_it_refuses_as_it_is_told_to(receiver: OtlpReceiver, client: Client) -> None:
    for status in (503, 429, 400):
        receiver.answer_with = status
        response, answer = client.send(GOOD, PROTOBUF)
        assert response.status == status
        assert "answer_with" in message_of(response, answer)
    assert receiver.spans() == []
    receiver.answer_with = None
    assert client.send(GOOD, PROTOBUF)[0].status == 200
    assert [request.answer for request in receiver.requests()] == [503, 429, 400, 200]
    assert [len(request.spans) for request in receiver.requests()] == [0, 0, 0, 1]


@pytest.mark.parametrize("transport", ["http", "grpc"])
def test_a_sender_gets_through_once_refusing_ends(transport: str) -> None:
    with OtlpReceiver() if transport == "http" else OtlpGrpcReceiver() as receiver:
        exporter: SpanExporter = (
            HttpExporter(f"{receiver.endpoint}/v1/traces") if transport == "http" else GrpcExporter(receiver.endpoint)
        )
        receiver.answer_with = 503
        sending = threading.Thread(target=export_two_spans, args=[exporter])
        sending.start()
        receiver.wait_for_requests(lambda requests: [request.answer for request in requests] == [503])
        receiver.answer_with = None
        spans = receiver.wait_for(lambda spans: spans)
        sending.join()
        assert [span.name for span in spans] == ["inner", "outer"]
        assert [request.answer for request in receiver.requests()] == [503, 200]
        exporter.shutdown()


def test_grpc_refuses_for_good() -> None:
    with OtlpGrpcReceiver() as receiver, grpc.insecure_channel(f"127.0.0.1:{receiver.port}") as channel:
        export = channel.unary_unary(
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            request_serializer=ExportTraceServiceRequest.SerializeToString,
            response_deserializer=ExportTraceServiceResponse.FromString,
        )
        for status, code in ((400, grpc.StatusCode.INVALID_ARGUMENT), (418, grpc.StatusCode.UNKNOWN)):
            receiver.answer_with = status
            with pytest.raises(grpc.RpcError) as caught:
                export(a_request())
            assert caught.value.code() is code
        receiver.answer_with = None
        with pytest.raises(grpc.RpcError, match="5 bytes, not 16"):
            export(a_request(trace_id=b"short"))
        assert [(request.answer, request.spans) for request in receiver.requests()] == [(400, ()), (418, ()), (400, ())]


def test_a_port_that_is_taken_is_an_error(receiver: OtlpReceiver) -> None:
    with pytest.raises(OSError, match="in use"):
        OtlpReceiver(receiver.port)
    with OtlpGrpcReceiver() as other, pytest.raises(RuntimeError, match=str(other.port)):
        OtlpGrpcReceiver(other.port)


def test_waiting_ends_when_the_spans_are_there(receiver: OtlpReceiver, client: Client) -> None:
    later = threading.Timer(0.2, client.send, args=[GOOD, PROTOBUF])
    later.start()
    assert [span.name for span in receiver.wait_for(lambda spans: len(spans) == 1)] == ["root"]
    later.join()
    with pytest.raises(TimeoutError, match=r"0\.05 s.*answered \[200\]; 1 spans: \['root'\]"):
        receiver.wait_for(lambda spans: len(spans) == 2, timeout=0.05)
    receiver.clear()
    assert (receiver.spans(), receiver.requests()) == ([], [])


def test_many_senders_at_once(receiver: OtlpReceiver) -> None:
    def send(number: int) -> None:
        with Client(receiver) as client:
            for position in range(25):
                client.send(a_request(f"{number}-{position}").SerializeToString(), PROTOBUF)

    senders = [threading.Thread(target=send, args=[number]) for number in range(20)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert {span.name for span in receiver.spans()} == {f"{n}-{p}" for n in range(20) for p in range(25)}


def test_an_answer_does_not_wait_for_a_delayed_acknowledgement(receiver: OtlpReceiver, client: Client) -> None:
    client.send(GOOD, PROTOBUF)
    # Not by the time that it takes: whether a kernel delays acknowledgements at once, and for how long, is its own.
    [connection] = receiver._server._connections
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_closing_leaves_nothing_behind_and_keeps_what_was_received() -> None:
    before = set(threading.enumerate())
    receiver = OtlpReceiver()
    with Client(receiver) as idle, Client(receiver) as other:
        idle.send(GOOD, PROTOBUF)
        other.send(GOOD, PROTOBUF)
        receiver.close()
        assert set(threading.enumerate()) <= before
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            idle.send(GOOD, PROTOBUF)
    receiver.close()
    assert len(receiver.spans()) == 2
    with OtlpReceiver(receiver.port) as again, Client(again) as client:
        assert client.send(GOOD, PROTOBUF)[0].status == 200


# Files


def test_a_collectors_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    path.write_text(f"{json.dumps(DOCUMENT)}\n\n{json.dumps({'resourceLogs': []})}\n{json.dumps(DOCUMENT)}\n")
    assert parse_file(path) == EXPECTED + EXPECTED


def test_a_damaged_file_says_where(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    path.write_text(f"{json.dumps(DOCUMENT)}\n{json.dumps(DOCUMENT)[:100]}")
    with pytest.raises(MalformedError, match=r"spans\.jsonl, line 2: "):
        parse_file(path)


# The programs


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, command)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_the_quickstart_links_its_trace_to_its_version(receiver: OtlpReceiver) -> None:
    outcome = run(EXAMPLES / "quickstart.py", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    spans = {span.name: span for span in receiver.spans()}
    assert set(spans) == {"logged_model.created", "logged_model.activated", "answer", "retrieve", "generate"}
    root, entry = spans["logged_model.created"], spans["answer"]
    model_id = root.attributes["logged_model.id"]
    assert entry.links == ((root.trace_id, root.span_id, {"logged_model.id": model_id}),)
    assert entry.attributes == {"logged_model.id": model_id, "logged_model.name": "my-agent-v1.0"}
    for name in ("retrieve", "generate"):
        assert (spans[name].attributes, spans[name].links) == ({"logged_model.id": model_id}, ())
    assert f"trace {entry.trace_id} is of my-agent-v1.0, {model_id}" in outcome.stdout
    assert f"own trace is {root.trace_id}" in outcome.stdout


def test_ab_routing_gives_each_request_its_version() -> None:
    outcome = run(EXAMPLES / "ab_routing.py")
    assert (outcome.returncode, outcome.stderr) == (0, "")
    lines = [
        re.fullmatch(r"request of (user-\d) +(current|candidate) +(m-[0-9a-f]{32})", line)
        for line in outcome.stdout.splitlines()
    ]
    served = {match[1]: (match[2], match[3]) for match in lines if match}
    assert set(served) == {f"user-{number}" for number in range(10)}
    candidates = {user for user, (which, _) in served.items() if which == "candidate"}
    assert candidates == {f"user-{number}" for number in range(10) if zlib.crc32(b"user-%d" % number) % 100 < 30}
    assert len({model_id for _, model_id in served.values()}) == 2


# The demo

DIRECTORY = "demo"


def demo(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demo in a directory of its own."""
    return run(DEMO, "--directory", tmp_path / DIRECTORY, *arguments, **environment)


@dataclasses.dataclass
class Truth:
    """What the versions did, by the demo's own application and traffic, without a server, a span or a clock."""

    traces: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: list[float] = dataclasses.field(default_factory=list)

    def cost(self, model: str) -> float:
        usage = genai_prices.Usage(input_tokens=self.input_tokens, output_tokens=self.output_tokens)
        return float(genai_prices.calc_price(usage, model, provider_id="openai").total_price)


@pytest.fixture
def import_from_demo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Imports one of its modules. They stand beside each other, and tests have rooms of the same names."""
    directory = EXAMPLES / "demo"
    monkeypatch.syspath_prepend(directory)
    names = [path.stem for path in directory.glob("*.py")]
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module
    for name in names:
        sys.modules.pop(name, None)


def truth_of(import_from_demo: Callable[[str], ModuleType], rounds: int) -> dict[str, Truth]:
    stand_in, traffic, versions = map(import_from_demo, ("stand_in", "traffic", "versions"))
    index = import_from_demo("retrieval").Index(EXAMPLES / "demo" / "articles.md")
    truth = {release: Truth() for release in versions.RELEASES}
    for request in [
        *traffic.requests(versions.RELEASES, rounds, kind="direct"),
        *traffic.requests(versions.RELEASES, 1, kind="routed"),
    ]:
        params = versions.PARAMS[request.release]
        found = index.search(request.question, int(params["retrieval_k"]))
        completion = stand_in.complete(
            stand_in.Prompt(
                params["prompt"], "\n".join(f"[{article.title}] {article.text}" for article in found), request.question
            ),
            model=params["llm_model"],
            temperature=float(params["temperature"]),
            max_tokens=int(params["max_tokens"]),
            seed=zlib.crc32(request.conversation.encode()),
        )
        one = truth[request.release]
        one.traces += 1
        one.errors += completion.text is None
        one.input_tokens += completion.input_tokens
        one.output_tokens += completion.output_tokens
        one.seconds.append(completion.seconds)
    return truth


def check_demo(outcome: subprocess.CompletedProcess[str], truth: dict[str, Truth]) -> None:
    output = outcome.stdout
    assert outcome.stderr == ""
    assert outcome.returncode == 0, output
    assert "\033" not in output  # no colours outside of a terminal
    assert "answers are canned" in output
    answers = re.findall(r"(v\d): (\d+) answered(?:, (\d+) refused \(503\))?", output)
    for release, one in truth.items():
        assert sum(int(answered) for name, answered, _ in answers if name == release) == one.traces - one.errors
        assert sum(int(refused or 0) for name, _, refused in answers if name == release) == one.errors
        links = f"{one.traces} of {one.traces} traces link to the version's own trace; "
        assert f"support-agent-{release}: {links}{6 * one.traces} of {6 * one.traces} spans carry its id\n" in output
    check_table(section(output, "compare support-agent-v1 support-agent-v2"), truth["v1"], truth["v2"])
    models = section(output, "models")
    for release, one in truth.items():
        row = rf"support-agent-{release} +m-[0-9a-f]{{32}} +ready +{one.traces} +{one.errors} "
        assert re.search(row, models), models
    slowest = section(output, "traces support-agent-v2 --order slowest --limit 3")
    assert len(re.findall(r"[0-9a-f]{32} .+ ok +\d+ +\d+ +\$0\.00\d+ +POST /ask ", slowest)) == 3
    strict, agreed = sections(output, "gate support-agent-v1 support-agent-v2")
    assert "cost_usd_per_trace is worse" in strict
    assert "FAILED: 1 of 1 rules failed\nexit status 1: a regression" in strict
    assert "error_rate is better" in agreed
    assert "PASSED: 3 rules passed\nexit status 0" in agreed


def sections(output: str, command: str) -> list[str]:
    """What the command line said to a command, each time."""
    parts = re.split(r"^\$ ", output, flags=re.MULTILINE)
    return [part for part in parts if re.match(rf"\S+otel-loggedmodel {command}\b", part)]


def section(output: str, command: str) -> str:
    (found,) = sections(output, command)
    return found


def check_table(table: str, v1: Truth, v2: Truth) -> None:
    """The numbers that the demo shows are true, and the differences that were planted are called."""
    rows = {
        match[1]: match[2].split()
        for match in re.finditer(r"^ ((?:[a-z0-9_]+ )*[a-z0-9_]+) {2,}(\S.*)$", table, re.MULTILINE)
    }
    assert rows["traces"] == [str(v1.traces), str(v2.traces)]
    assert rows["errors"] == [str(v1.errors), str(v2.errors)]
    assert rows["tokens in"] == [f"{v1.input_tokens:,}", f"{v2.input_tokens:,}"]
    assert rows["tokens out"] == [f"{v1.output_tokens:,}", f"{v2.output_tokens:,}"]
    assert rows["param llm_model"] == ["gpt-4.1-mini", "gpt-4.1"]
    assert "param max_tokens" not in rows  # the versions do not differ in it
    assert rows["error rate"][-1] == "better"
    for metric in ("latency p50", "tokens in per trace", "tokens out per trace", "cost per trace"):
        assert rows[metric][-1] == "worse", metric


def check_kept_data(url: str, truth: dict[str, Truth], output: str) -> None:
    """What the demo leaves behind says the same, to all its digits."""
    reader = open_reader(url)
    comparison = reader.compare(["support-agent-v1", "support-agent-v2"])
    for found, one, model in zip(comparison.versions, truth.values(), ("gpt-4.1-mini", "gpt-4.1"), strict=True):
        assert (found.traces, found.errors) == (one.traces, one.errors)
        assert (found.tokens.input, found.tokens.output) == (one.input_tokens, one.output_tokens)
        assert found.cost_usd == pytest.approx(one.cost(model), rel=1e-9)
        # The stand-in takes at least so long, however fast the machine is.
        assert found.latency_ms.mean is not None
        assert found.latency_ms.mean >= 1000 * statistics.fmean(one.seconds)
    for release, stage in (("v1", "production"), ("v2", "candidate")):
        detail = reader.version(f"support-agent-{release}")
        # Made by two processes, its own and the one that serves both, and yet one version, made once.
        assert sorted(entry.kind for entry in detail.history) == ["activated", "activated", "created", "updated"]
        assert len({entry.resource["process.pid"] for entry in detail.history if entry.kind == "activated"}) == 2
        assert detail.version.tags == {"stage": stage}
    slowest = reader.traces("support-agent-v2", TraceFilter(order="slowest", limit=3))
    shown = section(output, "traces support-agent-v2 --order slowest --limit 3")
    assert [trace.trace_id for trace in slowest] == re.findall(r" ([0-9a-f]{32}) ", shown)
    assert slowest[0].duration_ms >= 1000 * max(truth["v2"].seconds)
    reader.close()


def files_of(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if "__pycache__" not in path.parts}


def test_the_demo_compares_what_it_has_sent(
    tmp_path: Path, import_from_demo: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, temporary = tmp_path / "checkout", tmp_path / "tmp"
    temporary.mkdir()
    shutil.copytree(EXAMPLES, checkout / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    before = files_of(checkout)
    rounds = times(full=5, quick=1)
    monkeypatch.chdir(checkout)
    outcome = run(
        Path("examples/demo/run.py"),
        "--direct",
        f"--rounds={rounds}",
        TMPDIR=str(temporary),
        OTEL_SDK_DISABLED="true",
        MLFLOW_ACTIVE_MODEL_ID="other",
        GITHUB_ACTIONS="true",
    )
    truth = truth_of(import_from_demo, rounds=rounds)
    check_demo(outcome, truth)
    assert "spans go to it directly" in outcome.stdout
    assert "::error" not in outcome.stdout  # a demo of a gate fails nobody's build
    left = {path for path in files_of(checkout) - before if not path.startswith(".venv/demo/data/")}
    logs = {f"{name}.log" for name in ("backend", "support-agent-v1", "support-agent-v2", "support-agent-both")}
    assert left == {".venv", *(f".venv/{path}" for path in ("demo", "demo/data", "demo/demo.lock"))} | {
        f".venv/demo/{log}" for log in logs
    }
    assert list(temporary.iterdir()) == []
    # The command that it shows for looking around serves what was stored.
    (command,) = re.findall(r"^\$ (\S+otel-loggedmodel serve --data \.venv/demo/data)$", outcome.stdout, re.MULTILINE)
    options = ["--http-port", "0", "--grpc-port", "0", "--json"]
    with subprocess.Popen([*shlex.split(command), *options], stdout=subprocess.PIPE, text=True) as backend:
        assert backend.stdout is not None
        try:
            check_kept_data(json.loads(backend.stdout.readline())["http"], truth, outcome.stdout)
        finally:
            backend.terminate()
    assert backend.returncode == 0


def test_the_demo_goes_through_a_collector(tmp_path: Path, import_from_demo: Callable[[str], ModuleType]) -> None:
    collector = find_collector()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    outcome = demo(tmp_path, "--rounds", "1", TMPDIR=str(temporary))
    check_demo(outcome, truth_of(import_from_demo, rounds=1))
    assert f"starting the OpenTelemetry Collector {collector}\n" in outcome.stdout
    assert re.search(r"through the Collector at http://127\.0\.0\.1:\d+ \(pid \d+\)", outcome.stdout)
    assert '"spans": ' in (tmp_path / DIRECTORY / "collector.log").read_text()  # it says how many passed
    assert list(temporary.iterdir()) == []


def processes_with(directory: Path) -> list[str]:
    """The processes whose environment has this directory: those that a demo started, wherever they belong by now."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it may end meanwhile
            if f"TMPDIR={directory}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text())
    return found


@contextlib.contextmanager
def demo_until(moment: str, tmp_path: Path, *arguments: str) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """A demo that has come so far, and the line that says so; at the end it has to have left nothing running."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with subprocess.Popen(
        [sys.executable, str(DEMO), "--direct", "--rounds", "1", "--directory", str(tmp_path / DIRECTORY), *arguments],
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = next((line for line in process.stdout if moment in line), None)
        assert line is not None, process.communicate()
        assert processes_with(temporary)
        yield process, line
    assert processes_with(temporary) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGINT, "starting the backend"),
        (signal.SIGTERM, "starting three"),
        (signal.SIGINT, "asking"),
        (signal.SIGTERM, "stopping"),
        (signal.SIGINT, "otel-loggedmodel models"),
    ][:: times(full=1, quick=2)],
)
def test_an_interrupted_demo_leaves_nothing_running(tmp_path: Path, number: signal.Signals, moment: str) -> None:
    with demo_until(moment, tmp_path) as (process, _):
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "\nInterrupted. Every process that the demo had started is stopped.\n"


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
def test_a_demo_that_is_to_stay_can_be_opened_until_it_is_interrupted(tmp_path: Path) -> None:
    with demo_until("until Ctrl-C", tmp_path, "--stay") as (process, line):
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+/", line)
        with urllib.request.urlopen(url) as answer:
            assert json.load(answer)["name"] == "otel-loggedmodel"
        # A demo beside it would take its data away.
        other = demo(tmp_path, "--direct")
        assert other.returncode == 2
        assert "another demo runs" in other.stderr
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_a_demo_takes_no_directory_from_anybody(tmp_path: Path) -> None:
    directory = tmp_path / DIRECTORY
    directory.mkdir()
    (directory / "thesis.txt").write_text("precious")
    outcome = demo(tmp_path, "--direct")
    assert outcome.returncode == 2
    assert "no demo's" in outcome.stderr
    assert "--directory" in outcome.stderr
    assert (directory / "thesis.txt").read_text() == "precious"


def test_a_demo_does_not_take_data_from_a_backend_that_serves_it(tmp_path: Path) -> None:
    data = tmp_path / DIRECTORY / "data"
    data.mkdir(parents=True)
    (tmp_path / DIRECTORY / "demo.lock").touch()
    (data / "spans").write_text("stored")
    serving = open_database(f"chdb://{data}")
    try:
        outcome = demo(tmp_path, "--direct")
    finally:
        serving.close()
    assert outcome.returncode == 2
    assert f'"pid": {os.getpid()}' in outcome.stderr
    assert "--directory" in outcome.stderr
    assert (data / "spans").read_text() == "stored"


def test_the_demo_says_how_to_get_a_collector(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OTELCOL"}
    with subprocess.Popen(
        [sys.executable, str(DEMO), "--directory", str(tmp_path / DIRECTORY)],
        env={**environment, "XDG_CACHE_HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert any("make otelcol" in line for line in process.stdout)
        process.terminate()
        process.communicate()


def test_a_demo_without_its_packages_says_what_to_do() -> None:
    outcome = run("-S", DEMO, PYTHONPATH="")
    assert outcome.returncode == 2
    assert "fastapi" in outcome.stderr
    assert "chdb" in outcome.stderr
    assert "make demo" in outcome.stderr


def test_a_demo_with_a_wrong_collector_says_what_to_do(tmp_path: Path) -> None:
    for wrong, says in (("no-such-program", "unset it"), ("false", "status 1")):
        outcome = demo(tmp_path, OTELCOL=wrong)
        assert outcome.returncode == 1
        assert says in outcome.stderr
        assert "--direct" in outcome.stderr


def test_a_process_of_the_demo_finds_another_port_when_its_own_is_taken(
    tmp_path: Path,
    receiver: OtlpReceiver,
    import_from_demo: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    processes = import_from_demo("processes")
    ports = iter([receiver.port, processes.free_port()])
    monkeypatch.setattr(processes, "free_port", lambda: next(ports))
    handlers = [(number, signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        with processes.Children() as children:
            server = processes.ServerProcess(
                children,
                name="files",
                command=lambda port: [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"],
                environment=lambda port: dict(os.environ),
                is_ready=lambda port, pid: (processes.ask(port, "GET", "/") or (0,))[0] == 200,
                log_directory=tmp_path,
            )
            server.wait_until_ready()
            assert server.url != receiver.endpoint
    finally:
        for number, handler in handlers:
            signal.signal(number, handler)
    assert not server.is_running()


# What the demo says of what arrived

MODEL = "m-" + "1" * 16 + "2" * 16


class Stored:
    """A reader of what a test has put into it: each trace a server's span and one inside it."""

    def __init__(self, number: int) -> None:
        self.version_is_known = True
        root = trace_results.Span(**span_fields(MODEL[2:], "root", None), attributes={"logged_model.event": "created"})
        self.found = {root.trace_id: [root]}
        link = trace_results.SpanLink(trace_id=MODEL[2:], span_id="root", attributes={"logged_model.id": MODEL})
        for place in range(number):
            trace_id = f"{place:032x}"
            entry = trace_results.Span(
                **span_fields(trace_id, "entry", None), model_id=MODEL, is_entry=True, links=[link]
            )
            inside = trace_results.Span(**span_fields(trace_id, "inside", "entry"), model_id=MODEL)
            self.found[trace_id] = [entry, inside]

    def versions(self) -> list[results.Version]:
        return [results.Version(model_id=MODEL, traces=len(self.traces("v1")))]

    def version(self, name: str) -> results.VersionDetail:
        if not self.version_is_known:
            raise UnknownVersionError(name)
        version = results.Version(model_id=MODEL, name=name)
        return results.VersionDetail(version=version, metrics=results.VersionMetrics(model_id=MODEL))

    def traces(self, name: str, which: object = None) -> list[trace_results.TraceSummary]:
        entries = [span for spans in self.found.values() for span in spans if span.is_entry]
        return [
            trace_results.TraceSummary(
                trace_id=span.trace_id,
                span_id=span.span_id,
                model_id=MODEL,
                span_name=span.name,
                service="",
                start_ns=0,
                duration_ms=1,
                error=span.status == "Error",
            )
            for span in entries
        ]

    def trace(self, trace_id: str) -> trace_results.Trace:
        return trace_results.Trace(trace_id=trace_id, spans=self.found[trace_id])


def span_fields(trace_id: str, span_id: str, parent: str | None) -> dict[str, Any]:
    return {
        **{"trace_id": trace_id, "span_id": span_id, "parent_span_id": parent, "name": span_id, "kind": "Internal"},
        **{"service": "", "start_ns": 0, "duration_ns": 1, "status": "Unset"},
    }


def test_the_demo_notices_what_is_not_linked(import_from_demo: Callable[[str], ModuleType]) -> None:
    arrival = import_from_demo("arrival")

    def problems(stored: Stored, sent: dict[int, int]) -> list[str]:
        found = arrival.look_up(stored, {"v1": "agent-v1"}, lambda: None)
        return list(found["v1"].problems(sent))

    def changed(place: int, **changes: object) -> Stored:
        stored = Stored(3)
        spans = stored.found[f"{1:032x}"]
        spans[place] = dataclasses.replace(spans[place], **changes)
        return stored

    assert problems(Stored(3), {200: 3}) == []
    assert problems(Stored(3), {200: 4}) == ["agent-v1 was sent 4 requests, and the backend has 3 traces of it"]
    assert problems(Stored(3), {200: 2, 503: 1}) == ["agent-v1 failed 1 times, and the backend has 0 errors of it"]
    assert problems(changed(0, status="Error"), {200: 2, 503: 1}) == []
    assert problems(changed(0, links=[]), {200: 3}) == ["1 entry spans of agent-v1 do not link to it"]
    elsewhere = trace_results.SpanLink(trace_id=MODEL[2:], span_id="other")
    assert problems(changed(0, links=[elsewhere]), {200: 3}) == ["1 entry spans of agent-v1 do not link to it"]
    assert problems(changed(1, model_id=None), {200: 3}) == ["1 spans of agent-v1 do not carry its id"]
    unknown = Stored(3)
    unknown.version_is_known = False
    assert problems(unknown, {200: 3}) == ["agent-v1 was sent 3 requests, and the backend has 0 traces of it"]


def test_the_demo_waits_for_what_is_on_its_way(
    import_from_demo: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrival = import_from_demo("arrival")
    monkeypatch.setattr(arrival, "_PATIENCE_SECONDS", 0.5)
    stored = Stored(2)
    counts: list[int] = []

    def more_comes(number: int) -> None:
        counts.append(number)
        if number < 4:
            stored.found.update(Stored(number + 1).found)

    arrival.wait_for(stored, 4, more_comes)
    assert counts == [2, 3, 4]
    began = time.monotonic()
    arrival.wait_for(stored, 5, lambda number: None)  # what never comes is not waited for
    assert 0.5 <= time.monotonic() - began < 5
