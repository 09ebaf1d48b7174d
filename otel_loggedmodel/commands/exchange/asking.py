# SPDX-License-Identifier: Apache-2.0
"""Asking a server that may be away for a moment."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from otel_loggedmodel.mlflow_server.rest import Server, ServerError

T = TypeVar("T")

PATIENCE_SECONDS: Final = 60.0
_FIRST_PAUSE_SECONDS: Final = 0.25
_MAX_PAUSE_SECONDS: Final = 5.0


class Asked:
    """A server that is asked again for a while once it has answered. One that has never answered is not there.

    Args:
        server: The server.
        patience: For how many seconds each call is tried again.
    """

    def __init__(self, server: Server, patience: float = PATIENCE_SECONDS) -> None:
        self.server = server
        self._patience = patience
        self._has_answered = False
        self._stopping = threading.Event()

    def patiently(self, call: Callable[[], T]) -> T:
        """What a call of the server returns. If it fails for a reason that may pass, it is tried again.

        Raises:
            ServerError: It fails for another reason, or for too long.
        """
        deadline = time.monotonic() + self._patience
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                found = call()
                self._has_answered = True
                return found
            except ServerError as error:
                self._has_answered |= error.status is not None
                wait = max(pause, error.retry_after or 0.0)
                if not (error.may_pass and self._has_answered) or time.monotonic() + wait > deadline:
                    raise
                if self._stopping.wait(wait):
                    raise
            pause = min(2 * pause, _MAX_PAUSE_SECONDS)

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | Sequence[str]] | None = None,
    ) -> dict[str, Any]:
        """The same for one call, as `Server.call` takes it."""
        return self.patiently(lambda: self.server.call(method, path, body, query))

    def give_up(self) -> None:
        """Try nothing again. What other threads wait for fails at once."""
        self._stopping.set()
