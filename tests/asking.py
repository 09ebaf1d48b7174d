# SPDX-License-Identifier: Apache-2.0
"""Asking a running backend over HTTP: what it answers, and what it says of itself."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

PROTOBUF = "application/x-protobuf"
JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> Status:
        """What OTLP over protobuf says of an error."""
        assert self.headers["content-type"] == PROTOBUF
        return Status.FromString(self.body)

    @property
    def response(self) -> ExportTraceServiceResponse:
        assert self.status == 200
        return ExportTraceServiceResponse.FromString(self.body)


def ask(
    address: str,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30,
) -> Answer:
    """One HTTP request on a connection of its own."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=timeout)
    try:
        connection.request(method, path, body, dict(headers or {}))
        return read_answer(connection)
    finally:
        connection.close()


def post(address: str, body: Any, content_type: str = PROTOBUF, **headers: str) -> Answer:
    """Send traces; underscores in the names of headers stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(address, "POST", "/v1/traces", body, {"content-type": content_type, **named})


def read_answer(connection: http.client.HTTPConnection) -> Answer:
    response = connection.getresponse()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


def held_spans(address: str) -> int:
    """How many it has taken and not yet stored."""
    metrics = ask(address, "GET", "/metrics").body.decode()
    [line] = [line for line in metrics.splitlines() if line.startswith("otel_loggedmodel_queue_spans ")]
    return int(float(line.split()[1]))


def is_stopping(address: str) -> bool:
    """Whether it has heard that it is to stop, or has stopped."""
    try:
        return b"shutting down" in ask(address, "GET", "/readyz").body
    except (OSError, http.client.HTTPException):
        return True


def status_of(pid: int, key: str) -> int:
    """A number of https://man7.org/linux/man-pages/man5/proc_pid_status.5.html, in KiB where it is memory."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    [line] = [line for line in status.splitlines() if line.startswith(f"{key}:")]
    return int(line.split()[1])
