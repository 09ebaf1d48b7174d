# SPDX-License-Identifier: Apache-2.0
"""Clients of OTLP, and spans for them."""

import http.client
import json
import random
import threading
import time
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import grpc
from google.protobuf.json_format import MessageToDict
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from asking import PROTOBUF, read_answer

if TYPE_CHECKING:
    from .serving import Serving

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

# Which answers mean that it may work later: https://opentelemetry.io/docs/specs/otlp/#failures
_RETRYABLE_STATUSES = {429, 502, 503, 504}
_RETRYABLE_CODES = {
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}


def call(address: str, body: bytes, timeout: float = 30, compression: grpc.Compression | None = None) -> bytes:
    """Send traces over gRPC; errors are `grpc.RpcError`."""
    options = [("grpc.max_send_message_length", -1), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(address, options, compression) as channel:
        return bytes(channel.unary_unary(EXPORT)(body, timeout=timeout))


def as_json(request: bytes) -> bytes:
    """A serialized request as https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding has it."""

    def with_hexadecimal_ids(value: Any) -> Any:
        if isinstance(value, list):
            return [with_hexadecimal_ids(item) for item in value]
        if not isinstance(value, dict):
            return value
        ids = {key: b64decode(value[key]).hex() for key in ("traceId", "spanId", "parentSpanId") if key in value}
        return {**{key: with_hexadecimal_ids(item) for key, item in value.items()}, **ids}

    document = MessageToDict(ExportTraceServiceRequest.FromString(request), use_integers_for_enums=True)
    return json.dumps(with_hexadecimal_ids(document)).encode()


class Traces:
    """Makes requests with entry spans of one version, each a trace of its own that took one token.

    Args:
        version: What they are stamped with.
        seed: Of their ids.
    """

    def __init__(self, version: str, seed: int) -> None:
        self.version = version
        self._rng = random.Random(seed)
        self._lock = threading.Lock()

    def request(
        self, count: int, *, start_ns: int | None = None, attributes: Mapping[str, str] | None = None
    ) -> tuple[list[str], bytes]:
        """The trace ids, in hexadecimal, and the serialized request."""
        request = ExportTraceServiceRequest()
        resource_spans = request.resource_spans.add()
        resource_spans.resource.attributes.add(key="service.name").value.string_value = "load"
        spans = resource_spans.scope_spans.add().spans
        start_ns = time.time_ns() - 10**9 if start_ns is None else start_ns
        pattern = Span(name="answer", start_time_unix_nano=start_ns, end_time_unix_nano=start_ns + 10**6)
        pattern.attributes.add(key="gen_ai.usage.input_tokens").value.int_value = 1
        for key, value in {"logged_model.id": self.version, **(attributes or {})}.items():
            pattern.attributes.add(key=key).value.string_value = value
        with self._lock:
            ids = [self._rng.randbytes(24) for _ in range(count)]
        for one in ids:
            pattern.trace_id, pattern.span_id = one[:16], one[16:]
            spans.append(pattern)
        return [one[:16].hex() for one in ids], request.SerializeToString()


@dataclass(frozen=True)
class Refusal:
    """An answer that is no acknowledgement.

    Attributes:
        transport: `http` or `grpc`.
        status: Of HTTP, or the name of gRPC's code; `lost` where there was no answer.
        retry_seconds: When to try again, where the answer says so.
    """

    transport: str
    status: int | str
    retry_seconds: int | None = None

    @property
    def is_final(self) -> bool:
        """Whether a client may not try again."""
        if self.transport == "http":
            return self.status != "lost" and self.status not in _RETRYABLE_STATUSES
        may_wait = self.status == "RESOURCE_EXHAUSTED" and self.retry_seconds is not None
        return not may_wait and self.status not in {"lost", *(code.name for code in _RETRYABLE_CODES)}


class Sender(Protocol):
    """Sends to a backend that may be started again elsewhere."""

    def send(self, body: bytes) -> Refusal | None:
        """Send one request; None where it was acknowledged."""
        ...

    def close(self) -> None: ...


class HttpSender:
    """A `Sender` that keeps its connection."""

    def __init__(self, serving: "Serving") -> None:
        self._serving = serving
        self._connection: http.client.HTTPConnection | None = None

    def send(self, body: bytes) -> Refusal | None:
        if not self._serving.http:
            return Refusal("http", "lost")
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(urlsplit(self._serving.http).netloc, timeout=30)
            self._connection.request("POST", "/v1/traces", body, {"content-type": PROTOBUF})
            answer = read_answer(self._connection)
        except (OSError, http.client.HTTPException):
            self.close()
            return Refusal("http", "lost")
        if answer.status == 200:
            assert answer.body == b"", "spans were rejected"
            return None
        retry_after = answer.headers.get("retry-after")
        return Refusal("http", answer.status, None if retry_after is None else int(retry_after))

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class GrpcSender:
    """A `Sender` that keeps its channel as long as the backend is where it was."""

    def __init__(self, serving: "Serving") -> None:
        self._serving = serving
        self._channel: grpc.Channel | None = None
        self._address = ""

    def send(self, body: bytes) -> Refusal | None:
        if not self._serving.grpc:
            return Refusal("grpc", "lost")
        if self._channel is None or self._address != self._serving.grpc:
            self.close()
            self._address = self._serving.grpc
            self._channel = grpc.insecure_channel(self._address, [("grpc.enable_http_proxy", 0)])
        try:
            assert self._channel.unary_unary(EXPORT)(body, timeout=30) == b"", "spans were rejected"
        except grpc.RpcError as error:
            status = rpc_status.from_call(error)
            if status is None:
                return Refusal("grpc", "lost" if error.code() is grpc.StatusCode.UNAVAILABLE else error.code().name)
            infos = [detail for detail in status.details if detail.Is(RetryInfo.DESCRIPTOR)]
            delays = [RetryInfo.FromString(info.value).retry_delay.seconds for info in infos]
            return Refusal("grpc", error.code().name, delays[0] if delays else None)
        return None

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


class Load:
    """Clients that send without end, each its next request when the last was acknowledged; until then it is sent again.

    They do not wait as long as they are told to: that would be most of the time of a test.

    Args:
        serving: Where to.
        traces: What.
        spans: In each request.
        clients: Over each of HTTP and gRPC.

    Attributes:
        acknowledged: Trace ids of the requests that were acknowledged.
        sent: Trace ids of all requests.
        refusals: Every answer that was no acknowledgement.
    """

    def __init__(self, serving: "Serving", traces: Traces, spans: int = 20, clients: int = 2) -> None:
        self.acknowledged: list[str] = []
        self.sent: list[str] = []
        self.refusals: list[Refusal] = []
        self._traces = traces
        self._spans = spans
        self._stopping = threading.Event()
        self._giving_up = threading.Event()
        self._errors: list[BaseException] = []
        senders: Sequence[Sender] = [kind(serving) for kind in (HttpSender, GrpcSender) for _ in range(clients)]
        self._threads = [threading.Thread(target=self._run, args=(sender,)) for sender in senders]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._giving_up.set()
        self._join()

    def finish(self) -> None:
        """Begin nothing new, and wait until all that was sent is acknowledged."""
        self._stopping.set()
        self._join()
        assert sorted(self.acknowledged) == sorted(self.sent)

    def give_up(self) -> None:
        """Begin nothing new, and do not send again what was not acknowledged."""
        self._giving_up.set()
        self._join()

    def _join(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client waits for ever"
        if self._errors:
            raise self._errors[0]

    def _run(self, sender: Sender) -> None:
        try:
            while not self._stopping.is_set():
                ids, body = self._traces.request(self._spans)
                self.sent += ids
                if self._deliver(sender, body):
                    self.acknowledged += ids
        except BaseException as error:
            self._errors.append(error)
        finally:
            sender.close()

    def _deliver(self, sender: Sender, body: bytes) -> bool:
        while (refusal := sender.send(body)) is not None:
            assert not refusal.is_final, refusal
            self.refusals.append(refusal)
            if self._giving_up.wait(0.05):
                return False
        return True
