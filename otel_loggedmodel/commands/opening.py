# SPDX-License-Identifier: Apache-2.0
"""Which store a command reads, and with which token."""

import http.client
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from otel_loggedmodel import environment
from otel_loggedmodel.commands.printing import progress
from otel_loggedmodel.store.reading import Reader, ReadingError, StoreUnavailableError

TOKEN_VARIABLE: Final = environment.OTEL_LOGGEDMODEL_TOKEN
LOCAL_BACKEND: Final = "http://127.0.0.1:4318"
# A backend answers this path without asking its store.
_SECONDS_TO_ANSWER: Final = 1.0


@contextmanager
def reader(store: str | None, token_file: Path | None, doing: str, prices: Path | None = None) -> Iterator[Reader]:
    """A reader of the store that was asked for. It is closed afterwards. A terminal shows progress meanwhile.

    Args:
        store: Its URL. The default is the running backend, else the data directory.
        token_file: Where the token is, if not in the environment.
        doing: What to say if it takes long.
        prices: A file of prices, before list prices.

    Raises:
        StoreUnavailableError: It cannot be opened.
    """
    with progress(doing):
        own = {} if prices is None else {"prices": str(prices)}
        opened = reader_at(store or default_store(), read_token(token_file), **own)
        try:
            yield opened
        finally:
            opened.close()


def reader_at(url: str, token: str | None, prices: str | None = None) -> Reader:
    """Open a store. The seam at which tests put a reader of their own."""
    from otel_loggedmodel.store import open_reader

    return open_reader(url, token=token, prices=prices)


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


def read_token(token_file: Path | None) -> str | None:
    """The token of the backend. It is never taken from the command line, where other users can see it.

    Raises:
        ReadingError: The file cannot be read.
    """
    if token_file is None:
        return os.environ.get(TOKEN_VARIABLE, "").strip() or None
    try:
        token = token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ReadingError(f"--token-file {token_file} cannot be read: {error}") from None
    if not token:
        raise ReadingError(f"--token-file {token_file} is empty")
    return token
