# SPDX-License-Identifier: Apache-2.0
"""Where a ClickHouse server is, what a user without rights can read there, and how long it is waited for."""

import contextlib
import logging
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import Error

from backend.sending import Traces
from clickhouse_server import READ_ONLY_USER, ClickHouseServer
from collector.running import free_ports
from effort import only_in_full, some
from otel_loggedmodel import store
from otel_loggedmodel.store import server_address as addresses
from otel_loggedmodel.store.database import open_database
from otel_loggedmodel.store.reading import ReadingError, StoreUnavailableError
from otel_loggedmodel.store.server_address import ServerAddress, server_address


def read(url: str) -> ServerAddress:
    return server_address(url, "shown")


def test_an_address_has_the_ports_of_clickhouse() -> None:
    assert read("clickhouse://host") == ServerAddress("http", "host", 8123, None, "", "default", 5.0, False)
    whole = read("clickhouses://me:p%40ss@host:9/d%20b?connect_timeout=60")
    assert whole == ServerAddress("https", "host", 9, "me", "p@ss", "d b", 60.0, True)


def test_the_cloud_is_waited_for_as_long_as_its_makers_advise() -> None:
    cloud = "clickhouses://default:x@abc123.eu-central-1.aws.clickhouse.cloud/otel"
    assert (read(cloud).patience, read(cloud).is_patient) == (120.0, True)
    assert read(cloud + "?connect_timeout=7").patience == 7.0
    assert read("clickhouses://clickhouse.cloud.example/otel").patience == 5.0


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("connect_timeout=soon", "expected seconds"),
        ("connect_timeout=0", "expected seconds"),
        ("connect_timeout=nan", "expected seconds"),
        ("connect_timeout=9999", "at most 3600"),
        ("connect_timeout=", "expected seconds"),
        ("timeout=5", "the option 'timeout', and only 'connect_timeout' is known"),
        ("secure", "is no URL"),
    ],
)
def test_an_option_that_is_none_is_said_to_be(query: str, text: str) -> None:
    with pytest.raises(ReadingError, match=text):
        read(f"clickhouse://host/db?{query}")


def test_a_url_that_cannot_be_read_keeps_its_password() -> None:
    with pytest.raises(ReadingError) as raised:
        open_database("clickhouse://me:secret@[host/db")
    assert "secret" not in str(raised.value)


# A user who may change no setting


@pytest.fixture
def filled(clickhouse_server: ClickHouseServer, clickhouse_database: str) -> str:
    """A URL without scheme and user, of a database with a trace of each of two versions in it."""
    address = f"127.0.0.1:{clickhouse_server.port}/{clickhouse_database}"
    opened = store.open_database(f"clickhouse://{address}")
    opened.writer.insert([Traces("m-1", 1).request(1)[1], Traces("m-2", 2).request(1)[1]])
    opened.close()
    return address


def test_that_user_is_as_a_server_has_it(clickhouse_server: ClickHouseServer) -> None:
    with clickhouse_server.client(username=READ_ONLY_USER) as client:
        assert client.server_settings["max_execution_time"].readonly == 1
        client.server_settings.clear()
        with pytest.raises(Error) as raised:
            client.query("SELECT 1", settings={"max_execution_time": 5})
    assert raised.value.code == 164


def test_whoever_may_change_no_setting_can_read(filled: str) -> None:
    reader = store.open_reader(f"clickhouse://{READ_ONLY_USER}@{filled}")
    try:
        assert sorted(version.model_id for version in reader.versions()) == ["m-1", "m-2"]
        assert reader.version("m-1").metrics.traces == 1
        assert reader.compare(["m-1", "m-2"]).versions[0].tokens.input == 1
        [trace] = reader.traces("m-1")
        assert len(reader.trace(trace.trace_id).spans) == 1
        assert reader.activities(["m-1"]).versions[0].model_id == "m-1"
        assert reader.behaviour(["m-1"]).model_ids == ("m-1",)
        assert reader.rows(["m-1", "m-2"]) == []
        assert reader.datasets() == []
        reader.revision()
    finally:
        reader.close()


def test_settings_are_sent_where_they_may_be_changed(filled: str) -> None:
    database = open_database(f"clickhouse://{filled}")
    name = "max_execution_time"
    sql = "SELECT value FROM system.settings WHERE name = {name:String}"
    try:
        assert database.query(sql, {"name": name}) == [{"value": "120"}]
        assert database.query(sql, {"name": name}, {name: 7}) == [{"value": "7"}]
    finally:
        database.close()


# A server that is asleep


class Gate:
    """Stands in front of a server, and lets nobody through until it is opened."""

    def __init__(self, port: int, meanwhile: Callable[[socket.socket], None]) -> None:
        self._target = ("127.0.0.1", port)
        self._meanwhile = meanwhile
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.tries = 0
        self.tried_twice = threading.Event()
        self.opened = threading.Event()
        self._sockets: list[socket.socket] = []
        self._is_closing = False
        self._serving: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            self.tries += 1
            if self.tries > 1:
                self.tried_twice.set()
            if not self.opened.is_set():
                self._meanwhile(client)
            if client.fileno() >= 0:
                self._serving.append(threading.Thread(target=self._serve, args=(client,), daemon=True))
                self._serving[-1].start()

    def _serve(self, client: socket.socket) -> None:
        self.opened.wait()
        if self._is_closing:
            return
        server = socket.create_connection(self._target)
        self._sockets.append(server)
        back = threading.Thread(target=pump, args=(server, client), daemon=True)
        back.start()
        pump(client, server)
        back.join()

    def close(self) -> None:
        self._is_closing = True
        self.opened.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for one in self._sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in self._serving:
            thread.join()
        for one in self._sockets:
            one.close()


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def hold(client: socket.socket) -> None:
    """Take a connection, and answer when awake."""


def reset(client: socket.socket) -> None:
    """Take a connection, and break it off."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def turn_away(client: socket.socket) -> None:
    """Answer as a proxy does whose server is not there yet."""
    client.recv(65536)
    client.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    client.close()


@pytest.fixture
def gated(clickhouse_server: ClickHouseServer) -> Iterator[Callable[..., Gate]]:
    gates: list[Gate] = []

    def make(meanwhile: Callable[[socket.socket], None]) -> Gate:
        gates.append(Gate(clickhouse_server.port, meanwhile))
        return gates[-1]

    yield make
    for gate in gates:
        gate.close()


@pytest.mark.parametrize("meanwhile", [reset, turn_away])
def test_a_server_that_breaks_off_while_it_wakes_up_is_asked_again(
    gated: Callable[..., Gate], meanwhile: Callable[[socket.socket], None]
) -> None:
    gate = gated(meanwhile)
    threading.Thread(target=lambda: gate.tried_twice.wait(60) and gate.opened.set(), daemon=True).start()
    database = open_database(f"clickhouse://127.0.0.1:{gate.port}?connect_timeout=100")
    assert database.query("SELECT 1 AS one") == [{"one": 1}]
    database.close()
    assert gate.tries > 2


def test_whoever_waits_is_told_so(
    gated: Callable[..., Gate], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = gated(hold)
    monkeypatch.setattr(addresses, "_SECONDS", 0.1)

    def note(record: logging.LogRecord) -> bool:
        gate.opened.set()
        return True

    monkeypatch.setattr(caplog.handler, "filters", [note])
    database = open_database(f"clickhouse://127.0.0.1:{gate.port}?connect_timeout=100")
    database.close()
    assert caplog.messages == [
        f"waiting for ClickHouse at 127.0.0.1:{gate.port}, which may have to wake up: for up to 100 seconds"
    ]


@only_in_full
def test_a_command_says_that_it_waits(gated: Callable[..., Gate]) -> None:
    gate = gated(hold)
    command = [sys.executable, "-m", "otel_loggedmodel", "models", "--store"]
    url = f"clickhouse://127.0.0.1:{gate.port}?connect_timeout=6"
    done = subprocess.run([*command, url], capture_output=True, text=True, timeout=100, check=False)
    first, *others = done.stderr.splitlines()
    assert first == (f"waiting for ClickHouse at 127.0.0.1:{gate.port}, which may have to wake up: for up to 6 seconds")
    assert "cannot be reached" in others[0]


@pytest.mark.parametrize(
    "address", ["there-is-no-such-host.invalid:8123", "127.0.0.1:{port}"], ids=["no such name", "nobody there"]
)
def test_waiting_ends(address: str) -> None:
    (port,) = free_ports(1)
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        open_database(f"clickhouse://{address.format(port=port)}?connect_timeout=2")


def test_what_waiting_cannot_help_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def ask(seconds: float) -> Any:
        tried.append(seconds)
        raise StoreUnavailableError("denied") from Error("no", code=516)

    with pytest.raises(StoreUnavailableError, match="denied"):
        read("clickhouse://host?connect_timeout=100").when_awake(ask)
    assert len(tried) == 1


# The engine in this process


@pytest.mark.parametrize("zone", some(["Foo/Bar", ":Nowhere", "CET-1CEST"]))
def test_a_time_zone_that_the_engine_does_not_know_is_named(tmp_path: Path, zone: str) -> None:
    program = "import sys; from otel_loggedmodel.cli import main; sys.argv[0] = 'otel-loggedmodel'; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "serve", "--data", str(tmp_path / "data"), "--http-port", "0", "--no-grpc"],
        env={"TZ": zone, "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 3
    assert f"TZ is {zone!r}, which is no time zone that ClickHouse knows: set it to a name such as" in done.stderr
    assert "Traceback" not in done.stderr
