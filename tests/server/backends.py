# SPDX-License-Identifier: Apache-2.0
"""Backends to test, in threads of this process, with stores that do what a test says."""

import http.client
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from asking import PROTOBUF, Answer, ask, post
from otel_loggedmodel.server.running import Addresses, Server
from otel_loggedmodel.server.settings import Settings

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class MemoryWriter:
    """Keeps what it takes. It waits while `gate` is shut, and does what `script` does of each insert before."""

    def __init__(self) -> None:
        self.inserts: list[list[bytes]] = []
        self.script: Callable[[Sequence[bytes]], object] = lambda requests: None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.threads: set[str] = set()
        self.deletions: list[datetime] = []
        self.delete_error: Exception | None = None
        self.is_closed = False

    def insert(self, requests: Sequence[bytes]) -> None:
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        assert self.gate.wait(60)
        self.script(requests)
        self.inserts.append(list(requests))

    def delete_before(self, time: datetime) -> int:
        self.deletions.append(time)
        if self.delete_error is not None:
            raise self.delete_error
        return 7

    def close(self) -> None:
        self.is_closed = True

    @property
    def requests(self) -> list[bytes]:
        return [request for insert in self.inserts for request in insert]

    @property
    def spans(self) -> list[Span]:
        return [span for request in self.requests for span in spans_of(request)]


class Backend:
    """A backend that runs in a thread until it is stopped."""

    def __init__(self, settings: Settings, writer: Any, reader: Any, log_writer: Any = None) -> None:
        self.writer = writer
        self.log_writer = log_writer
        self.reader = reader
        self.server = Server(settings, writer, reader, log_writer=log_writer)
        self.exit_code: int | None = None
        self._error: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="backend")
        self._thread.start()
        assert self._ready.wait(20)
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self.exit_code = self.server.run(self._note_addresses)
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    def _note_addresses(self, addresses: Addresses) -> None:
        self.addresses = addresses
        self._ready.set()

    def stop(self, seconds: float = 30) -> int | None:
        self.server.stop()
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the backend did not stop"
        if self._error is not None:
            raise self._error
        return self.exit_code

    @property
    def is_running(self) -> bool:
        return self._thread.is_alive()

    @property
    def port(self) -> int:
        return int(self.addresses.http.rpartition(":")[2])

    def connect(self, timeout: float = 30) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        return ask(self.addresses.http, method, path, body, headers)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers=headers)

    def post(self, body: Any, content_type: str = PROTOBUF, **headers: str) -> Answer:
        return post(self.addresses.http, body, content_type, **headers)

    def call(self, body: bytes, metadata: Sequence[tuple[str, str]] = (), **options: Any) -> bytes:
        """Export over gRPC."""
        channel_options = [("grpc.max_send_message_length", -1)]
        with grpc.insecure_channel(self.addresses.grpc, channel_options, options.pop("compression", None)) as channel:
            return channel.unary_unary(options.pop("method", EXPORT))(body, metadata=metadata, timeout=30, **options)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric, 0 where there is none."""
        for line in self.server._metrics.text().decode().splitlines():
            if line.split("{")[0].split(" ")[0] == name and all(
                f'{key}="{value}"' in line for key, value in labels.items()
            ):
                return float(line.rpartition(" ")[2])
        return 0.0


def request_of(count: int = 1, seed: int = 1, **fields: Any) -> ExportTraceServiceRequest:
    """A request with sound spans, each of them with an id of its own."""
    now = time.time_ns()
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    service = resource_spans.resource.attributes.add(key="service.name")
    service.value.string_value = "test"
    scope_spans = resource_spans.scope_spans.add()
    for number in range(1, count + 1):
        span = scope_spans.spans.add(
            trace_id=seed.to_bytes(8, "big") + number.to_bytes(8, "big"),
            span_id=seed.to_bytes(4, "big") + number.to_bytes(4, "big"),
            name=f"span {number}",
            start_time_unix_nano=now - 10**9,
            end_time_unix_nano=now,
        )
        for name, value in fields.items():
            setattr(span, name, value)
    return request


def body_of(count: int = 1, seed: int = 1, **fields: Any) -> bytes:
    return request_of(count, seed, **fields).SerializeToString()


def spans_of(request: ExportTraceServiceRequest | bytes) -> list[Span]:
    if isinstance(request, bytes):
        request = ExportTraceServiceRequest.FromString(request)
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


def counted(values: Sequence[Any]) -> dict[Any, int]:
    return dict(Counter(values))


def varint(number: int) -> bytes:
    """A number as protobuf writes it."""
    encoded = b""
    while number > 127:
        encoded += bytes([number & 127 | 128])
        number >>= 7
    return encoded + bytes([number])


def bomb_of(size: int, encoding: str) -> bytes:
    """What decompresses to `size` zeros, except for its end. It is made without compressing them all."""
    if encoding == "zstd":
        # A head with a window of 1 MiB, and blocks of one byte that is repeated 128 KiB times: RFC 8878, section 3.1.1.
        return b"\x28\xb5\x2f\xfd\x00\x50" + b"\x02\x00\x10\x00" * (size // 2**17)
    compressor = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    start = compressor.compress(b"") + compressor.flush(zlib.Z_FULL_FLUSH)
    # After a full flush the same input gives the same output, whatever was before.
    chunk = compressor.compress(bytes(2**20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return start + chunk * (size // 2**20)
