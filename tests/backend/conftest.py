# SPDX-License-Identifier: Apache-2.0
"""A ClickHouse server, and a store that a backend has left behind."""

import shutil
from pathlib import Path

import pytest

from store.conftest import clickhouse_database, clickhouse_server

from .sending import Traces
from .serving import Serving

__all__ = ["KEPT", "clickhouse_database", "clickhouse_server"]

# How many traces of the version `kept` are in it.
KEPT = 5


@pytest.fixture(scope="session")
def kept_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that `kept` copies."""
    directory = tmp_path_factory.mktemp("kept")
    with Serving(directory / "log", "--data", directory / "data") as serving:
        assert serving.post(Traces("kept", 1).request(KEPT)[1]).status == 200
    return directory / "data"


@pytest.fixture
def kept(tmp_path: Path, kept_once: Path) -> Path:
    """The directory of a store with traces in it, which nobody has open."""
    return Path(shutil.copytree(kept_once, tmp_path / "data", symlinks=True))
