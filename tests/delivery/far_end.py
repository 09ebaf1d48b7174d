# SPDX-License-Identifier: Apache-2.0
"""OTLP servers that do what a test says: refuse, hang, ask to be tried later, reject spans, or go away half-way.

Both speak the real protocol on real sockets, note every request byte for byte, and can be stopped and started on one
port. A span counts as taken when its request was answered with success, or was to be and the answer got lost.
"""

import contextlib
import dataclasses
import json
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

PROTOBUF = "application/x-protobuf"


@dataclasses.dataclass(frozen=True)
class Answer:
    """What to answer a request.

    Attributes:
        status: An HTTP status, or the name of a gRPC code; 200 and "OK" take the spans.
        words: What to say about it.
        headers: Of an HTTP response.
        retry_after: Seconds, said as the protocol says them.
        rejected: How many of the spans are not taken.
        delay: Seconds before the answer.
        cut: Whether the connection is reset instead of an answer.
        unread: Whether that happens when half of the request has been read. HTTP only.
        content_type: Of an HTTP response.
    """

    status: int | str = 200
    words: str = ""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    retry_after: float | None = None
    rejected: int = 0
    delay: float = 0.0
    cut: bool = False
    unread: bool = False
    content_type: str = PROTOBUF

    @property
    def takes(self) -> bool:
        return self.status in (200, "OK") and not self.unread


@dataclasses.dataclass(frozen=True)
class Request:
    """What came in.

    Attributes:
        payload: The bytes of the ExportTraceServiceRequest, decompressed.
        headers: Names in lower case.
        spans: Name and span id of each span.
        answer: What it is answered.
        connection: Which TCP connection it came over; for HTTP.
        time: When it had been read, by the monotonic clock.
    """

    payload: bytes
    headers: Mapping[str, str]
    spans: tuple[tuple[str, str], ...]
    answer: Answer
    connection: object
    time: float

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.spans]


Script = Callable[[list[str]], Answer]
TAKE = Answer()


class FarEnd:
    """What both have in common.

    Attributes:
        script: What to answer, by the names of the spans in a request.
    """

    def __init__(self) -> None:
        self.script: Script = lambda names: TAKE
        self.port = 0
        self._requests: list[Request] = []
        self._changed = threading.Condition()
        self.start()

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """Go away: connections are closed, and new ones refused."""
        raise NotImplementedError

    def __enter__(self) -> "FarEnd":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def endpoint(self) -> str:
        """What belongs into OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> list[Request]:
        with self._changed:
            return list(self._requests)

    @property
    def taken(self) -> Counter[tuple[str, str]]:
        """How often each span, by name and id, was taken."""
        return Counter(span for request in self.requests if request.answer.takes for span in request.spans)

    @property
    def names(self) -> list[str]:
        """The names of the spans that were taken, in the order of arrival."""
        return [name for request in self.requests if request.answer.takes for name in request.names]

    def answer(self, answer: Answer) -> None:
        """Answer every request with this from now on."""
        self.script = lambda names: answer

    def wait_for(self, condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
        """Wait until something is true of what came in."""
        with self._changed:
            deadline = time.monotonic() + seconds
            while not condition():
                if time.monotonic() > deadline:
                    answers = [(request.answer.status, len(request.spans)) for request in self._requests[-20:]]
                    raise AssertionError(f"waited {seconds:g} s for {what}; {len(self.taken)} taken; last: {answers}")
                self._changed.wait(0.05)

    def wait_for_spans(self, count: int, seconds: float = 60.0) -> None:
        self.wait_for(lambda: len(self.taken) >= count, f"{count} spans", seconds)

    def _note(self, payload: bytes, headers: Mapping[str, str], connection: object) -> Answer:
        spans = tuple(
            (span.name, span.span_id.hex())
            for resource_spans in ExportTraceServiceRequest.FromString(payload).resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
        )
        answer = self.script([name for name, _ in spans])
        with self._changed:
            self._requests.append(Request(payload, headers, spans, answer, connection, time.monotonic()))
            self._changed.notify_all()
        return answer


class HttpFarEnd(FarEnd):
    """Over HTTP."""

    def start(self) -> None:
        self._server = _Server(("127.0.0.1", self.port), self)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._server.server_close()
            self._server.hang_up()
            self._thread.join()

    @property
    def traces_endpoint(self) -> str:
        return self.endpoint + "/v1/traces"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], far_end: FarEnd) -> None:
        self.far_end = far_end
        self.connections: set[socket.socket] = set()
        self.is_gone = threading.Event()
        super().__init__(address, _Handler)

    def hang_up(self) -> None:
        self.is_gone.set()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that are killed are what is tested here."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length // 2)
        if self.server.far_end.script([]).unread:
            self._reset()
            return
        body += self.rfile.read(length - len(body))
        if len(body) < length:
            self.close_connection = True
            return
        if self.headers.get("Content-Encoding") == "gzip":
            body = zlib.decompress(body, zlib.MAX_WBITS | 16)
        elif self.headers.get("Content-Encoding") == "deflate":
            body = zlib.decompress(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.far_end._note(body, headers, self.connection)
        if answer.delay:
            self.server.is_gone.wait(answer.delay)
        if answer.cut or answer.unread:
            self._reset()
            return
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        content = _content(answer)
        self.send_response(int(answer.status))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.retry_after is not None:
            self.send_header("Retry-After", f"{answer.retry_after:g}")
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            self.rfile.close()
            socket.close(self.connection.detach())

    def log_message(self, format: str, *args: object) -> None:
        pass


def _content(answer: Answer) -> bytes:
    if answer.status == 200:
        if answer.content_type == "application/json":
            said = {"partialSuccess": {"rejectedSpans": str(answer.rejected), "errorMessage": answer.words}}
            return json.dumps(said).encode()
        return _response(answer).SerializeToString()
    if answer.content_type == PROTOBUF:
        return Status(message=answer.words).SerializeToString()
    if answer.content_type == "application/json":
        return json.dumps({"message": answer.words}).encode()
    return answer.words.encode()


def _response(answer: Answer) -> ExportTraceServiceResponse:
    return ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=answer.rejected, error_message=answer.words)
    )


class GrpcFarEnd(FarEnd):
    """Over gRPC, without TLS."""

    def start(self) -> None:
        self._is_gone = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(max_workers=8), options=[("grpc.so_reuseport", 0)])
        handler = grpc.unary_unary_rpc_method_handler(self._export)
        service = "opentelemetry.proto.collector.trace.v1.TraceService"
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        self._is_gone.set()
        self._server.stop(grace=0).wait()

    def _export(self, payload: bytes, context: grpc.ServicerContext) -> bytes:
        headers = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        answer = self._note(payload, headers, context.peer())
        if answer.delay:
            self._is_gone.wait(answer.delay)
        if answer.cut:
            self._server.stop(grace=0)
            raise RuntimeError("cut off")
        if answer.takes:
            return _response(answer).SerializeToString()
        if answer.retry_after is not None:
            context.set_trailing_metadata((("grpc-status-details-bin", _retry_details(answer)),))
        context.abort(grpc.StatusCode[str(answer.status)], answer.words)
        raise AssertionError("abort raises")


def _retry_details(answer: Answer) -> bytes:
    assert answer.retry_after is not None
    delay = Duration(seconds=int(answer.retry_after), nanos=int(answer.retry_after % 1 * 1e9))
    detail = AnyMessage()
    detail.Pack(RetryInfo(retry_delay=delay))
    code = grpc.StatusCode[str(answer.status)].value[0]
    return Status(code=code, message=answer.words, details=[detail]).SerializeToString()


@contextlib.contextmanager
def far_end(protocol: str) -> Iterator[FarEnd]:
    with HttpFarEnd() if protocol == "http" else GrpcFarEnd() as server:
        yield server
