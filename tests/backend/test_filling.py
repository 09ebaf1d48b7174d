# SPDX-License-Identifier: Apache-2.0
"""Stores that a command reads and fills: a running backend, a directory, a ClickHouse database."""

from pathlib import Path

import pytest

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.commands.exchange.filling import opened
from otel_loggedmodel.store.reading import StoreUnavailableError

from .sending import Traces
from .serving import Serving


def check(url: str) -> None:
    _, request = Traces("agent", seed=1).request(3)
    with opened(url, None) as store:
        assert store.writer is not None
        store.writer.insert([request])
        assert [(version.model_id, version.traces) for version in store.reader.versions()] == [("agent", 3)]
    with opened(url, None, read_only=True) as store:
        assert store.writer is None
        assert [version.model_id for version in store.reader.versions()] == ["agent"]


def test_a_directory_is_made_and_filled(tmp_path: Path) -> None:
    check(f"chdb://{tmp_path / 'new'}")


def test_a_directory_that_is_only_read_is_not_made(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreUnavailableError, match="no store"),
        opened(f"chdb://{tmp_path / 'new'}", None, read_only=True),
    ):
        pass
    assert not (tmp_path / "new").exists()


def test_a_running_backend_is_filled(tmp_path: Path) -> None:
    with Serving(tmp_path / "log", "--data", tmp_path / "data") as serving:
        check(serving.http)


def test_a_database_is_filled(clickhouse_server: ClickHouseServer, clickhouse_database: str) -> None:
    check(f"clickhouse://127.0.0.1:{clickhouse_server.port}/{clickhouse_database}")
