# SPDX-License-Identifier: Apache-2.0
"""What a state says, and where there is none."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_loggedmodel.versions.git import GitState, GitUnavailable, read_git_state

from .repositories import POSIX, ROOT, Repository, initialize

# What a state says


def test_clean_checkout_is_its_commit_and_branch(repository: Repository) -> None:
    head = repository.git("rev-parse", "HEAD")
    assert repository.read() == GitState(
        head, "main", None, dirty=False, diff_digest=None, diff=None, root=str(repository.root.resolve())
    )


def test_state_is_immutable(repository: Repository) -> None:
    state = repository.read()
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.commit = "0" * 40  # type: ignore[misc]


def test_current_directory_is_the_default(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository.root / "package")
    assert read_git_state() == repository.read()


def test_path_may_be_a_file(repository: Repository) -> None:
    assert read_git_state(repository.root / "package/module.py") == repository.read()


def test_every_subdirectory_has_the_state_of_the_whole(repository: Repository) -> None:
    repository.write("app.py", "print('two')\n")
    repository.write("package/new.py", "")
    state = read_git_state(repository.root, record_diff=True)
    assert state.dirty
    assert read_git_state(repository.root / "package", record_diff=True) == state


def test_repository_without_any_setting(repository: Repository) -> None:
    (repository.root / ".git/config").write_text("[core]\nrepositoryFormatVersion = 0\n")
    repository.write("app.py", "print('two')\n")
    assert repository.read().dirty


def test_detached_head_has_no_branch(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "--detach")
    assert repository.read().branch is None
    assert repository.read().commit == repository.git("rev-parse", "HEAD")


def test_branch_name_keeps_its_slashes(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "feature/größer")
    assert repository.read().branch == "feature/größer"


def test_shallow_clone(repository: Repository, tmp_path: Path) -> None:
    repository.commit("second")
    clone = repository.clone(tmp_path / "shallow", "--depth=1")
    assert clone.git("rev-parse", "--is-shallow-repository") == "true"
    assert clone.read().commit == repository.read().commit
    assert not clone.read().dirty


def test_linked_worktree_has_its_own_branch_and_changes(repository: Repository, tmp_path: Path) -> None:
    repository.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    side = Repository(tmp_path / "side")
    side.write("app.py", "print('side')\n")
    assert (side.read().branch, side.read().dirty) == ("side", True)
    assert (repository.read().branch, repository.read().dirty) == ("main", False)


def test_sha256_repository(tmp_path: Path) -> None:
    repository = initialize(tmp_path / "long", "--object-format=sha256")
    link = repository.root / "link"
    link.symlink_to("here")
    commit = repository.commit()
    link.unlink()
    link.symlink_to("there")
    repository.git("add", "link")
    assert len(commit) == 64
    assert repository.read().commit == commit
    assert repository.read().dirty
    link.unlink()
    link.symlink_to("here")
    assert not repository.read().dirty


def test_middle_of_a_merge_conflict(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "side")
    repository.write("app.py", "print('side')\n")
    repository.commit()
    repository.git("checkout", "--quiet", "main")
    repository.write("app.py", "print('main')\n")
    commit = repository.commit()
    with pytest.raises(subprocess.CalledProcessError):
        repository.git("merge", "side")
    state = repository.read()
    assert (state.commit, state.dirty) == (commit, True)
    repository.write("app.py", "print('main')\n")  # resolved as HEAD has it, not yet added
    assert not repository.read().dirty


# Where there is no state


def unavailable(path: Path, **arguments: float) -> str:
    with pytest.raises(GitUnavailable) as caught:
        read_git_state(path, **arguments)  # type: ignore[arg-type]
    return str(caught.value)


def test_outside_of_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert re.match(rf"{tmp_path} is not in a git checkout .*pass path=", unavailable(tmp_path))


def test_search_for_a_checkout_ends_where_the_user_says(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(repository.root))
    assert "is not in a git checkout" in unavailable(repository.root / "package")


def test_missing_directory(tmp_path: Path) -> None:
    assert "there is no directory" in unavailable(tmp_path / "missing")


@POSIX
def test_deleted_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(GitUnavailable, match="current directory cannot be read"):
        read_git_state()


def test_unborn_branch(tmp_path: Path) -> None:
    repository = initialize(tmp_path / "unborn")
    repository.write("app.py", "")
    assert "has no commit yet" in unavailable(repository.root)


def test_bare_repository_and_git_directory(repository: Repository, tmp_path: Path) -> None:
    bare = repository.clone(tmp_path / "bare.git", "--bare")
    assert "no files are checked out" in unavailable(bare.root)
    assert "no files are checked out" in unavailable(repository.root / ".git")


def test_git_not_installed(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git was not found on PATH: install it" in unavailable(repository.root)


def test_broken_repository_says_what_git_said(repository: Repository) -> None:
    repository.write(".git/index", b"not an index at all, but long enough to be taken for one")
    assert re.search("`git status` failed .*(index|signature)", unavailable(repository.root))


@ROOT
def test_checkout_of_another_user_names_the_setting(repository: Repository) -> None:
    os.chown(repository.root, 12345, 12345)
    assert "git config --global --add safe.directory" in unavailable(repository.root)


@ROOT
def test_trust_may_come_from_the_environment(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(repository.root, 12345, 12345)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "safe.directory")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "*")
    assert not repository.read().dirty


@pytest.fixture
def fake_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def install(script: str) -> None:
        program = tmp_path / "bin" / "git"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\n" + script)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    return install


@POSIX
def test_first_wording_of_git_about_another_user(tmp_path: Path, fake_git: Callable[[str], None]) -> None:
    fake_git(
        "echo \"fatal: unsafe repository ('/srv' is owned by someone else)\" >&2\n"
        "echo 'To add an exception, call: git config --global --add safe.directory /srv' >&2\nexit 128\n"
    )
    message = unavailable(tmp_path)
    assert "unsafe repository ('/srv' is owned by someone else)" in message
    assert "git config --global --add safe.directory" in message


@POSIX
def test_git_is_told_not_to_ask_not_to_lock_and_to_speak_english(
    tmp_path: Path, fake_git: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    variables = "$LC_ALL/$LANGUAGE/$GIT_TERMINAL_PROMPT/$GIT_OPTIONAL_LOCKS/$GIT_NO_LAZY_FETCH/$GIT_ALLOW_PROTOCOL"
    fake_git(f'echo "fatal: {variables}/$(cat)" >&2\nexit 128\n')
    assert "(fatal: C//0/0/1/none/)" in unavailable(tmp_path, timeout=60)


@POSIX
def test_timeout_ends_git_and_what_it_started(tmp_path: Path, fake_git: Callable[[str], None]) -> None:
    fake_git(f"sleep 60 &\necho $! > {tmp_path}/child\nwait\n")
    started = time.monotonic()
    assert "took too long: pass a longer timeout=" in unavailable(tmp_path, timeout=2.0)
    assert time.monotonic() - started < 30
    child = int((tmp_path / "child").read_text())
    for _ in range(500):
        if not alive(child):
            break
        time.sleep(0.01)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:  # killed, but waiting for an init that a container may not have
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@POSIX
def test_timeout_is_for_the_whole_reading(
    repository: Repository, tmp_path: Path, fake_git: Callable[[str], None]
) -> None:
    fake_git(f'sleep 0.4\nexec {shutil.which("git")} "$@"\n')
    assert "took too long" in unavailable(repository.root, timeout=1.0)  # of which each of four runs takes 0.4
