# SPDX-License-Identifier: Apache-2.0
"""Fixtures that run a real Collector."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pytest

from .running import CONFIG, Collector, find_collector


class RunCollector(Protocol):
    """Run a Collector within a ``with`` block; its settings are named without their prefix."""

    def __call__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        config: Path | str = CONFIG,
        overrides: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
    ) -> AbstractContextManager[Collector]: ...


@pytest.fixture(scope="session")
def collector_binary() -> Path:
    return find_collector()


@pytest.fixture(scope="session")
def run_collector(collector_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> RunCollector:
    @contextlib.contextmanager
    def run(
        settings: Mapping[str, str] | None = None,
        *,
        config: Path | str = CONFIG,
        overrides: tuple[str, ...] = (),
        options: tuple[str, ...] = (),
    ) -> Iterator[Collector]:
        directory = tmp_path_factory.mktemp("collector")
        collector = Collector(collector_binary, directory, config, settings or {}, *overrides, options=options)
        try:
            collector.start()
            yield collector
        except BaseException:
            # Captured by pytest, and shown with the failure.
            sys.stderr.write(collector.log)
            raise
        finally:
            collector.stop()

    return run
