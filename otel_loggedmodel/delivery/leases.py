# SPDX-License-Identifier: Apache-2.0
"""Directories that belong to one spool of a process while the process lives, and then to the first one that takes over.

A spool holds a lock on a file in its directory. The system lets go of the lock however the process ends. The process
that gets the lock may take what is in the directory, so only one does, and nobody takes anything from a living process.
Files are moved, not shared: if a process takes over and dies, it leaves them to the next one in the same way.
"""

import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LOCK: Final = "lock"
# Other processes do not look at names that begin with a dot. A directory is made under such a name, and renamed once it
# is locked.
_UNFINISHED: Final = "."
_UNFINISHED_SECONDS: Final = 600.0
# Not through links, and without waiting for the other end of a pipe that somebody has put there.
_CAREFULLY: Final = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_OWNER: Final = re.compile(rf"(?P<unfinished>{re.escape(_UNFINISHED)})?(?P<process>\d+)-[0-9a-f]{{12}}")


class UnsafeDirectoryError(OSError):
    """Other users could read or replace what is kept there. The text says what to do."""


def make_private(path: Path) -> None:
    """Make a directory that only this user can use, and those above it. If it is there already, check that it is one.

    Raises:
        UnsafeDirectoryError: It is there, and others can use it, too.
        OSError: It cannot be made.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        check_private(path)
    except FileNotFoundError:
        if path.parent == path:
            raise
        _make_parent(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
        check_private(path)


def check_private(path: Path) -> None:
    """Check that a directory is this user's alone.

    Raises:
        UnsafeDirectoryError: It is not.
        FileNotFoundError: There is no such directory.
    """
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeDirectoryError(f"{path} is no directory: name another one, or remove it")
    if sys.platform == "win32":
        return  # There are no mode bits here. The user's own directories are private unless somebody has changed that.
    if found.st_uid != os.geteuid():
        raise UnsafeDirectoryError(f"{path} belongs to another user: name a directory that is not there yet")
    if found.st_mode & 0o077:
        raise UnsafeDirectoryError(f"{path} can be used by others: chmod 700 it, or name one that is not there yet")


class Lease:
    """A directory that belongs to this process until the process releases it or dies.

    Attributes:
        path: The path of the directory.
    """

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def of_new(cls, destination: Path) -> "Lease":
        """Make a directory below the destination's."""
        make_private(destination.parent)
        make_private(destination)
        name = f"{os.getpid()}-{os.urandom(6).hex()}"
        if sys.platform == "win32":
            # Windows cannot rename a directory that has an open file.
            path = destination / name
            path.mkdir()
            return cls(path, _locked(path, is_new=True))
        unfinished = destination / f"{_UNFINISHED}{name}"
        unfinished.mkdir(mode=0o700)
        try:
            lock = _locked(unfinished, is_new=True)
        except OSError:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        try:
            unfinished.rename(destination / name)
        except OSError:
            os.close(lock)
            shutil.rmtree(unfinished, ignore_errors=True)
            raise
        return cls(destination / name, lock)

    @classmethod
    def of_dead(cls, path: Path) -> "Lease | None":
        """Take over a directory.

        None if its owner lives, if another process takes it, or if it is no spool's directory.
        """
        try:
            check_private(path)
            lock = _locked(path, is_new=False)
        except OSError:
            return None
        try:
            # The one who had it before may have removed it in between.
            is_there = os.path.samestat(os.fstat(lock), (path / LOCK).lstat())
        except OSError:
            is_there = False
        if is_there:
            return cls(path, lock)
        os.close(lock)
        return None

    @property
    def is_gone(self) -> bool:
        """Whether somebody has deleted or moved the directory."""
        try:
            return not os.path.samestat(os.fstat(self._lock), (self.path / LOCK).lstat())
        except FileNotFoundError:
            return True
        except OSError:
            return False

    def release(self) -> None:
        """Leave the directory to others. It is removed if it holds nothing but the lock."""
        try:
            if sys.platform != "win32" and [path.name for path in self.path.iterdir()] == [LOCK]:
                (self.path / LOCK).unlink()
                self.path.rmdir()
        except OSError:
            pass  # the next process finds it as it is
        self.forget()

    def forget(self) -> None:
        """Close the lock, and do nothing else.

        A forked child does this with its parent's lock, which the parent keeps.
        """
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def __del__(self) -> None:
        self.forget()


def owners(destination: Path) -> Iterator[Path]:
    """The directories below the destination's. There may be none, and the destination need not exist."""
    try:
        with os.scandir(destination) as entries:
            for entry in entries:
                found = _OWNER.fullmatch(entry.name)
                if not found or not entry.is_dir(follow_symlinks=False):
                    continue
                if not found["unfinished"]:
                    yield Path(entry.path)
                elif time.time() - entry.stat(follow_symlinks=False).st_mtime > _UNFINISHED_SECONDS:
                    # The process that made it has died between two system calls, before it put anything in.
                    shutil.rmtree(entry.path, ignore_errors=True)
    except OSError:
        return


def is_alive(path: Path) -> bool:
    """Whether the owner of a directory lives."""
    try:
        lock = os.open(path / LOCK, os.O_RDONLY | _CAREFULLY)
    except OSError:
        return False
    try:
        _lock(lock)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(lock)


def _make_parent(path: Path) -> None:
    # The XDG Base Directory Specification asks for 0700.
    if not path.is_dir():
        if path.parent != path:
            _make_parent(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def _locked(directory: Path, *, is_new: bool) -> int:
    """A descriptor that holds the lock of a directory.

    Raises:
        BlockingIOError: Somebody else holds it.
    """
    flags = os.O_RDWR | os.O_CREAT | (os.O_EXCL if is_new else 0) | _CAREFULLY
    descriptor = os.open(directory / LOCK, flags, 0o600)
    try:
        _lock(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        # The lock belongs to the open file, not to the process: a second spool in this process is another owner.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
