# SPDX-License-Identifier: Apache-2.0
"""A ClickHouse server, and stores on it."""

import contextlib
from collections.abc import Iterator, Sequence

import pytest

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.store import open_database
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.queries import StoreReader


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    """One for all tests of a process; they are kept apart by their databases."""
    with ClickHouseServer(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


@pytest.fixture
def clickhouse_database(clickhouse_server: ClickHouseServer) -> Iterator[str]:
    """The name of a database on that server for one test."""
    with clickhouse_server.new_database() as name:
        yield name


@pytest.fixture
def store(clickhouse_server: ClickHouseServer, clickhouse_database: str) -> Iterator[Store]:
    """A store for one test."""
    opened = open_database(f"clickhouse://127.0.0.1:{clickhouse_server.port}/{clickhouse_database}")
    yield opened
    opened.close()


@contextlib.contextmanager
def filled(server: ClickHouseServer, requests: Sequence[bytes]) -> Iterator[StoreReader]:
    """A reader of a store in which these requests are, for the tests of a module."""
    with server.new_database() as name:
        opened = open_database(f"clickhouse://127.0.0.1:{server.port}/{name}")
        for start in range(0, len(requests), 20):
            opened.writer.insert(requests[start : start + 20])
        yield opened.reader
        opened.close()
