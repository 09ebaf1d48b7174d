# SPDX-License-Identifier: Apache-2.0
"""Which changes count, to what bound, and that each has one digest."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_loggedmodel.versions import git as git_module
from otel_loggedmodel.versions.git import read_git_state

from .repositories import POSIX, Repository, initialize

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
