# SPDX-License-Identifier: Apache-2.0
"""One try of an OTLP request, as an exporter would send it. `otlp_answers` reads what the far end answers.

The OTLP exporters of opentelemetry-python answer SUCCESS or FAILURE after retries of their own. The caller does not
learn what the server said, and is kept waiting. So a request is sent once through the session or channel that the
exporter has set up, with its headers, TLS, compression and timeout. The exporters keep these private, and each version
keeps them in another way; this module and `destinations` know these ways. If something is not found in an exporter, or
if its class does part of the sending itself, the exporter is asked to export, as any other exporter is.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from opentelemetry import context as context_api

from otel_loggedmodel.delivery.bounded import Call
from otel_loggedmodel.delivery.destinations import protocol_of, released_class_of, session_of
from otel_loggedmodel.delivery.otlp_answers import (
    Outcome,
    Verdict,
    acknowledged,
    outcome_of_exception,
    outcome_of_grpc,
    outcome_of_http,
)
from otel_loggedmodel.delivery.signals import SPANS, Signal

DEFAULT_TIMEOUT_SECONDS: Final = 10.0
# If the server has closed a kept-alive connection, that shows at once. What takes longer has another reason.
_STALE_SECONDS: Final = 1.0
# The session's own timeout is to be heard first, as it says more.
_GRACE_SECONDS: Final = 0.5
# So many answers may go on after their time. Each has a thread that reads it.
_MAX_LATE: Final = 4
_MAX_ANSWER_BYTES: Final = 1024 * 1024
_CHUNK: Final = 4096

_inherited: Final[list[object]] = []


class Sender(Protocol):
    """Sends requests to one destination. Any thread may call it; nothing is raised."""

    timeout: float
    """Seconds that one try takes at most, as far as the exporter keeps to it."""
    keeps_time: bool
    """Whether it does."""

    def send(self, payload: bytes) -> Outcome:
        """Try once."""

    def export(self, spans: Sequence[Any], payload: bytes) -> Outcome:
        """Try once, with spans of which `payload` is the encoding."""


def sender_of(exporter: Any, signal: Signal = SPANS) -> Sender:
    """What sends requests as the exporter would. The exporters of this library bring their own."""
    make_sender = getattr(exporter, "make_sender", None)
    if callable(make_sender):
        made: Sender = make_sender()
        return made
    try:
        protocol = protocol_of(exporter)
        if protocol == "http/protobuf" and _sends_as_released(exporter):
            return _HttpSender.of(exporter)
        if protocol == "grpc" and _sends_as_released(exporter):
            return _GrpcSender(exporter, signal)
    except AttributeError:
        pass  # a version that keeps what is needed in a way that is not known here
    return _AnySender(exporter, signal)


# What the exporters keep to themselves


def _sends_as_released(exporter: object) -> bool:
    """Whether no subclass, and nobody else, has replaced what does the sending."""
    released = released_class_of(exporter)
    names = ("export", "_export", "_export_serialized_spans", "_serialize_spans", "_translate_data")
    return not any(
        name in vars(exporter) or getattr(type(exporter), name, None) is not getattr(released, name, None)
        for name in names
    )


def forget_connections(exporter: object) -> None:
    """In a forked child: leave the connections to the parent. It would otherwise get answers meant for the child."""
    for adapter in getattr(session_of(exporter), "adapters", {}).values():
        with contextlib.suppress(Exception):
            # Adapters can be pickled, and what is unpickled has new pools. The old pools are kept, as closing them
            # takes locks that threads of the parent may have held.
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
        self._late: list[Call[Outcome]] = []
        self.timeout = timeout
        self.keeps_time = True

    @classmethod
    def of(cls, exporter: Any) -> _HttpSender:
        """For an exporter of opentelemetry-python 1.28 or newer.

        Raises AttributeError if it is built in another way.
        """
        client = getattr(exporter, "_client", None)
        if client is not None:  # since 1.45
            return cls._of_client(client)
        session, endpoint, timeout = exporter._session, exporter._endpoint, float(exporter._timeout)
        verify, certificate = exporter._certificate_file, exporter._client_cert
        compression = exporter._compression.value

        def post(body: bytes) -> Any:
            return _asked(session, endpoint, body, timeout, verify=verify, cert=certificate)

        return cls(post, _compressor(compression), timeout, is_concurrent=_is_plain(session))

    @classmethod
    def _of_client(cls, client: Any) -> _HttpSender:
        transport, endpoint, timeout = client._transport, client._endpoint, float(client._timeout)
        headers = client._headers
        compression = client._compression.value

        session = getattr(transport, "_session", None)

        def post(body: bytes) -> Any:
            if _is_plain(session):
                return _asked(session, endpoint, body, timeout, headers=headers)
            result = transport.request("POST", endpoint, headers=headers, timeout=timeout, data=body)
            if result.error is not None:
                raise result.error
            return result

        is_concurrent = _is_plain(session) if session is not None else hasattr(transport, "_pool")
        return cls(post, _compressor(compression), timeout, is_concurrent=is_concurrent)

    def export(self, spans: Sequence[Any], payload: bytes) -> Outcome:
        return self.send(payload)

    def send(self, payload: bytes) -> Outcome:
        if _is_within_emission():
            return self._sent(payload)
        self._late = [call for call in self._late if call.is_under_way]
        if len(self._late) >= _MAX_LATE:
            return Outcome(Verdict.LATER, "it has not finished its answers to earlier requests", "TimeoutError")
        call = Call(lambda: self._sent(payload), may_run_here=True)
        try:
            # The session's own timeout is for each part of an answer: one that drips would take for ever.
            return call.result(self.timeout + _GRACE_SECONDS)
        except TimeoutError:
            self._late.append(call)
            return Outcome(Verdict.LATER, f"no whole answer within {self.timeout:g} s", "TimeoutError")

    def _sent(self, payload: bytes) -> Outcome:
        try:
            body = self._compress(payload)
            if self._one_at_a_time is None:
                return outcome_of_http(self._posted(body))
            if not self._one_at_a_time.acquire(timeout=self.timeout):
                return Outcome(Verdict.LATER, "it has not finished its answer to another request", "TimeoutError")
            try:
                return outcome_of_http(self._posted(body))
            finally:
                self._one_at_a_time.release()
        except Exception as error:
            # A request that cannot even be made is a mistake of the set-up. Everything else may pass.
            verdict = Verdict.REFUSED if isinstance(error, ValueError) else Verdict.LATER
            return outcome_of_exception(error, verdict)

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


def _is_within_emission() -> bool:
    """Whether this is called while a log record is emitted, as by the SDK's `SimpleLogRecordProcessor`.

    Then `logging` holds the lock of a handler, for which another thread would wait as soon as it logs anything.
    """
    key = getattr(context_api, "_ON_EMIT_RECURSION_COUNT_KEY", None)
    return key is not None and bool(context_api.get_value(key))


class _Answer(NamedTuple):
    """What came back, as `outcome_of_http` reads it."""

    status_code: int
    reason: str
    headers: Mapping[str, str]
    content: bytes


def _asked(session: Any, endpoint: str, body: bytes, timeout: float, **options: Any) -> Any:
    """The answer to one request. No more of it is read than `_MAX_ANSWER_BYTES`, which no real answer needs."""
    if not _is_plain(session):
        return session.post(url=endpoint, data=body, timeout=timeout, allow_redirects=False, **options)
    response = session.post(url=endpoint, data=body, timeout=timeout, allow_redirects=False, stream=True, **options)
    with response:
        content = b""
        for part in response.iter_content(_CHUNK):
            content += part
            if len(content) >= _MAX_ANSWER_BYTES:
                break
        return _Answer(response.status_code, response.reason, response.headers, content)


def _is_plain(session: Any) -> bool:
    """Whether `requests` itself made the session, so that threads may share it.

    Others may hold what threads may not share.
    """
    return type(session).__module__ == "requests.sessions"


def _compressor(compression: str) -> Callable[[bytes], bytes]:
    if compression == "gzip":
        import gzip

        return gzip.compress
    if compression == "deflate":
        import zlib

        return zlib.compress
    return bytes


# gRPC


class _GrpcSender:
    """OTLP over gRPC, through the exporter's own channel."""

    def __init__(self, exporter: Any, signal: Signal) -> None:
        self._exporter = exporter
        self._signal = signal
        self._client = exporter._client  # AttributeError where there is none
        self._metadata = exporter._headers
        self.timeout = float(exporter._timeout)
        self.keeps_time = True
        self._lock = threading.RLock()
        self._under_way = 0
        self._called: tuple[object, Callable[..., Any]] | None = None

    def export(self, spans: Sequence[Any], payload: bytes) -> Outcome:
        return self.send(payload)

    def send(self, payload: bytes) -> Outcome:
        import grpc  # type: ignore[import-untyped]

        with self._lock:
            self._under_way += 1
        try:
            response = self._call()(payload, metadata=self._metadata, timeout=self.timeout)
            return acknowledged(response)
        except grpc.RpcError as error:
            return outcome_of_grpc(error)
        except Exception as error:  # a channel that is being closed raises ValueError
            return outcome_of_exception(error)
        finally:
            with self._lock:
                self._under_way -= 1

    def reconnect(self) -> None:
        """Make a new connection for the next try.

        A channel that has failed for long tries to connect only every two minutes, and answers UNAVAILABLE until then.
        In exporters before 1.40 a channel cannot be replaced, so a far end that is back may be noticed that much later.
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
        if channel is None:  # before 1.31 there is only the stub, which encodes
            export = self._exporter._client.Export
            return lambda payload, **options: export(self._signal.codec.parsed(payload), **options)
        called = self._called
        if called is None or called[0] is not channel:
            from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

            method = channel.unary_unary(
                self._signal.method,
                request_serializer=None,
                # The answers for other signals differ only in the names of their fields.
                response_deserializer=ExportTraceServiceResponse.FromString,
            )
            self._called = called = (channel, method)
        return called[1]


# Any other exporter


class _AnySender:
    """Through the exporter itself. It says only SUCCESS or FAILURE, so any failure may pass."""

    def __init__(self, exporter: Any, signal: Signal) -> None:
        self._exporter = exporter
        self._signal = signal
        # The specification lets an exporter assume that its calls do not overlap. Reentrant: an exporter that makes
        # spans must not wait for itself.
        self._one_at_a_time = threading.RLock()
        timeout = getattr(exporter, "_timeout", None)
        self.timeout = float(timeout) if isinstance(timeout, int | float) else DEFAULT_TIMEOUT_SECONDS
        self.keeps_time = False

    def send(self, payload: bytes) -> Outcome:
        return self.export(self._signal.codec.decoded(payload), payload)

    def export(self, spans: Sequence[Any], payload: bytes) -> Outcome:
        try:
            with self._one_at_a_time:
                result = self._exporter.export(spans)
        except Exception as error:
            return outcome_of_exception(error)
        if not self._signal.is_failure(result):
            return Outcome(Verdict.DELIVERED)
        name = type(self._exporter).__qualname__
        return Outcome(Verdict.LATER, f"{name} answered FAILURE", "FAILURE")
