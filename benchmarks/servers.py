# SPDX-License-Identifier: Apache-2.0
"""Servers to be measured: started as processes of their own, watched from outside by what Linux says of them."""

import contextlib
import http.client
import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence

_START_SECONDS = 120.0
_STOP_SECONDS = 60.0
_TICK = os.sysconf("SC_CLK_TCK")


class DidNotStartError(RuntimeError):
    """A server did not start; the text has what it said."""


class Server:
    """A server that runs, with the processes that it started.

    Args:
        process: It, in a session of its own.
        log: What it writes.
    """

    def __init__(self, process: "subprocess.Popen[str]", log: pathlib.Path) -> None:
        self.process = process
        self.log = log

    def cpu_seconds(self) -> float:
        """CPU time so far, with that of processes that ended."""
        ticks = 0
        for pid in self._pids():
            with contextlib.suppress(OSError):
                # The name of the program, in parentheses, may have blanks.
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, fields[11:15]))
        return ticks / _TICK

    def resident_bytes(self, *, peak: bool = False) -> int:
        """Memory that the system gave to it; with `peak` the most since its start or `reset_peak`."""
        line = "VmHWM:" if peak else "VmRSS:"
        kibibytes = 0
        for pid in self._pids():
            with contextlib.suppress(OSError):
                status = pathlib.Path(f"/proc/{pid}/status").read_text()
                kibibytes += sum(int(text.split()[1]) for text in status.splitlines() if text.startswith(line))
        return kibibytes * 1024

    def reset_peak(self) -> None:
        """Begin anew with the peak of memory: https://man7.org/linux/man-pages/man5/proc_pid_clear_refs.5.html."""
        for pid in self._pids():
            pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")

    def _pids(self) -> list[int]:
        """The process and all below it."""
        found = [self.process.pid]
        for pid in found:
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found.extend(map(int, children.read_text().split()))
        return found


@contextlib.contextmanager
def running(
    command: Sequence[str],
    log: pathlib.Path,
    environment: Mapping[str, str] | None = None,
    *,
    is_read: bool = False,
    folder: pathlib.Path | None = None,
) -> Iterator[Server]:
    """A server; it is stopped by SIGTERM, and whatever is left of it killed.

    Args:
        command: What to start.
        log: Where its errors go; and its output, unless that is to be read.
        environment: Variables for it.
        is_read: Whether its output is read.
        folder: The one that it is started in; this process's own by default.
    """
    with log.open("w") as written:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if is_read else written,
            stderr=written,
            env={**os.environ, **(environment or {})},
            cwd=folder,
            text=True,
            start_new_session=True,
        )
    try:
        yield Server(process, log)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def machine_cpu_seconds() -> float:
    """CPU time that this machine has spent on anything."""
    fields = pathlib.Path("/proc/stat").read_text().partition("\n")[0].split()[1:9]
    user, nice, system, _idle, _waiting, *interrupts = map(int, fields)
    return sum((user, nice, system, *interrupts)) / _TICK


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_until_healthy(server: Server, url: str) -> None:
    """Wait until a server answers.

    Raises:
        DidNotStartError: It ended, or took too long.
    """
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if get(url)[0] == 200:
                return
        time.sleep(0.1)
    raise DidNotStartError(f"nothing answers at {url}: {server.log.read_text()[-2000:]}")


def get(url: str, accept: str = "*/*") -> tuple[int, bytes]:
    """Status and body of the answer to a GET."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
    try:
        connection.request(
            "GET", f"{parts.path}?{parts.query}" if parts.query else parts.path, headers={"Accept": accept}
        )
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def bytes_in(directory: pathlib.Path) -> int:
    """What the files below a directory take on the disk."""
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # stores remove files whenever they like
            total += path.lstat().st_blocks * 512
    return total
