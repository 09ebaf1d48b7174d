# SPDX-License-Identifier: Apache-2.0
"""A store that all tests of a module fill, each with ids of its own, and what to import into it with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.commands.exchange.filling import Filled
from store.conftest import clickhouse_server, empty_store

__all__ = ["clickhouse_server"]


@pytest.fixture(scope="module")
def filled(clickhouse_server: ClickHouseServer) -> Iterator[Filled]:
    """The store of this module."""
    with empty_store(clickhouse_server) as store:
        yield Filled(store.reader, store.writer, store.log_writer)


@pytest.fixture
def recorded() -> Path:
    """What a real Collector and a real Jaeger have given."""
    return Path(__file__).parent / "recorded"
