# SPDX-License-Identifier: Apache-2.0
"""Which store is read, and with what token."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import Result

from memory_reader import MemoryReader
from otel_loggedmodel.commands import opening
from otel_loggedmodel.store import choosing
from otel_loggedmodel.store.reading import ReadingError, StoreUnavailableError

from .doubles import V1, V2, compared, metrics

Run = Callable[..., Result]


@pytest.fixture
def serve_page() -> Iterator[Callable[[int, bytes], str]]:
    """Start a server that answers `/` so; its address."""
    servers = []

    def serve(status: int, body: bytes) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status if self.path == "/" else 404)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_backends_are_told_from_other_receivers(serve_page: Callable[[int, bytes], str]) -> None:
    assert opening.is_backend_running(serve_page(200, json.dumps({"name": "otel-loggedmodel"}).encode()))
    assert opening.is_backend_running(serve_page(401, json.dumps({"error": {"code": "unauthorized"}}).encode()))
    assert not opening.is_backend_running(serve_page(404, b"404 page not found"))
    assert not opening.is_backend_running(serve_page(200, b"<html>"))
    assert not opening.is_backend_running("http://127.0.0.1:1")


def test_a_running_backend_is_read_first_then_the_data_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, serve_page: Callable[[int, bytes], str]
) -> None:
    address = serve_page(200, b'{"name":"otel-loggedmodel"}')
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(choosing, "LOCAL_BACKEND", address)
    monkeypatch.setattr(opening.is_backend_running, "__defaults__", (address,))
    assert opening.default_store() == address
    monkeypatch.setattr(opening.is_backend_running, "__defaults__", ("http://127.0.0.1:1",))
    with pytest.raises(StoreUnavailableError, match="Start a backend with `otel-loggedmodel serve`"):
        opening.default_store()
    (tmp_path / "otel-loggedmodel").mkdir()
    assert opening.default_store() == f"chdb://{tmp_path}/otel-loggedmodel"


def test_the_option_wins_over_the_variable(run: Run, reader: MemoryReader) -> None:
    reader.comparison = compared(metrics(V1), metrics(V2))
    run("compare", "a", "b")
    run("compare", "a", "b", "--store", "chdb:///elsewhere")
    assert [question[1] for question in reader.asked if question[0] == "open"] == [
        "http://backend.example:4318",
        "chdb:///elsewhere",
    ]
    assert reader.is_closed


def test_tokens(run: Run, reader: MemoryReader, tmp_path: Path) -> None:
    reader.comparison = compared(metrics(V1), metrics(V2))
    run("compare", "a", env={"OTEL_LOGGEDMODEL_TOKEN": "from the environment"})
    path = tmp_path / "token"
    path.write_text("from a file\n")
    run("compare", "a", "--token-file", path, env={"OTEL_LOGGEDMODEL_TOKEN": "from the environment"})
    assert [question[2] for question in reader.asked if question[0] == "open"] == [
        "from the environment",
        "from a file",
    ]


def test_tokens_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ReadingError, match="cannot be read"):
        opening.read_token(tmp_path / "absent")
    (tmp_path / "empty").write_text(" \n")
    with pytest.raises(ReadingError, match="is empty"):
        opening.read_token(tmp_path / "empty")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ReadingError, match="cannot be read"):
        opening.read_token(tmp_path / "binary")
