# SPDX-License-Identifier: Apache-2.0
"""A ClickHouse server, and stores on it."""

import contextlib
import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence

import pytest

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.store import open_database
from otel_loggedmodel.store.database import quoted
from otel_loggedmodel.store.opening import Store
from otel_loggedmodel.store.queries import StoreReader

# Of a server, by its port: databases with all tables of a store and no rows, which nobody uses at the moment.
_EMPTY: dict[int, list[str]] = defaultdict(list)


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


@contextlib.contextmanager
def empty_store(server: ClickHouseServer) -> Iterator[Store]:
    """A store with nothing in it.

    Making its tables costs more than most tests do with them, so they are emptied in the end and used again. Tests that
    change tables, or look at how they are made, take a database of their own.
    """
    free = _EMPTY[server.port]
    name = free.pop() if free else f"emptied_{uuid.uuid4().hex}"
    opened = open_database(f"clickhouse://127.0.0.1:{server.port}/{name}")
    try:
        yield opened
        database = opened.writer.database
        for table in database.query(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
        ):
            database.command(f"TRUNCATE TABLE {quoted(table['name'])}")
        free.append(name)
    finally:
        opened.close()


@pytest.fixture
def store(clickhouse_server: ClickHouseServer) -> Iterator[Store]:
    """A store for one test."""
    with empty_store(clickhouse_server) as opened:
        yield opened


@contextlib.contextmanager
def filled(server: ClickHouseServer, requests: Sequence[bytes]) -> Iterator[StoreReader]:
    """A reader of a store in which these requests are, for the tests of a module."""
    with empty_store(server) as opened:
        for start in range(0, len(requests), 20):
            opened.writer.insert(requests[start : start + 20])
        yield opened.reader
