# SPDX-License-Identifier: Apache-2.0
"""Repositories in the repository."""

from __future__ import annotations

import os
from pathlib import Path

from .repositories import ROOT, Repository, add_submodule, initialize


def test_submodule_has_a_state_of_its_own(repository: Repository, tmp_path: Path) -> None:
    submodule = add_submodule(repository, tmp_path)
    assert submodule.read().commit == submodule.git("rev-parse", "HEAD") != repository.read().commit
    assert submodule.read().remote_url == (tmp_path / "upstream").as_uri()
    assert not submodule.read().dirty
    assert not repository.read().dirty


def test_everything_that_differs_in_a_submodule_counts(repository: Repository, tmp_path: Path) -> None:
    submodule = add_submodule(repository, tmp_path)
    digests = [repository.digest()]
    submodule.write("inner.py", "INNER = 2\n")
    digests.append(repository.digest())
    assert "a/submodule and b/submodule differ" in repository.diff()
    submodule.write("inner.py", "INNER = 3\n")
    digests.append(repository.digest())
    submodule.git("checkout", "--quiet", "inner.py")
    digests.append(repository.digest())
    submodule.write("new.py", "")
    digests.append(repository.digest())
    submodule.commit()
    digests.append(repository.digest())
    assert f"+Subproject commit {submodule.git('rev-parse', 'HEAD')}" in repository.diff()
    repository.git("add", "submodule")
    assert repository.digest() == digests[-1]
    assert digests[0] is digests[3] is None
    assert len(set(digests)) == 5


def test_submodules_that_are_told_to_be_ignored_count(repository: Repository, tmp_path: Path) -> None:
    submodule = add_submodule(repository, tmp_path)
    repository.git("config", "submodule.submodule.ignore", "all")
    repository.git("config", "diff.ignoreSubmodules", "all")
    submodule.write("inner.py", "INNER = 2\n")
    assert repository.read().dirty
    submodule.commit()
    assert repository.read().dirty


def test_submodule_that_is_not_initialised_is_clean(repository: Repository, tmp_path: Path) -> None:
    add_submodule(repository, tmp_path)
    clone = repository.clone(tmp_path / "clone")
    assert list((clone.root / "submodule").iterdir()) == []
    assert not clone.read().dirty


def test_nested_repository_counts_by_commit_and_changes(repository: Repository) -> None:
    nested = initialize(repository.root / "nested")
    nested.write("file", "1")
    digests = [repository.digest()]  # unborn, with a file
    nested.write("file", "2")
    digests.append(repository.digest())
    nested.commit()
    digests.append(repository.digest())
    nested.write("file", "3")
    digests.append(repository.digest())
    assert len({*digests, None}) == 5
    assert "and b/nested differ" in repository.diff()


@ROOT
def test_nested_repository_of_another_user_does_not_break_the_reading(repository: Repository) -> None:
    nested = initialize(repository.root / "nested")
    os.chown(nested.root, 12345, 12345)
    assert repository.read().dirty
