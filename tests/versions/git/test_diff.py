# SPDX-License-Identifier: Apache-2.0
"""What the diff shows."""

from __future__ import annotations

from pathlib import Path

from otel_loggedmodel.versions.git import read_git_state

from .repositories import Repository


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
