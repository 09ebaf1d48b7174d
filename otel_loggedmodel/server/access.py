# SPDX-License-Identifier: Apache-2.0
"""Who may send and ask: whoever has the token, and no web page.

A backend on a developer's machine is within reach of every page in that developer's browser. A page's own requests
carry `Origin`; a page that makes its own name point to this machine (DNS rebinding) carries that name in `Host`.
"""

import hmac
import math
from collections.abc import Mapping
from typing import Final

from starlette.requests import Request

from otel_loggedmodel.server.refusing import Reason, RefusalError, busy
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.server.tries import ProgramTries

# Values of `Sec-Fetch-Site`: no page asks, as for an address that was typed in, or one of this backend's own pages.
_OWN_SITES: Final = frozenset({"none", "same-origin"})
_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Access:
    """The checks that apply to a request before anything else of it is looked at."""

    def __init__(self, settings: Settings) -> None:
        self._token = None if settings.token is None else settings.token.encode()
        self._tries = ProgramTries()
        self._origins = settings.origins
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self._hosts = {*_LOCAL_NAMES, host.lower()} if settings.is_loopback and settings.token is None else None

    @property
    def has_token(self) -> bool:
        """Whether clients have to present a token."""
        return self._token is not None

    def check_question(self, request: Request, *, wants_token: bool = True) -> None:
        """See that the API may be asked: from this machine or with the token, and by no page of another site.

        Raises:
            RefusalError: It may not.
        """
        self.check_host(request.headers.get("host"))
        self.check_site(request.headers)
        if wants_token:
            self.check_token_of(request)

    def check_site(self, headers: Mapping[str, str]) -> None:
        """See that no page of another site asks. It could not read the answer, but making that costs as much.

        Browsers say whose page asks (https://www.w3.org/TR/fetch-metadata/); other clients say nothing.

        Raises:
            RefusalError: One does.
        """
        if headers.get("sec-fetch-site", "none") not in _OWN_SITES:
            raise RefusalError(Reason.FORBIDDEN, "a page of another site may not ask this backend")

    def check_page_site(self, headers: Mapping[str, str]) -> None:
        """See that a page is opened, by a link from anywhere, and not built into a page of another site.

        Raises:
            RefusalError: It is.
        """
        mode, purpose = headers.get("sec-fetch-mode", "navigate"), headers.get("sec-fetch-dest", "document")
        if (mode, purpose) != ("navigate", "document"):
            self.check_site(headers)

    def check_token_of(self, request: Request) -> None:
        """See that a request has the token, if there is one.

        Raises:
            RefusalError: It has not.
        """
        self.check_token(request.headers.get("authorization"), request.client.host if request.client else "")

    def check_token(self, authorization: str | None, address: str) -> None:
        """See that the value of an `authorization` header has the token, if there is one.

        Args:
            authorization: The value.
            address: Where the request is from: one that several wrong tokens came from has to wait.

        Raises:
            RefusalError: It has not.
        """
        if self._token is None:
            return
        scheme, _, presented = (authorization or "").partition(" ")
        if scheme.lower() == "bearer":
            seconds = self._tries.seconds_to_wait(address)
            if seconds > 0:
                wait = math.ceil(seconds)
                raise busy(f"too many wrong tokens came from {address}: none is looked at for {wait} s", wait)
            token = presented.strip().encode()
            # This takes equally long for all tokens of the same length.
            if hmac.compare_digest(token, self._token):
                self._tries.was_right(address)
                return
            self._tries.was_wrong(address, token)
        raise RefusalError(
            Reason.UNAUTHENTICATED,
            "this backend wants its token, as in 'Authorization: Bearer <token>': exporters send it with "
            "OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20<token>",
        )

    def check_origin(self, origin: str | None) -> None:
        """See that no web page sends this, unless it may.

        Raises:
            RefusalError: It is another page's.
        """
        if origin is not None and origin.lower() not in self._origins:
            raise RefusalError(
                Reason.FORBIDDEN,
                f"pages of {origin!r} may not send traces to this backend, unless it is started with --allow-origin",
            )

    def check_host(self, host: str | None) -> None:
        """See that a question was addressed to this machine, where only its own users may ask and need no token.

        Raises:
            RefusalError: It was addressed to something else.
        """
        if self._hosts is None:
            return
        name = host or ""
        bracket = name.rfind("]")
        colon = name.rfind(":")
        if colon > bracket:
            name = name[:colon]
        if name.lower().rstrip(".") not in self._hosts:
            raise RefusalError(
                Reason.MISDIRECTED,
                f"this backend answers to localhost, not to {host!r}: to use it through another name, give it a token "
                "with OTEL_LOGGEDMODEL_TOKEN",
            )
