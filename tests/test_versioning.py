# SPDX-License-Identifier: Apache-2.0
"""A version from a real git checkout."""

import os
import subprocess
from pathlib import Path

import pytest

import otel_loggedmodel as mlflow


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "A")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "a@example.org")
    folder = tmp_path / "my-agent"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "prompt.txt").write_text("Be brief.\n")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    monkeypatch.chdir(folder)
    return folder


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_a_clean_checkout_is_its_commit(checkout: Path) -> None:
    git(checkout, "remote", "add", "origin", "https://user:secret@example.org/team/support-agent.git")
    versioning = mlflow.enable_git_model_versioning()
    commit = git(checkout, "rev-parse", "HEAD")
    model = mlflow.get_logged_model(mlflow.get_active_model_id())
    assert versioning.active_model is not None
    assert versioning.active_model.model_id == model.model_id
    assert model.name == "support-agent"
    assert dict(model.tags) == {
        "vcs.ref.head.revision": commit,
        "vcs.ref.head.name": "main",
        "vcs.repository.url.full": "https://example.org/team/support-agent.git",
        "git.dirty": "false",
        # The same as MLflow names it.
        "mlflow.git.commit": commit,
        "mlflow.git.branch": "main",
        "mlflow.git.repo_url": "https://example.org/team/support-agent.git",
        "mlflow.git.dirty": "false",
    }
    assert versioning.info is not None
    assert versioning.info.commit == commit
    assert "secret" not in repr((versioning, model))


def test_two_edits_of_one_commit_are_two_versions_and_a_revert_is_the_first_again(checkout: Path) -> None:
    def version() -> str:
        mlflow.enable_git_model_versioning()
        return mlflow.get_active_model_id()

    clean = version()
    (checkout / "prompt.txt").write_text("Be long.\n")
    edited = version()
    (checkout / "new.txt").write_text("new\n")
    with_new_file = version()
    (checkout / "new.txt").unlink()
    (checkout / "prompt.txt").write_text("Be brief.\n")
    assert len({clean, edited, with_new_file}) == 3
    assert clean[:18] == edited[:18]
    assert version() == clean


def test_branch_and_remote_do_not_make_a_version(checkout: Path) -> None:
    first = mlflow.enable_git_model_versioning(name="agent").active_model
    git(checkout, "checkout", "-q", "-b", "other")
    git(checkout, "remote", "add", "origin", "git@example.org:x/y.git")
    second = mlflow.enable_git_model_versioning(name="agent").active_model
    git(checkout, "checkout", "-q", "--detach")
    third = mlflow.enable_git_model_versioning(name="agent").active_model
    assert first.model_id == second.model_id == third.model_id
    assert second.tags["vcs.ref.head.name"] == "other"


def test_without_a_remote_the_folder_names_the_version_from_anywhere_in_it(checkout: Path) -> None:
    (checkout / "deep" / "er").mkdir(parents=True)
    os.chdir(checkout / "deep" / "er")
    by_working_directory = mlflow.enable_git_model_versioning().active_model
    by_path = mlflow.enable_git_model_versioning(path=checkout).active_model
    assert by_working_directory.name == "my-agent"
    assert by_working_directory.model_id == by_path.model_id


def test_the_diff_is_recorded_only_when_asked_for(checkout: Path) -> None:
    (checkout / "prompt.txt").write_text("Be long.\n")
    silent = mlflow.enable_git_model_versioning().active_model
    assert "git.diff" not in silent.tags
    assert len(silent.tags["git.diff.sha256"]) == 64
    assert silent.tags["git.dirty"] == "true"
    told = mlflow.enable_git_model_versioning(record_diff=True).active_model
    assert told.model_id == silent.model_id
    assert "+Be long." in told.tags["git.diff"]


def test_as_a_context_manager_it_is_active_inside_only(checkout: Path) -> None:
    with mlflow.genai.enable_git_model_versioning() as versioning:
        assert mlflow.get_active_model_id() == versioning.active_model.model_id
    assert mlflow.get_active_model_id() is None


def test_outside_a_checkout_it_warns_and_goes_on(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    mlflow.set_active_model("before")
    with mlflow.enable_git_model_versioning(path=tmp_path) as versioning:
        assert (versioning.info, versioning.active_model) == (None, None)
        assert mlflow.get_active_model_id() is not None
    assert caplog.messages[0].startswith("no version from git: ")


def test_without_git_it_warns_and_goes_on(checkout: Path, monkeypatch, caplog) -> None:
    monkeypatch.setenv("PATH", "")
    assert mlflow.enable_git_model_versioning().active_model is None
    assert caplog.messages[0].startswith("no version from git: ")
