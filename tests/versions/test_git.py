# SPDX-License-Identifier: Apache-2.0
"""Real repositories, made by real git, read back."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel_loggedmodel.versions import git as git_module
from otel_loggedmodel.versions.git import GitState, GitUnavailable, read_git_state
from otel_loggedmodel.versions.git_urls import strip_credentials

if shutil.which("git") is None:  # pragma: no cover
    pytest.skip("git is not installed", allow_module_level=True)

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


def age_index(repository: Repository) -> None:
    """Put the files' times behind the index's, as in a checkout older than a second."""
    for name in repository.git("ls-files").splitlines():
        os.utime(repository.root / name, (1_700_000_000, 1_700_000_000), follow_symlinks=False)
    repository.git("update-index", "-q", "--refresh")


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


# Dirty, and how


CHANGES: dict[str, Callable[[Repository], object]] = {
    "edit": lambda r: r.write("app.py", "print('two')\n"),
    "another edit": lambda r: r.write("app.py", "print('three')\n"),
    "edit of the same size": lambda r: r.write("app.py", "print('uno')\n"),
    "line endings": lambda r: r.write("app.py", "print('one')\r\n"),
    "binary edit": lambda r: r.write("package/data.bin", b"\0\1\2\4"),
    "deletion": lambda r: r.remove("app.py"),
    "deletion of all in a directory": lambda r: r.remove("package"),
    "rename": lambda r: (r.root / "app.py").rename(r.root / "main.py"),
    "copy": lambda r: shutil.copy(r.root / "app.py", r.root / "main.py"),
    "executable": lambda r: (r.root / "app.py").chmod(0o755),
    "file to symlink": lambda r: r.remove("app.py").symlink_to("package/module.py"),
    "file to directory": lambda r: r.remove("app.py") and r.write("app.py/__main__.py", "print('one')\n"),
    "directory to file": lambda r: r.remove("package").touch(),
    "new empty file": lambda r: r.write("new", ""),
    "new file elsewhere": lambda r: r.write("package/new", ""),
    "new file with content": lambda r: r.write("new", "content"),
    "new executable": lambda r: r.write("new", "").chmod(0o755),
    "new symlink": lambda r: (r.root / "new").symlink_to("app.py"),
    "new dangling symlink": lambda r: (r.root / "new").symlink_to("nowhere"),
    "new name with a space": lambda r: r.write("a b", ""),
    "new name with a leading space": lambda r: r.write(" b", ""),
    "new name with a newline": lambda r: r.write("a\nb", ""),
    "new name with a carriage return": lambda r: r.write("a\r", ""),
    "new name with quotes": lambda r: r.write('"a"', ""),
    "new name with a backslash": lambda r: r.write("a\\nb", ""),
    "new name with a tab": lambda r: r.write("a\tb", ""),
    "new name in unicode": lambda r: r.write("größe-模型", ""),
    "new name like an option": lambda r: r.write("--help", ""),
    "new name like a pathspec": lambda r: r.write(":(top)*", ""),
}


@POSIX
@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_change_is_one_digest_staged_or_not_in_every_clone(
    repository: Repository, tmp_path: Path, change: Callable[[Repository], object]
) -> None:
    clone = repository.clone(tmp_path / "elsewhere" / "clone")
    change(repository)
    change(clone)
    state = repository.read()
    assert state.dirty
    assert re.fullmatch("[0-9a-f]{64}", state.diff_digest or "")
    assert clone.digest() == state.diff_digest
    clone.git("add", "--all")
    assert clone.digest() == state.diff_digest
    clone.git("reset", "--quiet")
    clone.git("add", "--all", "--intent-to-add")
    assert clone.digest() == state.diff_digest


@POSIX
def test_no_two_changes_share_a_digest(repository: Repository) -> None:
    digests = {}
    for name, change in CHANGES.items():
        change(repository)
        digests[name] = repository.digest()
        repository.git("reset", "--quiet", "--hard")
        repository.git("clean", "--quiet", "-fdx")
        assert repository.digest() is None
    assert None not in digests.values()
    assert len(set(digests.values())) == len(CHANGES)


@POSIX
@pytest.mark.parametrize("name", ["a\nb", "a\r", '"a"', "a\\nb", "a\tb", " a ", "größe", ":(exclude)app.py", "--help"])
def test_content_of_a_file_counts_whatever_its_name(repository: Repository, name: str) -> None:
    digests = set()
    for content in ("1", "2"):
        repository.write(name, content)
        digests.add(repository.digest())
    repository.commit()
    repository.write(name, "3")
    repository.write("app.py", "print('two')\n")
    digests.add(repository.digest())
    assert len(digests - {None}) == 3
    assert repository.diff().count("\n+3\n") == repository.diff().count("\n+print('two')\n") == 1


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names are Unicode there")
def test_names_that_are_not_unicode_count(repository: Repository) -> None:
    digests = set()
    for name in (b"caf\xe9", b"caf\xe8"):
        repository.write(os.fsdecode(name), "content\n")
        digests.add(repository.digest())
        assert "b/caf\N{REPLACEMENT CHARACTER}" in repository.diff()
        repository.remove(os.fsdecode(name))
    assert len(digests - {None}) == 2


def test_digest_is_over_paths_modes_and_blob_ids(repository: Repository) -> None:
    """Versions that were recorded long ago are found again: this format is fixed."""
    repository.write("app.py", "print('two')\n")
    (repository.root / "package/module.py").unlink()
    repository.write("new", "content")
    two = repository.git("hash-object", "app.py")
    content = repository.git("hash-object", "new")
    expected = f"otel-loggedmodel working tree 1|app.py|100644 {two}|new|100644 {content}|package/module.py||"
    assert repository.digest() == hashlib.sha256(expected.replace("|", "\0").encode()).hexdigest()
    assert repository.digest() == "3b94a5955f2294e7306e133d088dfc6d860f7b6c5cd333a8df7a896727e456f0"


def test_touched_file_is_not_dirty(repository: Repository) -> None:
    for name in ("app.py", "package/data.bin"):
        os.utime(repository.root / name, (1_600_000_000, 1_600_000_000))
    assert not repository.read().dirty


def test_ignored_files_do_not_count(repository: Repository) -> None:
    repository.write("debug.log", "x")
    repository.write("package/.gitignore", "")
    repository.write("package/debug.log", "x")
    (repository.root / "package/.gitignore").unlink()
    assert not repository.read().dirty


def test_ignored_file_that_was_added_counts(repository: Repository) -> None:
    repository.write("debug.log", "x")
    repository.git("add", "--force", "debug.log")
    assert repository.read().dirty


def test_ignored_by_the_user_does_not_count(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ignore").write_text(".DS_Store\n")
    (tmp_path / "config").write_text(f"[core]\nexcludesFile = {tmp_path}/ignore\n")
    repository.write(".DS_Store", "x")
    assert repository.read().dirty
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    assert not repository.read().dirty


def test_staged_change_that_was_undone_in_the_working_tree_does_not_run(repository: Repository) -> None:
    repository.write("app.py", "print('two')\n")
    repository.git("add", "app.py")
    repository.write("app.py", "print('one')\n")
    assert not repository.read().dirty


def test_file_only_removed_from_the_index_still_runs(repository: Repository) -> None:
    repository.git("rm", "--quiet", "--cached", "app.py")
    assert not repository.read().dirty
    repository.write("app.py", "print('two')\n")
    digest = repository.digest()
    repository.git("reset", "--quiet")
    assert repository.digest() == digest


def test_staged_new_file_that_was_deleted_again(repository: Repository) -> None:
    path = repository.write("new", "x")
    repository.git("add", "new")
    path.unlink()
    assert not repository.read().dirty


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_files_git_was_told_not_to_look_at_count(repository: Repository, flag: str) -> None:
    repository.write("app.py", "print('two')\n")
    digest = repository.digest()
    repository.git("checkout", "--quiet", "app.py")
    repository.git("update-index", flag, "app.py")
    assert not repository.read().dirty
    repository.write("app.py", "print('two')\n")
    assert repository.git("status", "--porcelain") == ""
    assert repository.digest() == digest
    assert "a/app.py and b/app.py differ" in repository.diff()


def test_assume_unchanged_file_that_is_gone_counts(repository: Repository) -> None:
    repository.git("update-index", "--assume-unchanged", "app.py")
    (repository.root / "app.py").unlink()
    assert repository.read().dirty


def test_sparse_checkout_is_clean(repository: Repository) -> None:
    repository.git("sparse-checkout", "set", "--no-cone", "/app.py")
    assert not (repository.root / "package").exists()
    assert not repository.read().dirty
    repository.write("app.py", "print('two')\n")
    assert repository.read().dirty


@POSIX
def test_what_lies_behind_a_symlink_is_not_in_the_checkout(repository: Repository, tmp_path: Path) -> None:
    shutil.copytree(repository.root / "package", tmp_path / "outside")
    (tmp_path / "outside/module.py").write_text("VALUE = 2\n")
    shutil.rmtree(repository.root / "package")
    (repository.root / "package").symlink_to(tmp_path / "outside")
    digest = repository.digest()
    (tmp_path / "outside/module.py").write_text("VALUE = 3\n")
    assert digest is not None
    assert repository.digest() == digest


@POSIX
def test_symlink_target_counts(repository: Repository) -> None:
    link = repository.root / "link"
    digests = []
    for target in ("app.py", "package", "nowhere"):
        link.symlink_to(target)
        digests.append(repository.digest())
        link.unlink()
    assert len({*digests, None}) == 4


@POSIX
def test_fifos_and_sockets_do_not_hang_or_count(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(repository.root / "fifo")
    monkeypatch.chdir(repository.root)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert not read_git_state(timeout=60, record_diff=True).dirty


@POSIX
def test_tracked_file_replaced_by_a_fifo_counts(repository: Repository) -> None:
    (repository.root / "app.py").unlink()
    os.mkfifo(repository.root / "app.py")
    assert read_git_state(repository.root, timeout=60, record_diff=True).dirty


@pytest.fixture
def ordinary_user(monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A repository of someone who is not root, whom file permissions do not hold back."""
    with tempfile.TemporaryDirectory() as directory:
        if os.geteuid() == 0:
            os.chown(directory, 65534, 65534)
            os.seteuid(65534)
        monkeypatch.chdir(directory)
        monkeypatch.setenv("HOME", directory)
        try:
            repository = initialize(Path(directory) / "repository")
            repository.write("app.py", "")
            repository.commit()
            yield repository
        finally:
            if os.getuid() == 0:
                os.seteuid(0)  # first: the directory to go back to may be closed to anyone else
            monkeypatch.undo()


@POSIX
def test_unreadable_new_files_count_and_the_others_still_by_content(ordinary_user: Repository) -> None:
    for name in ("b", "d"):
        ordinary_user.write(name, name).chmod(0)
    unreadable = ordinary_user.digest()
    assert unreadable is not None
    digests: set[str | None] = {unreadable}
    for name in ("a", "c", "e"):
        ordinary_user.write(name, "1")
        digests.add(ordinary_user.digest())
        ordinary_user.write(name, "2")
        digests.add(ordinary_user.digest())
    assert len(digests) == 7
    assert "Binary files /dev/null and b/b differ" in ordinary_user.diff()
    assert "+++ b/c" in ordinary_user.diff()


@POSIX
def test_unreadable_directories_and_changed_files_do_not_break_the_reading(ordinary_user: Repository) -> None:
    closed = ordinary_user.write("closed/file", "x").parent
    ordinary_user.write("app.py", "changed").chmod(0)
    closed.chmod(0)
    try:
        assert ordinary_user.read().dirty
    finally:
        closed.chmod(0o755)


# Bounds


def test_large_new_file_counts_by_size(repository: Repository) -> None:
    data = repository.write("data", "")
    os.truncate(data, (64 << 20) + 1)
    digest = repository.digest()
    with data.open("r+b") as file:
        file.write(b"other content")
    assert repository.digest() == digest
    repository.git("add", "--intent-to-add", "data")
    assert repository.digest() == digest
    os.truncate(data, (64 << 20) + 2)
    assert repository.digest() != digest


def test_large_new_file_leaves_room_for_the_others(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_module, "_NEW_FILES_BYTES", 20)
    repository.write("a", "much more than the whole bound")
    repository.write("b", "0123456789")
    digest = repository.digest()
    repository.write("b", "9876543210")
    assert repository.digest() != digest


@pytest.mark.parametrize(("bound", "value"), [("_NEW_FILES", 2), ("_NEW_FILES_BYTES", 20)])
def test_new_files_past_the_bound_count_by_size(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(git_module, bound, value)
    for name in "abc":
        repository.write(name, "0123456789")
    digest = repository.digest()
    repository.write("c", "9876543210")
    assert repository.digest() == digest
    repository.write("b", "9876543210")
    assert repository.digest() != digest
    repository.write("b", "0123456789")
    repository.write("c", "more than that")
    assert repository.digest() != digest


def test_changed_file_counts_by_content_however_many_are_new(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    for bound in ("_NEW_FILES", "_NEW_FILES_BYTES", "_NEW_FILE_BYTES"):
        monkeypatch.setattr(git_module, bound, 0)
    repository.write("app.py", "print('two')\n")
    digest = repository.digest()
    repository.write("app.py", "print('owt')\n")
    assert repository.digest() != digest


def test_large_changed_file_is_not_read_into_memory(repository: Repository) -> None:
    data = repository.write("package/data.bin", "")
    os.truncate(data, 48 << 20)
    tracemalloc.start()
    try:
        digests = {read_git_state(repository.root, record_diff=True).diff_digest}
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    with data.open("r+b") as file:
        file.seek(40 << 20)
        file.write(b"x")
    assert len({repository.digest(), None} | digests) == 3
    assert peak < 8 << 20


# Whoever reads


USER_CONFIGURATION = {
    "color.ui": "always",
    "color.diff": "always",
    "core.abbrev": "4",
    "core.pager": "false",
    "core.quotePath": "true",
    "core.safecrlf": "true",
    "core.untrackedCache": "true",
    "diff.algorithm": "patience",
    "diff.autoRefreshIndex": "true",
    "diff.colorMoved": "zebra",
    "diff.context": "0",
    "diff.external": "false",
    "diff.ignoreSubmodules": "all",
    "diff.interHunkContext": "9",
    "diff.mnemonicPrefix": "true",
    "diff.noprefix": "true",
    "diff.orderFile": "/nonexistent",
    "diff.relative": "true",
    "diff.renames": "copies",
    "diff.submodule": "log",
    "diff.wordRegex": ".",
    "diff.python.textconv": "false",
    "diff.python.command": "false",
    "pager.status": "true",
    "status.branch": "true",
    "status.relativePaths": "true",
    "status.renames": "copies",
    "status.short": "true",
    "status.showStash": "true",
    "status.showUntrackedFiles": "no",
    "status.submoduleSummary": "true",
    "submodule.recurse": "true",
}


def test_user_configuration_and_environment_make_no_difference(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write(".gitattributes", "*.py diff=python\n")
    repository.write("ünicode.py", "".join(f"{n}\n" for n in range(100)))
    repository.commit()
    repository.git("mv", "package/module.py", "package/moved.py")
    repository.write("ünicode.py", "".join(f"{n}\n" for n in range(100) if n not in (20, 28, 60)))
    repository.write("new/größe.py", "new\n")
    state = read_git_state(repository.root / "package", record_diff=True)
    assert "+++ b/ünicode.py" in (state.diff or "")
    for name, value in USER_CONFIGURATION.items():
        repository.git("config", "--file", str(tmp_path / "config"), name, value)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    for name, value in {
        "GIT_EXTERNAL_DIFF": "false",
        "GIT_DIFF_OPTS": "--unified=0",
        "GIT_PAGER": "false",
        "GIT_LITERAL_PATHSPECS": "0",
        "GIT_ICASE_PATHSPECS": "1",
        "LANG": "de_DE.UTF-8",
        "LC_ALL": "de_DE.UTF-8",
        "LANGUAGE": "de",
        "TERM": "xterm-256color",
    }.items():
        monkeypatch.setenv(name, value)
    assert read_git_state(repository.root / "package", record_diff=True) == state


def test_surroundings_of_a_git_hook_make_no_difference(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = initialize(tmp_path / "other")
    other.write("other", "")
    other.commit()
    state = repository.read()
    monkeypatch.setenv("GIT_DIR", str(other.root / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.root))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other.root / ".git/index"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.root / ".git/objects"))
    monkeypatch.setenv("GIT_PREFIX", "package/")
    monkeypatch.setenv("GIT_NAMESPACE", "other")
    assert repository.read() == state


def test_line_endings_of_the_platform_make_no_difference(repository: Repository, tmp_path: Path) -> None:
    clone = repository.clone(tmp_path / "windows", "--config", "core.autocrlf=true")
    assert (clone.root / "app.py").read_bytes() == b"print('one')\r\n"
    assert not clone.read().dirty
    repository.write("app.py", "print('two')\n")
    repository.write("new.py", "new\n")
    clone.write("app.py", "print('two')\r\n")
    clone.write("new.py", "new\r\n")
    assert clone.digest() == repository.digest()


@POSIX
def test_file_system_without_modes_makes_no_difference(repository: Repository) -> None:
    repository.write("app.py", "print('two')\n")
    digest = repository.digest()
    repository.git("config", "core.fileMode", "false")
    (repository.root / "app.py").chmod(0o755)
    assert repository.digest() == digest


@POSIX
def test_file_system_without_symlinks_makes_no_difference(repository: Repository, tmp_path: Path) -> None:
    (repository.root / "link").symlink_to("app.py")
    repository.commit()
    clone = repository.clone(tmp_path / "plain", "--config", "core.symlinks=false")
    assert not (clone.root / "link").is_symlink()
    assert not clone.read().dirty
    (repository.root / "link").unlink()
    (repository.root / "link").symlink_to("package")
    clone.write("link", "package")
    assert clone.digest() == repository.digest()


def test_replaced_objects_make_no_difference(repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.write("app.py", "print('two')\n")
    second = repository.commit()
    repository.git("replace", second, first)
    assert not repository.read().dirty


# What must not happen


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "executed"


@POSIX
def test_nothing_that_is_configured_is_executed(repository: Repository, tmp_path: Path, marker: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho $0 $* >> {marker}\ncat\n")
    program.chmod(0o755)
    repository.write(".gitattributes", "*.py diff=driver filter=driver\n*.bin filter=daemon\n")
    repository.commit()
    submodule = add_submodule(repository, tmp_path)
    submodule.write("inner.py", "INNER = 2\n")
    submodule.write(".gitattributes", "*.py filter=inner\n")
    submodule.commit()
    submodule.git("config", "filter.inner.clean", str(program))
    for place in (repository, submodule):
        for name in ("core.fsmonitor", "core.pager", "core.editor", "diff.external", "core.sshCommand"):
            place.git("config", name, str(program))
        for name in ("diff.driver.command", "diff.driver.textconv", "filter.driver.clean", "filter.driver.smudge"):
            place.git("config", name, str(program))
        for name in ("driver", "daemon"):
            place.git("config", f"filter.{name}.required", "true")
        place.git("config", "filter.daemon.process", str(program))
        place.git("config", "core.hooksPath", str(tmp_path / "hooks"))
    hook = tmp_path / "hooks" / "post-index-change"
    hook.parent.mkdir()
    shutil.copy(program, hook)
    for name in ("app.py", "package/module.py", "package/data.bin", "submodule/inner.py"):
        os.utime(repository.root / name)
    repository.write("app.py", "print('two')\n")
    repository.write("new.py", "")
    submodule.write("new.py", "")
    marker.unlink(missing_ok=True)
    state = read_git_state(repository.root, record_diff=True)
    assert state.dirty
    assert "+print('two')" in (state.diff or "")
    assert not marker.exists(), marker.read_text()


def test_missing_filter_program_does_not_matter(repository: Repository) -> None:
    repository.write(".gitattributes", "*.py filter=absent\n")
    repository.commit()
    repository.git("config", "filter.absent.clean", "no-such-program")
    repository.git("config", "filter.absent.process", "no-such-program")
    repository.git("config", "filter.absent.required", "true")
    os.utime(repository.root / "app.py", (1, 1))
    assert not repository.read().dirty
    repository.write("app.py", "print('two')\n")
    assert repository.read().dirty


def test_git_lfs_files_are_compared_by_their_pointer(repository: Repository) -> None:
    content = os.urandom(100_000)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{hashlib.sha256(content).hexdigest()}\n"
    repository.write("weights.bin", f"{pointer}size {len(content)}\n")
    repository.commit()
    repository.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
    repository.commit()
    repository.write("weights.bin", content)  # what `git lfs pull` does
    assert not repository.read().dirty
    repository.write("weights.bin", content[:-1] + bytes([content[-1] ^ 1]))
    assert repository.read().dirty


def snapshot(directory: Path) -> dict[str, tuple[int, int, bytes]]:
    return {
        str(path.relative_to(directory)): (
            path.lstat().st_mtime_ns,
            path.lstat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in directory.rglob("*")
    }


def test_repository_is_not_written_to(repository: Repository, tmp_path: Path) -> None:
    submodule = add_submodule(repository, tmp_path)
    for place in (repository, submodule):
        age_index(place)
    for name in ("app.py", "package/module.py", "submodule/inner.py"):
        os.utime(repository.root / name)  # git would want to note the new times in its index
    repository.write("app.py", "print('two')\n")
    repository.write("new.py", "")
    before = snapshot(repository.root)
    assert read_git_state(repository.root, record_diff=True).dirty
    assert snapshot(repository.root) == before
    repository.git("diff")
    assert snapshot(repository.root) != before  # as git does when not told otherwise


def test_locked_index_is_no_obstacle(repository: Repository) -> None:
    repository.write(".git/index.lock", "")
    os.utime(repository.root / "app.py", (1, 1))
    assert not read_git_state(repository.root, record_diff=True).dirty


def test_nothing_is_fetched_into_a_partial_clone(repository: Repository, tmp_path: Path) -> None:
    repository.git("config", "uploadpack.allowFilter", "true")
    clone = repository.clone(tmp_path / "partial", "--filter=blob:none", "--no-checkout")
    clone.git("reset", "--quiet")
    missing = clone.git("rev-list", "--objects", "--missing=print", "HEAD").count("?")
    for name in ("package/module.py", "package/data.bin", ".gitignore"):
        shutil.copy(repository.root / name, clone.write(name, ""))
    clone.write("app.py", "print('two')\n")
    state = read_git_state(clone.root, record_diff=True)
    repository.write("app.py", "print('two')\n")
    assert state.diff_digest == repository.digest()
    assert "... the rest is missing: `git diff-index` failed" in (state.diff or "")
    assert missing == 4
    assert clone.git("rev-list", "--objects", "--missing=print", "HEAD").count("?") == missing


# Repositories in the repository


def add_submodule(repository: Repository, tmp_path: Path) -> Repository:
    upstream = initialize(tmp_path / "upstream")
    upstream.write("inner.py", "INNER = 1\n")
    upstream.commit()
    repository.git("submodule", "--quiet", "add", upstream.root.as_uri(), "submodule")
    repository.commit("with a submodule")
    return Repository(repository.root / "submodule")


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


# Where it comes from


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


# The diff


def test_diff_is_none_unless_asked_for_and_empty_when_clean(repository: Repository) -> None:
    assert read_git_state(repository.root, record_diff=True).diff == ""
    repository.write("app.py", "")
    assert repository.read().diff is None


def test_diff_can_be_applied_to_get_the_same_tree(repository: Repository, tmp_path: Path) -> None:
    repository.write("app.py", "print('two')\n")
    repository.write("package/new file.py", "a\nb")
    repository.write("one line.txt", "a\n")
    repository.write("zero", "")
    repository.write('quo"te\\\n.txt', "c\n")
    (repository.root / "package/module.py").unlink()
    (repository.root / "link").symlink_to("app.py")
    repository.write("run.sh", "#!/bin/sh\n").chmod(0o755)
    repository.write("staged", "x\n")
    repository.git("add", "staged")
    (tmp_path / "patch").write_text(repository.diff())
    clone = repository.clone(tmp_path / "clone")
    clone.git("apply", str(tmp_path / "patch"))
    assert clone.digest() == repository.digest()


def test_diff_shows_changes_then_new_files(repository: Repository) -> None:
    repository.write("app.py", "print('two')\n")
    repository.write("a.txt", "first\nsecond")
    assert repository.diff() == (
        "diff --git a/app.py b/app.py\n"
        "index 65489e7f1757a2e929bbdfef6111a3471dd4c8b3..07b8a7c85a97e5b897bbfdd84dc87b21f247bc99 100644\n"
        "--- a/app.py\n+++ b/app.py\n@@ -1 +1 @@\n-print('one')\n+print('two')\n"
        "diff --git a/a.txt b/a.txt\nnew file mode 100644\n"
        "--- /dev/null\n+++ b/a.txt\n@@ -0,0 +1,2 @@\n+first\n+second\n\\ No newline at end of file\n"
    )


def test_diff_names_binary_files_only(repository: Repository) -> None:
    repository.write("package/data.bin", b"\0changed")
    repository.write("new.bin", b"\0new")
    repository.write("app.py", "x" * (1 << 20) + "\n")
    repository.write("large.txt", "x" * (1 << 20) + "\n")
    diff = repository.diff()
    assert "Binary files a/package/data.bin and b/package/data.bin differ\n" in diff
    assert "Binary files a/app.py and b/app.py differ\n" in diff
    assert "Binary files /dev/null and b/new.bin differ\n" in diff
    assert "Binary files /dev/null and b/large.txt differ\n" in diff
    assert len(diff) < 1000


def test_diff_replaces_what_is_not_utf8(repository: Repository) -> None:
    repository.write("app.py", b"caf\xe9\n")
    assert "\n+caf\N{REPLACEMENT CHARACTER}\n" in repository.diff()


def test_diff_is_cut_at_a_line_and_says_how_much_is_left_out(repository: Repository) -> None:
    lines = [f"{number:018}" for number in range(50_000)]  # 20 bytes each, with "+" and the line's end
    repository.write("app.py", "\n".join(lines) + "\n")
    *kept, last = repository.diff().splitlines()
    header = 6
    assert kept[header:] == [f"+{line}" for line in lines[: len(kept) - header]]
    assert (256 << 10) - 20 < sum(len(line) + 1 for line in kept) < 256 << 10
    assert last == f"... truncated: {(len(lines) - len(kept) + header) * 20} more bytes left out"


def test_many_changed_files_are_all_in_the_diff(repository: Repository) -> None:
    for number in range(100):
        repository.write(f"many/{number}", "1\n")
    repository.commit()
    for number in range(100):
        repository.write(f"many/{number}", "2\n")
    assert repository.diff().count("\n+2\n") == 100


# Credentials in URLs


@pytest.mark.parametrize(
    ("url", "stripped"),
    [
        ("https://user:token@host.example/x", "https://host.example/x"),
        ("https://token@host.example/x", "https://host.example/x"),
        ("https://user:@host.example/x", "https://host.example/x"),
        ("https://:token@host.example/x", "https://host.example/x"),
        ("https://u:p@ss@host.example/x", "https://host.example/x"),
        ("https://u:p%40ss%3a@host.example/x", "https://host.example/x"),
        ("https://u:p/ss@host.example/x", "https://host.example/x"),
        ("https://u:p?ss@host.example/x", "https://host.example/x"),
        ("https://u:p#ss@host.example/x", "https://host.example/x"),
        ("https://u:p://ss@host.example/x", "https://host.example/x"),
        ("https://u:p\nss@host.example/x\n", "https://host.example/x"),
        ("HTTPS://U:P@Host.Example/X", "HTTPS://Host.Example/X"),
        ("git+https://u:p@host.example/x", "git+https://host.example/x"),
        ("ftp://u:p@host.example/x", "ftp://host.example/x"),
        ("https://u:p@host.example:8443/x", "https://host.example:8443/x"),
        ("https://u:p@[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        ("https://[2001:db8::1]/@scope/x", "https://[2001:db8::1]/@scope/x"),
        ("https://host.example/@scope/x", "https://host.example/@scope/x"),
        ("https://host.example:8443/@scope/x", "https://host.example:8443/@scope/x"),
        ("https://host.example/x?access_token=secret", "https://host.example/x"),
        ("https://host.example/x?a=b&private_token=secret#secret", "https://host.example/x"),
        ("https://host.example/x#access_token=secret", "https://host.example/x"),
        ("https://host.example", "https://host.example"),
        ("https://proxy.example/https://u:p@host.example/x", "https://proxy.example/https://host.example/x"),
        ("https://a:b@one.example/x\nhttps://c:d@two.example/x", "https://one.example/xhttps://two.example/x"),
        ("ssh://git@host.example/x", "ssh://git@host.example/x"),
        ("ssh://git:secret@host.example:22/x", "ssh://git@host.example:22/x"),
        ("ssh://git%3Asecret@host.example/x", "ssh://git@host.example/x"),
        ("SSH://git:secret@host.example/x", "SSH://git@host.example/x"),
        ("git+ssh://git:p@ss@host.example/x", "git+ssh://git@host.example/x"),
        ("ssh://host.example/x", "ssh://host.example/x"),
        ("git@github.com:org/repo.git", "git@github.com:org/repo.git"),
        ("github.com:org/repo.git", "github.com:org/repo.git"),
        ("git@[2001:db8::1]:org/repo.git", "git@[2001:db8::1]:org/repo.git"),
        ("[2001:db8::1]:org@repo.git", "[2001:db8::1]:org@repo.git"),
        ("git:secret@github.com:org/repo.git", "git@github.com:org/repo.git"),
        ("git:s@cret@github.com:org/repo.git", "git@github.com:org/repo.git"),
        ("git@github.com:org/repo.git?private_token=secret", "git@github.com:org/repo.git"),
        ("codecommit::us-east-1://profile@repo", "codecommit::us-east-1://repo"),
        ("/srv/git/u:p@x#1.git", "/srv/git/u:p@x#1.git"),
        ("../sibling.git", "../sibling.git"),
        ("~/x.git", "~/x.git"),
        ("file:///srv/git/x@y.git", "file:///srv/git/x@y.git"),
        (r"C:\repo@x", r"C:\repo@x"),
        ("C:/repo@x", "C:/repo@x"),
        (r"\\server\share\repo", r"\\server\share\repo"),
        ("", ""),
    ],
)
def test_credentials_are_stripped(url: str, stripped: str) -> None:
    assert strip_credentials(url) == stripped
    assert strip_credentials(stripped) == stripped


SECRET = "S3cr3t"
# Around the secret: anything, so that it starts, ends and breaks off in unexpected places.
around = st.text(st.characters(codec="utf-8"), max_size=8)
escaped = st.builds(lambda before, after: quote(f"{before}{SECRET}{after}", safe=""), around, around)
# As people paste them: "@" and ":" unescaped. A "/", "?" or "#" is where the host ends, for git too.
pasted = st.builds(lambda before, after: re.sub("[/?#]", "", f"{before}{SECRET}{after}"), around, around)
passwords = escaped | pasted
names = st.from_regex(r"[A-Za-z0-9._%-]{0,8}", fullmatch=True)
hosts = st.sampled_from(["host.example", "host.example:8443", "[2001:db8::1]", "[2001:db8::1]:22", "localhost", ""])
paths = st.from_regex(r"(/[a-z@:.~-]{0,6}){0,3}", fullmatch=True)
schemes = st.sampled_from(
    ["https", "HTTP", "git+https", "ssh", "SSH", "git+ssh", "sftp", "ftp", "file", "gcrypt::https"]
)


@given(schemes, names, passwords, hosts, paths)
@example("https", "", SECRET, "", "")
def test_no_password_survives_in_a_url(scheme: str, user: str, password: str, host: str, path: str) -> None:
    stripped = strip_credentials(f"{scheme}://{user}:{password}@{host}{path}")
    assert SECRET not in stripped
    assert stripped.rstrip().endswith(f"{host}{path}") or ":" in path


@given(st.sampled_from(["https", "HTTP", "git+https"]), passwords, hosts, paths)
def test_no_token_survives_in_a_url(scheme: str, token: str, host: str, path: str) -> None:
    assert SECRET not in strip_credentials(f"{scheme}://{token}@{host}{path}")


@given(
    st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._%-]{1,8}", fullmatch=True),
    passwords,
    st.sampled_from(["host.example", "[2001:db8::1]"]),
)
def test_no_password_survives_before_a_host_and_path(user: str, password: str, host: str) -> None:
    assert strip_credentials(f"{user}:{password}@{host}:team/app.git") == f"{user}@{host}:team/app.git"


@given(schemes, hosts, paths, st.sampled_from("?#"), passwords)
def test_no_token_survives_in_a_query(scheme: str, host: str, path: str, mark: str, token: str) -> None:
    assert SECRET not in strip_credentials(f"{scheme}://{host}{path}{mark}private_token={token}")


@given(st.text())
def test_stripping_takes_any_text_and_is_done_once(url: str) -> None:
    stripped = strip_credentials(url)
    assert strip_credentials(stripped) == stripped
