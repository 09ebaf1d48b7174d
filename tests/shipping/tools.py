# SPDX-License-Identifier: Apache-2.0
"""The environment of scripts/environments.py with the tools that build and check what is shipped."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / ".venv" / "tools" / "bin"
CONSTRAINTS = ROOT / "constraints.txt"


def environment(**variables: str) -> dict[str, str]:
    """Of a process that installs what was tested together, and asks no backend that runs here."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OTEL_", "MLFLOW_", "PYTHON", "PIPX_", "VIRTUAL_ENV", "GITHUB_"))
    }
    return {**kept, "UV_CONSTRAINT": str(CONSTRAINTS), "PIP_CONSTRAINT": str(CONSTRAINTS), "NO_COLOR": "1", **variables}


def tool(*command: object, cwd: Path = ROOT, **variables: str) -> str:
    """Run a tool, which has to succeed; what it says on both streams."""
    name, *arguments = map(str, command)
    done = subprocess.run(
        [TOOLS / name, *arguments],
        cwd=cwd,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}"
    return done.stdout


@contextmanager
def serving(command: Sequence[object], folder: Path, **variables: str) -> Iterator[str]:
    """The address of a backend that this command line starts. Its home is the folder; in the end it is told to stop."""
    with (folder / "errors").open("w") as errors:
        process = subprocess.Popen(
            [*map(str, command), "--http-port", "0", "--grpc-port", "0", "--json"],
            env=environment(HOME=str(folder), **variables),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready, (folder / "errors").read_text()
        yield json.loads(ready)["http"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)
    assert process.returncode == 0, (folder / "errors").read_text()
