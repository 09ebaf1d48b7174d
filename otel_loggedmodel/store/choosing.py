# SPDX-License-Identifier: Apache-2.0
"""Which store is read where none is named: the backend that runs on this machine, else its data directory."""

import http.client
from typing import Final
from urllib.parse import urlsplit

from otel_loggedmodel.store.reading import StoreUnavailableError

LOCAL_BACKEND: Final = "http://127.0.0.1:4318"
# A backend answers this path without asking its store.
_SECONDS_TO_ANSWER: Final = 1.0


def default_store() -> str:
    """The URL of the backend that runs on this machine, else of its data directory.

    Raises:
        StoreUnavailableError: There is neither.
    """
    if is_backend_running():
        return LOCAL_BACKEND
    from otel_loggedmodel.store import default_directory

    directory = default_directory()
    if not directory.is_dir():
        raise StoreUnavailableError(
            f"no backend answers at {LOCAL_BACKEND}, and there is no data in {directory}.\n"
            "Start a backend with `otel-loggedmodel serve`, or name a store: --store http://host:4318, "
            "--store clickhouse://user@host:8123/otel"
        )
    return f"chdb://{directory}"


def is_backend_running(address: str = LOCAL_BACKEND) -> bool:
    """Whether a backend of ours answers there. Other receivers of OTLP listen on that port, too."""
    parts = urlsplit(address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=_SECONDS_TO_ANSWER)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        # If it wants a token it says so in words of its own, and says nothing else.
        mark = b'"otel-loggedmodel"' if answer.status == http.HTTPStatus.OK else b'"unauthorized"'
        return answer.status in (http.HTTPStatus.OK, http.HTTPStatus.UNAUTHORIZED) and mark in answer.read(4096)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
