# SPDX-License-Identifier: Apache-2.0
"""A server that answers as it is told: for what others do only when they are in trouble, old or behind others."""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Mapping[str, str], bytes]


def as_json(status: int, document: object, **headers: str) -> Answer:
    return status, {"content-type": "application/json", **headers}, json.dumps(document).encode()


class AnsweringServer:
    """Until the end of the `with` block.

    Args:
        answer: What to answer to a method, a path and a body.

    Attributes:
        requests: Method, path and headers of what was asked.
        connections: How many there were.
    """

    def __init__(self, answer: Callable[[str, str, Any], Answer]) -> None:
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.connections = 0
        ours = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                ours.connections += 1
                super().setup()

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                ours.requests.append((self.command, self.path, {key.lower(): v for key, v in self.headers.items()}))
                status, headers, content = answer(self.command, self.path, json.loads(body) if body else None)
                if status == 0:
                    self.close_connection = True
                    return
                try:
                    self.send_response(status)
                    for name, value in {**headers, "content-length": str(len(content))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)
                except ConnectionError:
                    self.close_connection = True  # who waited does not wait any more

            do_GET = do_POST = do_PATCH = do_DELETE = handle_any

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self._thread = threading.Thread(target=self.http.serve_forever, args=(0.02,))
        self.scheme = "http"

    @property
    def uri(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self) -> "AnsweringServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self._thread.join()
        self.http.server_close()
