# SPDX-License-Identifier: Apache-2.0
"""How far a source was imported into a store, kept in a file, so that an import goes on after a kill.

For a store in a directory these files are in the directory: whoever begins a new store begins anew. For one on a server
they are below the user's state directory.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

from otel_loggedmodel import environment
from otel_loggedmodel.store.database import directory_of, masked
from otel_loggedmodel.store.reading import StoreUnavailableError

_DIRECTORY: Final = "otel-loggedmodel-imports"
_FORMAT: Final = 1


class Positions:
    """What is remembered of imports into one store.

    Args:
        url: The store, as the option `--store` has it.

    Raises:
        StoreUnavailableError: There is no place for it.
    """

    def __init__(self, url: str) -> None:
        self._directory = _directory_for(url)

    def load(self, key: str) -> dict[str, Any]:
        """What was kept under a key; nothing where that cannot be read, as copies count once."""
        try:
            found = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) and found.get("format") == _FORMAT else {}

    def save(self, key: str, position: dict[str, Any]) -> None:
        """Keep something under a key.

        Raises:
            StoreUnavailableError: It cannot be written.
        """
        path = self._path(key)
        partial = path.with_suffix(f".{os.getpid()}")
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial.write_text(json.dumps({"format": _FORMAT, **position}), encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            raise StoreUnavailableError(
                f"how far the import is cannot be kept in {self._directory}: {error.strerror}"
            ) from None

    def forget(self, key: str) -> None:
        """Keep nothing under a key any more."""
        with contextlib.suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return self._directory / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def _directory_for(url: str) -> Path:
    if "://" not in url or url.startswith("chdb://"):
        return directory_of(url) / _DIRECTORY
    state = environment.state_directory("imports")
    if state is None:
        raise StoreUnavailableError("this user has no home directory, in which how far an import is could be kept")
    return state / hashlib.sha256(masked(url).rstrip("/").encode()).hexdigest()[:16]
