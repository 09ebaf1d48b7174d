# SPDX-License-Identifier: Apache-2.0
"""ClickHouse's HTTP interface on embedded ClickHouse, so that network clients can be tested where there is no server.

As a program, it serves one directory. `ClickHouseServer` runs it in a process of its own, because embedded ClickHouse
survives no fork and one process owns a directory. The engine, its SQL, settings, formats and errors are the real ones.
What is around them is made here, so this does not test:

- authentication: every user may do everything, except `reader`, who has `readonly=1`
- TLS, replication and `ON CLUSTER`, the native TCP protocol, external data, limits on users and connections
- sessions: each request is one, so temporary tables and `SET` do not outlive it
- cancelling and progress: a response is sent when it is complete
"""

import argparse
import base64
import contextlib
import functools
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client

import clickhouse_wire as wire

# Who may change no setting.
READ_ONLY_USER = "reader"

_PROGRAM = Path(__file__).resolve()
_START_SECONDS = 60
_STOP_SECONDS = 30


class ClickHouseServer:
    """A ClickHouse server over HTTP in a process of its own: on a new port the first time, then on the same one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.host = "127.0.0.1"
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "ClickHouseServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """What it said on standard error."""
        return self._log_path.read_text(encoding="utf-8", errors="replace")

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        data = self.directory / "data"
        command = [sys.executable, str(_PROGRAM), "--directory", str(data), "--port", str(self.port), "--attached"]
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.directory,  # where the engine keeps the schemas of formats that came with a statement
                env={**os.environ, "TZ": "UTC"},  # the time zone of an embedded engine is its process's
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        timer = threading.Timer(_START_SECONDS, self._process.kill)
        timer.start()
        line = self._process.stdout.readline().decode()
        timer.cancel()
        if not line.startswith("ready "):
            self.kill()
            raise AssertionError(f"the server did not start: {line}\n{self.log}")
        self.port = int(line.split()[1])

    def stop(self) -> None:
        """Ask it to stop, and see that it does so cleanly."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            status = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise AssertionError(f"the server did not stop\n{self.log}") from error
        self._close()
        assert status == 0, f"the server ended with status {status}\n{self.log}"

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._close()

    def client(self, database: str = "default", **arguments: Any) -> Client:
        """A client as applications have it; to be closed by the caller."""
        return clickhouse_connect.get_client(host=self.host, port=self.port, database=database, **arguments)

    @contextlib.contextmanager
    def new_database(self) -> Iterator[str]:
        """The name of a database that is dropped in the end: directories take time to make, and databases none."""
        name = f"test_{uuid.uuid4().hex}"
        with self.client() as client:
            client.command(f"CREATE DATABASE {name}")
            try:
                yield name
            finally:
                client.command(f"DROP DATABASE IF EXISTS {name}")

    @property
    def _log_path(self) -> Path:
        return self.directory / "log"

    def _close(self) -> None:
        assert self._process is not None
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None


# The rest runs in that process.

# Compiling expressions to native code takes longer than all that the tests ask.
NOT_COMPILED = {"compile_expressions": "0", "compile_aggregate_expressions": "0", "compile_sort_description": "0"}
# Parameters of a request that are not settings of the query.
_TRANSPORT_PARAMETERS = frozenset(
    [
        "query",
        "database",
        "default_format",
        "user",
        "password",
        "quota_key",
        "query_id",
        "session_id",
        "session_timeout",
        "session_check",
        "role",
        "compress",
        "decompress",
        "buffer_size",
        "wait_end_of_query",
        "client_protocol_version",
        "stacktrace",
    ]
)
# As a server would answer; what is not here is 500.
_STATUSES = {
    **dict.fromkeys((6, 26, 27, 36, 38, 41, 42, 43, 53, 62, 72, 117, 130, 386, 456, 457), 400),
    **dict.fromkeys((16, 46, 47, 60, 73, 81, 115), 404),
    159: 408,
    48: 501,
}
_SYNTAX_ERROR = 62

_QUOTED = rb"""'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`"""
_NAME = rb"""(?:\w+|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`)"""
# An INSERT whose data follow it. VALUES and SELECT are for the engine to read.
_INSERT_OF_DATA = re.compile(
    rb"\s*(?P<insert>INSERT\s+INTO\s+(?:TABLE\s+)?" + _NAME + rb"(?:\s*\.\s*" + _NAME + rb")?"
    rb"\s*(?:\((?:" + _QUOTED + rb"|[^()'\"`])*\))?\s*(?:SETTINGS\s(?:" + _QUOTED + rb"|[^'\"`])*?)?)"
    rb"\bFORMAT\s+(?P<format>\w+)[ \t]*(?:\r?\n|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_TOKEN = re.compile(_QUOTED + rb"|--[^\n]*|/\*.*?\*/|;|[^\s;]", re.DOTALL)
_FIRST_WORD = re.compile(rb"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*(\w*)", re.DOTALL)
_STREAMED = {b"SELECT", b"WITH"}
_WITH_RESULT = _STREAMED | {b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN", b"CHECK", b"KILL"}
_LAST_FORMAT = re.compile(rb"\bFORMAT\s+(\w+)\s*;?\s*\Z", re.IGNORECASE)


class RefusedError(Exception):
    """The engine, or the interface around it, does not do what was asked."""

    def __init__(self, message: str) -> None:
        # The embedded engine says some parts twice.
        message = re.sub(r"^.*?(?:(Code: \d+\. DB::Exception: )\1?)", r"\1", message, count=1, flags=re.DOTALL)
        message = re.sub(r"(\([A-Z_]+\)) (\(version [\d.]+\))\. \1$", r"\1 \2", message)
        super().__init__(message)
        code = re.match(r"Code: (\d+)\.", message)
        self.code = int(code[1]) if code else 0
        self.status = _STATUSES.get(self.code, 500)


@dataclass(frozen=True)
class Outcome:
    """What a statement gave: its result as the blocks it came in, and their format if it has one."""

    blocks: list[bytes]
    format: str | None = None
    summary: Mapping[str, int] = field(default_factory=dict)


class Engine:
    """Embedded ClickHouse on one directory. Every statement has a connection of its own, and so its own settings."""

    def __init__(self, directory: Path) -> None:
        import chdb  # never in a process that may fork

        self._connect = functools.partial(chdb.connect, str(directory))
        self._open = self._connect()  # as long as one is open, the next opens at once

    def close(self) -> None:
        self._open.close()

    def run(self, statement: bytes, parameters: Mapping[str, str], read_only: bool, user: str = "") -> Outcome:
        """Run one statement, with its data behind it if it has any, as a request with these parameters asks for it."""
        try:
            return self._run(statement, parameters, read_only, user)
        except RuntimeError as error:  # the engine's own errors are these
            raise RefusedError(str(error)) from None

    def _run(self, statement: bytes, parameters: Mapping[str, str], read_only: bool, user: str) -> Outcome:
        connection = self._connect()
        try:
            if parameters.get("database"):
                connection.query(f"USE {_quoted(parameters['database'], '`')}", "Null")
            # What is a matter of course for the embedded engine is not for a server.
            settings = {"implicit_select": "0", **NOT_COMPILED, **({"readonly": "1"} if user == READ_ONLY_USER else {})}
            _set(connection, settings)
            _set(
                connection,
                {**_settings_in(parameters), **({"readonly": "2"} if read_only and user != READ_ONLY_USER else {})},
            )
            insert = _INSERT_OF_DATA.match(statement)
            if insert:
                return _insert(
                    connection, insert["insert"].decode(), insert["format"].decode(), statement[insert.end() :]
                )
            _check_single(statement)
            return _query(connection, statement, parameters)
        finally:
            connection.close()


def _set(connection: Any, settings: Mapping[str, str]) -> None:
    if settings:
        assignments = ", ".join(f"{_quoted(name, '`')} = {_quoted(value)}" for name, value in settings.items())
        connection.query(f"SET {assignments}", "Null")


def _insert(connection: Any, insert: str, data_format: str, data: bytes) -> Outcome:
    started = time.perf_counter_ns()
    with connection.send_insert(insert, data_format) as inserter:
        inserter.append(data)
        inserted = inserter.finish()
    summary = {"written_rows": inserted.rows_written, "written_bytes": inserted.bytes_written}
    return Outcome([], summary={**summary, "elapsed_ns": time.perf_counter_ns() - started})


def _query(connection: Any, statement: bytes, parameters: Mapping[str, str]) -> Outcome:
    values = {name.removeprefix("param_"): value for name, value in parameters.items() if name.startswith("param_")}
    named = _LAST_FORMAT.search(statement)
    result_format = named[1].decode() if named else parameters.get("default_format") or "TabSeparated"
    first_word = _FIRST_WORD.match(statement)[1].upper()  # type: ignore[index]
    started = time.perf_counter_ns()
    if result_format == "Native" and first_word in _STREAMED:
        # A stream gives one block at a time, and where a block begins has to be known. Other results are one block.
        with connection.send_query(statement, result_format, params=values) as stream:
            blocks = [part.bytes() for part in stream]
        read = {}
    else:
        result = connection.query(statement, result_format, params=values)
        blocks = [result.bytes()]
        read = {"read_rows": result.rows_read(), "read_bytes": result.bytes_read()}
    return Outcome(
        [block for block in blocks if block],
        result_format if first_word in _WITH_RESULT else None,
        {**read, "elapsed_ns": time.perf_counter_ns() - started},
    )


def _settings_in(parameters: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in parameters.items()
        if name not in _TRANSPORT_PARAMETERS and not name.startswith("param_")
    }


def _check_single(statement: bytes) -> None:
    """The embedded engine runs several statements one after the other; a server does not."""
    tokens = (token for token in _TOKEN.findall(statement) if not token.startswith((b"--", b"/*")))
    if any(token != b";" for token in _after(b";", tokens)):
        raise RefusedError(
            f"Code: {_SYNTAX_ERROR}. DB::Exception: Syntax error (Multi-statements are not allowed). (SYNTAX_ERROR)"
        )


def _after(token: bytes, tokens: Iterator[bytes]) -> Iterator[bytes]:
    for one in tokens:
        if one == token:
            return tokens
    return iter(())


def _quoted(text: str, quote: str = "'") -> str:
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the client waits 40 ms for each answer
    server: "_Server"

    def do_GET(self) -> None:
        with self.server.request():
            self._handle(read_only=True)

    def do_POST(self) -> None:
        with self.server.request():
            self._handle(read_only=False)

    def log_message(self, *_: object) -> None:
        pass

    def _handle(self, *, read_only: bool) -> None:
        url = urlsplit(self.path)
        # What is not UTF-8 goes through as it is.
        parameters = dict(parse_qsl(url.query, keep_blank_values=True, errors="surrogateescape"))
        body = self._body()
        if url.path not in ("/", ""):
            found = url.path == "/ping"
            return self._answer(200 if found else 404, b"Ok.\n" if found else b"There is no such handle.\n", {})
        query_id = parameters.get("query_id") or str(uuid.uuid4())
        headers = {"X-ClickHouse-Query-Id": query_id, "X-ClickHouse-Server-Display-Name": "embedded"}
        try:
            fields, body = self._decoded(body, parameters)
            parameters |= fields
            query = parameters.get("query", "").encode(errors="surrogateescape")
            statement = query + b"\n" + body if query and body else query or body
            if not statement:
                return self._answer(200, b"Ok.\n", headers)
            outcome = self.server.engine.run(statement, parameters, read_only, self._user(parameters))
        except RefusedError as refused:
            headers["X-ClickHouse-Exception-Code"] = str(refused.code)
            return self._answer(refused.status, f"{refused}\n".encode(errors="replace"), headers, parameters)
        if outcome.format:
            headers |= {"X-ClickHouse-Format": outcome.format, "X-ClickHouse-Timezone": "UTC"}
        headers["X-ClickHouse-Summary"] = json.dumps({name: str(value) for name, value in outcome.summary.items()})
        revision = int(parameters.get("client_protocol_version") or 0) if outcome.format == "Native" else 0
        return self._answer(200, wire.at_revision(outcome.blocks, revision), headers, parameters)

    def _user(self, parameters: Mapping[str, str]) -> str:
        named = self.headers.get("X-ClickHouse-User") or parameters.get("user", "")
        scheme, _, credentials = (self.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            return named
        return base64.b64decode(credentials).decode(errors="replace").partition(":")[0]

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _decoded(self, body: bytes, parameters: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
        """The fields of a form, or else the body as it was before it was compressed."""
        try:
            body = wire.decoded(body, self.headers.get("Content-Encoding") or "identity")
            if parameters.get("decompress") == "1":
                body = wire.from_blocks(body)
        except Exception as error:
            raise RefusedError(f"Code: 432. DB::Exception: {error}. (UNKNOWN_COMPRESSION_METHOD)") from error
        content_type = self.headers.get("Content-Type") or ""
        if not content_type.startswith("multipart/form-data"):
            return {}, body
        boundary = b"--" + content_type.partition("boundary=")[2].strip('"').encode()
        fields = {}
        for part in body.split(boundary)[1:-1]:
            head, _, value = part.partition(b"\r\n\r\n")
            name = re.search(rb'name="([^"]*)"', head)
            if name is None or b"filename=" in head:
                raise RefusedError("Code: 48. DB::Exception: No external data here. (NOT_IMPLEMENTED)")
            fields[name[1].decode()] = value.removesuffix(b"\r\n").decode(errors="surrogateescape")
        return fields, b""

    def _answer(
        self, status: int, content: bytes, headers: Mapping[str, str], parameters: Mapping[str, str] | None = None
    ) -> None:
        asked = parameters or {}
        if asked.get("compress") == "1":
            content = wire.to_blocks(content)
        encoding = None
        if asked.get("enable_http_compression", "1") == "1" and content and parameters is not None:
            encoding = wire.encoding_for(self.headers.get("Accept-Encoding", ""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if encoding:
            content = wire.encoded(content, encoding)
            self.send_header("Content-Encoding", encoding)
        self.send_header("Content-Type", "text/plain; charset=UTF-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # they wait for the next request of a client that may never come
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, port: int, engine: Engine) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.engine = engine
        self._changed = threading.Condition()
        self._running = 0
        self._stopping = False

    @contextlib.contextmanager
    def request(self) -> Iterator[None]:
        """While a request is answered."""
        with self._changed:
            if self._stopping:
                raise ConnectionAbortedError
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def stop(self) -> None:
        """Take no more requests, and return when all are answered: the engine does not survive an exit in a query."""
        self.shutdown()
        self.server_close()
        with self._changed:
            self._stopping = True
            self._changed.wait_for(lambda: self._running == 0)

    def handle_error(self, *_: object) -> None:
        """Report an error, unless the client went away."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*_)  # type: ignore[arg-type]


def _when_input_ends(then: Callable[[], None]) -> None:
    while os.read(sys.stdin.fileno(), 4096):  # sys.stdin itself would be locked when the interpreter ends
        pass
    then()


def serve(directory: Path, port: int, *, attached: bool) -> None:
    """Serve until told to stop; say when and where on standard output.

    Args:
        directory: Where the data are.
        port: On loopback; 0 for any that is free.
        attached: Stop when standard input ends too, that is, when whoever started this is gone.
    """
    stop = threading.Event()
    engine = Engine(directory)
    server = _Server(port, engine)
    for number in (signal.SIGTERM, signal.SIGINT):  # the engine has handlers of its own
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    if attached:
        threading.Thread(target=_when_input_ends, args=(stop.set,), daemon=True).start()
    print("ready", server.server_port, flush=True)
    while not stop.wait(0.1):  # without a time, a signal would wait too
        pass
    server.stop()
    engine.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="ClickHouse's HTTP interface on embedded ClickHouse, on loopback.")
    parser.add_argument("--directory", type=Path, required=True, help="where the data are")
    parser.add_argument("--port", type=int, default=8123, help="0 for any that is free")
    parser.add_argument("--attached", action="store_true", help="stop when standard input ends")
    given = parser.parse_args()
    serve(given.directory, given.port, attached=given.attached)
