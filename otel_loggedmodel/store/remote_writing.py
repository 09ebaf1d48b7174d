# SPDX-License-Identifier: Apache-2.0
"""Sends spans to a running backend: one OTLP request at a time, acknowledged when it is stored.

For commands that fill the store that they read. Applications send with an OTLP exporter.
"""

import http.client
import ssl
import time
from collections.abc import Sequence
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from otel_loggedmodel.store.reading import StoreUnavailableError
from otel_loggedmodel.store.remote import untrusted
from otel_loggedmodel.store.writing import RefusedError

_TIMEOUT_SECONDS: Final = 30.0
# How long to wait for a backend that is starting again, or that has too much to do.
_PATIENCE_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.5
_MAX_PAUSE_SECONDS: Final = 5.0
# Source: https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
_RETRYABLE: Final = frozenset({429, 502, 503, 504})
# A wrong token, a wrong address.
_UNAVAILABLE: Final = frozenset({401, 403, 404, 405})
_MAX_WORDS: Final = 300


class RemoteWriter:
    """Stores spans in a backend over HTTP, as a `SpanWriter` does in a database.

    Args:
        url: The backend's URL, as `http://localhost:4318`.
        token: What it wants to see, if anything.
        patience: Seconds for which it is asked again when it cannot take them at the moment.
        signal: `traces`, or `logs` for log records.
    """

    def __init__(
        self, url: str, token: str | None = None, patience: float = _PATIENCE_SECONDS, signal: str = "traces"
    ) -> None:
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._url = url.rstrip("/")
        self._connect = partial(kind, parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS)
        self._path = parts.path.rstrip("/") + f"/v1/{signal}"
        self._patience = patience
        self._headers = {"Content-Type": "application/x-protobuf", "Connection": "close"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def insert(self, requests: Sequence[bytes]) -> None:
        """Store spans; they are durable when it returns.

        Raises:
            StoreUnavailableError: The backend cannot be reached, is not ours to write to, or has no room.
            RefusedError: It does not take them, now or later.
        """
        body = b"".join(requests)  # requests that are joined are one request
        deadline = time.monotonic() + self._patience
        while True:
            retry_after = self._try(body, is_last=time.monotonic() >= deadline)
            if retry_after is None:
                return
            time.sleep(min(max(retry_after, _PAUSE_SECONDS), _MAX_PAUSE_SECONDS))

    def close(self) -> None:
        """Nothing: no connection is kept."""

    def _try(self, body: bytes, *, is_last: bool) -> float | None:
        """Send it once: None where it was stored, else after how many seconds to try again."""
        connection = self._connect()
        try:
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
            status, answer, retry_after = response.status, response.read(), response.getheader("Retry-After")
        except ssl.SSLCertVerificationError as error:
            raise untrusted(self._url, error) from error
        except (OSError, http.client.HTTPException) as error:
            if not is_last:
                return _PAUSE_SECONDS
            raise StoreUnavailableError(
                f"the backend at {self._url} does not take spans ({error or type(error).__name__}): is it running?"
            ) from error
        finally:
            connection.close()
        if status == http.HTTPStatus.OK:
            _check_all_taken(answer)
            return None
        words = _words_of(answer)
        if status in _RETRYABLE and not is_last:
            return float(retry_after) if retry_after and retry_after.isdecimal() else _PAUSE_SECONDS
        if status in _RETRYABLE or status in _UNAVAILABLE:
            raise StoreUnavailableError(f"the backend at {self._url} does not take spans ({status}): {words}")
        raise RefusedError(f"{status}: {words}")


def _check_all_taken(answer: bytes) -> None:
    """Complain where an acknowledgement says that spans were left out."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    try:
        said = ExportTraceServiceResponse.FromString(answer).partial_success
    except DecodeError:
        raise StoreUnavailableError("what answers there is no otel-loggedmodel backend") from None
    if said.rejected_spans:
        raise RefusedError(said.error_message[:_MAX_WORDS])


def _words_of(answer: bytes) -> str:
    """What a refusal says."""
    from google.protobuf.message import DecodeError
    from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

    try:
        return str(Status.FromString(answer).message)[:_MAX_WORDS]
    except DecodeError:
        return answer.decode(errors="replace").strip()[:_MAX_WORDS]
