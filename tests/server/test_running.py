# SPDX-License-Identifier: Apache-2.0
"""Starting, stopping, and what happens in between."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import grpc
import pytest

from asking import held_spans, is_stopping, post, status_of
from memory_reader import MemoryReader
from otel_loggedmodel.server.listening import CannotListenError
from otel_loggedmodel.server.metrics import Metrics
from otel_loggedmodel.server.retention import Retention
from otel_loggedmodel.server.running import Server, run
from otel_loggedmodel.server.settings import Settings, SettingsError
from waiting import wait_until

from .backend_program import stored_in
from .backends import EXPORT, Backend, MemoryWriter, body_of, bomb_of

TESTS = Path(__file__).resolve().parent.parent


class Process:
    """A backend in a process of its own."""

    def __init__(self, **settings: Any) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "server.backend_program", json.dumps(settings)],
            cwd=TESTS,  # where that module is found
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read() if self.process.stderr else ""
        self.http, self.grpc = json.loads(line)
        self.port = int(self.http.rpartition(":")[2])

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def post(self, body: bytes, **headers: str) -> int:
        return post(self.http, body, **headers).status

    def finish(self) -> tuple[int, str, str]:
        """Exit code, output after the addresses, errors."""
        output, errors = self.process.communicate(timeout=30)
        return self.process.returncode, output, errors

    def peak_mib(self) -> float:
        return status_of(self.process.pid, "VmHWM") / 1024


@pytest.fixture
def start() -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(**settings: Any) -> Process:
        started.append(Process(**settings))
        return started[-1]

    yield start
    for process in started:
        if process.process.poll() is None:
            process.process.kill()
        process.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_without_a_thread_left(start: Callable[..., Process], number: int) -> None:
    backend = start()
    assert backend.post(body_of()) == 200
    idle = backend.connect()
    idle.connect()
    backend.process.send_signal(number)
    code, output, errors = backend.finish()
    idle.close()
    assert (code, errors) == (0, "")
    assert json.loads(output) == ["MainThread"]


def test_what_was_accepted_is_stored_and_acknowledged_on_the_way_out(
    start: Callable[..., Process], tmp_path: Path
) -> None:
    file = str(tmp_path / "stored")
    backend = start(file=file, insert_seconds=0.3, batch_spans=4)
    bodies = [body_of(1, seed=seed) for seed in range(1, 21)]
    answers: list[int] = []

    def call(body: bytes) -> None:
        with grpc.insecure_channel(backend.grpc) as channel:
            channel.unary_unary(EXPORT)(body, timeout=30)
        answers.append(200)

    threads = [
        threading.Thread(target=call, args=(body,))
        if number % 2
        else threading.Thread(target=lambda body=body: answers.append(backend.post(body)))
        for number, body in enumerate(bodies)
    ]
    for thread in threads:
        thread.start()
    # In this order, so that none counts twice.
    wait_until(lambda: len(answers) + held_spans(backend.http) == 20, "all of them are answered or held")
    backend.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    code, _, errors = backend.finish()
    assert (code, errors) == (0, "")
    assert answers == [200] * 20
    assert sorted(stored_in(file)) == sorted(bodies)


def test_under_load_nothing_that_was_acknowledged_is_lost_when_it_stops(
    start: Callable[..., Process], tmp_path: Path
) -> None:
    file = str(tmp_path / "stored")
    backend = start(file=file, insert_seconds=0.01)
    acknowledged: list[bytes] = []

    def send(worker: int) -> None:
        for number in range(10_000):
            body = body_of(1, seed=worker * 100_000 + number)
            try:
                status = backend.post(body)
            except (OSError, http.client.HTTPException):
                return
            if status != 200:
                assert status == 503
                return
            acknowledged.append(body)

    threads = [threading.Thread(target=send, args=(worker,)) for worker in range(1, 9)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(acknowledged) > 10, "the load to run")
    time.sleep(random.uniform(0.0, 0.3))
    backend.process.send_signal(signal.SIGINT)
    for thread in threads:
        thread.join()
    code, _, errors = backend.finish()
    assert (code, errors) == (0, "")
    stored = set(stored_in(file))
    assert len(acknowledged) > 10
    assert set(acknowledged) <= stored


def test_a_second_signal_ends_it_at_once(start: Callable[..., Process]) -> None:
    backend = start(insert_seconds=20)
    thread = threading.Thread(target=post_and_be_cut_off, args=(backend,))
    thread.start()
    wait_until(lambda: held_spans(backend.http) == 1, "a request to be stored")
    started = time.monotonic()
    backend.process.send_signal(signal.SIGTERM)
    wait_until(lambda: is_stopping(backend.http), "the first signal to be heard")
    assert backend.process.poll() is None
    backend.process.send_signal(signal.SIGTERM)
    code, output, _ = backend.finish()
    thread.join()
    assert (code, output) == (1, "")
    assert time.monotonic() - started < 15  # the insert takes twenty seconds


def post_and_be_cut_off(backend: Process) -> None:
    with pytest.raises((OSError, http.client.HTTPException)):
        backend.post(body_of())


def test_when_the_grace_is_over_what_is_left_is_given_back(serve: Callable[..., Backend]) -> None:
    backend = serve(grace_seconds=0.3, batch_spans=1)
    backend.writer.gate.clear()
    statuses: list[int] = []
    bodies = [body_of(1, seed=seed) for seed in range(1, 4)]
    threads = [threading.Thread(target=lambda body=body: statuses.append(backend.post(body).status)) for body in bodies]
    for thread in threads:
        thread.start()
    wait_until(lambda: backend.metric("otel_loggedmodel_queue_spans") == 3)
    backend.server.stop()
    for thread in threads:  # by the listener, as the insert still runs
        thread.join(20)
    assert statuses == [503] * 3
    wait_until(lambda: backend.server._inserters[0]._give_up_at is not None)
    backend.writer.gate.set()
    assert backend.stop() == 1
    assert len(backend.writer.requests) == 1


def test_a_body_on_its_way_does_not_keep_it_from_stopping(serve: Callable[..., Backend]) -> None:
    backend = serve()
    with socket.create_connection(("127.0.0.1", backend.port), timeout=20) as client:
        client.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n")
        client.sendall(b"Content-Length: 1000\r\n\r\nabc")
        time.sleep(0.1)
        started = time.monotonic()
        assert backend.stop() == 0
        assert time.monotonic() - started < 10


def test_a_body_that_arrives_while_it_stops_is_stored(serve: Callable[..., Backend]) -> None:
    backend = serve()
    body = body_of()
    with socket.create_connection(("127.0.0.1", backend.port), timeout=20) as client:
        client.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n")
        client.sendall(b"Content-Length: %d\r\n\r\n" % len(body) + body[:5])
        time.sleep(0.1)
        backend.server.stop()
        time.sleep(0.4)
        client.sendall(body[5:])
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert backend.stop() == 0
    assert backend.writer.requests == [body]


def test_while_it_stops_it_is_not_ready(serve: Callable[..., Backend]) -> None:
    backend = serve()
    backend.server.is_stopping = True
    answer = backend.get("/readyz")
    assert (answer.status, json.loads(answer.body)["reason"]) == (503, "the backend is shutting down")


def test_a_question_that_is_being_asked_is_answered(serve: Callable[..., Backend]) -> None:
    backend = serve()
    backend.reader.gate.clear()
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(backend.get("/api/v1/traces").status))
    thread.start()
    wait_until(lambda: backend.reader.asked)
    backend.server.stop()
    time.sleep(0.2)
    backend.reader.gate.set()
    thread.join()
    assert (statuses, backend.stop()) == ([200], 0)


def test_the_caller_closes_what_is_the_callers(serve: Callable[..., Backend]) -> None:
    backend = serve()
    assert backend.stop() == 0
    assert not backend.writer.is_closed


# Starting


def test_a_port_that_is_taken_is_named_with_its_option(serve: Callable[..., Backend]) -> None:
    backend = serve()
    grpc_port = int(backend.addresses.grpc.rpartition(":")[2])
    threads = threading.active_count()
    for settings, port, option in (
        ({"http_port": backend.port}, backend.port, "--http-port"),
        ({"http_port": 0, "grpc_port": grpc_port}, grpc_port, "--grpc-port"),
    ):
        with pytest.raises(CannotListenError) as raised:
            run(Settings(**settings), MemoryWriter(), MemoryReader())
        assert f"127.0.0.1:{port}" in str(raised.value)
        assert option in str(raised.value)
    assert threading.active_count() == threads
    assert backend.post(body_of()).status == 200


def test_a_host_that_is_not_here() -> None:
    for host in ("192.0.2.1", "no-such-host.invalid"):
        with pytest.raises(CannotListenError, match=host):
            run(Settings(host=host, allow_anonymous=True, http_port=0), MemoryWriter(), MemoryReader())


def test_settings_are_checked() -> None:
    with pytest.raises(SettingsError, match="OTEL_LOGGEDMODEL_TOKEN"):
        run(Settings(host="0.0.0.0"), MemoryWriter(), MemoryReader())


@pytest.mark.parametrize("host", ["localhost", "0.0.0.0", "::1", "::"])
def test_hosts(serve: Callable[..., Backend], host: str) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    backend = serve(host=host, allow_anonymous=True)
    shown = f"[{host}]" if ":" in host else host
    assert backend.addresses.http.startswith(f"http://{shown}:")
    client_host = {"::1": "::1"}.get(host, "127.0.0.1")
    connection = http.client.HTTPConnection(client_host, backend.port, timeout=20)
    connection.request("GET", "/", headers={"Host": "localhost"})
    assert connection.getresponse().status == 200
    connection.close()
    port = backend.addresses.grpc.rpartition(":")[2]
    target = f"[::1]:{port}" if host == "::1" else f"127.0.0.1:{port}"
    with grpc.insecure_channel(target) as channel:
        assert channel.unary_unary(EXPORT)(body_of(), timeout=20) == b""


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_in_the_main_thread_the_handlers_of_signals_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    def stop_soon(addresses: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    assert run(Settings(http_port=0, grpc_port=0), MemoryWriter(), MemoryReader(), stop_soon) == 0
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_what_the_callback_raises_is_raised_after_everything_stopped() -> None:
    threads = threading.active_count()

    def fail(addresses: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Server(Settings(http_port=0, grpc_port=0), MemoryWriter(), MemoryReader()).run(fail)
    wait_until(lambda: threading.active_count() == threads)


# Memory


def test_bombs_leave_its_memory_alone(start: Callable[..., Process]) -> None:
    backend = start()
    assert backend.post(body_of()) == 200
    before = backend.peak_mib()
    for encoding in ("gzip", "zstd", "deflate"):
        assert backend.post(bomb_of(10 * 2**30, encoding), content_encoding=encoding) == 413
    with grpc.insecure_channel(backend.grpc) as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(EXPORT)(bomb_of(10 * 2**30, "gzip"), timeout=60)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    # Of 10 GB it makes 64 MB and a byte, at most twice at a time, and some copies of 10 MB that were sent.
    assert backend.peak_mib() - before < 300
    assert backend.post(body_of(2)) == 200


def test_64_mb_leave_its_memory_alone(start: Callable[..., Process]) -> None:
    backend = start()
    assert backend.post(body_of()) == 200
    before = backend.peak_mib()
    assert backend.post(bytes(64 * 2**20)) == 413
    assert backend.peak_mib() - before < 20


# Retention


def test_old_spans_are_deleted_from_time_to_time() -> None:
    writer, metrics = MemoryWriter(), Metrics()
    retention = Retention(writer, 2.5, metrics, first_seconds=0.02, every_seconds=0.02)
    retention.start()
    wait_until(lambda: len(writer.deletions) >= 3)
    retention.close()
    limit = datetime.now(timezone.utc) - timedelta(days=2.5)
    assert all(timedelta() <= limit - time < timedelta(minutes=1) for time in writer.deletions)
    assert f"otel_loggedmodel_deleted_spans_total {7.0 * len(writer.deletions)}" in metrics.text().decode()
    count = len(writer.deletions)
    time.sleep(0.1)
    assert len(writer.deletions) == count


def test_a_deletion_that_fails_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    writer = MemoryWriter()
    writer.delete_error = OSError("the disk is odd")
    retention = Retention(writer, 1, Metrics(), first_seconds=0.01, every_seconds=0.01)
    retention.start()
    wait_until(lambda: len(writer.deletions) >= 2)
    retention.close()
    assert "the disk is odd" in caplog.text


def test_nothing_is_deleted_right_after_the_start(serve: Callable[..., Backend]) -> None:
    backend = serve(retention_days=1)
    assert backend.post(body_of()).status == 200
    assert backend.stop() == 0
    assert backend.writer.deletions == []
