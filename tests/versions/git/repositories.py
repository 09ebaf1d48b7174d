# SPDX-License-Identifier: Apache-2.0
"""Repositories made by real git."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from otel_loggedmodel.versions.git import GitState, read_git_state

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX file system")
ROOT = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs to act as two users")


class Repository:
    def __init__(self, root: Path) -> None:
        self.root = root

    def git(self, *arguments: str) -> str:
        command = ["git", "-c", "protocol.file.allow=always", *arguments]
        done = subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def remove(self, name: str) -> Path:
        path = self.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        return path

    def commit(self, message: str = "a commit") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def clone(self, to: Path, *arguments: str) -> Repository:
        self.git("clone", "--quiet", *arguments, self.root.as_uri(), str(to))
        return Repository(to)

    def read(self) -> GitState:
        return read_git_state(self.root)

    def digest(self) -> str | None:
        return self.read().diff_digest

    def diff(self) -> str:
        diff = read_git_state(self.root, record_diff=True).diff
        assert diff is not None
        return diff


def initialize(root: Path, *arguments: str) -> Repository:
    root.mkdir(parents=True, exist_ok=True)
    repository = Repository(root)
    repository.git("init", "--quiet", "--initial-branch=main", *arguments)
    return repository


def age_index(repository: Repository) -> None:
    """Put the files' times behind the index's, as in a checkout older than a second."""
    for name in repository.git("ls-files").splitlines():
        os.utime(repository.root / name, (1_700_000_000, 1_700_000_000), follow_symlinks=False)
    repository.git("update-index", "-q", "--refresh")


def add_submodule(repository: Repository, tmp_path: Path) -> Repository:
    upstream = initialize(tmp_path / "upstream")
    upstream.write("inner.py", "INNER = 1\n")
    upstream.commit()
    repository.git("submodule", "--quiet", "add", upstream.root.as_uri(), "submodule")
    repository.commit("with a submodule")
    return Repository(repository.root / "submodule")
