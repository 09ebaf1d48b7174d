# SPDX-License-Identifier: Apache-2.0
"""Fixtures that run a real Collector."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn, Protocol

import pytest

from .running import CONFIG, REPOSITORY, Collector

REQUIRED = "OTEL_LOGGEDMODEL_REQUIRE_COLLECTOR"


class RunCollector(Protocol):
    """Run a Collector within a ``with`` block; its settings are named without their prefix."""

    def __call__(
        self, settings: Mapping[str, str] | None = None, *, config: Path | str = CONFIG, overrides: tuple[str, ...] = ()
    ) -> AbstractContextManager[Collector]: ...


@pytest.fixture(scope="session")
def collector_binary() -> Path:
    """Return the Collector that ``make otelcol`` built, or that ``OTELCOL`` names."""
    script = REPOSITORY / "scripts" / "build_collector.py"
    outcome = subprocess.run(
        [sys.executable, str(script), "--print-path"], capture_output=True, text=True, timeout=60, check=False
    )
    if outcome.returncode == 3:
        do_without(outcome.stderr.strip())
    assert outcome.returncode == 0, outcome.stderr
    return Path(outcome.stdout.strip())


@pytest.fixture(scope="session")
def run_collector(collector_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> RunCollector:
    @contextlib.contextmanager
    def run(
        settings: Mapping[str, str] | None = None, *, config: Path | str = CONFIG, overrides: tuple[str, ...] = ()
    ) -> Iterator[Collector]:
        directory = tmp_path_factory.mktemp("collector")
        collector = Collector(collector_binary, directory, config, settings or {}, *overrides)
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


def do_without(reason: str) -> NoReturn:
    """Skip, unless these tests are required here."""
    if os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, but: {reason}")
    pytest.skip(reason)
