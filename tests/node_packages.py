# SPDX-License-Identifier: Apache-2.0
"""Packages of Node.js, installed once and kept in the user's cache, for programs that know nothing of this library."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import needs


def environment(required_by: str, *packages: str) -> dict[str, str]:
    """Return what a Node program needs in its environment to find these packages; skip where Node is not installed.

    Args:
        required_by: The environment variable that makes a failure of the skip.
        *packages: With their versions, as npm takes them.
    """
    if shutil.which("node") is None or shutil.which("npm") is None:
        needs.do_without("Node and npm", "apt-get install nodejs npm", required_by=required_by)
    folder = folder_of(*packages)
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="installing-", dir=folder.parent) as scratch:
            install(required_by, packages, Path(scratch) / "node")
            try:
                (Path(scratch) / "node").rename(folder)
            except OSError:
                assert folder.exists(), "another worker was to have installed it first"
    return {"PATH": os.environ["PATH"], "NODE_PATH": str(folder / "node_modules")}


def folder_of(*packages: str) -> Path:
    """Return where these packages are, once they are installed."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    cache = (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "otel-loggedmodel"
    return cache / f"node-{hashlib.sha256(chr(10).join(packages).encode()).hexdigest()[:16]}"


def install(required_by: str, packages: tuple[str, ...], folder: Path) -> None:
    folder.mkdir()
    (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
    quiet = ("--no-audit", "--no-fund", "--no-package-lock", "--no-update-notifier", "--ignore-scripts")
    outcome = subprocess.run(
        ["npm", "install", *quiet, *packages], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    if outcome.returncode != 0:
        needs.do_without(
            f"packages that npm could not install here ({outcome.stderr.strip()})",
            f"npm install {' '.join(packages)}",
            required_by=required_by,
        )
