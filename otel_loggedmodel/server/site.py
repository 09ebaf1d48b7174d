# SPDX-License-Identifier: Apache-2.0
"""The pages: who may see them, and how they are sent.

What is asked of the store for each is in `page_questions` and `trace_questions`.

A page that takes long begins with its head, so that a browser shows something at once; the rest follows on the same
connection.
"""

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from opentelemetry.sdk.trace import ReadableSpan
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from otel_loggedmodel.pages import design, files
from otel_loggedmodel.pages.addresses import Links
from otel_loggedmodel.pages.templates import render, warm_up
from otel_loggedmodel.server import contents, writing
from otel_loggedmodel.server.access import Access
from otel_loggedmodel.server.api import Api, error_of, error_of_refusal
from otel_loggedmodel.server.intake import Intake
from otel_loggedmodel.server.metrics import Metrics
from otel_loggedmodel.server.packing import Packing, takes_gzip
from otel_loggedmodel.server.page_parts import Page
from otel_loggedmodel.server.page_questions import comparison_page, run_page, runs_page, version_page, versions_page
from otel_loggedmodel.server.parameters import BadParameterError
from otel_loggedmodel.server.questions import Questions
from otel_loggedmodel.server.refusing import RefusalError
from otel_loggedmodel.server.remembering import Memory, Remembering
from otel_loggedmodel.server.sessions import COOKIE, SESSION_SECONDS, Sessions
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.server.trace_questions import found_by, row_page, trace_page, traces_page
from otel_loggedmodel.server.tries import Tries
from otel_loggedmodel.server.writing import Writing
from otel_loggedmodel.store.reading import Reader, ReadingError
from otel_loggedmodel.store.trace_results import Trace

_MOST_FORM_BYTES: Final = 16 * 1024
_FORM_SECONDS: Final = 10.0
# A page that takes longer than this begins before it is known whether it can be made.
_PATIENCE_SECONDS: Final = 0.08
_CONTENT: Final = "<!--content-->"
_STATIC: Final = {
    "pages.css": "text/css",
    "pages.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "inter-latin.woff2": "font/woff2",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Vary": "Accept",
}


class Site:
    """The pages that people look at.

    Args:
        reader: Who answers.
        questions: How it is asked.
        access: Who may ask.
        settings: Settings, with the token that is asked for.
        metrics: What is counted.
        api: What answers programs at the first page's address.
        intake: What stores what people say.
    """

    def __init__(
        self,
        reader: Reader,
        questions: Questions,
        access: Access,
        settings: Settings,
        metrics: Metrics,
        api: Api,
        intake: Intake,
    ) -> None:
        self._reader = reader
        self._questions = questions
        self._access = access
        self._sessions = Sessions(settings)
        self._tries = Tries()
        self._metrics = metrics
        self._api = api
        self._writing = Writing(intake)
        self._is_dev = settings.dev
        self._memory = Memory(reader)
        self._warming_up = threading.Thread(target=warm_up, name="otel-loggedmodel templates")

    def start(self) -> None:
        """Prepare, without keeping anybody waiting."""
        self._warming_up.start()

    def close(self) -> None:
        """Ask nothing more."""
        self._warming_up.join()
        self._memory.close()

    def routes(self) -> list[Route]:
        """The routes."""
        pages = {
            "/compare": comparison_page,
            "/version": version_page,
            "/traces": traces_page,
            "/trace": trace_page,
            "/runs": runs_page,
            "/run": run_page,
            "/row": row_page,
        }
        packing = [Middleware(Packing)]
        return [
            Route("/", self._first, middleware=packing),
            *(Route(path, self._guarded(page), middleware=packing) for path, page in pages.items()),
            Route("/trace/content", self._content),
            Route("/trace/feedback", self._take_feedback, methods=["POST"]),
            Route("/trace/row", self._take_row, methods=["POST"]),
            Route("/find", self._find),
            *([Route("/design", self._design, middleware=packing)] if self._is_dev else []),
            Route("/revision", self._revision),
            Route("/login", self._show_login, methods=["GET"]),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", self._log_out, methods=["POST"]),
            Route("/static/{name}", self._static),
        ]

    # Who may see them

    async def _first(self, request: Request) -> Response:
        if not wants_html(request):
            return await self._api.index(request)
        return await self._guarded(versions_page)(request)

    def _guarded(self, page: Callable[[Request], Page]) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            started = time.perf_counter()
            response = self._refused(request) or await self._shown(request, page)
            self._metrics.questions.labels(str(response.status_code)).inc()
            self._metrics.question_seconds.observe(time.perf_counter() - started)
            return response

        return guarded

    def _refused(self, request: Request) -> Response | None:
        """The answer to somebody who may not see pages, or None."""
        try:
            self._access.check_host(request.headers.get("host"))
            self._access.check_page_site(request.headers)
        except RefusalError as error:
            return self._failed(error_of_refusal(error).status, str(error))
        if not self._sessions.are_needed or self._sessions.holds(request.cookies.get(COOKIE)):
            return None
        if request.headers.get("authorization") is not None:
            try:
                self._access.check_token_of(request)
            except RefusalError as error:
                return self._failed(error_of_refusal(error).status, str(error))
            return None
        if request.headers.get("sec-fetch-site") == "cross-site":
            # A strict cookie does not come along when a link in a chat is followed. It does when this page asks again.
            return self._html("again.html", {})
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(target, safe='')}", 303, _HEADERS)

    async def _show_login(self, request: Request) -> Response:
        try:
            self._access.check_host(request.headers.get("host"))
        except RefusalError as error:
            return self._failed(error_of_refusal(error).status, str(error))
        if not self._sessions.are_needed:
            return RedirectResponse("/", 303, _HEADERS)
        return self._login(_local(request.query_params.get("next", "/")))

    async def _log_in(self, request: Request) -> Response:
        try:
            self._access.check_host(request.headers.get("host"))
            form = await asyncio.wait_for(_form(request), _FORM_SECONDS)
        except RefusalError as error:
            return self._failed(error_of_refusal(error).status, str(error))
        except (ValueError, ClientDisconnect, asyncio.TimeoutError):
            return self._failed(400, "This is not what the form sends.")
        if not _is_own(request):
            return self._failed(403, "Another page may not log in here.")
        target = _local(form.get("next", "/"))
        address = request.client.host if request.client is not None else ""
        seconds = self._tries.seconds_to_wait(address)
        if seconds > 0:
            return self._login(target, wait_seconds=math.ceil(seconds))
        cookie = self._sessions.begin(form.get("token", ""))
        if cookie is None:
            self._tries.was_wrong(address)
            return self._login(target, is_wrong=True)
        self._tries.was_right(address)
        response = RedirectResponse(target, 303, _HEADERS)
        response.set_cookie(
            COOKIE,
            cookie,
            max_age=SESSION_SECONDS,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return response

    async def _log_out(self, request: Request) -> Response:
        if not _is_own(request):
            return self._failed(403, "Another page may not log out here.")
        self._sessions.end(request.cookies.get(COOKIE))
        response = RedirectResponse("/login", 303, _HEADERS)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    def _login(self, target: str, *, is_wrong: bool = False, wait_seconds: int = 0) -> Response:
        values = {"title": "Log in", "next": target, "is_wrong": is_wrong, "wait_seconds": wait_seconds}
        response = self._html("login.html", values, 429 if wait_seconds else 401 if is_wrong else 200)
        if wait_seconds:
            response.headers["Retry-After"] = str(wait_seconds)
        return response

    # How they are made

    async def _shown(self, request: Request, ask: Callable[[Request], Page]) -> Response:
        try:
            page = ask(request)
        except (BadParameterError, ValueError) as error:
            return self._failed(400, str(error))
        made = asyncio.ensure_future(self._questions.ask(lambda: self._made(page)))
        done, _ = await asyncio.wait({made}, timeout=_PATIENCE_SECONDS)
        if not done:
            return StreamingResponse(self._in_two(page, made), 200, _HEADERS, "text/html")
        try:
            return Response(made.result(), 200, _HEADERS, "text/html")
        except (Exception, asyncio.CancelledError) as error:
            status, text = self._failure(error)
            return Response(text, status, _HEADERS, "text/html")

    async def _in_two(self, page: Page, made: "asyncio.Future[str]") -> AsyncIterator[str]:
        yield render("head.html", self._around(page.name, page.title)) + '<p class="loading">Reading the store ...</p>'
        try:
            text = await made
        except (Exception, asyncio.CancelledError) as error:
            _, text = self._failure(error)
        yield text.partition(_CONTENT)[2]

    def _made(self, page: Page) -> str:
        """A page; in a thread of its own."""
        reader = Remembering(self._memory)
        values = page.make(reader)
        return render(page.template, {**self._around(page.name, page.title), **values, "revision": reader.shown})

    async def _content(self, request: Request) -> Response:
        """A value or a file of a span, as it is."""
        refused = self._refused(request)
        if refused is not None:
            return refused
        try:
            which = contents.Wanted.of_query(request.query_params)
            content = await self._questions.ask(lambda: which.found_in(Remembering(self._memory)))
        except (BadParameterError, ValueError) as error:
            return self._failed(400, str(error))
        except contents.NotThereError as error:
            return self._failed(404, str(error))
        except Exception as error:
            status, text = self._failure(error)
            return Response(text, status, _HEADERS, "text/html")
        return Response(content.body, 200, {**_HEADERS, **content.headers}, content.media_type)

    async def _take_feedback(self, request: Request) -> Response:
        """What somebody says of a trace."""
        return await self._take(
            request,
            "scores",
            lambda trace, form: [writing.feedback_of(trace, form.get("said", ""), form.get("comment", ""))],
        )

    async def _take_row(self, request: Request) -> Response:
        """A trace that becomes a row of a data set."""
        return await self._take(
            request,
            "add",
            lambda trace, form: writing.row_of(trace, form.get("dataset", ""), form.get("expected", "")),
        )

    async def _take(
        self, request: Request, place: str, make: Callable[[Trace, Mapping[str, str]], Sequence[ReadableSpan]]
    ) -> Response:
        """Store what a form says of a trace, and go back to where it stands."""
        refused = self._refused(request)
        if refused is not None:
            return refused
        if not _is_own(request):
            return self._failed(403, "Another page may not write here.")
        try:
            form = await asyncio.wait_for(_form(request), _FORM_SECONDS)
            trace_id = form.get("id", "")
            trace = await self._questions.ask(lambda: writing.read(self._reader, trace_id))
            await self._writing.store(make(trace, form))
            self._memory.was_written()
        except ReadingError as error:
            status, text = self._failure(error)
            return Response(text, status, _HEADERS, "text/html")
        except RefusalError as error:
            return self._failed(error_of_refusal(error).status, str(error))
        except (TypeError, ValueError, ClientDisconnect, asyncio.TimeoutError) as error:
            return self._failed(400, f"This cannot be stored: {error or 'it is not what the form sends'}.")
        parameters = [("stored", place), *((("from", form["from"]),) if "from" in form else ())]
        return RedirectResponse(Links().trace(trace_id, *parameters) + f"#{place}", 303, _HEADERS)

    async def _revision(self, request: Request) -> Response:
        refused = self._refused(request)
        if refused is not None:
            return Response("", 401, _HEADERS)
        try:
            revision = await self._questions.ask(self._reader.revision)
        except Exception as error:
            return Response("", error_of(error).status, _HEADERS)
        return Response(revision, 200, _HEADERS, "text/plain")

    async def _static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            raise HTTPException(404)
        # What pages refer to has its content in its address, so that a browser asks for it once.
        is_dated = request.query_params.get("v") == files.digest(name)
        headers = {**_HEADERS, "Cache-Control": _FOR_EVER if is_dated else "no-cache"}
        if takes_gzip(request.headers.get("accept-encoding", "")):
            packed = files.packed(name)
            if packed is not None:
                headers |= {"Content-Encoding": "gzip", "Vary": "Accept, Accept-Encoding"}
                return Response(packed, 200, headers, _STATIC[name])
        return Response(files.content(name), 200, headers, _STATIC[name])

    async def _design(self, request: Request) -> Response:
        values = {**self._around("design", "Components"), **design.values()}
        return self._refused(request) or Response(render("design.html", values), 200, _HEADERS, "text/html")

    async def _find(self, request: Request) -> Response:
        """What the field on top finds: a trace by its id, a version by its id or name, else a text of traces."""
        refused = self._refused(request)
        if refused is not None:
            return refused
        text = request.query_params.get("text", "").strip()
        try:
            address = await self._questions.ask(lambda: found_by(Remembering(self._memory), text))
        except Exception as error:
            status, page = self._failure(error)
            return Response(page, status, _HEADERS, "text/html")
        return RedirectResponse(address, 303, _HEADERS)

    def not_there(self, request: Request) -> Response | None:
        """What a browser gets at an address where nothing is; None for anything else."""
        if not wants_html(request):
            return None
        return self._refused(request) or self._failed(404, f"There is no page at {request.url.path}.")

    def _failed(self, status: int, message: str, suggestions: Sequence[str] = ()) -> Response:
        return Response(self._failed_page(message, suggestions), status, _HEADERS, "text/html")

    def _failed_page(self, message: str, suggestions: Sequence[str] = ()) -> str:
        values = {"message": message, "suggestions": suggestions, "links": Links()}
        return render("failed.html", {**self._around("failed", "This cannot be shown"), **values})

    def _failure(self, error: BaseException) -> tuple[int, str]:
        answer = error_of(error)
        return answer.status, self._failed_page(str(answer), answer.suggestions)

    def _html(self, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
        around = {"page_name": "", "has_navigation": False, "has_token": False}
        return Response(render(template, {**around, **values}), status, _HEADERS, "text/html")

    def _around(self, name: str, title: str) -> dict[str, Any]:
        return {
            "page_name": name,
            "title": title,
            "has_navigation": True,
            "has_token": self._sessions.are_needed,
        }


def wants_html(request: Request) -> bool:
    """Whether a browser asks: nothing else says that it takes HTML."""
    return "text/html" in request.headers.get("accept", "")


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; each once.

    Raises:
        ValueError: It is no form, or too long.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_FORM_BYTES:
            raise ValueError("too long")
    return {name: values[0] for name, values in parse_qs(body.decode(), max_num_fields=10).items()}


def _is_own(request: Request) -> bool:
    """Whether a form is of this site's pages: others say where they are from."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _local(target: str) -> str:
    """An address of this site's, or the first page instead of any other."""
    is_local = target.startswith("/") and not target.startswith("//") and "\\" not in target and target.isprintable()
    return quote(target, safe="/?&=%+~:,;@!$'()*-._") if is_local else "/"
