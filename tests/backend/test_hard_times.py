# SPDX-License-Identifier: Apache-2.0
"""Stores that cannot be opened: `serve` says why, exits with 3, and leaves everything as it was."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from cli.terminal import environment
from clickhouse_server import ClickHouseServer
from effort import only_in_full, times
from otel_loggedmodel.store import schema

from .conftest import KEPT
from .sending import Traces
from .serving import Serving, command

pytestmark = pytest.mark.takes(4)

STORE_UNAVAILABLE = 3


def refuse(*options: str | Path, wrapper: Sequence[str] = ()) -> str:
    """What `serve` says when it does not start. The engine may have said something of its own before."""
    done = subprocess.run(
        [
            *wrapper,
            sys.executable,
            "-m",
            "otel_loggedmodel",
            "serve",
            "--http-port",
            "0",
            "--no-grpc",
            *map(str, options),
        ],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert (done.returncode, done.stdout) == (STORE_UNAVAILABLE, ""), done
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("otel-loggedmodel: ")
    return done.stderr


@only_in_full
def test_a_directory_that_another_backend_has(tmp_path: Path) -> None:
    data = tmp_path / "data"
    traces = Traces("shared", 1)
    with Serving(tmp_path / "log", "--data", data) as serving:
        said = refuse("--data", data)
        assert f"process {serving.pid} has the store at {data} open" in said
        assert "--store http://" in said
        reading = command("models", "--store", f"chdb://{data}")
        assert (reading.returncode, str(serving.pid) in reading.stderr) == (STORE_UNAVAILABLE, True)
        assert serving.post(traces.request(5)[1]).status == 200
        assert len(serving.trace_ids("shared")) == 5
        serving.kill()
        # The system takes the lock back from a process that was killed.
        serving.start()
        assert len(serving.trace_ids("shared")) == 5


def assert_all_is_there(tmp_path: Path, data: Path) -> None:
    with Serving(tmp_path / "log", "--data", data) as serving:
        assert len(serving.trace_ids("kept")) == KEPT


@only_in_full
def test_a_directory_that_another_program_has(tmp_path: Path, kept: Path) -> None:
    """That has embedded ClickHouse open, and knows nothing of this one's lock."""
    with ClickHouseServer(tmp_path):
        assert f"Cannot lock file {kept / 'status'}" in refuse("--data", kept)
    assert_all_is_there(tmp_path, kept)


@only_in_full
def test_a_store_of_a_newer_release(tmp_path: Path, kept: Path) -> None:
    newer = schema.SCHEMA_VERSION + 1
    mark(tmp_path, f"otel-loggedmodel schema {newer}")
    for said in (refuse("--data", kept), command("models", "--store", f"chdb://{kept}").stderr):
        assert "newer otel-loggedmodel" in said
        assert f"schema {newer}" in said
        assert "upgrade" in said
    mark(tmp_path, f"otel-loggedmodel schema {schema.SCHEMA_VERSION}")
    assert_all_is_there(tmp_path, kept)


def mark(directory: Path, comment: str) -> None:
    with ClickHouseServer(directory) as server, server.client() as client:
        client.command(f"ALTER TABLE {schema.SPANS} COMMENT COLUMN LoggedModelId '{comment}'")


def test_a_file_where_the_directory_should_be(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    assert str(file) in refuse("--data", file)
    assert str(file / "below") in refuse("--data", file / "below")
    assert file.read_text() == "precious"


@pytest.fixture
def unprivileged() -> Sequence[str]:
    """A command that runs another without the right to write where the modes of files forbid it."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and there is no setpriv")
    return [
        "setpriv",
        "--bounding-set",
        "-dac_override,-dac_read_search",
        "--inh-caps",
        "-dac_override,-dac_read_search",
    ]


@only_in_full
def test_a_directory_that_may_not_be_written(tmp_path: Path, unprivileged: Sequence[str]) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o500)
    assert f"{data} cannot be opened: Permission denied" in refuse("--data", data, wrapper=unprivileged)
    assert f"{data / 'below'} cannot be made: Permission denied" in refuse(
        "--data", data / "below", wrapper=unprivileged
    )
    assert list(data.iterdir()) == []


@only_in_full
def test_a_store_that_may_not_be_written(tmp_path: Path, kept: Path, unprivileged: Sequence[str]) -> None:
    inner = [path for path in (kept, *kept.rglob("*")) if path.is_dir()]
    for path in inner:
        path.chmod(0o500)
    try:
        said = refuse("--data", kept, wrapper=unprivileged)
    finally:
        for path in inner:
            path.chmod(0o700)
    assert f"{kept / 'status'}" in said
    assert "Permission denied" in said
    assert_all_is_there(tmp_path, kept)


def test_a_cluster_that_is_not_there() -> None:
    said = refuse("--store", "clickhouse://me:hunter2@127.0.0.1:1/otel")
    assert "127.0.0.1:1" in said
    assert "hunter2" not in said


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port where connections are taken, and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@only_in_full
def test_a_cluster_that_does_not_answer(silent_port: int) -> None:
    assert f"127.0.0.1:{silent_port}" in refuse("--store", f"clickhouse://127.0.0.1:{silent_port}/otel")


@pytest.mark.parametrize("seconds", [0.2, 0.6][: times(full=2, quick=1)])
@only_in_full
def test_a_signal_while_it_starts(tmp_path: Path, kept: Path, seconds: float) -> None:
    serving = Serving(tmp_path / "log", "--data", kept)
    serving.launch()
    time.sleep(seconds)
    serving.send_signal(signal.SIGTERM)
    assert serving.wait() in (0, -signal.SIGTERM)
    assert_all_is_there(tmp_path, kept)
