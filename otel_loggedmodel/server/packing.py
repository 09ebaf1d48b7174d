# SPDX-License-Identifier: Apache-2.0
"""Compresses pages on their way to a browser. What is shown first is sent first: each part is flushed.

Starlette's own middleware holds back the beginning of a page until there is more of it.

Pages have no secret of the site's in them, and the cookie of a session is strict. So nobody else can have a browser ask
for pages again and again to learn from their lengths what is on them.
"""

import zlib
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KINDS: Final = ("text/html", "text/css", "text/javascript", "image/svg+xml")
# Beyond this level, a page takes twice the time and is a twentieth smaller.
_LEVEL: Final = 5
_GZIP: Final = zlib.MAX_WBITS | 16
# Smaller answers fit into one packet anyway.
_LEAST_BYTES: Final = 1000


class Packing:
    """A middleware that compresses what browsers show.

    Args:
        app: What answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or not takes_gzip(Headers(scope=scope).get("accept-encoding", "")):
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _Packed(send).send)


class _Packed:
    """One answer."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._packer: Any = None

    async def send(self, message: Message) -> None:
        """A part of the answer."""
        if message["type"] == "http.response.start":
            # Whether it is worth it shows with the first part of the body.
            self._start = message
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        body, has_more = message.get("body", b""), message.get("more_body", False)
        if self._start is not None:
            start, self._start = self._start, None
            headers = MutableHeaders(scope=start)
            is_shown = headers.get("content-type", "").startswith(_KINDS) and "content-encoding" not in headers
            if is_shown and (has_more or len(body) >= _LEAST_BYTES):
                self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
                headers["Content-Encoding"] = "gzip"
                headers.add_vary_header("Accept-Encoding")
                del headers["Content-Length"]
                body = self._packed(body, has_more)
                if not has_more:
                    headers["Content-Length"] = str(len(body))
            await self._send(start)
        elif self._packer is not None:
            body = self._packed(body, has_more)
        await self._send({**message, "body": body})

    def _packed(self, body: bytes, has_more: bool) -> bytes:
        first: bytes = self._packer.compress(body)
        rest: bytes = self._packer.flush(zlib.Z_SYNC_FLUSH if has_more else zlib.Z_FINISH)
        return first + rest


def takes_gzip(accepted: str) -> bool:
    """Whether a client takes gzip, by its `Accept-Encoding` (RFC 9110, section 12.5.3)."""
    weights = {}
    for part in accepted.split(","):
        name, _, weight = part.partition(";")
        text = weight.strip().casefold().removeprefix("q=").strip()
        try:
            weights[name.strip().casefold()] = float(text) if text else 1.0
        except ValueError:
            weights[name.strip().casefold()] = 0.0
    return weights.get("gzip", weights.get("*", 0.0)) > 0
