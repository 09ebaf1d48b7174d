# SPDX-License-Identifier: Apache-2.0
"""The state of the git checkout an application runs from, as the identity of a version.

The working tree is what runs, so it is compared with the commit. What is staged makes no difference. The digest is
taken over the content of the paths that differ, not over the text of a diff, as that text follows each user's
configuration. Only git itself is executed, nothing is written, and the network is not used. Hooks, external diffs and
clean filters are off, and files checked out through Git LFS are recognised without it.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from otel_loggedmodel.versions.git_commands import GitCommands, GitUnavailable, text
from otel_loggedmodel.versions.git_urls import strip_credentials

__all__ = ["GitState", "GitUnavailable", "read_git_state"]

# Up to these bounds new files count by their content, past them by their size. So a forgotten data set delays an
# application's start by half a second at most (git hashes about 500 MB/s), and by opening ten thousand files.
_NEW_FILE_BYTES = 64 << 20
_NEW_FILES = 10_000
_NEW_FILES_BYTES = 256 << 20

# A diff travels as one attribute. By default a gRPC receiver takes messages of at most 4 MiB, and a whole batch shares
# that.
_DIFF_BYTES = 256 << 10
_DIFF_FILE_BYTES = 1 << 20  # larger files are shown as binary: 32 files, before and after, are 64 MiB at a time
_DIFF_FILES_AT_ONCE = 32
_DIFF_GIT_OPTIONS = ("-c", f"core.bigFileThreshold={_DIFF_FILE_BYTES}", "-c", "core.quotePath=false")

# Unlike `git diff`, diff-index does not follow the users' diff settings and does not write to the index.
_DIFF_OPTIONS = ("--patch", "--full-index", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty")

_DIGEST_VERSION = b"otel-loggedmodel working tree 1\0"
_FALSE = (b"false", b"no", b"off", b"0")
_CONFIG = r"^(core\.(filemode|symlinks)|filter\..*|remote\..*\.url|branch\..*\.remote)$"


@dataclass(frozen=True)
class GitState:
    """What a checkout holds.

    Attributes:
        commit: Full hash of the commit that is checked out.
        branch: Its branch, `None` on a detached HEAD.
        remote_url: Where it comes from as configured, before any `insteadOf`, without credentials.
        dirty: Whether the working tree differs from the commit.
        diff_digest: SHA-256, in hex, of what differs; `None` for a clean tree.
        diff: What differs, for people, when it was asked for.
        root: Path of the working tree, as text.
    """

    commit: str
    branch: str | None
    remote_url: str | None
    dirty: bool
    diff_digest: str | None
    diff: str | None
    root: str

    @property
    def repo_url(self) -> str | None:
        """The same as `remote_url`, under MLflow's name."""
        return self.remote_url


def read_git_state(
    path: str | os.PathLike[str] | None = None,
    *,
    remote_name: str = "origin",
    record_diff: bool = False,
    timeout: float = 10.0,
) -> GitState:
    """Read the state of the whole checkout that `path` is in.

    The same tree gives the same digest in every clone, on every host and under every user's configuration. Ignored
    files do not count, whoever ignores them. Files marked assume-unchanged or skip-worktree count if they are there and
    differ, as they run like any other. A new file counts only by its size if it is larger than 64 MiB. So do new files
    past the first 10,000 or 256 MiB, by name.

    Args:
        path: A file or directory in the checkout; by default the current directory.
        remote_name: The remote whose URL is recorded. If there is none of that name, the branch's upstream, else the
            only remote.
        record_diff: Whether to record a diff as well. It is cut at 256 KiB, and its last line then says so.
        timeout: Seconds for the whole reading.

    Raises:
        GitUnavailable: No git, no checkout, no commit, no permission or not enough time.
    """
    try:
        start = os.path.abspath(os.getcwd() if path is None else path)
    except OSError as error:
        raise GitUnavailable(f"the current directory cannot be read ({error}): pass path=") from error
    directory = os.path.dirname(start) if os.path.isfile(start) else start
    if not os.path.isdir(directory):
        raise GitUnavailable(f"there is no directory {directory}: pass the path of a git checkout")
    checkout = _Checkout(os.fsencode(directory), time.monotonic() + timeout)
    if checkout.commit is None:
        raise GitUnavailable(f"the checkout at {text(checkout.root)} has no commit yet: make a first one")
    return GitState(
        commit=checkout.commit,
        branch=checkout.branch,
        remote_url=checkout.remote_url(remote_name),
        dirty=bool(checkout.differences),
        diff_digest=checkout.digest(),
        diff=_bounded(checkout.diff()) if record_diff else None,
        root=text(checkout.root),
    )


class _Checkout:
    """One working tree at one moment, and how it differs from its HEAD.

    The state of a path is `<mode> <object id>`, as in a tree, or empty if there is nothing. Object ids are those of
    `git hash-object`, with line endings as they would be committed.
    """

    def __init__(self, directory: bytes, deadline: float) -> None:
        self._git = GitCommands(directory, deadline)
        self.root = self._git.directory = self._git.run("rev-parse", "--show-toplevel").removesuffix(b"\n")
        listing = self._git.run("config", "-z", "--get-regexp", _CONFIG, accept=(0, 1)).split(b"\0")
        self._config = [(name, value) for name, _, value in (entry.partition(b"\n") for entry in listing) if name]
        settings = dict(self._config)
        self._has_modes = settings.get(b"core.filemode", b"").lower() not in _FALSE
        self._has_symlinks = settings.get(b"core.symlinks", b"").lower() not in _FALSE
        # A clean filter may be missing here, fail, or write to the repository (Git LFS's does).
        filters = {name.rpartition(b".")[0] for name in settings if name.startswith(b"filter.") and b"=" not in name}
        for override in (b".clean=", b".process=", b".required=false"):
            self._git.options += [argument for name in sorted(filters) for argument in (b"-c", name + override)]

        self.commit: str | None = None
        self.branch: str | None = None
        self._head: dict[bytes, bytes] = {}  # the state in HEAD of every path that may differ from it
        self._changed: set[bytes] = set()  # of those, what git sees as changed,
        self._deleted: set[bytes] = set()  # gone,
        self._untracked: set[bytes] = set()  # new and not staged,
        self._sparse: set[bytes] = set()  # or not meant to be checked out
        self._read_status()
        self._read_index()
        self.differences = {path: state for path, state in self._states() if state != self._head[path]}

    def digest(self) -> str | None:
        digest = hashlib.sha256(_DIGEST_VERSION)
        for path, state in sorted(self.differences.items()):
            digest.update(path + b"\0" + state + b"\0")
        return digest.hexdigest() if self.differences else None

    def remote_url(self, remote_name: str) -> str | None:
        urls: dict[str, str] = {}
        upstream = None
        for name, value in self._config:
            if name.startswith(b"remote."):
                urls.setdefault(text(name)[len("remote.") : -len(".url")], text(value))  # git fetches from the first
            elif self.branch is not None and text(name) == f"branch.{self.branch}.remote":
                upstream = text(value)
        candidates = [remote_name, upstream, next(iter(urls)) if len(urls) == 1 else None]
        url = next((urls[name] for name in candidates if name in urls), "")
        return strip_credentials(url) or None

    def diff(self) -> Iterator[bytes]:
        """What differs, in the form of `git diff`, in pieces."""
        shown = sorted(self.differences.keys() & self._changed)
        for start in range(0, len(shown), _DIFF_FILES_AT_ONCE):
            paths = [os.fsdecode(path) for path in shown[start : start + _DIFF_FILES_AT_ONCE]]
            yield self._git.run(
                "diff-index", *_DIFF_OPTIONS, self.commit or "HEAD", "--", *paths, options=_DIFF_GIT_OPTIONS
            )
        for path in sorted(self.differences.keys() - (self._changed - self._untracked)):
            yield from self._addition(path) if path in self._untracked else [_differ(b"a/" + path, b"b/" + path)]

    def _read_status(self) -> None:
        # We look into submodules ourselves. Git would run a `git status` of its own there, with its own configuration.
        arguments = ("--porcelain=v2", "--branch", "-z", "--untracked-files=all", "--ignored=no", "--no-renames")
        listing = self._git.run("status", *arguments, "--ignore-submodules=dirty", "--no-ahead-behind")
        for record in listing.split(b"\0"):
            kind = record[:2]
            if record.startswith(b"# branch.oid ") and not record.endswith(b" (initial)"):
                self.commit = text(record.split(b" ")[2])
            elif record.startswith(b"# branch.head ") and not record.endswith(b" (detached)"):
                self.branch = text(record.split(b" ")[2])
            elif kind == b"? ":
                path = record[2:].removesuffix(b"/")  # the path of a repository inside this one ends in a slash
                self._untracked.add(path)
                self._head.setdefault(path, b"")
            elif kind == b"1 ":
                _, changes, _, mode, _, _, object_id, _, path = record.split(b" ", 8)
                self._head[path] = b"" if mode == b"000000" else mode + b" " + object_id
                self._changed.add(path)
                if changes.endswith(b"D"):
                    self._deleted.add(path)
            elif kind == b"u ":  # in conflict: of the three sides, the second is HEAD's
                _, _, _, _, mode, _, _, _, object_id, _, path = record.split(b" ", 10)
                self._head[path] = b"" if mode == b"000000" else mode + b" " + object_id
                self._changed.add(path)

    def _read_index(self) -> None:
        """Add what git was told not to look at: submodules' content, assume-unchanged and skip-worktree files."""
        for record in self._git.run("ls-files", "--stage", "-v", "-z").split(b"\0"):
            if record.startswith((b"H 100", b"H 120")) or not record:
                continue
            entry, path = record.split(b"\t", 1)
            tag, mode, object_id, stage = entry.split(b" ")
            if stage == b"0":
                self._head.setdefault(path, mode + b" " + object_id)
                if tag in b"Ss":
                    self._sparse.add(path)

    def _states(self) -> Iterator[tuple[bytes, bytes]]:
        """The state in the working tree of every path that may differ."""
        modes: dict[bytes, bytes] = {}
        new_files_left, new_bytes_left = _NEW_FILES, _NEW_FILES_BYTES
        for path, before in sorted(self._head.items()):
            found = None
            if path not in self._deleted:
                with suppress(OSError):  # what we cannot reach, the application cannot reach either
                    found = os.lstat(os.path.join(self.root, path))
            if found is None:
                yield path, before if path in self._sparse else b""
            elif stat.S_ISREG(found.st_mode):
                modes[path] = self._mode(found, before)
                if before:
                    continue
                if found.st_size > min(_NEW_FILE_BYTES, new_bytes_left) or not new_files_left:
                    yield path, b"%b size:%d" % (modes.pop(path), found.st_size)
                else:
                    new_files_left, new_bytes_left = new_files_left - 1, new_bytes_left - found.st_size
            elif stat.S_ISLNK(found.st_mode):
                yield path, b"120000 " + self._blob_id(os.readlink(os.path.join(self.root, path)))
            elif stat.S_ISDIR(found.st_mode):
                yield path, self._directory_state(path, before)
            else:
                yield path, b"special"
        for path, object_id in self._hash_files(list(modes)):
            before_id = self._head[path][7:]
            unchanged = object_id == before_id or (before_id and before_id == self._lfs_id(path))
            yield path, modes[path] + b" " + (before_id if unchanged else object_id)

    def _mode(self, found: os.stat_result, before: bytes) -> bytes:
        if not self._has_symlinks and before.startswith(b"120000"):
            return b"120000"
        if not self._has_modes:
            return before[:6] if before.startswith(b"100") else b"100644"
        return b"100755" if found.st_mode & stat.S_IXUSR else b"100644"

    def _directory_state(self, path: bytes, before: bytes) -> bytes:
        """The state of a submodule, or of a repository that lies here without being one."""
        directory = os.path.join(self.root, path)
        if not os.path.lexists(os.path.join(directory, b".git")):
            return before if before.startswith(b"160000") else b""  # not initialised; or a file has become a directory
        try:
            inner = _Checkout(directory, self._git.deadline)
        except GitUnavailable:
            if before or time.monotonic() >= self._git.deadline:
                raise
            return b"160000 unreadable"
        return " ".join(filter(None, ("160000", inner.commit or "unborn", inner.digest()))).encode()

    def _hash_files(self, paths: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        while paths:
            quoted = b"".join(_quoted(path) + b"\n" for path in paths)
            object_ids = self._git.run("hash-object", "--stdin-paths", stdin=quoted, accept=(0, 128)).split()
            yield from zip(paths, object_ids, strict=False)
            # Git stops at a file that it may not read, or that has just gone. Go on behind it.
            if len(object_ids) < len(paths):
                yield paths[len(object_ids)], b"unreadable"
            paths = paths[len(object_ids) + 1 :]

    def _lfs_id(self, path: bytes) -> bytes:
        """The id of the Git LFS pointer to a file (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md)."""
        digest, size = hashlib.sha256(), 0
        with suppress(OSError), open(os.path.join(self.root, path), "rb") as file:
            while piece := file.read(1 << 20):
                digest.update(piece)
                size += len(piece)
                self._git.time_left()
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest.hexdigest()}\nsize {size}\n"
        return self._blob_id(pointer.encode())

    def _blob_id(self, content: bytes) -> bytes:
        blob = b"blob %d\0%b" % (len(content), content)
        is_sha1 = len(self.commit or "") == hashlib.sha1(usedforsecurity=False).digest_size * 2
        digest = hashlib.sha1(blob, usedforsecurity=False) if is_sha1 else hashlib.sha256(blob)
        return digest.hexdigest().encode()

    def _addition(self, path: bytes) -> Iterator[bytes]:
        mode = self.differences[path][:6]
        name = os.path.join(self.root, path)
        content = b"\0"
        with suppress(OSError):
            if mode == b"120000":
                content = os.readlink(name)
            elif mode.startswith(b"100") and os.path.getsize(name) <= _DIFF_FILE_BYTES:
                with open(name, "rb") as file:
                    content = file.read(_DIFF_FILE_BYTES)
        label = _label(b"b/" + path)
        yield b"diff --git %b %b\nnew file mode %b\n" % (_label(b"a/" + path), label, mode)
        if b"\0" in content[:8000]:  # git's own measure of what is binary
            yield _differ(b"/dev/null", b"b/" + path)
        elif content:
            lines = content.removesuffix(b"\n").split(b"\n")
            yield b"--- /dev/null\n+++ %b\n@@ -0,0 +1,%d @@\n" % (label, len(lines))
            yield b"".join(b"+%b\n" % line for line in lines)
            yield b"" if content.endswith(b"\n") else b"\\ No newline at end of file\n"


def _bounded(pieces: Iterator[bytes]) -> str:
    kept, total, trailer = bytearray(), 0, b""
    try:
        for piece in pieces:
            total += len(piece)
            kept += piece[: max(_DIFF_BYTES - len(kept), 0)]
    except GitUnavailable as error:  # out of time, or a partial clone without the file; the state itself is known
        trailer = f"... the rest is missing: {error}\n".encode()
    if total > len(kept):
        del kept[kept.rfind(b"\n") + 1 :]
        trailer = b"... truncated: %d more bytes left out\n" % (total - len(kept)) + trailer
    return text(bytes(kept) + trailer)


def _differ(old: bytes, new: bytes) -> bytes:
    return b"Binary files %b and %b differ\n" % (_label(old), _label(new))


def _label(path: bytes) -> bytes:
    return _quoted(path) if re.search(rb'[\x00-\x1f"\\\x7f]', path) else path


def _quoted(path: bytes) -> bytes:
    """A path as git reads and writes it when it has to fit on one line."""
    return b'"%b"' % re.sub(rb'[\x00-\x1f"\\\x7f]', lambda found: b"\\%03o" % found[0][0], path)
