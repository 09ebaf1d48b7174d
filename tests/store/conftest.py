# SPDX-License-Identifier: Apache-2.0
"""Fixtures that run a ClickHouse server."""

from collections.abc import Iterator

import pytest

from clickhouse_server import ClickHouseServer


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
