# SPDX-License-Identifier: Apache-2.0
"""The backend as a process of the demo, and its command line, shown as it is run."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

from processes import Children, ServerProcess, clean_environment

_BESIDE_PYTHON: Final = Path(sys.executable).with_name("otel-loggedmodel")
# The name that was installed, where it was; what it does is the same.
_COMMAND: Final = [str(_BESIDE_PYTHON)] if _BESIDE_PYTHON.exists() else [sys.executable, "-m", "otel_loggedmodel"]


class Backend:
    """`otel-loggedmodel serve` on free ports.

    Args:
        children: The processes that it becomes one of.
        data: Where it keeps spans.
        log_directory: Where its output goes.
    """

    def __init__(self, children: Children, data: Path, log_directory: Path) -> None:
        self._children = children
        self._process = ServerProcess(
            children,
            name="backend",
            command=lambda port: [
                *(*_COMMAND, "serve", "--data", str(data)),
                *("--http-port", str(port), "--grpc-port", "0", "--json"),
            ],
            environment=lambda port: clean_environment(),
            # Asked of its own output: on a port that was free somebody else may answer by now.
            is_ready=lambda port, pid: f'"http://127.0.0.1:{port}"' in self._process.log(),
            log_directory=log_directory,
        )
        self._process.wait_until_ready()
        self.url = self._process.url
        self.pid = self._process.pid

    def run(self, *arguments: str) -> int:
        """Run a command of the command line on what the backend has, and show both; its exit status."""
        print(f"$ {shown(*arguments)}", flush=True)
        environment = clean_environment(OTEL_LOGGEDMODEL_STORE=self.url)
        process = None
        try:
            with self._children.held():
                # Remarks stay where they were made, wherever the demo's own errors go.
                process = subprocess.Popen(
                    [*_COMMAND, *arguments], env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT
                )
            return process.wait()
        finally:
            if process is not None and process.poll() is None:  # interrupted
                process.kill()
                process.wait()

    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.is_running()


def shown(*arguments: str) -> str:
    """A command of the command line as it is typed here."""
    return shlex.join([from_here(_COMMAND[0]), *_COMMAND[1:], *arguments])


def python() -> str:
    """The Python that runs this, as it is typed here."""
    return shlex.quote(from_here(sys.executable))


def from_here(path: str | Path) -> str:
    """A path as it is typed here; links are left as they are, as the Python of a virtual environment is one."""
    return os.path.relpath(path) if Path(path).is_relative_to(Path.cwd()) else str(path)
