# SPDX-License-Identifier: Apache-2.0
"""Stands between a client and a server, and keeps one request for ever, so that the client can be killed then."""

import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


class HoldingProxy:
    """Hands requests on to a server.

    Args:
        target: Where to.
        path: Requests of this path are counted.
        number: The request of that path that is kept, and all after it; they are numbered from 1.
    """

    def __init__(self, target: str, path: str, number: int) -> None:
        self.holding = threading.Event()
        self._released = threading.Event()
        counted = 0
        lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _hand_on(self) -> None:
                nonlocal counted
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                with lock:
                    counted += self.path.partition("?")[0] == path
                    is_kept = counted >= number
                if is_kept:
                    proxy.holding.set()
                    proxy._released.wait()
                    return
                request = urllib.request.Request(target + self.path, body or None, method=self.command)
                for name in ("content-type", "authorization"):
                    if name in self.headers:
                        request.add_header(name, self.headers[name])
                try:
                    with urllib.request.urlopen(request, timeout=60) as answer:
                        self._answer(answer.status, answer.read())
                except urllib.error.HTTPError as error:
                    with error:
                        self._answer(error.code, error.read())

            def _answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PATCH = do_DELETE = _hand_on

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "HoldingProxy":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
