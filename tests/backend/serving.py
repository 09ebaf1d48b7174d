# SPDX-License-Identifier: Apache-2.0
"""`otel-loggedmodel serve` in a process of its own, and the other commands as a shell runs them."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from asking import PROTOBUF, Answer, ask, post, status_of
from cli.terminal import environment

_START_SECONDS = 60
# Plenty, as the machine may be busy; whoever runs a test does not wait for more than 180.
_COMMAND_SECONDS = 150
# What the backend is held to when it is told to stop.
STOP_SECONDS = 30


class Serving:
    """A backend that can be killed and started again; on new ports each time, as others may take the old ones.

    Args:
        log: The file that gets what it says on standard error.
        options: Of the command, without the ports.
        wrapper: A command that runs it.
        variables: In its environment.
    """

    def __init__(self, log: Path, *options: str | Path, wrapper: Sequence[str] = (), **variables: str) -> None:
        self._log = log
        self._options = options
        self._wrapper = wrapper
        self._variables = variables
        self.http = ""
        self.grpc = ""
        self.store = ""
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Serving":
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.process is None:
            return
        if kind is None:
            self.stop()
        else:
            self.kill()
            # Captured by pytest, and shown with the failure.
            sys.stderr.write(self.log)

    def launch(self) -> None:
        """Start it, and do not wait."""
        assert self.process is None
        command = [*self._wrapper, sys.executable, "-m", "otel_loggedmodel", "serve", *map(str, self._options)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--http-port", "0", "--grpc-port", "0", "--json"],
                env=environment(TZ="UTC", **self._variables),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def wait_until_ready(self) -> None:
        process = self._running
        assert process.stdout is not None
        ready = process.stdout.readline()
        if not ready:
            status = process.wait(_START_SECONDS)
            self._forget()
            raise AssertionError(f"it ended with status {status}\n{self.log}")
        addresses = json.loads(ready)
        self.http, self.grpc, self.store = addresses["http"], addresses["grpc"], addresses["store"]

    def start(self) -> None:
        """Start it, and return when it can be reached."""
        self.launch()
        self.wait_until_ready()

    def send_signal(self, number: int) -> None:
        self._running.send_signal(number)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Its exit status, once it has ended; which it has to do in so many seconds."""
        process = self._running
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it did not end within {seconds} seconds\n{self.log}") from error
        self._forget()
        return process.returncode

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ask it to stop, and see that it does so cleanly and in time."""
        self.send_signal(number)
        status = self.wait()
        assert status == 0, f"it ended with status {status}\n{self.log}"

    def kill(self) -> None:
        """End it as a crash would; nothing happens where it is not running."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self._forget()

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def rss_mib(self) -> float:
        """What of it is in memory."""
        return status_of(self.pid, "VmRSS") / 1024

    @property
    def peak_rss_mib(self) -> float:
        """The most that of it was in memory since `forget_peak`."""
        return status_of(self.pid, "VmHWM") / 1024

    def forget_peak(self) -> None:
        """Begin to look for the peak anew: https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")

    @property
    def threads(self) -> int:
        return status_of(self.pid, "Threads")

    @property
    def open_files(self) -> int:
        """Files and sockets, but for those with which the engine measures its threads."""
        opened = []
        for descriptor in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                opened.append(str(descriptor.readlink()))
        return sum(not name.startswith("/proc/") for name in opened)

    def post(self, body: bytes, content_type: str = PROTOBUF, **headers: str) -> Answer:
        """Send traces."""
        return post(self.http, body, content_type, **headers)

    def get(self, path: str, parameters: Any = ()) -> Any:
        """What the JSON API answers."""
        answer = ask(self.http, "GET", f"{path}?{urlencode(parameters)}")
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def trace_ids(self, version: str) -> list[str]:
        """The trace of each entry span of a version that readers see."""
        page = 10_000
        found: list[str] = []
        while len(found) % page == 0:
            parameters = {"version": version, "limit": page, "offset": len(found)}
            answer = ask(self.http, "GET", f"/api/v1/traces?{urlencode(parameters)}")
            if answer.status == 404:  # nothing of it is stored
                break
            assert answer.status == 200, answer
            traces = json.loads(answer.body)["traces"]
            if not traces:
                break
            found += [trace["trace_id"] for trace in traces]
        return found

    def _forget(self) -> None:
        assert self._running.stdout is not None
        self._running.stdout.close()
        self.process = None
        # Somebody else may listen there now.
        self.http = self.grpc = ""

    @property
    def _running(self) -> "subprocess.Popen[str]":
        assert self.process is not None, "it is not running"
        return self.process


def command(
    *arguments: str | Path, store: str = "", piped: str | None = None, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run `otel-loggedmodel` to its end; `piped` is what it reads."""
    given = {"OTEL_LOGGEDMODEL_STORE": store} if store else {}
    return subprocess.run(
        [sys.executable, "-m", "otel_loggedmodel", *map(str, arguments)],
        env=environment(TZ="UTC", **given, **variables),
        input=piped,
        capture_output=True,
        text=True,
        check=False,
        timeout=_COMMAND_SECONDS,
    )
