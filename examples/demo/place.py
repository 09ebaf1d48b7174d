# SPDX-License-Identifier: Apache-2.0
"""The directory that a demo leaves behind: what the backend stored, and what each process logged."""

import contextlib
import fcntl
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

# Held while a demo runs. A directory without it is no demo's, and nothing in it is touched.
_MARK: Final = "demo.lock"
# Held by whatever process has the data open.
_LOCK_OF_STORE: Final = "otel-loggedmodel.lock"


class NoPlaceError(Exception):
    """The directory cannot be used; the message says why, and what to do."""


def data_in(directory: Path) -> Path:
    """Where the backend keeps its data."""
    return directory / "data"


@contextlib.contextmanager
def emptied(directory: Path) -> Iterator[None]:
    """A directory for one demo alone, without what the last one left there.

    Raises:
        NoPlaceError: It is in use, is not a demo's, or cannot be written.
    """
    try:
        lock = _take(directory)
    except OSError as error:
        raise NoPlaceError(f"{directory} cannot be used ({error.strerror}): name another with --directory") from error
    with lock:
        yield


def _take(directory: Path) -> IO[str]:
    """Empty a directory, and return what is to be kept open as long as it is in use."""
    mark, store = directory / _MARK, data_in(directory) / _LOCK_OF_STORE
    if directory.exists() and not mark.exists() and any(directory.iterdir()):
        raise NoPlaceError(f"{directory} has files that are no demo's: name another with --directory")
    directory.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context(mark.open("a"))
        if not _is_free(lock):
            raise NoPlaceError(f"another demo runs in {directory}: wait for it, or name another with --directory")
        if store.exists():
            with store.open() as holder:
                if not _is_free(holder):
                    raise NoPlaceError(
                        f"a process has the data of the last demo open: {holder.read().strip()}\n"
                        "Stop it (it may be `otel-loggedmodel serve`), or name another directory with --directory"
                    )
        for left in directory.iterdir():
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            elif left != mark:
                left.unlink()
        stack.pop_all()
        return lock


def _is_free(file: IO[str]) -> bool:
    """Take the lock on a file, if nobody has it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
