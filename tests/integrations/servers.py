# SPDX-License-Identifier: Apache-2.0
"""Real server processes: started on free ports, asked until they answer, stopped by a signal to their process id."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from waiting import wait_until

BIN: Final = Path(sys.executable).parent
_READY_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 60.0
_PORT_TRIES: Final = 3
# By default, Uvicorn kills a worker that does not answer for five seconds. On a busy machine it imports that long.
_PATIENT: Final = {"UVICORN_TIMEOUT_WORKER_HEALTHCHECK": "60"}


class Server:
    """A server process and whatever it forks, until the end of the `with` block.

    Args:
        command: Makes the command line for a port.
        directory: Where it runs; its log goes there too.
        environment: What `telemetry_to` made, and more.
        ready: A path that answers 200 when it serves.
    """

    def __init__(
        self,
        command: Callable[[int], Sequence[str | Path]],
        directory: Path,
        environment: Mapping[str, str],
        *,
        ready: str = "/ready",
    ) -> None:
        self._log_file = directory / f"server-{time.monotonic_ns()}.log"
        for _ in range(_PORT_TRIES):
            self.port = free_port()
            with self._log_file.open("wb") as log:
                self._process = subprocess.Popen(
                    command(self.port),
                    cwd=directory,
                    env={**_PATIENT, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # so that nothing of it can outlive the test
                )
            if self._wait_until_ready(ready):
                return
        raise AssertionError(f"no port was free\n{self.log}")

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._kill()
        if error is not None:
            error.add_note(f"the server's log:\n{self.log}")

    @property
    def pid(self) -> int:
        """The process that was started: the master, where there are workers."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What it has written so far."""
        return self._log_file.read_text(encoding="utf-8", errors="replace")

    def get(self, path: str, **headers: str) -> Any:
        """What it answers to a GET, which has to be 200 and JSON. On a new connection: any worker's turn."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers={"Connection": "close", **headers})
            response = connection.getresponse()
            body = response.read()
            assert response.status == 200, (path, response.status, body, self.log)
            return json.loads(body)
        finally:
            connection.close()

    def get_all(self, paths: Sequence[str], at_once: int = 8) -> list[Any]:
        """The answers to many, some of them at the same time."""
        with ThreadPoolExecutor(at_once) as threads:
            return list(threads.map(self.get, paths))

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to the process that was started."""
        os.kill(self.pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Have it end by a signal, and wait until it and everything that it forked are gone; its exit status."""
        self.send_signal(number)
        try:
            status = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            self._kill()
            raise AssertionError(f"it does not end within {_STOP_SECONDS} s of {number.name}\n{self.log}") from error
        wait_until(lambda: not self._group_lives(), "every process of the server has ended")
        return status

    def _wait_until_ready(self, path: str) -> bool:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            try:
                self.get(path)
                return True
            except (OSError, http.client.HTTPException):
                pass
            if self._process.poll() is not None:
                # Somebody else may have taken the port since it was found free.
                if "address already in use" in self.log.lower():
                    return False
                raise AssertionError(f"it ended with status {self._process.returncode}\n{self.log}")
            if time.monotonic() > deadline:
                self._kill()
                raise AssertionError(f"it does not answer within {_READY_SECONDS} s\n{self.log}")
            time.sleep(0.05)

    def _group_lives(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _kill(self) -> None:
        if self._process.poll() is None or self._group_lives():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()


class Traffic:
    """Requests from several threads for as long as the `with` block lasts.

    Args:
        request: Makes one request, given its number, and returns what was answered.
        at_once: How many threads.

    Attributes:
        answers: What was answered so far, by number.
    """

    def __init__(self, request: Callable[[int], Any], at_once: int = 4) -> None:
        self.answers: dict[int, Any] = {}
        self._request = request
        self._stopping = False
        self._threads = [threading.Thread(target=self._run, args=(start, at_once)) for start in range(at_once)]
        self._errors: list[BaseException] = []

    def __enter__(self) -> "Traffic":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping = True
        for thread in self._threads:
            thread.join()
        if error is None and self._errors:
            raise self._errors[0]

    def _run(self, number: int, step: int) -> None:
        try:
            while not self._stopping:
                self.answers[number] = self._request(number)
                number += step
        except BaseException as error:
            self._errors.append(error)


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def telemetry_to(endpoint: str, **variables: str) -> dict[str, str]:
    """The environment of a process that exports traces, and nothing else, to an endpoint."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "MLFLOW_"))}
    return {
        **kept,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "NO_PROXY": "127.0.0.1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_PYTHON_EXCLUDED_URLS": "ready",
        "OTEL_SERVICE_NAME": "shop",
        **variables,
    }
