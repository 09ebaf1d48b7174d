# SPDX-License-Identifier: Apache-2.0
"""Real MLflow servers: started on free ports, asked until they answer, stopped by a signal to their process id."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final

BIN: Final = Path(sys.executable).parent
_READY_SECONDS: Final = 300.0
_PORT_TRIES: Final = 3


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


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
