# SPDX-License-Identifier: Apache-2.0
"""The receivers that demo and tests rely on read OTLP as it is specified."""

import base64
import gzip
import http.client
import json
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

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
from otlp_grpc_receiver import OtlpGrpcReceiver
from otlp_receiver import Event, MalformedError, OtlpReceiver, ReceivedSpan, parse_file

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
    # The time is not measured, because each kernel decides when it delays acknowledgements, and for how long.
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
