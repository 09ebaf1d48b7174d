# SPDX-License-Identifier: Apache-2.0
"""Opens a store of ours to read and fill it: a running backend over OTLP, a directory or a database directly."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from otel_loggedmodel.store.reading import Reader


class Writer(Protocol):
    """The part of `store.writing.SpanWriter` that is needed."""

    def insert(self, requests: Sequence[bytes]) -> None:
        """Store spans."""
        ...


@dataclass(frozen=True)
class Filled:
    """A store that is open for both.

    Attributes:
        reader: Answers questions.
        writer: Takes spans; None if nothing is to be written.
    """

    reader: Reader
    writer: Writer | None


@contextmanager
def opened(url: str, token: str | None, *, read_only: bool = False) -> Iterator[Filled]:
    """Open a store, and close it afterwards. A directory that is not there is made, unless it is only to be read.

    Args:
        url: As the option `--store` has it.
        token: What a backend wants.
        read_only: Write nothing.

    Raises:
        ReadingError: It cannot be opened.
    """
    from otel_loggedmodel.store import open_database, open_reader

    if read_only or url.startswith(("http://", "https://")):
        reader = open_reader(url, token=token)
        try:
            yield Filled(reader, None if read_only else _remote(url, token))
        finally:
            reader.close()
        return
    store = open_database(url)
    try:
        yield Filled(store.reader, store.writer)
    finally:
        store.close()


def _remote(url: str, token: str | None) -> Writer:
    from otel_loggedmodel.store.remote_writing import RemoteWriter

    return RemoteWriter(url, token)
