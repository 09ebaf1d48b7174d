# SPDX-License-Identifier: Apache-2.0
"""The pages: what is asked of the store for each, and who may see them.

A page that takes long begins with its head, so that a browser shows something at once; the rest follows on the same
connection.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from otel_loggedmodel.pages import comparison, rows, trace, version, versions
from otel_loggedmodel.pages.addresses import SELECTION, Chosen, Links
from otel_loggedmodel.pages.templates import render, short_id, static, warm_up
from otel_loggedmodel.server.access import Access
from otel_loggedmodel.server.api import MAX_COMPARED, TRACE_ORDERS, Api, error_of, error_of_refusal
from otel_loggedmodel.server.metrics import Metrics
from otel_loggedmodel.server.parameters import BadParameterError
from otel_loggedmodel.server.questions import Questions
from otel_loggedmodel.server.refusing import RefusalError
from otel_loggedmodel.server.remembering import Memory, Remembering
from otel_loggedmodel.server.sessions import COOKIE, SESSION_SECONDS, Sessions
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.store.reading import Reader, RowFilter, Selection, TraceFilter, VersionFilter
from otel_loggedmodel.store.results import RowChange

_MOST_VERSIONS: Final = 10_000
_MOST_NAMES: Final = 1000
_TRACES_A_PAGE: Final = 50
_TRACES_OF_A_KIND: Final = 5
_MOST_PAGES: Final = 1000
_MOST_FORM_BYTES: Final = 16 * 1024
_FORM_SECONDS: Final = 10.0
# A page that takes longer than this begins before it is known whether it can be made.
_PATIENCE_SECONDS: Final = 0.08
_CONTENT: Final = "<!--content-->"
_STATIC: Final = {"pages.css": "text/css", "pages.js": "text/javascript", "icon.svg": "image/svg+xml"}
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
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


@dataclass(frozen=True)
class _Page:
    """A page that is asked for.

    Attributes:
        name: Of the page.
        title: As the browser's tab shows it.
        make: Asks the store, and makes the values that the template shows.
        template: Its file.
    """

    name: str
    title: str
    template: str
    make: Callable[[Reader], Mapping[str, Any]]


class Site:
    """The pages that people look at.

    Args:
        reader: Who answers.
        questions: How it is asked.
        access: Who may ask.
        settings: With the token that is asked for.
        metrics: What is counted.
        api: What answers programs at the first page's address.
    """

    def __init__(
        self, reader: Reader, questions: Questions, access: Access, settings: Settings, metrics: Metrics, api: Api
    ) -> None:
        self._reader = reader
        self._questions = questions
        self._access = access
        self._sessions = Sessions(settings)
        self._metrics = metrics
        self._api = api
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
        pages = {"/compare": self._compare, "/version": self._version, "/traces": self._traces, "/trace": self._trace}
        return [
            Route("/", self._first),
            *(Route(path, self._guarded(page)) for path, page in pages.items()),
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
        return await self._guarded(self._versions)(request)

    def _guarded(self, page: Callable[[Request], _Page]) -> Callable[[Request], Awaitable[Response]]:
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
        except RefusalError as error:
            return self._failed(error_of_refusal(error).status, str(error))
        if not self._sessions.are_needed or self._sessions.holds(request.cookies.get(COOKIE)):
            return None
        if request.headers.get("authorization") is not None:
            try:
                self._access.check_token(request.headers["authorization"])
            except RefusalError as error:
                return self._failed(401, str(error))
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
        return self._login(_local(request.query_params.get("next", "/")), is_wrong=False)

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
        cookie = self._sessions.begin(form.get("token", ""))
        if cookie is None:
            return self._login(target, is_wrong=True)
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
        response = RedirectResponse("/login", 303, _HEADERS)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return response

    def _login(self, target: str, *, is_wrong: bool) -> Response:
        values = {"title": "Log in", "next": target, "is_wrong": is_wrong}
        return self._html("login.html", values, 401 if is_wrong else 200)

    # What is asked for each

    def _versions(self, request: Request) -> _Page:
        query = _query(request, {"text", "name", "tag", "deleted", "page"})
        chosen, selection, now_ms = _chosen(query)
        which = versions.Filter(
            text=_one(query, "text") or "",
            name=_one(query, "name"),
            tag=_one(query, "tag") or "",
            deleted=_one(query, "deleted") == "true",
            page=_number(query, "page"),
        )
        address = f"{request.url.scheme}://{request.headers.get('host', 'localhost:4318')}"

        def make(reader: Reader) -> Mapping[str, Any]:
            found = reader.versions(VersionFilter(deleted=True, limit=_MOST_VERSIONS, counted=False), selection)
            listing = versions.listed(found, which, now_ms)
            activities = reader.activities(listing.model_ids, selection)
            links = Links(chosen)
            given = [(name, value) for name, value in request.query_params.multi_items() if name in _OF_VERSIONS]
            return {
                **versions.values(listing, activities, which, chosen, now_ms),
                "datasets": _datasets(reader),
                "is_empty": not found and not chosen.parameters,
                "address": address,
                "page_address": lambda page: links.versions(*given, ("page", page)),
            }

        return _Page("versions", "Versions", "versions.html", make)

    def _compare(self, request: Request) -> _Page:
        query = _query(request, {"version", "rows"})
        chosen, selection, _ = _chosen(query)
        asked = [value for value in query.get("version", ()) if value]
        if not 1 <= len(asked) <= MAX_COMPARED:
            raise BadParameterError("Tick two or more versions on the first page to compare them.")
        limit = _number(query, "rows", rows.LIMITS[0])

        def make(reader: Reader) -> Mapping[str, Any]:
            compared = reader.compare(asked, selection)
            activities = reader.activities(asked, selection)
            behaviour = reader.behaviour(asked, selection)
            changed: Sequence[RowChange] = ()
            if len(asked) == 2 and rows.have_rows(compared):
                changed = reader.rows(asked, RowFilter(limit=limit), selection)
            shown = comparison.values(compared, activities, behaviour, changed, chosen, limit)
            return {**shown, "asked": asked, "datasets": _datasets(reader), "known_names": _names(reader)}

        title = "Compare " + " and ".join(map(short_id, asked[:3])) + (" and others" if len(asked) > 3 else "")
        return _Page("compare", title, "compare.html", make)

    def _version(self, request: Request) -> _Page:
        query = _query(request, {"id"})
        chosen, selection, now_ms = _chosen(query)
        model_id = _one(query, "id")
        if model_id is None:
            raise BadParameterError("The address names no version.")

        def make(reader: Reader) -> Mapping[str, Any]:
            detail = reader.version(model_id, selection)
            own_id = detail.version.model_id
            found = []
            for label, order in (
                ("Slowest", "slowest"),
                ("Costliest", "costliest"),
                ("Worst scored", "worst"),
                ("Failed", "failed"),
            ):
                kind = TraceFilter(
                    errors_only=order == "failed",
                    order="newest" if order == "failed" else order,
                    limit=_TRACES_OF_A_KIND,
                )
                found.append((label, order, reader.traces(own_id, kind, selection)))
            shown = version.values(detail, found, chosen, now_ms)
            return {**shown, "datasets": _datasets(reader)}

        return _Page("version", f"Version {short_id(model_id)}", "version.html", make)

    def _traces(self, request: Request) -> _Page:
        query = _query(request, {"version", "order", "errors_only", "page"})
        chosen, selection, _ = _chosen(query)
        model_id, order, page = _one(query, "version"), _one(query, "order") or "newest", _number(query, "page")
        errors_only = _one(query, "errors_only") == "true"
        if order not in TRACE_ORDERS:
            raise BadParameterError(f"There is no such order of traces: use one of {', '.join(TRACE_ORDERS)}.")
        which = TraceFilter(
            errors_only=errors_only, order=order, limit=_TRACES_A_PAGE + 1, offset=(page - 1) * _TRACES_A_PAGE
        )

        def make(reader: Reader) -> Mapping[str, Any]:
            found = reader.traces(model_id, which, selection)
            links = Links(chosen)
            failed = [("errors_only", "true")] if errors_only else []
            return {
                "version": model_id,
                "known_names": _names(reader),
                "order": order,
                "orders": TRACE_ORDERS,
                "errors_only": errors_only,
                "found": found[:_TRACES_A_PAGE],
                "has_more": len(found) > _TRACES_A_PAGE,
                "page": page,
                "page_address": lambda number: links.traces(model_id, order, *failed, ("page", number)),
                "datasets": _datasets(reader),
                "chosen": chosen,
                "links": links,
            }

        title = "Traces" if model_id is None else f"Traces of {short_id(model_id)}"
        return _Page("traces", title, "traces.html", make)

    def _trace(self, request: Request) -> _Page:
        query = _query(request, {"id", "span", "text", "only", "page"})
        trace_id, span_id = _one(query, "id"), _one(query, "span")
        if trace_id is None:
            raise BadParameterError("The address names no trace.")
        text, only = _one(query, "text") or "", _one(query, "only") or ""
        page = _number(query, "page", 0)

        def make(reader: Reader) -> Mapping[str, Any]:
            found = trace.values(reader.trace(trace_id), span_id, text, only, page)
            links = Links()

            def page_address(number: int) -> str:
                return links.trace(trace_id, ("text", text), ("only", only), ("page", number))

            return {**found, "page_address": page_address}

        return _Page("trace", f"Trace {trace_id[:12]}", "trace.html", make)

    # How they are made

    async def _shown(self, request: Request, ask: Callable[[Request], _Page]) -> Response:
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

    async def _in_two(self, page: _Page, made: "asyncio.Future[str]") -> AsyncIterator[str]:
        yield render("head.html", self._around(page.name, page.title)) + '<p class="loading">Reading the store ...</p>'
        try:
            text = await made
        except (Exception, asyncio.CancelledError) as error:
            _, text = self._failure(error)
        yield text.partition(_CONTENT)[2]

    def _made(self, page: _Page) -> str:
        """A page; in a thread of its own."""
        reader = Remembering(self._memory)
        values = page.make(reader)
        return render(page.template, {**self._around(page.name, page.title), **values, "revision": reader.shown})

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
        return Response(static(name), 200, {**_HEADERS, "Cache-Control": "no-cache"}, _STATIC[name])

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


_OF_VERSIONS: Final = frozenset({"text", "name", "tag", "deleted"})


def _query(request: Request, known: set[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        found.setdefault(name, []).append(value)
    unknown = sorted(set(found) - known - SELECTION)
    if unknown:
        raise BadParameterError(f"The address has a parameter that is unknown here: {', '.join(unknown)}.")
    return found


def _chosen(query: Mapping[str, Sequence[str]]) -> tuple[Chosen, Selection, int]:
    """Which traces count, the same for a reader, and the time in ms."""
    chosen = Chosen.of(query)
    now = time.time()
    # What `24h` means moves on by the minute, so that its answers are good for some time.
    minute = datetime.fromtimestamp(now // 60 * 60, timezone.utc)
    return chosen, chosen.selection(minute), int(now * 1000)


def _datasets(reader: Reader) -> list[str]:
    """What data sets can be chosen by: their names, each of which may stand for several, else their digests."""
    return list(dict.fromkeys(dataset.name or dataset.digest for dataset in reader.datasets()))


def _names(reader: Reader) -> dict[str, str]:
    """The names of versions by their ids, those that were used or made last first."""
    found = reader.versions(VersionFilter(limit=_MOST_NAMES, counted=False))
    return {version.model_id: version.name for version in found if version.name is not None}


def _one(query: Mapping[str, Sequence[str]], name: str) -> str | None:
    return next((value for value in query.get(name, ()) if value), None)


def _number(query: Mapping[str, Sequence[str]], name: str, default: int = 1) -> int:
    text = _one(query, name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 6 or int(text) > _MOST_PAGES:
        raise BadParameterError(f"{name} is {text!r}: expected a number up to {_MOST_PAGES}.")
    return max(int(text), default)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form; each once.

    Raises:
        ValueError: It is none, or too long.
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
