# SPDX-License-Identifier: Apache-2.0
"""The environment of scripts/environments.py with the tools that build and check what is shipped."""

import os
import subprocess
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
