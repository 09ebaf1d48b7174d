# SPDX-License-Identifier: Apache-2.0
"""Backends that stop when the test that started them is over."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from memory_reader import MemoryReader
from otel_loggedmodel.server.settings import Settings

from .backends import Backend, MemoryWriter

FAST: dict[str, Any] = {"http_port": 0, "grpc_port": 0, "linger_seconds": 0.01}


@pytest.fixture
def serve() -> Iterator[Callable[..., Backend]]:
    started: list[Backend] = []

    def serve(writer: Any = None, reader: Any = None, **settings: Any) -> Backend:
        settings = {**FAST, **settings}
        backend = Backend(Settings(**settings), writer or MemoryWriter(), reader or MemoryReader())
        started.append(backend)
        return backend

    yield serve
    for backend in started:
        if isinstance(backend.writer, MemoryWriter):
            backend.writer.gate.set()
        if isinstance(backend.reader, MemoryReader):
            backend.reader.gate.set()
        backend.stop()


@pytest.fixture(scope="module")
def shared() -> Iterator[Backend]:
    """One backend for all tests of a file that do not care what others sent."""
    backend = Backend(Settings(**FAST), MemoryWriter(), MemoryReader())
    yield backend
    assert backend.stop() == 0
