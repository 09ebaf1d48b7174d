# SPDX-License-Identifier: Apache-2.0
"""Lets the pages that were named send spans: browsers ask before they do, https://fetch.spec.whatwg.org/#http-cors-protocol.

A browser asks without the token, so it is answered before the token is looked at. Such a page may send, but not read:
the pages and the API of the backend stay closed to it.
"""

import re
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# How long a browser remembers an answer; Chromium's most.
_REMEMBER_SECONDS: Final = 7200
_SENT_BY_EXPORTERS: Final = "authorization, content-encoding, content-type"
_FORMS: Final = ("/login", "/logout")


class _AnswersToBrowsers(CORSMiddleware):
    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        # Where a browser asked for no header, its page may want to know what it could send.
        response.headers.setdefault("Access-Control-Allow-Headers", _SENT_BY_EXPORTERS)
        return response


class NamedOrigins:
    """Answers named pages as browsers want it, and leaves everybody else to the application.

    Args:
        app: The application.
        origins: The pages' origins, in lower case.
    """

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        self._app = app
        self._named = re.compile("|".join(map(re.escape, origins)), re.IGNORECASE)
        self._browsers = _AnswersToBrowsers(
            app,
            allow_origin_regex=f"(?i:{self._named.pattern})",
            allow_methods=["POST"],
            allow_headers=["*"],
            allow_private_network=True,
            # A page that is closed sends a beacon, which comes with cookies, though nothing here looks at them.
            allow_credentials=True,
            expose_headers=["Retry-After"],
            max_age=_REMEMBER_SECONDS,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or not _is_for_senders(scope):
            await self._app(scope, receive, send)
        elif self._named.fullmatch(Headers(scope=scope).get("origin", "")):
            await self._browsers(scope, receive, send)
        else:
            await self._app(scope, receive, _varying(send))


def _is_for_senders(scope: Scope) -> bool:
    """Whether an exporter may have meant to send there, even at a wrong path: its page should see the answer."""
    path = scope["path"]
    return path.startswith("/v1/") or (scope["method"] not in ("GET", "HEAD") and path not in _FORMS)


def _varying(send: Send) -> Send:
    async def varying(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).add_vary_header("Origin")
        await send(message)

    return varying
