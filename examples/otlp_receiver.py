# SPDX-License-Identifier: Apache-2.0
"""A small OTLP receiver that keeps what it gets in memory: for looking at spans, and for tests.

    with OtlpReceiver() as receiver:
        exporter = OTLPSpanExporter(receiver.traces_endpoint)
        ...
        spans = receiver.wait_for(lambda spans: len(spans) >= 3)

It speaks OTLP over HTTP as the specification has it (https://opentelemetry.io/docs/specs/otlp/#otlphttp): protobuf and
JSON, plain, gzip and deflate, traces only. `otlp_grpc_receiver` is its sibling for gRPC, and `parse_file` reads what a
Collector's file exporter wrote. It has no limits on memory and no authentication: it is not for production.
"""

import base64
import contextlib
import json
import socket
import sys
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from os import PathLike
from pathlib import Path
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Final, NamedTuple, TypeVar, cast

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status as RpcStatus  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

TRACES_PATH: Final = "/v1/traces"
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"

T = TypeVar("T")
Self = TypeVar("Self", bound="SpanInbox")


# What was received


class Link(NamedTuple):
    """A span's link to another span."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, object]


class Event(NamedTuple):
    """Something that happened during a span."""

    time_ns: int
    name: str
    attributes: Mapping[str, object]


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it came over the wire.

    Attributes:
        trace_id: 32 lower-case hex digits.
        span_id: 16 lower-case hex digits.
        parent_span_id: The same, or None for a root span.
        kind: `INTERNAL`, `SERVER`, `CLIENT`, `PRODUCER`, `CONSUMER`, or `UNSPECIFIED`.
        start_ns: Nanoseconds since the epoch.
        end_ns: Nanoseconds since the epoch.
        attributes: Values as Python has them; maps as dictionaries, bytes as bytes.
        status_code: `UNSET`, `OK` or `ERROR`.
        dropped_attributes: How many the sender had to leave out.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, object]
    links: tuple[Link, ...]
    events: tuple[Event, ...]
    status_code: str
    status_message: str
    trace_state: str
    flags: int
    resource: Mapping[str, object]
    scope_name: str
    scope_version: str
    dropped_attributes: int

    @property
    def duration_ms(self) -> float:
        """How long it took, in milliseconds."""
        return (self.end_ns - self.start_ns) / 1e6


@dataclass(frozen=True)
class ReceivedRequest:
    """One export request, whether it was accepted or not.

    Attributes:
        headers: Names in lower case; of a gRPC call its metadata.
        body_bytes: Size of the body as it was sent, before decompression; of a gRPC message, after.
        answer: The HTTP status that it was answered with; gRPC statuses as the HTTP status that means the same.
        spans: What was accepted.
    """

    headers: Mapping[str, str]
    body_bytes: int
    answer: int
    spans: tuple[ReceivedSpan, ...]


class MalformedError(ValueError):
    """Something was sent that is no OTLP."""


class SpanInbox:
    """What a receiver got, and how it is to answer. Thread-safe.

    Attributes:
        answer_with: The HTTP status with which to refuse every export, for instance 503; None to accept them.
    """

    def __init__(self) -> None:
        self.answer_with: int | None = None
        self._requests: list[ReceivedRequest] = []
        self._changed = threading.Condition()

    @property
    def endpoint(self) -> str:
        """What belongs into OTEL_EXPORTER_OTLP_ENDPOINT."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop. What was received stays readable."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def spans(self) -> list[ReceivedSpan]:
        """Every span that was accepted so far, in the order of arrival."""
        return [span for request in self.requests() for span in request.spans]

    def requests(self) -> list[ReceivedRequest]:
        """Every export request so far, refused ones included."""
        with self._changed:
            return list(self._requests)

    def clear(self) -> None:
        """Forget what was received."""
        with self._changed:
            self._requests.clear()

    def wait_for(self, predicate: Callable[[list[ReceivedSpan]], object], timeout: float = 10.0) -> list[ReceivedSpan]:
        """Wait until a predicate of all spans so far is true, and return them.

        Args:
            predicate: Called again after each request.
            timeout: Seconds.

        Raises:
            TimeoutError: It was not true in time; the message lists what was received.
        """
        return self._wait(self.spans, predicate, timeout)

    def wait_for_requests(
        self, predicate: Callable[[list[ReceivedRequest]], object], timeout: float = 10.0
    ) -> list[ReceivedRequest]:
        """The same for requests, which include refused ones."""
        return self._wait(self.requests, predicate, timeout)

    def received(self, request: ReceivedRequest) -> None:
        """Keep a request: to be called by the transport."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()

    def _wait(self, read: Callable[[], list[T]], predicate: Callable[[list[T]], object], timeout: float) -> list[T]:
        with self._changed:
            if not self._changed.wait_for(lambda: predicate(read()), timeout):
                raise TimeoutError(f"not within {timeout:g} s; received: {self._summary()}")
            return read()

    def _summary(self) -> str:
        answers = [request.answer for request in self._requests]
        names = [span.name for request in self._requests for span in request.spans]
        return f"{len(answers)} requests, answered {answers[-20:]}; {len(names)} spans: {names[-20:]}"


# Decoding


def decode_protobuf(body: bytes) -> ExportTraceServiceRequest:
    """An export request from its protobuf encoding.

    Raises:
        MalformedError: It is none.
    """
    try:
        return ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise MalformedError(f"the body is no ExportTraceServiceRequest: {error}") from error


def decode_json(body: bytes | str) -> ExportTraceServiceRequest:
    """An export request from its JSON encoding, in which ids are hex digits and unknown fields are allowed.

    Raises:
        MalformedError: It is none.
    """
    try:
        document = json.loads(body)
        if not isinstance(document, dict):
            raise MalformedError("the body is no JSON object")
        for resource_spans in _list_in(document, "resourceSpans", "resource_spans"):
            for scope_spans in _list_in(resource_spans, "scopeSpans", "scope_spans"):
                for span in _list_in(scope_spans, "spans"):
                    _ids_to_base64(span)
                    for link in _list_in(span, "links"):
                        _ids_to_base64(link)
        return json_format.ParseDict(document, ExportTraceServiceRequest(), ignore_unknown_fields=True)
    except MalformedError:
        raise
    except (ValueError, json_format.ParseError, RecursionError) as error:
        raise MalformedError(f"the body is no OTLP in JSON: {error}") from error


def _list_in(parent: object, *names: str) -> list[Any]:
    if not isinstance(parent, dict):
        raise MalformedError(f"expected an object with {names[0]}, not {type(parent).__name__}")
    present: object = next((parent[name] for name in names if parent.get(name) is not None), [])
    if not isinstance(present, list):
        raise MalformedError(f"{names[0]} is no list")
    return present


def _ids_to_base64(parent: object) -> None:
    # Protobuf's JSON has base64 for bytes; OTLP departs from that for ids and for nothing else:
    # https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
    if not isinstance(parent, dict):
        raise MalformedError(f"expected a span or a link, not {type(parent).__name__}")
    for name in ("traceId", "trace_id", "spanId", "span_id", "parentSpanId", "parent_span_id"):
        value = parent.get(name)
        if value is None:
            continue
        try:
            parent[name] = base64.b64encode(bytes.fromhex(value)).decode()
        except (TypeError, ValueError) as error:
            raise MalformedError(f"{name} is {value!r}: OTLP has hex digits there") from error


def spans_of(request: ExportTraceServiceRequest) -> tuple[ReceivedSpan, ...]:
    """The spans of an export request.

    Raises:
        MalformedError: An id has not the right size.
    """
    return tuple(
        _span_of(span, resource, scope_spans.scope.name, scope_spans.scope.version)
        for resource_spans in request.resource_spans
        for resource in [_resource_of(resource_spans.resource)]
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    )


def parse_file(path: str | PathLike[str]) -> list[ReceivedSpan]:
    """The spans in a file of OTLP JSON lines, as a Collector's file exporter writes them.

    Raises:
        MalformedError: A line is no OTLP.
    """
    spans: list[ReceivedSpan] = []
    for number, line in enumerate(Path(path).read_bytes().splitlines(), start=1):
        if line.strip():
            try:
                spans += spans_of(decode_json(line))
            except MalformedError as error:
                raise MalformedError(f"{path}, line {number}: {error}") from error
    return spans


def _span_of(span: trace_pb2.Span, resource: Mapping[str, object], scope_name: str, scope_version: str) -> ReceivedSpan:
    return ReceivedSpan(
        trace_id=_hex(span.trace_id, 16, "trace id"),
        span_id=_hex(span.span_id, 8, "span id"),
        parent_span_id=_hex(span.parent_span_id, 8, "parent span id") if span.parent_span_id else None,
        name=span.name,
        kind=_enum_name(trace_pb2.Span.SpanKind, span.kind, "SPAN_KIND_"),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_attributes_of(span.attributes),
        links=tuple(
            Link(_hex(link.trace_id, 16, "trace id"), _hex(link.span_id, 8, "span id"), _attributes_of(link.attributes))
            for link in span.links
        ),
        events=tuple(
            Event(event.time_unix_nano, event.name, _attributes_of(event.attributes)) for event in span.events
        ),
        status_code=_enum_name(trace_pb2.Status.StatusCode, span.status.code, "STATUS_CODE_"),
        status_message=span.status.message,
        trace_state=span.trace_state,
        flags=span.flags,
        resource=resource,
        scope_name=scope_name,
        scope_version=scope_version,
        dropped_attributes=span.dropped_attributes_count,
    )


def _resource_of(resource: Resource) -> Mapping[str, object]:
    return _attributes_of(resource.attributes)


def _attributes_of(pairs: Sequence[KeyValue]) -> dict[str, object]:
    return {pair.key: _value_of(pair.value) for pair in pairs}


def _value_of(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value_of(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes_of(value.kvlist_value.values)
    return cast(object, getattr(value, kind))


def _enum_name(enum: Any, number: int, prefix: str) -> str:
    # Receivers have to cope with values that are newer than they are.
    return cast(str, enum.Name(number)).removeprefix(prefix) if number in enum.values() else str(number)


def _hex(value: bytes, size: int, what: str) -> str:
    if len(value) != size:
        raise MalformedError(f"a {what} has {len(value)} bytes, not {size}")
    return value.hex()


# HTTP


class OtlpReceiver(SpanInbox):
    """A receiver of OTLP over HTTP, in threads of its own, until it is closed.

    Args:
        port: The port; a free one by default.
        host: The address to listen on.
    """

    def __init__(self, port: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__()
        self._server = _Server((host, port), self)
        self.host = host
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="OtlpReceiver", daemon=True
        )
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """What belongs into OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://{self.host}:{self.port}"

    @property
    def traces_endpoint(self) -> str:
        """What belongs into OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, or into `OTLPSpanExporter(endpoint=...)`."""
        return self.endpoint + TRACES_PATH

    def close(self) -> None:
        """Stop listening and close every connection. What was received stays readable."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.hang_up()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a receiver that nobody closes must not keep its process alive
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], inbox: SpanInbox) -> None:
        self.inbox = inbox
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._hung_up = False
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own looks the host's name up, which takes seconds where DNS is slow. Nobody asks for the name.
        TCPServer.server_bind(self)

    def connected(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections[connection] = threading.current_thread()
            if self._hung_up:
                _shut(connection)

    def disconnected(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.pop(connection, None)

    def hang_up(self) -> None:
        """End the connections that clients keep open, whose threads would wait for a next request for ever."""
        with self._lock:
            self._hung_up = True
            for connection in self._connections:
                _shut(connection)
            threads = list(self._connections.values())
        for thread in threads:
            thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away, and report everything else."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the client may have been faster
        connection.shutdown(socket.SHUT_RDWR)


class _RefusedError(Exception):
    """A request is to be answered with this status and message."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    # Sets TCP_NODELAY: header and body are two writes, and the second would wait 40 ms for the client's delayed ACK.
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.connected(self.connection)

    def finish(self) -> None:
        self.server.disconnected(self.connection)
        super().finish()

    def do_POST(self) -> None:
        content_type = self.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        size = 0
        spans: tuple[ReceivedSpan, ...] = ()
        headers: Mapping[str, str] = {}
        answer: Message
        try:
            body = self._body()
            size = len(body)
            self._check_target()
            if self.server.inbox.answer_with is not None:
                raise _RefusedError(self.server.inbox.answer_with, "refused on request: see answer_with")
            spans = self._decode(content_type, self._decompress(body))
            status, answer = 200, ExportTraceServiceResponse()
        except _RefusedError as error:
            status, answer, headers = error.status, RpcStatus(message=str(error)), error.headers
        except MalformedError as error:
            status, answer = 400, RpcStatus(message=str(error))
        if self.command == "POST":
            request_headers = {name.lower(): value for name, value in self.headers.items()}
            self.server.inbox.received(ReceivedRequest(request_headers, size, status, spans))
        self._answer(status, content_type, answer, headers)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST  # the others only to be refused in the same manner

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: whoever wants to know asks `requests()`."""

    def _check_target(self) -> None:
        if self.path.partition("?")[0] != TRACES_PATH:
            raise _RefusedError(404, f"no {self.path} here: this receiver takes traces at {TRACES_PATH}")
        if self.command != "POST":
            raise _RefusedError(405, f"{TRACES_PATH} takes POST, not {self.command}", {"Allow": "POST"})

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "" if self.command == "POST" else "0")
        if not length.isdecimal():
            self.close_connection = True
            raise _RefusedError(411, "a Content-Length is needed")
        if int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            raise _RefusedError(413, f"at most {MAX_BODY_BYTES} bytes are taken")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionError("the client went away within a request")
        return body

    def _decompress(self, body: bytes) -> bytes:
        encoding = self.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding in ("identity", ""):
            return body
        if encoding not in ("gzip", "deflate"):
            known = {"Accept-Encoding": "gzip, deflate"}
            raise _RefusedError(415, f"Content-Encoding {encoding!r} is not known here", known)
        decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16 if encoding == "gzip" else zlib.MAX_WBITS)
        try:
            plain = decompressor.decompress(body, MAX_BODY_BYTES)
        except zlib.error as error:
            raise MalformedError(f"the body is not {encoding}: {error}") from error
        if decompressor.unconsumed_tail:
            raise _RefusedError(413, f"at most {MAX_BODY_BYTES} bytes are taken, decompressed")
        if not decompressor.eof:
            raise MalformedError(f"the body is cut-off {encoding}")
        return plain

    def _decode(self, content_type: str, body: bytes) -> tuple[ReceivedSpan, ...]:
        if content_type == _PROTOBUF:
            return spans_of(decode_protobuf(body))
        if content_type == _JSON:
            return spans_of(decode_json(body))
        raise _RefusedError(415, f"Content-Type {content_type!r} is neither {_PROTOBUF} nor {_JSON}")

    def _answer(self, status: int, content_type: str, answer: Message, headers: Mapping[str, str]) -> None:
        """Answer in the encoding of the request, as the specification wants it of errors too."""
        if content_type == _PROTOBUF:
            body = answer.SerializeToString()
        else:
            content_type, body = _JSON, json_format.MessageToJson(answer, indent=None).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
