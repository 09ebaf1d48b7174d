# SPDX-License-Identifier: Apache-2.0
"""Whoever reads a repository, and wherever: the same state, and nothing else happens."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from otel_loggedmodel.versions.git import read_git_state

from .repositories import POSIX, Repository, add_submodule, age_index, initialize

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
