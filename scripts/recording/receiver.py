# SPDX-License-Identifier: Apache-2.0
"""Takes OTLP over HTTP on this machine and keeps the requests, as OTLP's JSON."""

import base64
import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_IDS: Final = frozenset({"traceId", "spanId", "parentSpanId"})


class Receiver(ThreadingHTTPServer):
    """Listens on a free port of this machine."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._resource_spans: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def add(self, request: dict[str, Any]) -> None:
        """Keep what a request holds."""
        with self._lock:
            self._resource_spans += request.get("resourceSpans", [])

    def take(self) -> list[dict[str, Any]]:
        """What has come since this was asked last."""
        with self._lock:
            taken, self._resource_spans = self._resource_spans, []
        return taken


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        is_json = "json" in self.headers.get("content-type", "")
        if self.path.endswith("/v1/traces"):
            self.server.add(json.loads(body) if is_json else _as_json(body))
        answer = b"{}" if is_json else b""
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if is_json else "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed for each request."""


def _as_json(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json_format.MessageToDict(ExportTraceServiceRequest.FromString(body))
    _write_ids_in_hex(found)
    return found


def _write_ids_in_hex(value: Any) -> None:
    """Protobuf's JSON has bytes in base64; OTLP's has ids in hex digits."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in _IDS and isinstance(inner, str):
                value[key] = base64.b64decode(inner).hex()
            else:
                _write_ids_in_hex(inner)
    elif isinstance(value, list):
        for inner in value:
            _write_ids_in_hex(inner)
