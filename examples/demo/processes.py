# SPDX-License-Identifier: Apache-2.0
"""Server processes of the demo: started on free ports, watched until they answer, stopped by their process id."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0
_PORT_TRIES: Final = 3


class NotStartedError(Exception):
    """A process did not come up; the message has what it said last."""


class ServerProcess:
    """A child process that serves HTTP on a loopback port.

    Args:
        name: What to call it in messages; also names its log file.
        command: Makes the command line for a port.
        environment: Its environment.
        is_ready: Whether it answers on a port; also gets its process id. Asked until it is true.
        log_directory: Where its output goes.
    """

    def __init__(
        self,
        *,
        name: str,
        command: Callable[[int], Sequence[str]],
        environment: Callable[[int], Mapping[str, str]],
        is_ready: Callable[[int, int], bool],
        log_directory: Path,
    ) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._is_ready = is_ready
        self._log = log_directory / f"{name}.log"
        self._process = self._spawn()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    def wait_until_ready(self) -> None:
        """Return when it answers.

        Raises:
            NotStartedError: It ended, or does not answer in time.
        """
        deadline = time.monotonic() + _READY_SECONDS
        tries = 1
        while not self._is_ready(self._port, self.pid):
            if self._process.poll() is not None:
                # Somebody else may have taken the port since we found it free.
                if tries < _PORT_TRIES and "address already in use" in self.log().lower():
                    tries += 1
                    self._process = self._spawn()
                    continue
                raise NotStartedError(
                    f"{self.name} ended with status {self._process.returncode}; its last lines:\n{self.log()}"
                )
            if time.monotonic() > deadline:
                raise NotStartedError(f"{self.name} does not answer after {_READY_SECONDS:.0f} s:\n{self.log()}")
            time.sleep(0.02)

    def log(self) -> str:
        """The last lines that it wrote."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-12:]) or "    (nothing)"

    def stop(self) -> None:
        """Ask it to end, and wait until it has: it sends its last spans meanwhile. A second time does nothing."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print(
                f"{self.name} (pid {self.pid}) did not end within {_STOP_SECONDS:.0f} s and was killed", file=sys.stderr
            )
            self._process.kill()
            self._process.wait()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        self._port = free_port()
        with self._log.open("wb") as log:
            return _start(self._command(self._port), self._environment(self._port), log)


def _start(command: Sequence[str], environment: Mapping[str, str], log: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        # Ctrl-C in a terminal goes to every process of its group. These are stopped in order instead: the application
        # first, so that whatever receives its spans is still there.
        start_new_session=True,
    )


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes] | None:
    """What a loopback port answers to a request for JSON, as status and body; None where nobody does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def clean_environment(**variables: str) -> dict[str, str]:
    """The environment for a child: ours, without settings for telemetry that are meant for other applications."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MLFLOW_", "LOGGEDMODEL_"))
    }
    # A proxy cannot reach this machine's loopback.
    no_proxy = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
    return {**kept, **no_proxy, "PYTHONDONTWRITEBYTECODE": "1", **variables}
