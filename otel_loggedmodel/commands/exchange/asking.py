# SPDX-License-Identifier: Apache-2.0
"""Asking a server that may be away for a moment."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from otel_loggedmodel.tracking_server.rest import ServerError

T = TypeVar("T")

PATIENCE_SECONDS: Final = 30.0
_FIRST_PAUSE_SECONDS: Final = 0.25
_MAX_PAUSE_SECONDS: Final = 5.0


def patiently(call: Callable[[], T], patience: float = PATIENCE_SECONDS) -> T:
    """What a call returns, after trying it again for a while where it fails for a reason that may pass.

    Raises:
        ServerError: It fails for another reason, or for too long.
    """
    deadline = time.monotonic() + patience
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return call()
        except ServerError as error:
            wait = max(pause, error.retry_after or 0.0)
            if not error.may_pass or time.monotonic() + wait > deadline:
                raise
        time.sleep(wait)
        pause = min(2 * pause, _MAX_PAUSE_SECONDS)
