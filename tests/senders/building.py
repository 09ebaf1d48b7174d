# SPDX-License-Identifier: Apache-2.0
"""Builds a program once, and keeps it in the user's cache under a name made from everything that it is made of."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from .conftest import HERE, REQUIRED, do_without

# On a busy machine; most of it is fetching packages.
_SECONDS = 900


def built(
    name: str, commands: Sequence[Sequence[str]], output: str, variables: Mapping[str, str] | None = None
) -> Path:
    """What the project in the folder of this name builds.

    Args:
        name: Of the folder.
        commands: That build it, in a copy of the folder. The first word of each is a program that has to be there.
        output: The file that they make, which alone is kept.
        variables: In their environment, beside this process's.
    """
    for command in commands:
        if shutil.which(command[0]) is None:
            do_without(f"{command[0]} is not installed")
    source = HERE / name
    kept = _cache() / f"sender-{name}-{_digest(source, commands)}" / Path(output).name
    if not kept.exists():
        if os.environ.get(REQUIRED) != "1":
            do_without("it has not been built here: `make test-senders` builds it")
        _cache().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="building-", dir=_cache()) as scratch:
            folder = Path(scratch) / "source"
            shutil.copytree(source, folder)
            for command in commands:
                _run(command, folder, {**os.environ, **(variables or {})})
            result = Path(scratch) / "result"
            result.mkdir()
            (folder / output).rename(result / kept.name)
            try:
                result.rename(kept.parent)
            except OSError:
                assert kept.exists(), "another worker was to have built it first"
    return kept


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
    outcome = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if outcome.returncode != 0:
        said = (outcome.stdout + outcome.stderr).strip()[-2000:]
        do_without(f"`{' '.join(command)}` failed: {said}")


def _digest(source: Path, commands: Sequence[Sequence[str]]) -> str:
    digest = hashlib.sha256(repr(commands).encode())
    for path in sorted(source.rglob("*")):
        if path.is_file():
            digest.update(str(path.relative_to(source)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "otel-loggedmodel"
