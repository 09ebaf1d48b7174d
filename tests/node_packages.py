# SPDX-License-Identifier: Apache-2.0
"""Packages of Node.js, installed once and kept in the user's cache, for programs that know nothing of this library."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

DoWithout = Callable[[str], NoReturn]


def environment(do_without: DoWithout, *packages: str) -> dict[str, str]:
    """Return what a Node program needs in its environment to find these packages; do without where there is no Node."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        do_without("Node and npm are not installed")
    base = os.environ.get("XDG_CACHE_HOME", "")
    cache = (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "otel-loggedmodel"
    folder = cache / f"node-{hashlib.sha256(chr(10).join(packages).encode()).hexdigest()[:16]}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="installing-", dir=cache) as scratch:
            install(do_without, packages, Path(scratch) / "node")
            try:
                (Path(scratch) / "node").rename(folder)
            except OSError:
                assert folder.exists(), "another worker was to have installed it first"
    return {"PATH": os.environ["PATH"], "NODE_PATH": str(folder / "node_modules")}


def install(do_without: DoWithout, packages: tuple[str, ...], folder: Path) -> None:
    folder.mkdir()
    (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
    quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--no-update-notifier", "--ignore-scripts")
    outcome = subprocess.run(
        ["npm", "install", *quiet, *packages], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    if outcome.returncode != 0:
        do_without(f"npm could not install {' '.join(packages)}: {outcome.stderr.strip()}")
