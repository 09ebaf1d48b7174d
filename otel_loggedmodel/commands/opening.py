# SPDX-License-Identifier: Apache-2.0
"""Which store a command reads, and with which token."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from otel_loggedmodel import environment
from otel_loggedmodel.commands.printing import progress
from otel_loggedmodel.store.choosing import LOCAL_BACKEND, default_store, is_backend_running
from otel_loggedmodel.store.reading import Reader, ReadingError

__all__ = [
    "LOCAL_BACKEND",
    "TOKEN_VARIABLE",
    "default_store",
    "default_target",
    "is_backend_running",
    "read_token",
    "reader",
    "reader_at",
]

TOKEN_VARIABLE: Final = environment.OTEL_LOGGEDMODEL_TOKEN


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


def default_target() -> str:
    """The store to fill where none is named: the running backend, else the data directory, which need not be there."""
    if is_backend_running():
        return LOCAL_BACKEND
    from otel_loggedmodel.store import default_directory

    return f"chdb://{default_directory()}"


def reader_at(url: str, token: str | None, prices: str | None = None) -> Reader:
    """Open a store. The seam at which tests put a reader of their own."""
    from otel_loggedmodel.store import open_reader

    return open_reader(url, token=token, prices=prices)


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
