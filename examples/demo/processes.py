# SPDX-License-Identifier: Apache-2.0
"""Server processes of the demo: started on free ports, watched until they answer, stopped by their process id.

Nothing is left running, whenever Ctrl-C comes.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Final

_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 15.0
_PORT_TRIES: Final = 3


class NotStartedError(Exception):
    """A process did not come up; the message has what it said last."""


class Children:
    """The child processes that were started within the `with` block; at its end they are stopped, the last one first.

    Within the block SIGTERM does what Ctrl-C does. Neither takes effect while a process is being started, of which
    nobody would know then, or while the processes are being stopped.
    """

    def __init__(self) -> None:
        self._servers: list[ServerProcess] = []
        self._is_held = False
        self._was_interrupted = False

    def __enter__(self) -> "Children":
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self.held():
            for server in reversed(self._servers):
                server.stop()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Put an interruption off until the end of the block."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self._was_interrupted:
            self._was_interrupted = False
            raise KeyboardInterrupt

    def add(self, server: "ServerProcess") -> None:
        """Have a process stopped at the end; called where interruptions are held."""
        if server not in self._servers:
            self._servers.append(server)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if not self._is_held:
            raise KeyboardInterrupt
        self._was_interrupted = True


class ServerProcess:
    """A child process that serves HTTP on a loopback port.

    Args:
        children: The processes that it is one of.
        name: What to call it in messages; also names its log file.
        command: Makes the command line for a port.
        environment: Its environment.
        is_ready: Whether it answers on a port; also gets its process id. Asked until it is true.
        log_directory: Where its output goes.
    """

    def __init__(
        self,
        children: Children,
        *,
        name: str,
        command: Callable[[int], Sequence[str]],
        environment: Callable[[int], Mapping[str, str]],
        is_ready: Callable[[int, int], bool],
        log_directory: Path,
    ) -> None:
        self._children = children
        self.name = name
        self._command = command
        self._environment = environment
        self._is_ready = is_ready
        self._log = log_directory / f"{name}.log"
        self._spawn()

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
            if not self.is_running():
                # Somebody else may have taken the port since we found it free.
                if tries < _PORT_TRIES and "address already in use" in self.log().lower():
                    tries += 1
                    self._spawn()
                    continue
                raise NotStartedError(
                    f"{self.name} ended with status {self._process.returncode}; its last lines:\n{self.log()}"
                )
            if time.monotonic() > deadline:
                raise NotStartedError(f"{self.name} does not answer after {_READY_SECONDS:.0f} s:\n{self.log()}")
            time.sleep(0.02)

    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def log(self) -> str:
        """The last lines that it wrote."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-12:]) or "    (nothing)"

    def stop(self) -> None:
        """Ask it to end, and wait until it has: it sends its last spans meanwhile. A second time does nothing."""
        if self.is_running():
            self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print(
                f"{self.name} (pid {self.pid}) did not end within {_STOP_SECONDS:.0f} s and was killed", file=sys.stderr
            )
            self._process.kill()
            self._process.wait()

    def _spawn(self) -> None:
        self._port = free_port()
        with self._log.open("wb") as log, self._children.held():
            self._process = subprocess.Popen(
                self._command(self._port),
                env=self._environment(self._port),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in a terminal goes to every process of its group. These are stopped in order instead: the
                # application first, so that whatever receives its spans is still there.
                start_new_session=True,
            )
            self._children.add(self)


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
    """The environment for a child: ours, without settings for telemetry that are meant for other applications.

    It also lacks those of a build server, which would take what a gate says for its own build's result.
    """
    others = ("OTEL_", "MLFLOW_", "LOGGEDMODEL_", "GITHUB_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    # A proxy cannot reach this machine's loopback.
    no_proxy = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
    return {**kept, **no_proxy, "PYTHONDONTWRITEBYTECODE": "1", **variables}
