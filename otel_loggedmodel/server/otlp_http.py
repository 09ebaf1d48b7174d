# SPDX-License-Identifier: Apache-2.0
"""OTLP over HTTP: https://opentelemetry.io/docs/specs/otlp/#otlphttp."""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from otel_loggedmodel.server.access import Access
from otel_loggedmodel.server.compression import check_encoding
from otel_loggedmodel.server.declining import DeclinedMetrics, points_in
from otel_loggedmodel.server.decoding import JSON, PROTOBUF
from otel_loggedmodel.server.intake import LOGS, TRACES, Intake, Place
from otel_loggedmodel.server.metrics import Metrics
from otel_loggedmodel.server.refusing import Reason, RefusalError, body_too_large, unavailable
from otel_loggedmodel.server.settings import Settings

_logger = logging.getLogger(__name__)

_PATH: Final = "/v1/traces"
_LOGS_PATH: Final = "/v1/logs"
_METRICS_PATH: Final = "/v1/metrics"
_METHODS: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class Sent(NamedTuple):
    """A request that has arrived."""

    body: bytes
    content_type: str
    encoding: str
    lane: str
    sender: str


Handler = Callable[[Sent], Awaitable[Message]]


class OtlpHttp:
    """The paths that OTLP exporters send to.

    Args:
        settings: The limits.
        access: Who may send.
        intake: Where requests go.
        metrics: What is counted.
        declined: What requests with metrics are answered.
    """

    def __init__(
        self, settings: Settings, access: Access, intake: Intake, metrics: Metrics, declined: DeclinedMetrics
    ) -> None:
        self._settings = settings
        self._declined = declined
        self._access = access
        self._intake = intake
        self._metrics = metrics

    def routes(self) -> list[Route]:
        """The routes, for every method: wrong ones get an answer that OTLP clients understand."""
        return [
            Route(_PATH, functools.partial(self._answer, self._store, TRACES), methods=_METHODS),
            Route(_LOGS_PATH, functools.partial(self._answer, self._store, LOGS), methods=_METHODS),
            Route(_METRICS_PATH, functools.partial(self._answer, self._decline, "metrics"), methods=_METHODS),
        ]

    async def _answer(self, handle: Handler, lane: str, request: Request) -> Response:
        content_type = _content_type(request)
        try:
            answer = _answer(200, await self._export(request, content_type, lane, handle), content_type)
        except RefusalError as error:
            answer = _refuse(error, content_type)
        except ClientDisconnect:
            self._metrics.requests.labels("http", "disconnected").inc()
            return Response()
        except asyncio.CancelledError:
            # The time for a shutdown is over. uvicorn's own answer would be 500.
            answer = _refuse(unavailable("the backend shut down before this was stored"), content_type)
        except Exception:
            # 500 would make the client throw its spans away: https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
            _logger.exception("a request with %s failed", lane)
            answer = _refuse(unavailable("the backend failed: its log says how"), content_type)
        self._metrics.requests.labels("http", str(answer.status_code)).inc()
        return answer

    async def _export(self, request: Request, content_type: str, lane: str, handle: Handler) -> Message:
        self._access.check_origin(request.headers.get("origin"))
        self._access.check_token_of(request)
        if request.method != "POST":
            raise RefusalError(Reason.WRONG_METHOD, f"{lane} are sent with POST, not {request.method}")
        if content_type not in (PROTOBUF, JSON):
            raise RefusalError(
                Reason.UNSUPPORTED, f"Content-Type {content_type!r} is not known here: send {PROTOBUF} or {JSON}"
            )
        encoding = request.headers.get("content-encoding", "").strip().lower() or "identity"
        check_encoding(encoding)
        with self._intake.place() as place:
            body = await self._body(request, place)
            self._metrics.received_bytes.labels("http").inc(len(body))
            return await handle(Sent(body, content_type, encoding, lane, _sender_of(request)))

    async def _store(self, sent: Sent) -> Message:
        taken = await asyncio.wrap_future(self._intake.take(sent.body, sent.content_type, sent.encoding, sent.lane))
        await asyncio.wrap_future(taken.stored)
        return taken.response

    async def _decline(self, sent: Sent) -> Message:
        return self._declined.answer(sent.sender, lambda: points_in(sent.body, sent.content_type, sent.encoding))

    async def _body(self, request: Request, place: Place) -> bytes:
        limit = self._settings.max_body_bytes
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > limit:
            raise body_too_large(limit)
        try:
            return await asyncio.wait_for(_read(request, place, limit), self._settings.request_seconds)
        except asyncio.TimeoutError:
            raise RefusalError(
                Reason.SLOW, f"the body did not arrive within {self._settings.request_seconds:g} seconds"
            ) from None


def answer_at_wrong_path(request: Request) -> Response | None:
    """What to tell an exporter that sends to a wrong path; None if the request is not from an exporter."""
    content_type = _content_type(request)
    path = request.url.path
    if request.method != "POST" or content_type not in (PROTOBUF, JSON) or path.startswith("/api/"):
        return None
    text = (
        f"traces are sent to {_PATH}, not to {path[:100]!r}: set OTEL_EXPORTER_OTLP_ENDPOINT to this backend's address "
        f"without a path, or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT to the address with {_PATH}"
    )
    return _refuse(RefusalError(Reason.UNKNOWN, text), content_type)


async def _read(request: Request, place: Place, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise body_too_large(limit)
        place.hold(len(chunk))
        chunks.append(chunk)
    return b"".join(chunks)


def _sender_of(request: Request) -> str:
    return "" if request.client is None else request.client.host


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _answer(status: int, message: Message, content_type: str, headers: dict[str, str] | None = None) -> Response:
    """An answer in the encoding of the request. The specification wants that for errors, too."""
    if content_type == PROTOBUF:
        return Response(message.SerializeToString(), status, headers, PROTOBUF)
    return Response(json_format.MessageToJson(message, indent=None), status, headers, JSON)


def _refuse(error: RefusalError, content_type: str) -> Response:
    headers: dict[str, str] = {}
    if error.retry_seconds is not None:
        headers["Retry-After"] = str(error.retry_seconds)
    if error.reason is Reason.UNAUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.reason is Reason.WRONG_METHOD:
        headers["Allow"] = "POST"
    if error.reason is Reason.SLOW:
        headers["Connection"] = "close"
    return _answer(error.reason.http_status, error.status(), content_type, headers)
