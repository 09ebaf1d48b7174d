# SPDX-License-Identifier: Apache-2.0
"""Opens a store of ours to read and fill it: a running backend over OTLP, a directory or a database directly."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
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
        log_writer: Takes log records; None then, too.
        known: Says which spans of some traces are stored, as `known_spans` does; None where it cannot be asked.
    """

    reader: Reader
    writer: Writer | None
    log_writer: Writer | None = None
    known: Callable[[Sequence[str], int, int], set[tuple[str, str]]] | None = None


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
            if read_only:
                yield Filled(reader, None)
            else:
                yield Filled(reader, _remote(url, token), _remote(url, token, "logs"))
        finally:
            reader.close()
        return
    from otel_loggedmodel.store.known import known_spans

    store = open_database(url)
    try:
        known = partial(known_spans, store.writer.database)
        yield Filled(store.reader, store.writer, store.log_writer, known)
    finally:
        store.close()


def _remote(url: str, token: str | None, signal: str = "traces") -> Writer:
    from otel_loggedmodel.store.remote_writing import RemoteWriter

    return RemoteWriter(url, token, signal=signal)
