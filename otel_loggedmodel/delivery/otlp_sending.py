# SPDX-License-Identifier: Apache-2.0
"""One try of an OTLP request: what was sent, what the far end said to it, and whether trying again makes sense.

The OTLP exporters of opentelemetry-python answer SUCCESS or FAILURE after retries of their own, which keeps from a
caller what the server said, and keeps the caller waiting. So a request goes out through the session or channel that the
exporter has set up, with its headers, TLS, compression and timeout, once. How the exporters hold these differs between
versions and is private to them; what is known of it is in this module. An exporter in which something is not found, or
whose class does part of the sending itself, is asked to export, as any other exporter is.

What may be tried again follows the specification: https://opentelemetry.io/docs/specs/otlp/#failures
"""

from __future__ import annotations

import contextlib
import dataclasses
import email.utils
import enum
import hashlib
import json
import math
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_loggedmodel.delivery import otlp_payloads

DEFAULT_TIMEOUT_SECONDS: Final = 10.0
MAX_RETRY_AFTER_SECONDS: Final = 3600.0  # a mistaken header must not silence a process for a day
_MAX_WORDS: Final = 300
# A kept-alive connection that the server has closed shows at once; whatever takes longer is no such thing.
_STALE_SECONDS: Final = 1.0
_RETRYABLE_STATUSES: Final = frozenset({429, 502, 503, 504})
# Refused for what is in it, so that a part of it may be taken. Servers answer 500 to what they fail over, too.
_STATUSES_OF_CONTENT: Final = frozenset({400, 413, 415, 422, 500})
_RETRYABLE_CODES: Final = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
_CODES_OF_CONTENT: Final = frozenset({"INVALID_ARGUMENT", "INTERNAL", "UNKNOWN", "FAILED_PRECONDITION"})
# gRPC has one code for "too much at once" and "one message too large"; only the words tell them apart.
_TOO_LARGE: Final = re.compile(r"larger than|too large|exceeds? (?:the )?max", re.IGNORECASE)
_EXPORT_METHOD: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
# What exporters send beside the user's own headers: a newer version must still be the same destination.
_EXPORTERS_OWN_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "connection", "content-encoding", "content-type", "user-agent"}
)

_inherited: Final[list[object]] = []


class Verdict(enum.Enum):
    """What became of a request."""

    DELIVERED = "delivered"
    """It was acknowledged."""
    LATER = "later"
    """It was not taken, for a reason that may pass."""
    NOT_YET = "not yet"
    """It was not taken, for want of something that only it needs and that may come: others may be taken meanwhile."""
    MALFORMED = "malformed"
    """It was refused for what is in it: a part of it may be taken."""
    REFUSED = "refused"
    """It was refused, as others would be: wrong credentials, wrong address."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the far end said to a request.

    Attributes:
        verdict: What became of it.
        words: What the far end, or the network, said; cut off where it is long.
        error_type: The HTTP status, the gRPC code or the name of the exception; empty where all is well.
        retry_after: Seconds to wait that the far end asked for.
        rejected: How many spans of an acknowledged request it did not take.
    """

    verdict: Verdict
    words: str = ""
    error_type: str = ""
    retry_after: float | None = None
    rejected: int = 0


class Sender(Protocol):
    """Sends requests to one destination. Any thread may call it; nothing is raised."""

    timeout: float
    """Seconds that one try takes at most, as far as the exporter keeps to it."""

    def send(self, payload: bytes) -> Outcome:
        """Try once."""

    def export(self, spans: Sequence[ReadableSpan], payload: bytes) -> Outcome:
        """Try once, with spans of which `payload` is the encoding."""


@dataclasses.dataclass(frozen=True)
class Destination:
    """Where an exporter sends to.

    Attributes:
        key: A digest of address, protocol and headers: whether two exporters send to the same place as the same tenant.
        endpoint: The address, without user, password and query.
        protocol: `http/protobuf`, `grpc`, or the exporter's class where it is neither.
    """

    key: str
    endpoint: str
    protocol: str

    @property
    def server(self) -> dict[str, str | int]:
        """The address as metrics have it."""
        parts = urllib.parse.urlsplit(self.endpoint if "//" in self.endpoint else "//" + self.endpoint)
        found: dict[str, str | int] = {}
        with contextlib.suppress(ValueError):
            if parts.hostname:
                found["server.address"] = parts.hostname
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
            if port:
                found["server.port"] = port
        return found


def destination_of(exporter: SpanExporter) -> Destination | None:
    """Where an OTLP exporter sends to; None where that cannot be told. One of this library's own says so itself."""
    said = getattr(exporter, "destination", None)
    if isinstance(said, Destination):
        return said
    endpoint = getattr(exporter, "_endpoint", None)
    protocol = _protocol_of(exporter)
    if protocol is None or not isinstance(endpoint, str):
        return None
    headers = sorted({(name.lower(), value) for name, value in _headers_of(exporter)})
    told_apart = [header for header in headers if header[0] not in _EXPORTERS_OWN_HEADERS]
    return Destination(_digest([protocol, endpoint, *told_apart]), _without_secrets(endpoint), protocol)


def unnamed_destination_of(exporter: SpanExporter) -> Destination:
    """What stands for the destination of an exporter that does not tell it: its class."""
    name = f"{type(exporter).__module__}.{type(exporter).__qualname__}"
    return Destination(_digest([name]), "", name)


def destination_named(endpoint: str, protocol: str, told_apart: Sequence[object]) -> Destination:
    """A destination of another protocol, by its address and what tells its tenants apart."""
    return Destination(_digest([protocol, endpoint, *told_apart]), _without_secrets(endpoint), protocol)


def sender_of(exporter: SpanExporter) -> Sender:
    """What sends requests as the exporter would; an exporter of this library's own says so itself."""
    make_sender = getattr(exporter, "make_sender", None)
    if callable(make_sender):
        made: Sender = make_sender()
        return made
    try:
        protocol = _protocol_of(exporter)
        if protocol == "http/protobuf" and _sends_as_released(exporter):
            return _HttpSender.of(exporter)
        if protocol == "grpc" and _sends_as_released(exporter):
            return _GrpcSender(exporter)
    except AttributeError:
        pass  # a version of which we do not know how it holds what is needed
    return _AnySender(exporter)


def _digest(parts: Sequence[object]) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()[:16]


def _without_secrets(endpoint: str) -> str:
    parts = urllib.parse.urlsplit(endpoint if "//" in endpoint else "//" + endpoint)
    address = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{address}{parts.path}" if parts.scheme else address + parts.path


# What the exporters keep to themselves


def _protocol_of(exporter: SpanExporter) -> str | None:
    """By the names of the classes: importing them would take longer than all of this library."""
    for kind in type(exporter).__mro__:
        if kind.__name__ == "OTLPSpanExporter":
            if kind.__module__ == "opentelemetry.exporter.otlp.proto.http.trace_exporter":
                return "http/protobuf"
            if kind.__module__ == "opentelemetry.exporter.otlp.proto.grpc.trace_exporter":
                return "grpc"
    return None


def _sends_as_released(exporter: SpanExporter) -> bool:
    """Whether no subclass, and nobody else, has replaced what does the sending."""
    released = next(kind for kind in type(exporter).__mro__ if kind.__name__ == "OTLPSpanExporter")
    names = ("export", "_export", "_export_serialized_spans", "_serialize_spans", "_translate_data")
    return not any(
        name in vars(exporter) or getattr(type(exporter), name, None) is not getattr(released, name, None)
        for name in names
    )


def _headers_of(exporter: SpanExporter) -> Iterable[tuple[str, str]]:
    """All headers that go with a request."""
    client = getattr(exporter, "_client", None)
    session = getattr(exporter, "_session", None) or getattr(getattr(client, "_transport", None), "_session", None)
    for holder in (session, exporter, client):
        headers: Any = getattr(holder, "headers" if holder is session else "_headers", None)
        for name, value in headers.items() if hasattr(headers, "items") else headers or ():
            yield name, value if isinstance(value, str) else repr(value)


def forget_connections(exporter: SpanExporter) -> None:
    """In a forked child: leave the connections to the parent, which would otherwise get answers meant for the child."""
    client = getattr(exporter, "_client", None)
    session = getattr(exporter, "_session", None) or getattr(getattr(client, "_transport", None), "_session", None)
    for adapter in getattr(session, "adapters", {}).values():
        with contextlib.suppress(Exception):
            # Adapters can be pickled: set up from what that keeps, they have new pools. The old ones are kept, as
            # closing them takes locks that were held by threads which are not here.
            _inherited.append(vars(adapter).pop("poolmanager", None))
            adapter.__setstate__(adapter.__getstate__())


# HTTP


class _HttpSender:
    """OTLP over HTTP, through the exporter's own session."""

    def __init__(
        self, post: Callable[[bytes], Any], compress: Callable[[bytes], bytes], timeout: float, *, is_concurrent: bool
    ) -> None:
        self._post = post
        self._compress = compress
        self._one_at_a_time = None if is_concurrent else threading.RLock()
        self.timeout = timeout

    @classmethod
    def of(cls, exporter: Any) -> _HttpSender:
        """For an exporter of opentelemetry-python 1.28 and newer; AttributeError where it is built in another way."""
        client = getattr(exporter, "_client", None)
        if client is not None:  # since 1.45
            return cls._of_client(client)
        session, endpoint, timeout = exporter._session, exporter._endpoint, float(exporter._timeout)
        verify, certificate = exporter._certificate_file, exporter._client_cert
        compression = exporter._compression.value

        def post(body: bytes) -> Any:
            return session.post(url=endpoint, data=body, verify=verify, timeout=timeout, cert=certificate)

        return cls(post, _compressor(compression), timeout, is_concurrent=_is_plain(session))

    @classmethod
    def _of_client(cls, client: Any) -> _HttpSender:
        transport, endpoint, timeout = client._transport, client._endpoint, float(client._timeout)
        headers = client._headers
        compression = client._compression.value

        def post(body: bytes) -> Any:
            result = transport.request("POST", endpoint, headers=headers, timeout=timeout, data=body)
            if result.error is not None:
                raise result.error
            return result

        session = getattr(transport, "_session", None)
        is_concurrent = _is_plain(session) if session is not None else hasattr(transport, "_pool")
        return cls(post, _compressor(compression), timeout, is_concurrent=is_concurrent)

    def export(self, spans: Sequence[ReadableSpan], payload: bytes) -> Outcome:
        return self.send(payload)

    def send(self, payload: bytes) -> Outcome:
        try:
            body = self._compress(payload)
            if self._one_at_a_time is None:
                return _http_outcome(self._posted(body))
            with self._one_at_a_time:
                return _http_outcome(self._posted(body))
        except Exception as error:
            # What cannot be asked for at all is a mistake of the set-up; everything else may pass.
            verdict = Verdict.REFUSED if isinstance(error, ValueError) else Verdict.LATER
            return Outcome(verdict, _cut(str(error) or repr(error)), type(error).__name__)

    def _posted(self, body: bytes) -> Any:
        started = time.monotonic()
        try:
            return self._post(body)
        except Exception as error:
            if "Timeout" in type(error).__name__ or isinstance(error, ValueError):
                raise
            if time.monotonic() - started > _STALE_SECONDS:
                raise
        return self._post(body)


def _is_plain(session: Any) -> bool:
    """Whether it is what `requests` itself makes, which threads may use together; others may hold what they may not."""
    return type(session).__module__ == "requests.sessions"


def _compressor(compression: str) -> Callable[[bytes], bytes]:
    if compression == "gzip":
        import gzip

        return gzip.compress
    if compression == "deflate":
        import zlib

        return zlib.compress
    return bytes


def _http_outcome(response: Any) -> Outcome:
    status = int(response.status_code)
    if getattr(getattr(response, "request", None), "method", "POST") != "POST":
        return Outcome(Verdict.REFUSED, "the endpoint redirects elsewhere", "redirect")
    headers = response.headers() if callable(response.headers) else response.headers
    content = response.content() if callable(response.content) else response.content
    content_type = str(headers.get("content-type") or "").partition(";")[0].strip().lower()
    if 200 <= status < 300:
        return _acknowledged(content, content_type)
    words = _cut(f"{status} {response.reason or ''}: {_words_of(content, content_type)}".rstrip(": "))
    if status in _RETRYABLE_STATUSES:
        return Outcome(Verdict.LATER, words, str(status), retry_after_of(headers.get("retry-after")))
    verdict = Verdict.MALFORMED if status in _STATUSES_OF_CONTENT else Verdict.REFUSED
    return Outcome(verdict, words, str(status))


def _acknowledged(content: bytes, content_type: str) -> Outcome:
    """With what the answer says of spans that were not taken. One that cannot be read is an acknowledgement still."""
    try:
        if content_type == "application/x-protobuf" and content:
            from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

            return _partly_taken(ExportTraceServiceResponse.FromString(content))
        if content_type == "application/json" and content:
            said = json.loads(content).get("partialSuccess") or {}
            return Outcome(
                Verdict.DELIVERED,
                _cut(str(said.get("errorMessage") or "")),
                rejected=max(0, int(said.get("rejectedSpans") or 0)),
            )
    except Exception:
        return Outcome(Verdict.DELIVERED)
    return Outcome(Verdict.DELIVERED)


def _partly_taken(response: Any) -> Outcome:
    said = response.partial_success
    return Outcome(Verdict.DELIVERED, _cut(said.error_message), rejected=max(0, said.rejected_spans))


def _words_of(content: bytes, content_type: str) -> str:
    if content_type == "application/x-protobuf":
        try:
            from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

            return str(Status.FromString(content).message)
        except Exception:
            return ""
    text = content[: 4 * _MAX_WORDS].decode(errors="replace").strip()
    if content_type == "application/json":
        try:
            return str(json.loads(content)["message"])
        except (ValueError, KeyError, TypeError):
            return text
    return text


def retry_after_of(value: object) -> float | None:
    """The seconds of a Retry-After header, which is a number or a date."""
    text = str(value or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS) if math.isfinite(seconds) else None


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _MAX_WORDS else text[: _MAX_WORDS - 3] + "..."


# gRPC


class _GrpcSender:
    """OTLP over gRPC, through the exporter's own channel."""

    def __init__(self, exporter: Any) -> None:
        self._exporter = exporter
        self._client = exporter._client  # AttributeError where there is none
        self._metadata = exporter._headers
        self.timeout = float(exporter._timeout)
        self._lock = threading.RLock()
        self._under_way = 0
        self._called: tuple[object, Callable[..., Any]] | None = None

    def export(self, spans: Sequence[ReadableSpan], payload: bytes) -> Outcome:
        return self.send(payload)

    def send(self, payload: bytes) -> Outcome:
        import grpc  # type: ignore[import-untyped]

        with self._lock:
            self._under_way += 1
        try:
            response = self._call()(payload, metadata=self._metadata, timeout=self.timeout)
            return _partly_taken(response)
        except grpc.RpcError as error:
            return _grpc_outcome(error)
        except Exception as error:  # a channel that is being closed raises ValueError
            return Outcome(Verdict.LATER, _cut(str(error) or repr(error)), type(error).__name__)
        finally:
            with self._lock:
                self._under_way -= 1

    def reconnect(self) -> None:
        """Make a new connection for the next try.

        A channel that has failed for long tries to connect only every two minutes, and answers UNAVAILABLE until then.
        Exporters before 1.40 do not let a channel be replaced: with them a far end may be noticed that much later.
        """
        make = getattr(self._exporter, "_initialize_channel_and_stub", None)
        with self._lock:
            if make is None or self._under_way or getattr(self._exporter, "_shutdown", False):
                return
            self._called = None
            old = self._exporter._channel
            make()
            old.close()

    def _call(self) -> Callable[..., Any]:
        """The remote method, taking bytes."""
        channel = getattr(self._exporter, "_channel", None)
        if channel is None:  # before 1.31: only the stub is kept, which encodes
            from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

            export = self._exporter._client.Export
            return lambda payload, **options: export(ExportTraceServiceRequest.FromString(payload), **options)
        called = self._called
        if called is None or called[0] is not channel:
            from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

            method = channel.unary_unary(
                _EXPORT_METHOD,
                request_serializer=None,
                response_deserializer=ExportTraceServiceResponse.FromString,
            )
            self._called = called = (channel, method)
        return called[1]


def _grpc_outcome(error: Any) -> Outcome:
    code = error.code().name
    details = error.details() or ""
    words = _cut(f"{code}: {details}")
    retry_after = _retry_info(error)
    if code in _RETRYABLE_CODES or (code == "RESOURCE_EXHAUSTED" and retry_after is not None):
        return Outcome(Verdict.LATER, words, code, retry_after)
    is_of_content = code in _CODES_OF_CONTENT or (code == "RESOURCE_EXHAUSTED" and _TOO_LARGE.search(details))
    return Outcome(Verdict.MALFORMED if is_of_content else Verdict.REFUSED, words, code)


def _retry_info(error: Any) -> float | None:
    """The seconds of a RetryInfo, which servers send as a detail of the status or as a trailer of its own."""
    from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
    from google.rpc.status_pb2 import Status

    trailers = dict(error.trailing_metadata() or ())
    info = RetryInfo()
    try:
        if "google.rpc.retryinfo-bin" in trailers:
            info.ParseFromString(trailers["google.rpc.retryinfo-bin"])
        elif "grpc-status-details-bin" in trailers:
            details = Status.FromString(trailers["grpc-status-details-bin"]).details
            if not any(detail.Unpack(info) for detail in details if detail.Is(RetryInfo.DESCRIPTOR)):
                return None
        else:
            return None
    except Exception:
        return None
    seconds = float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)


# Any other exporter


class _AnySender:
    """Through the exporter itself, which says only SUCCESS or FAILURE: a failure may pass, for all that is known."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        # The specification lets an exporter assume that its calls do not overlap. Reentrant: one that makes spans must
        # not wait for itself.
        self._one_at_a_time = threading.RLock()
        timeout = getattr(exporter, "_timeout", None)
        self.timeout = float(timeout) if isinstance(timeout, int | float) else DEFAULT_TIMEOUT_SECONDS

    def send(self, payload: bytes) -> Outcome:
        return self.export(otlp_payloads.decoded(payload), payload)

    def export(self, spans: Sequence[ReadableSpan], payload: bytes) -> Outcome:
        try:
            with self._one_at_a_time:
                result = self._exporter.export(spans)
        except Exception as error:
            return Outcome(Verdict.LATER, _cut(str(error) or repr(error)), type(error).__name__)
        # Some exporters, against the interface, return nothing; they did not refuse.
        if result is not SpanExportResult.FAILURE:
            return Outcome(Verdict.DELIVERED)
        name = type(self._exporter).__qualname__
        return Outcome(Verdict.LATER, f"{name} answered FAILURE", "FAILURE")
