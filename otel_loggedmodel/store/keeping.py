# SPDX-License-Identifier: Apache-2.0
"""Opens a store to look after it: through the backend that has it open, else directly."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from otel_loggedmodel.store import layout
from otel_loggedmodel.store.backup import Backup
from otel_loggedmodel.store.database import directory_of
from otel_loggedmodel.store.directory_lock import DirectoryLock, holder_of
from otel_loggedmodel.store.engine_errors import DamagedError
from otel_loggedmodel.store.exporting import Exported, Wanted
from otel_loggedmodel.store.opening import export as export_from
from otel_loggedmodel.store.opening import open_store
from otel_loggedmodel.store.reading import ReadingError, StoreUnavailableError
from otel_loggedmodel.store.remote_upkeep import RemoteUpkeep
from otel_loggedmodel.store.server_address import SCHEMES
from otel_loggedmodel.store.upkeep import Condition, Repair, Upkeep


def condition(url: str, token: str | None) -> Condition:
    """How whole a store is, without opening one that nobody has open.

    Raises:
        ReadingError: It cannot be told.
    """
    remote = _remote(url, token)
    if remote is not None:
        return remote.condition()
    directory = directory_of(url)
    return Condition(directory=str(directory), set_aside=layout.set_aside(directory), gone={})


def repair(url: str, token: str | None) -> Repair:
    """Put back what belongs elsewhere, and set aside what is damaged; see `layout.mend` and `Upkeep.repair`.

    Raises:
        ReadingError: It is not a store in a directory.
        StoreUnavailableError: It cannot be opened in spite of that.
    """
    remote = _remote(url, token)
    if remote is not None:
        return remote.repair()
    directory = directory_of(url)
    done = _mended(directory, is_distrusted=False)
    try:
        repaired = _repaired(url)
    except DamagedError:
        done += _mended(directory, is_distrusted=True)
        repaired = _repaired(url)
    return Repair(done=[*done, *repaired.done], condition=repaired.condition)


def backup(url: str, token: str | None, path: Path) -> Backup:
    """Make a backup; see `backup.make`."""
    remote = _remote(url, token)
    if remote is not None:
        return remote.backup(path)
    with _open(url) as upkeep:
        return upkeep.backup(path)


def restore(url: str, token: str | None, path: Path) -> Backup:
    """Restore a backup, into a new store where there is none; see `backup.restore`."""
    remote = _remote(url, token)
    if remote is not None:
        return remote.restore(path)
    with _open(url, create=True) as upkeep:
        return upkeep.restore(path)


def export(
    url: str, token: str | None, wanted: Wanted, on_spans: Callable[[int, int], object] = lambda done, total: None
) -> Exported:
    """Export; see `exporting.Exporter.run`. A backend that has the store open does it, on its own machine.

    Raises:
        ReadingError: There is something at that path already, or one of the versions is not known.
        StoreUnavailableError: There is no store, it cannot be asked, or a file cannot be written.
    """
    remote = None if _is_on_server(url) else _remote(url, token)
    return remote.export(wanted) if remote is not None else export_from(url, wanted, on_spans)


def _is_on_server(url: str) -> bool:
    return url.partition("://")[0] in SCHEMES


def _remote(url: str, token: str | None) -> RemoteUpkeep | None:
    """The backend that the URL names, or that has the directory open which it names; None if there is none."""
    if url.startswith(("http://", "https://")):
        return RemoteUpkeep(url, token)
    holder = holder_of(directory_of(url))
    if holder is None:
        return None
    return RemoteUpkeep(holder["address"], token, holder["secret"])


def _repaired(url: str) -> Repair:
    with _open(url) as upkeep:
        return upkeep.repair()


@contextmanager
def _open(url: str, *, create: bool = False) -> Iterator[Upkeep]:
    directory = directory_of(url)
    if not create and not directory.is_dir():
        raise StoreUnavailableError(f"there is no store at {directory}")
    store = open_store(url)
    try:
        yield store.upkeep
    finally:
        store.close()


def _mended(directory: Path, *, is_distrusted: bool) -> list[str]:
    if not directory.is_dir():
        raise ReadingError(f"there is no store at {directory}")
    lock = DirectoryLock(directory)
    lock.acquire()
    try:
        return layout.mend(directory, is_distrusted=is_distrusted)
    finally:
        lock.release()
