# SPDX-License-Identifier: Apache-2.0
"""Who has logged in: a cookie that only somebody with the token could have got.

A browser cannot be made to send the token with each page, so that it is asked for once. The cookie says until when it
holds, and a code of that under the token proves it. Nothing is stored: another token ends all sessions.
"""

import hashlib
import hmac
import time
from typing import Final

from otel_loggedmodel.server.settings import Settings

COOKIE: Final = "otel_loggedmodel_session"
SESSION_SECONDS: Final = 12 * 3600


class Sessions:
    """Begins sessions and knows them again.

    Args:
        settings: With the token.
    """

    def __init__(self, settings: Settings) -> None:
        self._token = None if settings.token is None else settings.token.encode()

    @property
    def are_needed(self) -> bool:
        """Whether pages are for those alone who have the token."""
        return self._token is not None

    def begin(self, presented: str) -> str | None:
        """The cookie of a new session, where what is presented is the token."""
        if self._token is None or not hmac.compare_digest(presented.strip().encode(), self._token):
            return None
        until = int(time.time()) + SESSION_SECONDS
        return f"{until}.{self._code(until)}"

    def holds(self, cookie: str | None) -> bool:
        """Whether a cookie is that of a session that is not over."""
        until, _, code = (cookie or "").partition(".")
        if not until.isascii() or not until.isdecimal() or len(until) > 12:
            return False
        is_ours = hmac.compare_digest(code.encode(), self._code(int(until)).encode())
        return is_ours and int(until) > time.time()

    def _code(self, until: int) -> str:
        return hmac.new(self._token or b"", f"session until {until}".encode(), hashlib.sha256).hexdigest()
