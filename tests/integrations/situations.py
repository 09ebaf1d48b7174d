# SPDX-License-Identifier: Apache-2.0
"""The pages of docs/, and what is printed on them: files, named by their first line, and lines for a shell."""

import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from integrations.servers import BIN

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
_FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_NAME: Final = re.compile(r"^(?:#|//) (\S+\.\w+)\n")


class Page:
    """A page by its name, without `.md`."""

    def __init__(self, name: str) -> None:
        self._blocks: Final = _FENCE.findall((DOCS / f"{name}.md").read_text(encoding="utf-8"))

    @property
    def files(self) -> dict[str, str]:
        """The files that it prints, by name."""
        named = ((match, block) for _, block in self._blocks if (match := _NAME.match(block)))
        return {match[1]: block for match, block in named}

    @property
    def console(self) -> list[str]:
        """The blocks that are for a shell."""
        return [block for kind, block in self._blocks if kind == "console"]

    @property
    def python(self) -> list[str]:
        """The blocks that are Python."""
        return [block for kind, block in self._blocks if kind == "python"]

    def write_to(self, directory: Path, names: Iterable[str] | None = None) -> None:
        """Put its files into a directory: these, or all."""
        files = self.files
        for name in files if names is None else names:
            (directory / name).write_text(files[name], encoding="utf-8")


def run_in_shell(lines: str, directory: Path, environment: Mapping[str, str], seconds: float = 60) -> str:
    """Run lines as a user types them, without installing anything; what was printed.

    Raises:
        AssertionError: One failed, or printed a traceback.
    """
    script = "set -e\n" + "\n".join(line for line in lines.splitlines() if not line.startswith("pip install"))
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        env={**environment, "PATH": f"{BIN}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout
