# SPDX-License-Identifier: Apache-2.0
"""Where a checkout comes from."""

from __future__ import annotations

from pathlib import Path

from otel_loggedmodel.versions.git import read_git_state

from .repositories import Repository


def test_remote_url_is_that_of_origin_without_credentials(repository: Repository) -> None:
    repository.git("remote", "add", "another", "https://example.com/another.git")
    repository.git("remote", "add", "origin", "https://user:secret@example.com/team/app.git")
    assert repository.read().remote_url == "https://example.com/team/app.git"


def test_remote_url_of_the_named_remote(repository: Repository) -> None:
    repository.git("remote", "add", "origin", "https://example.com/origin.git")
    repository.git("remote", "add", "Team.fork", "https://example.com/fork.git")
    assert read_git_state(repository.root, remote_name="Team.fork").remote_url == "https://example.com/fork.git"


def test_remote_url_falls_back_to_the_upstream_of_the_branch(repository: Repository) -> None:
    repository.git("remote", "add", "one", "https://example.com/one.git")
    repository.git("remote", "add", "two", "https://example.com/two.git")
    assert repository.read().remote_url is None
    repository.git("checkout", "--quiet", "-b", "Topic.X")
    repository.git("config", "branch.Topic.X.remote", "two")
    repository.git("config", "branch.main.remote", "one")
    assert repository.read().remote_url == "https://example.com/two.git"


def test_remote_url_falls_back_to_the_only_remote(repository: Repository, tmp_path: Path) -> None:
    clone = repository.clone(tmp_path / "clone", "--origin", "upstream")
    clone.git("checkout", "--quiet", "--detach")
    assert clone.read().remote_url == repository.root.as_uri()


def test_remote_url_is_the_first_of_several(repository: Repository) -> None:
    repository.git("remote", "add", "origin", "https://example.com/first.git")
    repository.git("remote", "set-url", "--add", "origin", "https://example.com/second.git")
    assert repository.read().remote_url == "https://example.com/first.git"


def test_remote_url_is_not_rewritten_for_this_user(repository: Repository) -> None:
    repository.git("remote", "add", "origin", "https://example.com/app.git")
    repository.git("config", "url.https://user:secret@example.com/.insteadOf", "https://example.com/")
    assert repository.git("remote", "get-url", "origin") == "https://user:secret@example.com/app.git"
    assert repository.read().remote_url == "https://example.com/app.git"


def test_remote_without_url(repository: Repository) -> None:
    repository.git("config", "remote.origin.prune", "true")
    assert repository.read().remote_url is None
