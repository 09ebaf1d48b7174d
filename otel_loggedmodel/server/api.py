# SPDX-License-Identifier: Apache-2.0
"""The JSON API: versions, their comparison, their traces. It only reads.

Answers are `store.results` and `store.trace_results` as JSON. Errors are
`{"error": {"code", "message", "suggestions"}}`; `store.remote` turns them back into the exceptions of `store.reading`.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final

import msgspec
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel_loggedmodel.presenting import misuse
from otel_loggedmodel.server.access import Access
from otel_loggedmodel.server.metrics import Metrics
from otel_loggedmodel.server.parameters import SELECTION, BadParameterError, Parameters
from otel_loggedmodel.server.questions import Questions, TooManyQuestionsError
from otel_loggedmodel.server.refusing import BUSY_SECONDS, UNAVAILABLE_SECONDS, Reason, RefusalError
from otel_loggedmodel.store.reading import (
    FOUND_BY,
    ROW_CHANGES,
    AmbiguousVersionError,
    Reader,
    ReadingError,
    RowFilter,
    RunFilter,
    Selection,
    StoreUnavailableError,
    TraceFilter,
    UnknownRunError,
    UnknownTraceError,
    UnknownVersionError,
    VersionFilter,
)
from otel_loggedmodel.version import __version__

_logger = logging.getLogger(__name__)

MAX_LISTED: Final = 10_000
MAX_OFFSET: Final = 10_000_000
MAX_COMPARED: Final = 100
MAX_ROWS: Final = 1000
TRACE_ORDERS: Final = ("newest", "slowest", "costliest", "worst")
_OF_TRACES: Final = frozenset({"version", "errors_only", *FOUND_BY}) | SELECTION
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_PATHS: Final = (
    "/api/v1/versions",
    "/api/v1/versions/{version}",
    "/api/v1/compare",
    "/api/v1/activities",
    "/api/v1/behaviour",
    "/api/v1/datasets",
    "/api/v1/deployments",
    "/api/v1/runs",
    "/api/v1/runs/{run}",
    "/api/v1/revision",
    "/api/v1/compare/rows",
    "/api/v1/traces",
    "/api/v1/traces/facets",
    "/api/v1/traces/{trace_id}",
    "/api/v1/store",
    "/api/v1/openapi.json",
    "/metrics",
    "/healthz",
    "/readyz",
)


class _AnythingConvertor(Convertor[str]):
    """The rest of a path, whatever it is: a name of a version may have slashes and line breaks."""

    regex = "(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("anything", _AnythingConvertor())


class ApiError(Exception):
    """A question is not answered.

    Args:
        status: The HTTP status.
        code: What went wrong, for programs.
        message: What went wrong, for people.
        suggestions: What may have been meant.
        headers: The headers of the answer.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        suggestions: Sequence[str] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.suggestions = suggestions
        self.headers = headers or {}

    def response(self) -> Response:
        """The answer."""
        error = {"code": self.code, "message": str(self), "suggestions": self.suggestions}
        return json_response({"error": error}, self.status, self.headers)


class Api:
    """The paths that people and programs read from.

    Args:
        reader: Who answers.
        questions: How they are asked.
        access: Who may ask.
        metrics: What is counted and shown.
        trouble: Why nothing can be stored at the moment, or None.
    """

    def __init__(
        self,
        reader: Reader,
        questions: Questions,
        access: Access,
        metrics: Metrics,
        trouble: Callable[[], str | None],
    ) -> None:
        self._reader = reader
        self._questions = questions
        self._access = access
        self._metrics = metrics
        self._trouble = trouble

    def routes(self) -> list[Route]:
        """The routes."""
        questions = {
            "/api/v1/versions": self._versions,
            "/api/v1/versions/{version:anything}": self._version,
            "/api/v1/compare": self._compare,
            "/api/v1/activities": self._activities,
            "/api/v1/behaviour": self._behaviour,
            "/api/v1/datasets": self._datasets,
            "/api/v1/deployments": self._deployments,
            "/api/v1/runs": self._runs,
            "/api/v1/runs/{run:anything}": self._run,
            "/api/v1/revision": self._revision,
            "/api/v1/compare/rows": self._rows,
            "/api/v1/traces": self._traces,
            "/api/v1/traces/facets": self._facets,
            "/api/v1/traces/{trace_id:anything}": self._trace,
        }
        return [
            Route("/metrics", self._guarded(self._show_metrics)),
            Route("/healthz", self._show_health),
            Route("/readyz", self._show_readiness),
            *(Route(path, self._guarded(self._counted(question))) for path, question in questions.items()),
        ]

    def _guarded(self, handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """A handler for those who may ask."""

        async def guarded(request: Request) -> Response:
            try:
                self._access.check_question(request)
            except RefusalError as error:
                return error_of_refusal(error).response()
            return await handler(request)

        return guarded

    def _counted(self, handler: Callable[[Request], Awaitable[bytes]]) -> Callable[[Request], Awaitable[Response]]:
        """A handler whose answers are JSON, errors too, and are counted."""

        async def counted(request: Request) -> Response:
            started = time.perf_counter()
            try:
                response = _response(await handler(request))
            except (Exception, asyncio.CancelledError) as error:
                response = error_of(error).response()
            self._metrics.questions.labels(str(response.status_code)).inc()
            self._metrics.question_seconds.observe(time.perf_counter() - started)
            return response

        return counted

    async def _versions(self, request: Request) -> bytes:
        parameters = _parameters(request, {"name", "tag", "param", "deleted", "limit"} | SELECTION)
        which = VersionFilter(
            name=parameters.text("name"),
            tags=parameters.pairs("tag"),
            params=parameters.pairs("param"),
            deleted=parameters.flag("deleted"),
            limit=parameters.number("limit", VersionFilter.limit, 1, MAX_LISTED),
        )
        selection = parameters.selection()
        return await self._ask(lambda: misuse.with_notes(self._reader.versions(which, selection)))

    async def _runs(self, request: Request) -> bytes:
        parameters = _parameters(request, {"version", "dataset", "limit"})
        which = RunFilter(
            version=parameters.text("version"),
            dataset=parameters.text("dataset"),
            limit=parameters.number("limit", RunFilter.limit, 1, MAX_LISTED),
        )
        return await self._ask(lambda: {"runs": self._reader.runs(which)})

    async def _run(self, request: Request) -> bytes:
        _parameters(request, ())
        run = request.path_params["run"]
        return await self._ask(lambda: {"runs": self._reader.run(run)})

    async def _version(self, request: Request) -> bytes:
        selection = _parameters(request, SELECTION).selection()
        version = request.path_params["version"]
        return await self._ask(lambda: self._reader.version(version, selection))

    async def _compare(self, request: Request) -> bytes:
        versions, selection = _versions_asked(request)
        return await self._ask(lambda: self._reader.compare(versions, selection))

    async def _activities(self, request: Request) -> bytes:
        versions, selection = _versions_asked(request)
        return await self._ask(lambda: self._reader.activities(versions, selection))

    async def _behaviour(self, request: Request) -> bytes:
        versions, selection = _versions_asked(request)
        return await self._ask(lambda: self._reader.behaviour(versions, selection))

    async def _datasets(self, request: Request) -> bytes:
        _parameters(request, ())
        return await self._ask(lambda: {"datasets": self._reader.datasets()})

    async def _deployments(self, request: Request) -> bytes:
        _parameters(request, ())
        return await self._ask(lambda: {"deployments": self._reader.deployments()})

    async def _revision(self, request: Request) -> bytes:
        _parameters(request, ())
        return await self._ask(lambda: {"revision": self._reader.revision()})

    async def _rows(self, request: Request) -> bytes:
        parameters = _parameters(request, {"version", "score", "limit", "change", "with_others"} | SELECTION)
        versions = _versions_to_compare(parameters, 2)
        which = RowFilter(
            score=parameters.text("score"),
            limit=parameters.number("limit", RowFilter.limit, 1, MAX_ROWS),
            change=parameters.choice("change", ("", *ROW_CHANGES), "") or None,
            with_others=parameters.flag("with_others"),
        )
        selection = parameters.selection()
        return await self._ask(lambda: {"rows": self._reader.rows(versions, which, selection)})

    async def _traces(self, request: Request) -> bytes:
        parameters = _parameters(request, {*_OF_TRACES, "order", "limit", "offset"})
        versions, selection = _versions_or_all(parameters), parameters.selection()
        which = _traces_asked(parameters)
        return await self._ask(lambda: {"traces": self._reader.traces(versions, which, selection)})

    async def _facets(self, request: Request) -> bytes:
        parameters = _parameters(request, _OF_TRACES)
        versions, selection = _versions_or_all(parameters), parameters.selection()
        which = _traces_asked(parameters)
        return await self._ask(lambda: self._reader.facets(versions, which, selection))

    async def _trace(self, request: Request) -> bytes:
        _parameters(request, ())
        trace_id = request.path_params["trace_id"]
        return await self._ask(lambda: self._reader.trace(trace_id))

    async def _ask(self, question: Callable[[], object]) -> bytes:
        # Encoded in the thread as well: a long list would keep the event loop from everything else.
        return await self._questions.ask(lambda: msgspec.json.encode(question()))

    async def index(self, request: Request) -> Response:
        """What there is, for programs. The pages decide who gets it at their first address."""
        return await self._guarded(self._index)(request)

    async def _index(self, request: Request) -> Response:
        return json_response(
            {"name": "otel-loggedmodel", "version": __version__, "traces": "/v1/traces", "paths": _PATHS}
        )

    async def _show_metrics(self, request: Request) -> Response:
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _show_health(self, request: Request) -> Response:
        return json_response({"status": "ok"})

    async def _show_readiness(self, request: Request) -> Response:
        trouble = self._trouble()
        if trouble is None:
            return json_response({"status": "ready"})
        return json_response(
            {"status": "unavailable", "reason": trouble}, 503, {"Retry-After": str(UNAVAILABLE_SECONDS)}
        )


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """The answer to a request for what is not there, as an exception handler of Starlette."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        return ApiError(
            405,
            "method_not_allowed",
            f"{request.method} is not for this path; traces are sent to /v1/traces",
            headers=headers,
        ).response()
    return ApiError(
        404, "not_found", f"nothing here; traces are sent to /v1/traces, and there are: {', '.join(_PATHS)}"
    ).response()


def _parameters(request: Request, known: Collection[str]) -> Parameters:
    return Parameters(request.query_params.multi_items(), known)


def _traces_asked(parameters: Parameters) -> TraceFilter:
    return TraceFilter(
        errors_only=parameters.flag("errors_only"),
        **{name: parameters.text(name) for name in FOUND_BY},
        order=parameters.choice("order", TRACE_ORDERS, TraceFilter.order),
        limit=parameters.number("limit", TraceFilter.limit, 1, MAX_LISTED),
        offset=parameters.number("offset", TraceFilter.offset, 0, MAX_OFFSET),
    )


def _versions_asked(request: Request) -> tuple[list[str], Selection]:
    parameters = _parameters(request, {"version"} | SELECTION)
    return _versions_to_compare(parameters, 1), parameters.selection()


def _versions_or_all(parameters: Parameters) -> list[str] | None:
    versions = parameters.texts("version")
    if len(versions) > MAX_COMPARED:
        raise BadParameterError(f"version is given {len(versions)} times: expected at most {MAX_COMPARED}")
    return versions or None


def _versions_to_compare(parameters: Parameters, least: int) -> list[str]:
    versions = parameters.texts("version")
    if not least <= len(versions) <= MAX_COMPARED:
        raise BadParameterError(f"version is given {len(versions)} times: expected {least} to {MAX_COMPARED}")
    return versions


def json_response(content: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A value as JSON, which nobody may cache."""
    return _response(msgspec.json.encode(content), status, headers)


def _response(content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(content, status, {**_HEADERS, **(headers or {})}, "application/json")


def error_of_refusal(error: RefusalError) -> ApiError:
    """What is answered to those who may not ask."""
    if error.reason is Reason.UNAUTHENTICATED:
        return ApiError(401, "unauthorized", str(error), headers={"WWW-Authenticate": "Bearer"})
    headers = {} if error.retry_seconds is None else {"Retry-After": str(error.retry_seconds)}
    return ApiError(error.reason.http_status, error.reason.name.lower(), str(error), headers=headers)


def error_of(error: BaseException) -> ApiError:
    """What is answered where a question fails."""
    match error:
        case UnknownVersionError():
            return ApiError(404, "unknown_version", str(error), error.suggestions)
        case AmbiguousVersionError():
            return ApiError(409, "ambiguous_version", str(error))
        case UnknownRunError():
            return ApiError(404, "unknown_run", str(error))
        case UnknownTraceError():
            return ApiError(404, "unknown_trace", str(error))
        case StoreUnavailableError():
            return ApiError(503, "store_unavailable", str(error), headers={"Retry-After": str(UNAVAILABLE_SECONDS)})
        case TooManyQuestionsError():
            text = "too many questions are being asked: try again"
            return ApiError(503, "busy", text, headers={"Retry-After": str(BUSY_SECONDS)})
        case asyncio.CancelledError():
            return ApiError(503, "shutting_down", "the backend shut down before this was answered")
        case BadParameterError() | ReadingError():
            return ApiError(400, "bad_request", str(error))
    _logger.error("a question failed", exc_info=error)
    return ApiError(500, "internal", "the backend failed: its log says how")
