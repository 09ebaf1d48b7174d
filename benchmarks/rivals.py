# SPDX-License-Identifier: Apache-2.0
"""Other backends that take OTLP traces, each in a virtual environment of its own, with SQLite as they come.

None of them is installed with this repository: `python -m benchmarks --peers` makes their environments. One that exists
already is named by its interpreter, in `BENCHMARK_MLFLOW_PYTHON` or `BENCHMARK_PHOENIX_PYTHON`.
"""

import abc
import contextlib
import os
import pathlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.backends import Backend, Target
from benchmarks.peers import Unavailable
from benchmarks.servers import Server, bytes_in, free_port, running, wait_until_healthy

_ENVIRONMENTS = pathlib.Path(__file__).parent.parent / ".venv"


class Rival(Backend):
    """Another backend.

    Attributes:
        name: Its name.
        package: What pip calls it.
        variable: The environment variable that names an interpreter that has it.
        database: The name of its SQLite file.
        health: The path that answers when it is up.

    Raises:
        Unavailable: It is not installed.
    """

    name: str
    package: str
    variable: str
    database: str
    health: str

    def __init__(self) -> None:
        candidates = [os.environ.get(self.variable), str(self._environment() / "bin" / "python"), sys.executable]
        for interpreter in candidates:
            if interpreter and (version := _version(interpreter, self.package)):
                self.interpreter = interpreter
                self.label = f"{self.name} {version}, OTLP/HTTP"
                self._empty_bytes = 0
                return
        raise Unavailable(
            f"{self.package} is not installed: --peers installs it below {_ENVIRONMENTS}, or name a Python that has it"
            f" in {self.variable}"
        )

    @classmethod
    def install(cls) -> None:
        """Make an environment with it, unless it is installed somewhere.

        Raises:
            subprocess.CalledProcessError: pip could not.
        """
        with contextlib.suppress(Unavailable):
            cls()
            return
        environment = cls._environment()
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, cls.package], check=True)

    @contextlib.contextmanager
    def start(self, directory: pathlib.Path) -> Iterator[tuple[Server, Target]]:
        """Start it."""
        directory.mkdir()
        port = free_port()
        # Some start workers with the first `python` on the path.
        path = f"{pathlib.Path(self.interpreter).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "DO_NOT_TRACK": "true", **self.environment(directory, port)}
        command = [self.interpreter, *self.arguments(directory, port)]
        with running(command, directory.parent / f"{directory.name}.log", environment) as server:
            wait_until_healthy(server, f"http://127.0.0.1:{port}{self.health}")
            self._empty_bytes = bytes_in(directory)
            yield server, self.target(f"http://127.0.0.1:{port}/v1/traces")

    @abc.abstractmethod
    def arguments(self, directory: pathlib.Path, port: int) -> list[str]:
        """What to start the interpreter with."""

    @abc.abstractmethod
    def environment(self, directory: pathlib.Path, port: int) -> dict[str, str]:
        """The environment variables that it wants."""

    @abc.abstractmethod
    def target(self, url: str) -> Target:
        """How to send to it."""

    def stored(self, directory: pathlib.Path) -> int:
        """Rows, whose ids are unique."""
        connection = sqlite3.connect(f"file:{directory / self.database}?mode=ro", uri=True, timeout=60)
        with contextlib.closing(connection):
            (count,) = connection.execute("SELECT count(*) FROM spans").fetchone()
            return int(count)

    def disk_bytes(self, directory: pathlib.Path) -> int:
        """The bytes of everything, with SQLite's journal, beyond what there was at the start."""
        return bytes_in(directory) - self._empty_bytes

    @classmethod
    def _environment(cls) -> pathlib.Path:
        return _ENVIRONMENTS / f"peers-{cls.package}"


class MLflow(Rival):
    """`mlflow server`."""

    name = "MLflow"
    package = "mlflow"
    variable = "BENCHMARK_MLFLOW_PYTHON"
    database = "mlflow.db"
    health = "/health"

    def arguments(self, directory: pathlib.Path, port: int) -> list[str]:
        """With its four workers."""
        store = ["--backend-store-uri", f"sqlite:///{directory / self.database}"]
        artifacts = ["--default-artifact-root", str(directory / "artifacts")]
        return ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), *store, *artifacts]

    def environment(self, directory: pathlib.Path, port: int) -> dict[str, str]:
        """Nothing but no telemetry."""
        return {"MLFLOW_DISABLE_TELEMETRY": "true"}

    def target(self, url: str) -> Target:
        """Two at a time: more make it no faster, as its workers wait for SQLite's lock."""
        return Target("http", url, 2, {"x-mlflow-experiment-id": "0"})


class Phoenix(Rival):
    """`phoenix serve`."""

    name = "Phoenix"
    package = "arize-phoenix"
    variable = "BENCHMARK_PHOENIX_PYTHON"
    database = "phoenix.db"
    stores_first = False
    health = "/healthz"

    def arguments(self, directory: pathlib.Path, port: int) -> list[str]:
        """All else is in the environment."""
        return ["-m", "phoenix.server.main", "serve"]

    def environment(self, directory: pathlib.Path, port: int) -> dict[str, str]:
        """Where to listen and to keep spans, and no telemetry."""
        return {
            "PHOENIX_HOST": "127.0.0.1",
            "PHOENIX_PORT": str(port),
            "PHOENIX_GRPC_PORT": str(free_port()),
            "PHOENIX_WORKING_DIR": str(directory),
            "PHOENIX_TELEMETRY_ENABLED": "false",
        }

    def target(self, url: str) -> Target:
        """One at a time: it acknowledges faster than it stores in any case."""
        return Target("http", url, 1)


RIVALS: tuple[type[Rival], ...] = (MLflow, Phoenix)


def _version(interpreter: str, package: str) -> str | None:
    code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    try:
        ended = subprocess.run([interpreter, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return ended.stdout.strip() or None
