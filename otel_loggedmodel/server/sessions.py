# SPDX-License-Identifier: Apache-2.0
"""Who has logged in: a cookie that only somebody with the token could have got.

A browser cannot be made to send the token with each page, so that it is asked for once. The cookie is a random number
that this process remembers until the session is over: after twelve hours, with a logout, or when the backend ends.
"""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from typing import Final

from otel_loggedmodel.server.settings import Settings

COOKIE: Final = "otel_loggedmodel_session"
SESSION_SECONDS: Final = 12 * 3600
_MOST_SESSIONS: Final = 10_000


class Sessions:
    """Begins sessions, knows them again and ends them; to be used by one thread.

    Args:
        settings: Settings, with the token.
    """

    def __init__(self, settings: Settings) -> None:
        self._token = None if settings.token is None else settings.token.encode()
        # When each is over, by the digest of its cookie: looking one up then tells nothing by the time it takes.
        self._until: OrderedDict[bytes, float] = OrderedDict()

    @property
    def are_needed(self) -> bool:
        """Whether pages are only for those who have the token."""
        return self._token is not None

    def begin(self, presented: str) -> str | None:
        """The cookie of a new session, where what is presented is the token."""
        if self._token is None or not hmac.compare_digest(presented.strip().encode(), self._token):
            return None
        cookie = secrets.token_urlsafe(32)
        # All sessions last equally long, so the oldest ends first. The clock is one that nobody can set.
        self._until[_digest(cookie)] = time.monotonic() + SESSION_SECONDS
        while len(self._until) > _MOST_SESSIONS or next(iter(self._until.values())) <= time.monotonic():
            self._until.popitem(last=False)
        return cookie

    def holds(self, cookie: str | None) -> bool:
        """Whether a cookie is that of a session that is not over."""
        return self._until.get(_digest(cookie or ""), 0.0) > time.monotonic()

    def end(self, cookie: str | None) -> None:
        """End a session at once."""
        self._until.pop(_digest(cookie or ""), None)


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode(errors="replace")).digest()
