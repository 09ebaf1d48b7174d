# SPDX-License-Identifier: Apache-2.0
"""OTLP over gRPC."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_loggedmodel.store.reading import StoreUnavailableError
from otel_loggedmodel.store.writing import RefusedError
from waiting import wait_until

from .backends import Backend, body_of, request_of, spans_of

MIB = 1024 * 1024


def refusal(backend: Backend, body: bytes, **options: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        backend.call(body, **options)
    return raised.value


def retry_seconds(error: grpc.RpcError) -> int | None:
    """What the server says in its details of when to try again."""
    status = rpc_status.from_call(error)
    assert status is not None
    for detail in status.details:
        info = RetryInfo()
        if detail.Unpack(info):
            return info.retry_delay.seconds
    return None


def test_a_request_is_stored_as_it_came(shared: Backend) -> None:
    body = body_of(3, seed=1)
    assert shared.call(body) == b""
    assert shared.writer.requests[-1] == body
    assert shared.metric("otel_loggedmodel_requests_total", transport="grpc", code="OK") >= 1


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compression(shared: Backend, compression: grpc.Compression) -> None:
    body = body_of(50, seed=2)
    received = shared.metric("otel_loggedmodel_received_bytes_total", transport="grpc")
    shared.call(body, compression=compression)
    assert shared.writer.requests[-1] == body
    assert shared.metric("otel_loggedmodel_received_bytes_total", transport="grpc") - received < len(body) / 2


def test_partial_success(shared: Backend) -> None:
    request = request_of(3, seed=3)
    spans_of(request)[1].span_id = b""
    response = ExportTraceServiceResponse.FromString(shared.call(request.SerializeToString()))
    assert response.partial_success.rejected_spans == 1
    assert "1 with a span id that is not 8 bytes" in response.partial_success.error_message


@pytest.mark.parametrize("body", [b"garbage", b"\x1f\x8bgarbage", b"\x78\x9cgarbage", body_of(3)[:-1]], ids=range(4))
def test_malformed(shared: Backend, body: bytes) -> None:
    error = refusal(shared, body)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert retry_seconds(error) is None
    assert shared.call(body_of(1, seed=4)) == b""


def test_the_same_over_both_transports_is_stored_once(shared: Backend) -> None:
    body = body_of(1, seed=5)
    shared.call(body)
    stored = len(shared.writer.requests)
    assert shared.post(body).status == 200
    shared.call(body)
    assert len(shared.writer.requests) == stored


def test_other_signals_are_told_which_are_known(shared: Backend) -> None:
    error = refusal(shared, b"", method="/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export")
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "takes traces and log records" in error.details()


def test_other_services_are_not_there(shared: Backend) -> None:
    assert refusal(shared, b"", method="/other.Service/Method").code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_large_message_is_refused_for_good(serve: Callable[..., Backend]) -> None:
    backend = serve(max_body_bytes=100_000)
    error = refusal(backend, bytes(100_001))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert rpc_status.from_call(error) is None or retry_seconds(error) is None
    assert backend.call(body_of()) == b""


def test_what_is_large_decompressed_is_refused_for_good(serve: Callable[..., Backend]) -> None:
    backend = serve(max_decompressed_bytes=MIB)
    error = refusal(backend, bytes(50 * MIB), compression=grpc.Compression.Gzip)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert retry_seconds(error) is None
    assert str(MIB) in error.details()


def test_a_store_that_is_away(serve: Callable[..., Backend]) -> None:
    backend = serve()

    def script(requests: Any) -> None:
        raise StoreUnavailableError("it is locked by process 7\n" + "é" * 5000)

    backend.writer.script = script
    assert health(backend) == b"\x08\x01"
    error = refusal(backend, body_of())
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "it is locked by process 7" in error.details()
    assert retry_seconds(error) == 2
    assert health(backend) == b"\x08\x02"
    backend.writer.script = lambda requests: None
    assert backend.call(body_of()) == b""
    assert health(backend) == b"\x08\x01"


def health(backend: Backend) -> bytes:
    return backend.call(b"", method="/grpc.health.v1.Health/Check")


def test_a_request_that_the_store_refuses(serve: Callable[..., Backend]) -> None:
    backend = serve()

    def script(requests: Any) -> None:
        raise RefusedError("too odd")

    backend.writer.script = script
    assert refusal(backend, body_of()).code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.fixture
def callers() -> Iterator[Callable[[Backend, Sequence[bytes]], tuple[list[threading.Thread], list[bytes]]]]:
    channels: list[grpc.Channel] = []

    def start(backend: Backend, bodies: Sequence[bytes]) -> tuple[list[threading.Thread], list[bytes]]:
        channels.append(grpc.insecure_channel(backend.addresses.grpc))
        method = channels[-1].unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        answers: list[bytes] = []
        threads = [
            threading.Thread(target=lambda body=body: answers.append(method(body, timeout=30))) for body in bodies
        ]
        for thread in threads:
            thread.start()
        return threads, answers

    yield start
    for channel in channels:
        channel.close()


def test_busy_is_said_with_the_time_to_try_again(serve: Callable[..., Backend], callers: Any) -> None:
    backend = serve(queue_spans=10, max_in_flight=2)
    backend.writer.gate.clear()
    first, answers = callers(backend, [body_of(6, seed=1)])
    assert backend.writer.entered.wait(20)
    error = refusal(backend, body_of(6, seed=2))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "the queue is full" in error.details()
    assert retry_seconds(error) == 1
    second, more = callers(backend, [body_of(1, seed=3)])
    wait_until(lambda: backend.metric("otel_loggedmodel_queue_spans") == 7)
    error = refusal(backend, body_of(1, seed=4))
    assert "2 requests are in flight" in error.details()
    assert retry_seconds(error) == 1
    # Both transports have their places in common.
    assert backend.post(body_of(1, seed=5)).status == 429
    backend.writer.gate.set()
    for thread in (*first, *second):
        thread.join()
    assert answers + more == [b"", b""]


def test_many_may_wait_at_a_time(serve: Callable[..., Backend], callers: Any) -> None:
    backend = serve()
    backend.writer.gate.clear()
    threads, answers = callers(backend, [body_of(1, seed=seed) for seed in range(1, 101)])
    wait_until(lambda: backend.metric("otel_loggedmodel_queue_spans") == 100)
    backend.writer.gate.set()
    for thread in threads:
        thread.join()
    assert answers == [b""] * 100
    assert len(backend.writer.spans) == 100


def test_a_client_that_gives_up_breaks_nothing(serve: Callable[..., Backend]) -> None:
    backend = serve()
    backend.writer.gate.clear()
    body = body_of(2)
    with grpc.insecure_channel(backend.addresses.grpc) as channel:
        method = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
        with pytest.raises(grpc.RpcError) as raised:
            method(body, timeout=0.3)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    backend.writer.gate.set()
    assert backend.call(body) == b""
    assert backend.writer.requests == [body]


def test_without_a_port_there_is_no_grpc(serve: Callable[..., Backend]) -> None:
    backend = serve(grpc_port=None)
    assert backend.addresses.grpc is None
    assert backend.post(body_of()).status == 200


def test_two_backends_do_not_share_a_port(serve: Callable[..., Backend]) -> None:
    backend = serve()
    port = int(backend.addresses.grpc.rpartition(":")[2])
    with pytest.raises(Exception, match="--grpc-port"):
        serve(grpc_port=port)
    started = time.monotonic()
    assert backend.call(body_of()) == b""
    assert time.monotonic() - started < 10
