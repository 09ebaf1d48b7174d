# SPDX-License-Identifier: Apache-2.0
"""Far ends that take OTLP log records, over HTTP and gRPC."""

import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

_METHOD = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


class LogFarEnd:
    """Takes log records over HTTP, or answers with another status.

    Attributes:
        status: What it answers.
        paths: Where requests went.
    """

    def __init__(self) -> None:
        self.status = 200
        self.paths: list[str] = []
        self._requests: list[ExportLogsServiceRequest] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "LogFarEnd":
        far_end = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = zlib.decompress(body, zlib.MAX_WBITS | 16)
                status = far_end.status
                if self.path == "/v1/logs":
                    far_end.note(body, is_taken=status == 200)
                far_end.paths.append(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def logs_endpoint(self) -> str:
        return f"{self.endpoint}/v1/logs"

    def note(self, body: bytes, *, is_taken: bool) -> None:
        request = ExportLogsServiceRequest.FromString(body)
        with self._lock:
            if is_taken:
                self._requests.append(request)

    @property
    def records(self) -> list[Any]:
        """The log records that were taken."""
        with self._lock:
            return [
                record
                for request in self._requests
                for resource_logs in request.resource_logs
                for scope_logs in resource_logs.scope_logs
                for record in scope_logs.log_records
            ]

    @property
    def versions(self) -> dict[str, str | None]:
        """The version of each record, by its body."""
        return {record.body.string_value: attributes(record).get("logged_model.id") for record in self.records}


class GrpcLogFarEnd(LogFarEnd):
    """The same over gRPC; it takes everything."""

    def __enter__(self) -> "GrpcLogFarEnd":
        far_end = self

        class Handler(grpc.GenericRpcHandler):
            def service(self, details: Any) -> Any:
                far_end.paths.append(details.method)
                return grpc.unary_unary_rpc_method_handler(self.export) if details.method == _METHOD else None

            def export(self, body: bytes, context: Any) -> bytes:
                far_end.note(body, is_taken=True)
                return ExportLogsServiceResponse().SerializeToString()

        self._grpc = grpc.server(ThreadPoolExecutor(2), handlers=[Handler()], options=[("grpc.so_reuseport", 0)])
        self._port = self._grpc.add_insecure_port("127.0.0.1:0")
        self._grpc.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._grpc.stop(None).wait()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"


def attributes(record: Any) -> dict[str, str]:
    """The texts among a record's attributes."""
    return {pair.key: pair.value.string_value for pair in record.attributes}
