# SPDX-License-Identifier: Apache-2.0
"""OTLP over HTTP, byte by byte."""

import contextlib
import gzip
import json
import os
import socket
import struct
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.rpc import code_pb2

from asking import JSON, PROTOBUF, read_answer
from effort import some
from otel_loggedmodel.store.reading import StoreUnavailableError
from otel_loggedmodel.store.writing import RefusedError
from waiting import wait_until

from .backends import Backend, MemoryWriter, body_of, bomb_of, request_of, spans_of, varint

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB = 1024 * 1024


def as_json(name: str, seed: int) -> bytes:
    now = time.time_ns()
    span = {
        "traceId": f"{seed:032x}",
        "spanId": f"{seed:016x}",
        "name": name,
        "startTimeUnixNano": str(now),
        "endTimeUnixNano": str(now + 5),
    }
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()


def test_protobuf_is_stored_as_it_came(shared: Backend) -> None:
    body = body_of(3, seed=101)
    answer = shared.post(body)
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, PROTOBUF, b"")
    assert shared.writer.requests[-1] == body


def test_json_is_stored_as_protobuf_and_answered_as_json(shared: Backend) -> None:
    answer = shared.post(as_json("é", 102), JSON)
    assert (answer.status, answer.headers["content-type"], answer.body) == (200, JSON, b"{}")
    assert [span.name for span in spans_of(shared.writer.requests[-1])] == ["é"]


def test_content_types_may_have_parameters_and_capitals(shared: Backend) -> None:
    assert shared.post(as_json("x", 103), "Application/JSON; charset=utf-8").status == 200


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("zstd", zstd.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
        ("", bytes),
    ],
)
def test_encodings(shared: Backend, encoding: str, compress: Callable[[bytes], bytes]) -> None:
    body = body_of(2, seed=hash(encoding) % 10**9)
    assert shared.post(compress(body), content_encoding=encoding).status == 200
    assert shared.writer.requests[-1] == body


def test_a_body_in_chunks(shared: Backend) -> None:
    body = body_of(50, seed=104)
    pieces = iter([body[:7], body[7:1000], body[1000:]])
    assert shared.ask("POST", "/v1/traces", pieces, {"content-type": PROTOBUF}).status == 200
    assert shared.writer.requests[-1] == body


def test_a_client_that_waits_for_continue_gets_it(shared: Backend) -> None:
    body = body_of(1, seed=105)
    with socket.create_connection(("127.0.0.1", shared.port), timeout=20) as client:
        head = f"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: {PROTOBUF}\r\n"
        client.sendall(
            f"{head}Content-Length: {len(body)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n".encode()
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 100 ")
        client.sendall(body)
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_nothing_at_all_is_a_request_without_spans(shared: Backend) -> None:
    stored = len(shared.writer.requests)
    assert shared.post(b"").status == 200
    assert shared.post(b"{}", JSON).body == b"{}"
    assert len(shared.writer.requests) == stored


def test_partial_success_says_what_was_rejected_and_why(shared: Backend) -> None:
    request = request_of(5, seed=106)
    spans = spans_of(request)
    spans[0].trace_id = b"short"
    spans[1].trace_id = bytes(16)
    spans[3].start_time_unix_nano = 0
    before = shared.metric("otel_loggedmodel_rejected_spans_total", reason="trace_id")
    partial = shared.post(request.SerializeToString()).response.partial_success
    assert partial.rejected_spans == 3
    assert partial.error_message == (
        "3 of 5 spans were rejected: 1 with a start that is missing, before 1971, or more than a day ahead; "
        "2 with a trace id that is not 16 bytes, or all zeros"
    )
    assert [span.name for span in spans_of(shared.writer.requests[-1])] == ["span 3", "span 5"]
    assert shared.metric("otel_loggedmodel_rejected_spans_total", reason="trace_id") == before + 2


def test_partial_success_in_json(shared: Backend) -> None:
    answer = shared.post(b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "no id"}]}]}]}', JSON)
    partial = json.loads(answer.body)["partialSuccess"]
    assert (answer.status, partial["rejectedSpans"]) == (200, "1")
    assert "trace id" in partial["errorMessage"]


def test_repairs_are_counted(shared: Backend) -> None:
    before = shared.metric("otel_loggedmodel_repairs_total", kind="end_time")
    answer = shared.post(body_of(3, seed=107, end_time_unix_nano=1))
    assert not answer.response.HasField("partial_success")
    assert shared.metric("otel_loggedmodel_repairs_total", kind="end_time") == before + 3


def test_malformed_protobuf(shared: Backend) -> None:
    answer = shared.post(body_of(3)[:-2])
    assert answer.status == 400
    assert answer.error.code == code_pb2.INVALID_ARGUMENT
    assert "no ExportTraceServiceRequest" in answer.error.message


def test_malformed_json_names_the_place(shared: Backend) -> None:
    answer = shared.post(b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": 7}]}]}]}', JSON)
    status = json.loads(answer.body)
    assert (answer.status, answer.headers["content-type"], status["code"]) == (400, JSON, 3)
    assert "resourceSpans[0].scopeSpans[0].spans[0].name is 7" in status["message"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "", "application/x-protobuf2"])
def test_other_content_types_are_unsupported(shared: Backend, content_type: str) -> None:
    answer = shared.post(body_of(), content_type)
    assert (answer.status, answer.headers["content-type"]) == (415, JSON)
    assert PROTOBUF in json.loads(answer.body)["message"]


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "zstd, gzip", "x-unknown"])
def test_other_encodings_are_unsupported(shared: Backend, encoding: str) -> None:
    answer = shared.post(body_of(), content_encoding=encoding)
    assert answer.status == 415
    assert "gzip, zstd, deflate" in answer.error.message


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", body_of()),
        ("gzip", gzip.compress(body_of(100))[:-12]),
        ("gzip", gzip.compress(body_of()) + b"more"),
        ("gzip", b""),
        ("zstd", body_of()),
        ("zstd", zstd.compress(body_of(100))[:-12]),
        ("zstd", zstd.compress(body_of()) + b"more"),
        ("zstd", zstd.compress(body_of()) * 2),
        ("zstd", b""),
        ("zstd", zstd.compress(body_of())[:4] + b"garbage"),
        ("deflate", b"\x78\x9cgarbage"),
        ("deflate", zlib.compress(body_of(), wbits=-15)),
        ("deflate", gzip.compress(body_of())),
    ],
    ids=range(13),
)
def test_what_is_not_of_its_encoding_is_malformed(shared: Backend, encoding: str, body: bytes) -> None:
    answer = shared.post(body, content_encoding=encoding)
    assert answer.status == 400
    assert encoding in answer.error.message


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods(shared: Backend, method: str) -> None:
    answer = shared.ask(method, "/v1/traces")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_log_records_are_refused_where_there_is_no_place_for_them(shared: Backend) -> None:
    answer = shared.ask("POST", "/v1/logs", b"", {"content-type": PROTOBUF})
    assert answer.status == 404
    assert answer.error.code == code_pb2.UNIMPLEMENTED
    assert answer.error.message == "logs are not kept here"


@pytest.mark.parametrize(
    "path", ["/", "/v1/traces/", "/v1/v1/traces", "/v1/trace", "/otlp/v1/traces", "/v1", "/compare"]
)
@pytest.mark.parametrize("content_type", [PROTOBUF, JSON])
def test_a_wrong_path_is_answered_with_the_right_one(shared: Backend, path: str, content_type: str) -> None:
    answer = shared.ask("POST", path, b"", {"content-type": content_type})
    assert (answer.status, answer.headers["content-type"]) == (404, content_type)
    message = answer.error.message if content_type == PROTOBUF else json.loads(answer.body)["message"]
    assert message.startswith(f"traces are sent to /v1/traces, not to {path!r}: set OTEL_EXPORTER_OTLP_ENDPOINT ")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/"), ("POST", "/v1/traces/"), ("PUT", "/x"), ("GET", "/v1/trace")]
)
def test_whoever_is_no_exporter_is_told_the_path_too(shared: Backend, method: str, path: str) -> None:
    answer = shared.ask(method, path)
    assert answer.status in (404, 405)
    assert "traces are sent to /v1/traces" in json.loads(answer.body)["error"]["message"]


def test_a_repetition_is_acknowledged_but_not_stored_again(shared: Backend) -> None:
    body = body_of(2, seed=108)
    assert shared.post(body).status == 200
    stored = len(shared.writer.requests)
    duplicates = shared.metric("otel_loggedmodel_duplicate_requests_total")
    assert shared.post(body).status == 200
    assert shared.post(gzip.compress(body), content_encoding="gzip").status == 200
    assert len(shared.writer.requests) == stored
    assert shared.metric("otel_loggedmodel_duplicate_requests_total") == duplicates + 2


def test_a_repetition_gets_the_same_partial_success(shared: Backend) -> None:
    request = request_of(2, seed=109)
    spans_of(request)[0].trace_id = b""
    body = request.SerializeToString()
    first = shared.post(body)
    assert first.response.partial_success.rejected_spans == 1
    assert shared.post(body) == first or shared.post(body).body == first.body


def test_metrics_tell_what_was_sent(serve: Callable[..., Backend]) -> None:
    backend = serve()
    body = body_of(3)
    backend.post(body)
    backend.post(b"garbage")
    text = backend.get("/metrics").body.decode()
    assert 'otel_loggedmodel_requests_total{code="200",transport="http"} 1.0' in text
    assert 'otel_loggedmodel_requests_total{code="400",transport="http"} 1.0' in text
    assert f'otel_loggedmodel_received_bytes_total{{transport="http"}} {len(body) + 7}.0' in text
    assert "otel_loggedmodel_accepted_spans_total 3.0" in text
    assert "otel_loggedmodel_insert_seconds_count 1.0" in text
    assert "otel_loggedmodel_insert_spans_sum 3.0" in text
    assert "otel_loggedmodel_build_info{" in text
    assert abs(backend.metric("otel_loggedmodel_last_insert_timestamp_seconds") - time.time()) < 60


# When it cannot be taken now


def test_a_store_that_is_away_is_said_and_survived(serve: Callable[..., Backend]) -> None:
    backend = serve()
    assert backend.get("/readyz").status == 200

    def script(requests: Any) -> None:
        raise StoreUnavailableError("the disk is full")

    backend.writer.script = script
    answer = backend.post(body_of())
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.error.code == code_pb2.UNAVAILABLE
    assert "the disk is full" in answer.error.message
    ready = backend.get("/readyz")
    assert (ready.status, json.loads(ready.body)) == (503, {"status": "unavailable", "reason": "the disk is full"})
    assert backend.get("/healthz").status == 200
    backend.writer.script = lambda requests: None
    assert backend.post(body_of()).status == 200
    assert backend.get("/readyz").status == 200


def test_a_request_that_the_store_refuses_is_malformed(serve: Callable[..., Backend]) -> None:
    backend = serve()

    def script(requests: Any) -> None:
        raise RefusedError("a name is too odd")

    backend.writer.script = script
    answer = backend.post(body_of())
    assert answer.status == 400
    assert "a name is too odd" in answer.error.message
    assert backend.get("/readyz").status == 200


def post_in_background(backend: Backend, bodies: list[bytes]) -> tuple[list[threading.Thread], list[int]]:
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda body=body: statuses.append(backend.post(body).status)) for body in bodies]
    for thread in threads:
        thread.start()
    return threads, statuses


def test_a_full_queue_refuses_at_once(serve: Callable[..., Backend]) -> None:
    backend = serve(queue_spans=10)
    backend.writer.gate.clear()
    threads, statuses = post_in_background(backend, [body_of(6, seed=1)])
    assert backend.writer.entered.wait(20)
    answer = backend.post(body_of(6, seed=2))
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    assert answer.error.code == code_pb2.RESOURCE_EXHAUSTED
    backend.writer.gate.set()
    threads[0].join()
    assert statuses == [200]
    assert backend.post(body_of(6, seed=2)).status == 200


def test_too_many_requests_in_flight(serve: Callable[..., Backend]) -> None:
    backend = serve(max_in_flight=3)
    backend.writer.gate.clear()
    threads, statuses = post_in_background(backend, [body_of(1, seed=seed) for seed in range(1, 4)])
    wait_until(lambda: backend.metric("otel_loggedmodel_queue_spans") == 3)
    answer = backend.post(body_of(1, seed=9))
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")
    # Others are not kept from looking.
    assert backend.get("/healthz").status == 200
    backend.writer.gate.set()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 3


def test_many_may_wait_at_a_time(serve: Callable[..., Backend]) -> None:
    backend = serve()
    backend.writer.gate.clear()
    threads, statuses = post_in_background(backend, [body_of(1, seed=seed) for seed in range(1, 101)])
    wait_until(lambda: backend.metric("otel_loggedmodel_queue_spans") == 100)
    backend.writer.gate.set()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 100
    assert len(backend.writer.spans) == 100


def test_bytes_in_flight_are_bound(serve: Callable[..., Backend]) -> None:
    backend = serve(max_in_flight_bytes=100_000)
    assert backend.post(bytes(100_001)).status == 429
    for seed in range(1, 5):  # what was refused, or answered, is no longer counted
        assert backend.post(body_of(500, seed=seed)).status == 200


# Sizes


def test_a_body_larger_than_the_limit_is_refused_whatever_says_so(serve: Callable[..., Backend]) -> None:
    backend = serve(max_body_bytes=10_000)
    large = os.urandom(10_001)
    by_length = backend.post(large)
    by_counting = backend.ask("POST", "/v1/traces", iter([large[:5000], large[5000:]]), {"content-type": PROTOBUF})
    assert (by_length.status, by_counting.status) == (413, 413)
    assert "10000 bytes" in by_length.error.message
    assert "retry-after" not in by_length.headers


def test_64_mb_are_refused_and_read_to_their_end(serve: Callable[..., Backend]) -> None:
    backend = serve()
    connection = backend.connect()
    connection.request("POST", "/v1/traces", bytes(64 * MIB), {"content-type": PROTOBUF})
    assert read_answer(connection).status == 413
    # The connection is as good as before.
    connection.request("POST", "/v1/traces", body_of(), {"content-type": PROTOBUF})
    assert read_answer(connection).status == 200
    connection.close()


def test_a_large_request_that_compresses_well_is_taken(serve: Callable[..., Backend]) -> None:
    backend = serve()
    body = body_of(40_000)
    assert len(body) > 2 * MIB
    assert backend.post(gzip.compress(body, 1), content_encoding="gzip").status == 200
    assert len(backend.writer.spans) == 40_000


@pytest.mark.parametrize(("room", "status"), [(-1, 413), (0, 200)])
def test_the_decompressed_limit_is_exact(serve: Callable[..., Backend], room: int, status: int) -> None:
    body = body_of(50)
    backend = serve(max_decompressed_bytes=len(body) + room)
    assert backend.post(gzip.compress(body), content_encoding="gzip").status == status
    assert backend.post(body).status == status


def test_json_has_a_limit_of_its_own(serve: Callable[..., Backend]) -> None:
    backend = serve(max_json_bytes=1000)
    answer = backend.post(gzip.compress(b'{"x": "' + b" " * 1000 + b'"}'), JSON, content_encoding="gzip")
    assert answer.status == 413
    assert "1000 bytes" in json.loads(answer.body)["message"]


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate"])
def test_a_zip_bomb_is_stopped_on_the_way(serve: Callable[..., Backend], encoding: str) -> None:
    backend = serve(max_decompressed_bytes=MIB)
    bomb = bomb_of(10_000 * MIB, encoding)
    assert len(bomb) < 12 * MIB
    started = time.monotonic()
    answer = backend.post(bomb, content_encoding=encoding)
    assert answer.status == 413
    assert time.monotonic() - started < 20  # all of it would take half a minute, if there were the room


def test_spans_without_content_do_not_fill_the_memory(serve: Callable[..., Backend]) -> None:
    backend = serve()
    # 10 million of them in a few kilobytes, which would take 2 GB once they are parsed.
    inner = b"\x12\x00" * 10_000_000
    scope = b"\x12" + varint(len(inner)) + inner
    body = b"\x0a" + varint(len(scope)) + scope
    answer = backend.post(gzip.compress(body, 1), content_encoding="gzip")
    assert answer.status == 413
    assert "120000 spans" in answer.error.message


# Clients that misbehave


@pytest.fixture
def raw(serve: Callable[..., Backend]) -> Iterator[Callable[..., tuple[Backend, socket.socket]]]:
    opened: list[socket.socket] = []

    def raw(**settings: Any) -> tuple[Backend, socket.socket]:
        backend = serve(**settings)
        opened.append(socket.create_connection(("127.0.0.1", backend.port), timeout=20))
        return backend, opened[-1]

    yield raw
    for client in opened:
        client.close()


HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\n"


def test_a_body_that_does_not_arrive_is_given_up(raw: Callable[..., tuple[Backend, socket.socket]]) -> None:
    backend, client = raw(request_seconds=1.0)
    client.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
    answer = client.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"within 1 seconds" in answer
    assert client.recv(1000) == b""
    assert backend.post(body_of()).status == 200


@pytest.mark.parametrize("start", some([HEAD[:60], b"", b"POST", HEAD]))
def test_a_head_that_does_not_arrive_is_given_up(
    raw: Callable[..., tuple[Backend, socket.socket]], start: bytes
) -> None:
    _, client = raw(request_seconds=1.0)
    client.sendall(start)
    assert client.recv(1000) == b""


def test_a_second_head_that_does_not_arrive_is_given_up(raw: Callable[..., tuple[Backend, socket.socket]]) -> None:
    _, client = raw(request_seconds=1.0)
    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    client.sendall(b"GET /hea")
    assert client.recv(1000) == b""


def test_a_head_without_end_is_refused(raw: Callable[..., tuple[Backend, socket.socket]]) -> None:
    backend, client = raw()
    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: ")
    received = b""
    with contextlib.suppress(ConnectionError):
        for _ in range(20):
            client.sendall(b"x" * 10_000)
        received = client.recv(1000)
        assert client.recv(1000) == b""
    assert received.startswith(b"HTTP/1.1 400 ") or received == b""
    assert backend.get("/healthz").status == 200


def test_a_large_body_before_a_head_is_no_long_head(raw: Callable[..., tuple[Backend, socket.socket]]) -> None:
    _, client = raw()
    body = body_of(5000)
    for seed in (1, 2):
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body_of(5000, seed=seed)) + body_of(5000, seed=seed))
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert len(body) > 64 * 1024


@pytest.mark.parametrize("count", [1, 3])
def test_a_client_that_ends_its_side_is_answered(raw: Callable[..., tuple[Backend, socket.socket]], count: int) -> None:
    """As `nc -N` does, and clients that send one request for each connection."""
    backend, client = raw()
    backend.writer.gate.clear()
    for seed in range(count):
        body = body_of(2, seed=seed)
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    client.shutdown(socket.SHUT_WR)
    assert backend.writer.entered.wait(20)
    backend.writer.gate.set()
    received = b"".join(iter(lambda: client.recv(10_000), b""))
    assert received.count(b"HTTP/1.1 200 ") == count
    assert len(backend.writer.spans) == 2 * count


def test_a_client_that_ends_its_side_within_a_request_is_not_waited_for(
    raw: Callable[..., tuple[Backend, socket.socket]],
) -> None:
    backend, client = raw()
    client.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
    client.shutdown(socket.SHUT_WR)
    assert client.recv(1000) == b""
    assert backend.post(body_of()).status == 200


def test_a_client_that_goes_away_while_it_sends_breaks_nothing(
    raw: Callable[..., tuple[Backend, socket.socket]],
) -> None:
    backend, client = raw()
    client.sendall(HEAD + b"Content-Length: 1000\r\n\r\nabc")
    time.sleep(0.05)
    client.close()
    wait_until(lambda: backend.metric("otel_loggedmodel_requests_total", code="disconnected") == 1)
    assert backend.post(body_of()).status == 200
    assert len(backend.writer.requests) == 1


def test_what_a_client_that_went_away_had_sent_is_stored(raw: Callable[..., tuple[Backend, socket.socket]]) -> None:
    backend, client = raw()
    backend.writer.gate.clear()
    body = body_of(2)
    client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert backend.writer.entered.wait(20)
    # Reset, not closed: the backend cannot write to it either.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    threads, statuses = post_in_background(backend, [body, body_of(1, seed=2)])
    wait_until(lambda: backend.metric("otel_loggedmodel_queue_spans") == 3)
    backend.writer.gate.set()
    for thread in threads:
        thread.join()
    assert statuses == [200, 200]
    assert backend.writer.requests[0] == body
    assert len(backend.writer.spans) == 3


def is_served(client: socket.socket) -> bool:
    with contextlib.suppress(ConnectionError):
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return client.recv(1000).startswith(b"HTTP/1.1 200 ")
    return False


def test_connections_are_bound(serve: Callable[..., Backend]) -> None:
    """A further one takes the place of the one that has waited longest."""
    backend = serve(max_connections=3)
    clients = [socket.create_connection(("127.0.0.1", backend.port), timeout=20) for _ in range(3)]
    assert [is_served(client) for client in clients] == [True, True, True]
    assert is_served(clients[0])
    clients.append(socket.create_connection(("127.0.0.1", backend.port), timeout=20))
    assert is_served(clients[3])
    assert [is_served(client) for client in clients] == [True, False, True, True]
    for client in clients:
        client.close()


def test_slow_clients_keep_nobody_out(serve: Callable[..., Backend]) -> None:
    backend = serve(max_connections=30)
    slow = [socket.create_connection(("127.0.0.1", backend.port), timeout=20) for _ in range(30)]
    for client in slow:
        client.sendall(HEAD[:40])
    for seed in range(3):
        assert backend.post(body_of(seed=seed)).status == 200
    for client in slow:
        client.close()


def test_where_every_connection_has_a_request_a_further_one_is_closed(serve: Callable[..., Backend]) -> None:
    backend = serve(max_connections=2)
    backend.writer.gate.clear()
    threads, statuses = post_in_background(backend, [body_of(seed=1), body_of(seed=2)])
    assert backend.writer.entered.wait(20)
    wait_until(lambda: not is_served_anew(backend))
    backend.writer.gate.set()
    for thread in threads:
        thread.join()
    assert statuses == [200, 200]
    wait_until(lambda: is_served_anew(backend))


def is_served_anew(backend: Backend) -> bool:
    with socket.create_connection(("127.0.0.1", backend.port), timeout=20) as client:
        return is_served(client)


def test_requests_one_after_the_other_without_waiting(raw: Callable[..., tuple[Backend, socket.socket]]) -> None:
    backend, client = raw()
    for seed in range(1, 6):
        body = body_of(1, seed=seed)
        client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    received = b""
    while received.count(b"HTTP/1.1 200 ") < 5:
        received += client.recv(10_000)
    assert [span.name for span in backend.writer.spans] == ["span 1"] * 5
    assert isinstance(backend.writer, MemoryWriter)
