# SPDX-License-Identifier: Apache-2.0
"""Which process has the directory of an embedded store open.

The engine's own message for a directory in use does not say that it is. A backend also writes into the lock's file
where it is, and a secret that it answers to. Only the owner may read that file.
"""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import IO, Final

from otel_loggedmodel.store.reading import StoreUnavailableError

_LOCK_NAME: Final = "otel-loggedmodel.lock"


class _InUseError(StoreUnavailableError):
    """Another process has the directory open."""


class DirectoryLock:
    """The lock that says that this process has a directory open. The kernel releases it when the process dies."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / _LOCK_NAME
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take it, or say who has it."""
        if sys.platform == "win32":
            return
        import fcntl

        try:
            # Others may not even read where the backend is.
            file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "a+", encoding="utf-8")
            self._path.chmod(0o600)
        except OSError as error:
            raise StoreUnavailableError(
                f"the store at {self._path.parent} cannot be opened: {error.strerror}"
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise _InUseError(_in_use(self._path.parent, file.read())) from None
        self._file = file
        self.announce()

    def announce(self, **more: str) -> None:
        """Write into the file which process has the directory open, and more."""
        if self._file is not None:
            self._file.truncate(0)
            json.dump({"pid": os.getpid(), **more}, self._file)
            self._file.flush()

    def release(self) -> None:
        """Give it back."""
        if self._file is not None:
            self._file.close()
            self._file = None


def holder_of(directory: Path) -> dict[str, str] | None:
    """Where the backend is that has a directory open, and the secret that it answers to; None where nobody has it open.

    Raises:
        StoreUnavailableError: What has it open is no backend, or it cannot be opened.
    """
    lock = DirectoryLock(directory)
    if not directory.is_dir():
        return None
    try:
        lock.acquire()
    except _InUseError:
        try:
            found = json.loads((directory / _LOCK_NAME).read_text(encoding="utf-8"))
            return {"address": str(found["address"]), "secret": str(found["secret"])}
        except (OSError, ValueError, KeyError, TypeError):
            pass
        raise
    lock.release()
    return None


def _in_use(directory: Path, holder: str) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return (
            f"process {json.loads(holder)['pid']} has the store at {directory} open; if it is"
            " `otel-loggedmodel serve`, read through it: --store http://127.0.0.1:4318"
        )
    return f"another process has the store at {directory} open"
