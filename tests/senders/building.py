# SPDX-License-Identifier: Apache-2.0
"""Builds a program once, and keeps it in the user's cache under a name made from everything that it is made of."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import needs

from .conftest import HERE, REQUIRED

NPM_INSTALL = ("npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--silent")
ESBUILD = ("npx", "--no-install", "esbuild", "main.mjs", "--bundle")
# Of Debian and Ubuntu.
PACKAGES = {"npm": "npm", "npx": "npm", "go": "golang", "mvn": "maven", "cargo": "cargo"}
# On a busy machine; most of it is fetching packages.
_SECONDS = 900


def built(name: str, commands: Sequence[Sequence[str]], output: str, shared: Mapping[str, str] | None = None) -> Path:
    """What the project in the folder of this name builds.

    Args:
        name: Of the folder.
        commands: That build it, in a copy of the folder. The first word of each is a program that has to be there.
        output: The file that they make, which alone is kept.
        shared: What other files there have in them, by their names.
    """
    for command in commands:
        if shutil.which(command[0]) is None:
            needs.do_without(command[0], f"apt-get install {PACKAGES[command[0]]}", required_by=REQUIRED)
    files = {path.relative_to(HERE / name): path.read_bytes() for path in (HERE / name).rglob("*") if path.is_file()}
    files |= {Path(place): text.encode() for place, text in (shared or {}).items()}
    kept = _cache() / f"sender-{name}-{_digest(files, commands)}" / Path(output).name
    if not kept.exists():
        _cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="building-", dir=_cache()) as scratch:
            folder = Path(scratch) / "source"
            for place, content in files.items():
                (folder / place).parent.mkdir(parents=True, exist_ok=True)
                (folder / place).write_bytes(content)
            for command in commands:
                _run(command, folder)
            result = Path(scratch) / "result"
            result.mkdir()
            (folder / output).rename(result / kept.name)
            try:
                result.rename(kept.parent)
            except OSError:
                assert kept.exists(), "another worker was to have built it first"
    return kept


def _run(command: Sequence[str], folder: Path) -> None:
    outcome = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if outcome.returncode != 0:
        said = (outcome.stdout + outcome.stderr).strip()[-2000:]
        needs.do_without(f"a program that could not be built here ({said})", " ".join(command), required_by=REQUIRED)


def _digest(files: Mapping[Path, bytes], commands: Sequence[Sequence[str]]) -> str:
    digest = hashlib.sha256(repr(commands).encode())
    for place, content in sorted(files.items()):
        digest.update(str(place).encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:16]


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "otel-loggedmodel"
