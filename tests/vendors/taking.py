# SPDX-License-Identifier: Apache-2.0
"""What stands for a vendor's backend: it takes whatever is posted wherever, and knows OTLP and Azure's JSON."""

import gzip
import json
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_UNPACKED = {"gzip": gzip.decompress, "deflate": zlib.decompress}


@dataclass(frozen=True)
class Taken:
    """A span that arrived."""

    name: str
    attributes: Mapping[str, str]
    span_id: str

    @property
    def model_id(self) -> str | None:
        return self.attributes.get("logged_model.id")


class Backend:
    """Takes spans while it is entered."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.metrics: list[str] = []
        self._spans: list[Taken] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "Backend":
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                body = _UNPACKED.get(self.headers.get("content-encoding", ""), bytes)(body)
                backend._take(self.path, self.headers.get("content-type", ""), body)
                is_azure = "track" in self.path
                count = len(json.loads(body)) if is_azure else 0
                answer = json.dumps({"itemsReceived": count, "itemsAccepted": count, "errors": []}).encode()
                self._answer(answer if is_azure else b"")

            def do_GET(self) -> None:
                # What logfire asks of a token before it exports.
                self._answer(b'{"project_name": "shop", "project_url": "http://127.0.0.1/shop"}')

            def _answer(self, content: bytes) -> None:
                self.send_response(200)
                self.send_header("content-type", "application/json" if content else "application/x-protobuf")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Taken]:
        with self._lock:
            return list(self._spans)

    @property
    def names(self) -> list[str]:
        return sorted(span.name for span in self.spans)

    def _take(self, path: str, content_type: str, body: bytes) -> None:
        with self._lock:
            self.paths.append(path)
            if "metrics" in path:
                self.metrics.append(body.decode(errors="replace"))
            elif content_type == "application/x-protobuf" and "logs" not in path:
                self._spans.extend(_otlp(body))
            elif "track" in path:
                for envelope in json.loads(body):
                    self._take_envelope(envelope)

    def _take_envelope(self, envelope: dict) -> None:  # type: ignore[type-arg]
        kind, data = envelope["data"]["baseType"], envelope["data"]["baseData"]
        if kind == "MetricData":
            self.metrics.append(json.dumps(data))
        if kind in ("RequestData", "RemoteDependencyData"):
            self._spans.append(Taken(data["name"], data.get("properties") or {}, data["id"]))


def _otlp(body: bytes) -> Iterator[Taken]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                attributes = {pair.key: pair.value.string_value for pair in span.attributes}
                yield Taken(span.name, attributes, span.span_id.hex())
