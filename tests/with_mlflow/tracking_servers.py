# SPDX-License-Identifier: Apache-2.0
"""Real MLflow servers: started on free ports, asked until they answer, stopped by a signal to their process id.

One starts in half a minute of CPU time, so that the workers of a run share those that tests leave as they are.
"""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from waiting import wait_until

BIN: Final = Path(sys.executable).parent
_READY_SECONDS: Final = 300.0
_PORT_TRIES: Final = 3
# How long to wait for the tests of the other workers. The longest may take 15 minutes.
_DONE_SECONDS: Final = 900.0


class MlflowServer:
    """An MLflow server process and its workers, until the end of the `with` block.

    Args:
        directory: For its database, its artifacts and its log.
        arguments: More of its command line.
        variables: More of its environment.
        workers: How many processes answer; 4 is MLflow's default.
    """

    def __init__(
        self, directory: Path, *arguments: str, variables: Mapping[str, str] | None = None, workers: int = 4
    ) -> None:
        self._log_file = directory / "server.log"
        self._directory = directory
        self._arguments = ["--workers", str(workers), *arguments]
        self._variables = dict(variables or {})
        for _ in range(_PORT_TRIES):
            self.port = free_port()
            if self._is_started():
                return
        raise AssertionError(f"no port was free\n{self.log}")

    def start(self) -> None:
        """Start again what was stopped, on the same port and with the same database."""
        assert self._is_started(), self.log

    def stop(self) -> None:
        """Kill it and its workers."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _is_started(self) -> bool:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MLFLOW_"))}
        database = f"sqlite:///{self._directory / 'mlflow.db'}"
        command = [str(BIN / "mlflow"), "server", "--backend-store-uri", database, "--port", str(self.port)]
        command += ["--artifacts-destination", str(self._directory / "artifacts"), *self._arguments]
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._directory,
                env={**kept, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
                | self._variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that nothing of it can outlive the tests
            )
        return self._wait_until_ready()

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log_file.read_text(encoding="utf-8", errors="replace")

    def __enter__(self) -> "MlflowServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_until_ready(self) -> bool:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{self.uri}/health", timeout=10) as answer:
                if answer.status == 200:
                    return True
            if self._process.poll() is not None:
                if "address already in use" in self.log.lower():
                    return False
                raise AssertionError(f"it ended with status {self._process.returncode}\n{self.log}")
            if time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"it does not answer within {_READY_SECONDS} s\n{self.log}")
            time.sleep(0.1)


@dataclass(frozen=True)
class Address:
    """The address of a server that another worker of this run has started, and will stop.

    Attributes:
        uri: As `MlflowServer` has it.
    """

    uri: str


@contextlib.contextmanager
def shared(directory: Path, start: Callable[[Path], MlflowServer]) -> Iterator[MlflowServer | Address]:
    """A server for all workers: the first that asks starts it, and stops it when the others are done with it.

    Args:
        directory: The same one for all.
        start: Starts it, with its directory.
    """
    directory.mkdir(exist_ok=True)
    known = directory / "shared.json"
    own = None
    with _locked(directory):
        if not known.exists():
            own = start(directory)
            known.write_text(json.dumps({"uri": own.uri, "users": 0}), encoding="utf-8")
        uri = json.loads(known.read_text(encoding="utf-8"))["uri"]
        _count(known, 1)
    try:
        yield own or Address(uri)
    finally:
        with _locked(directory):
            _count(known, -1)
        if own is not None:
            with own:
                wait_until(lambda: _users(directory, known) == 0, "the other workers", _DONE_SECONDS)


@contextlib.contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with (directory / "shared.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _count(known: Path, change: int) -> None:
    found = json.loads(known.read_text(encoding="utf-8"))
    known.write_text(json.dumps({**found, "users": found["users"] + change}), encoding="utf-8")


def _users(directory: Path, known: Path) -> int:
    with _locked(directory):
        users: int = json.loads(known.read_text(encoding="utf-8"))["users"]
        return users


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
