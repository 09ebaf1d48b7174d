# SPDX-License-Identifier: Apache-2.0
"""Spans that a command sends to a running backend."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from otel_loggedmodel.store.reading import StoreUnavailableError
from otel_loggedmodel.store.remote_writing import RemoteWriter
from otel_loggedmodel.store.writing import RefusedError

from .sending import Traces
from .serving import Serving


def test_what_is_sent_is_stored_once_it_returns(tmp_path: Path) -> None:
    with Serving(tmp_path / "log", "--data", tmp_path / "data") as serving:
        traces = Traces("agent", seed=1)
        (first, one), (second, other) = traces.request(3), traces.request(4)
        RemoteWriter(serving.http).insert([one, other])
        assert sorted(serving.trace_ids("agent")) == sorted(first + second)
        with pytest.raises(RefusedError, match="400"):
            RemoteWriter(serving.http).insert([b"\xff\xff no request"])


def test_a_token_is_shown_and_a_wrong_one_is_said(tmp_path: Path) -> None:
    with Serving(tmp_path / "log", "--data", tmp_path / "data", OTEL_LOGGEDMODEL_TOKEN="right") as serving:
        _, request = Traces("agent", seed=1).request(3)
        RemoteWriter(serving.http, "right").insert([request])
        for token in (None, "wrong"):
            with pytest.raises(StoreUnavailableError, match="401"):
                RemoteWriter(serving.http, token).insert([request])


def test_a_backend_that_has_too_much_to_do_is_asked_again() -> None:
    answers, bodies = [503, 429, 200], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(answers.pop(0))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            RemoteWriter(f"http://127.0.0.1:{server.server_address[1]}").insert([b"spans"])
        finally:
            server.shutdown()
            thread.join()
    assert (answers, bodies) == ([], [b"spans"] * 3)


def test_a_backend_that_is_not_there_is_given_up() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        writer = RemoteWriter(f"http://127.0.0.1:{taken.getsockname()[1]}", patience=0.6)
        with pytest.raises(StoreUnavailableError, match="is it running"):
            writer.insert([b""])
