# SPDX-License-Identifier: Apache-2.0
"""A repository, and a git that nothing on this machine sets up."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from .repositories import Repository, initialize

collect_ignore_glob = ["test_*.py"] if shutil.which("git") is None else []


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "A Developer")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "developer@example.com")
        monkeypatch.setenv(f"GIT_{role}_DATE", "2024-01-02T03:04:05+0000")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = initialize(tmp_path / "repository")
    made.write("app.py", "print('one')\n")
    made.write("package/module.py", "VALUE = 1\n")
    made.write("package/data.bin", b"\0\1\2\3")
    made.write(".gitignore", "*.log\n")
    made.commit()
    return made
