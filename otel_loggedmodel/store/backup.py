# SPDX-License-Identifier: Apache-2.0
"""Backups of a store, made and read by the engine itself, while the store is in use.

Restoring adds what is missing, and leaves spans alone that are there already. So a backup mends a store that has lost
some of its spans, and fills an empty one.
"""

import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_loggedmodel.store import log_schema, schema
from otel_loggedmodel.store.database import Database, one, quoted, text
from otel_loggedmodel.store.engine_errors import first_line
from otel_loggedmodel.store.log_schema import LOGS
from otel_loggedmodel.store.reading import ReadingError, StoreUnavailableError
from otel_loggedmodel.store.writing import StoreFullError

SUFFIXES: Final = (".tar", ".tar.gz", ".tar.zst")
_ASIDE: Final = "restoring_"


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A backup that was made, or that was restored.

    Attributes:
        path: Where it is.
        spans: How many spans are in it, or were added to the store.
    """

    path: str
    spans: int


def make(database: Database, path: Path) -> Backup:
    """Write all spans and log records into a new file if its name ends with one of `SUFFIXES`, else a new directory.

    Raises:
        ReadingError: There is something already.
        StoreUnavailableError: It cannot be written.
    """
    if path.exists():
        raise ReadingError(f"{path} is there already: name a file or a directory that is not")
    if not path.parent.is_dir():
        raise ReadingError(f"{path.parent} is no directory: make it first")
    spans = _count(database, quoted(schema.SPANS))
    # It has another name until it is whole, so nobody takes what an interruption left for a backup.
    partial = path.with_name(f".partial-{uuid.uuid4().hex}-{path.name}")
    try:
        tables = [schema.SPANS, *([LOGS] if log_schema.is_there(database) else [])]
        listed = ", ".join(f"TABLE {table}" for table in tables)
        database.command(f"BACKUP {listed} TO File({text(_target(partial))})")
        # It holds what users wrote and models answered.
        partial.chmod(0o700 if partial.is_dir() else 0o600)
        partial.rename(path)
    except BaseException:
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)
        raise
    return Backup(path=str(path), spans=spans)


def restore(database: Database, path: Path) -> Backup:
    """Add the spans and log records of a backup that the store does not have.

    Raises:
        ReadingError: There is no backup.
        StoreUnavailableError: It is damaged, or there is no room for it.
    """
    is_file = path.is_file()
    if not is_file and not (path / ".backup").is_file():
        raise ReadingError(f"{path} is no backup: `otel-loggedmodel store backup` makes one")
    if is_file and not path.name.endswith(SUFFIXES):
        raise ReadingError(f"{path} is no backup: its name ends with none of {', '.join(SUFFIXES)}")
    _clean_up(database)
    # It is restored into a database of its own, as the engine cannot add to a table that has some of the rows.
    aside = quoted(f"{_ASIDE}{uuid.uuid4().hex}")
    before = _count(database, quoted(schema.SPANS))
    database.command(f"CREATE DATABASE {aside}")
    try:
        _read(database, path, aside)
        days = database.query(f"SELECT DISTINCT _partition_id AS id FROM {aside}.{schema.SPANS}")
        for day in days:
            # By day, so that few ids have to be kept in memory.
            database.command(f"""
                INSERT INTO {schema.SPANS} SELECT * FROM {aside}.{schema.SPANS}
                WHERE _partition_id = {text(day["id"])} AND cityHash64(TraceId, SpanId, Timestamp) NOT IN (
                    SELECT cityHash64(TraceId, SpanId, Timestamp) FROM {schema.SPANS}
                    WHERE _partition_id = {text(day["id"])})""")
        if _has_log_records(database, path, aside):
            _add_log_records(database, aside)
    finally:
        database.command(f"DROP DATABASE {aside} SYNC")
    return Backup(path=str(path), spans=_count(database, quoted(schema.SPANS)) - before)


def _has_log_records(database: Database, path: Path, aside: str) -> bool:
    """Read the log records of a backup; False where it has none, as its store never received any."""
    try:
        database.command(f"RESTORE TABLE default.{LOGS} AS {aside}.{LOGS} FROM File({text(_target(path))})")
    except StoreFullError:
        raise
    except StoreUnavailableError as error:
        if "NOT_FOUND" in str(error) or "not found in backup" in str(error):
            return False
        raise
    return True


def _add_log_records(database: Database, aside: str) -> None:
    database.command(log_schema.exporter_table())
    key = "cityHash64(Timestamp, TraceId, SpanId, EventName, Body, toString(LogAttributes))"
    for day in database.query(f"SELECT DISTINCT _partition_id AS id FROM {aside}.{LOGS}"):
        # By day, as with spans.
        database.command(f"""
            INSERT INTO {LOGS} SELECT * FROM {aside}.{LOGS}
            WHERE _partition_id = {text(day["id"])} AND {key} NOT IN (
                SELECT {key} FROM {LOGS} WHERE _partition_id = {text(day["id"])})""")


def _read(database: Database, path: Path, aside: str) -> None:
    try:
        database.command(
            f"RESTORE TABLE default.{schema.SPANS} AS {aside}.{schema.SPANS} FROM File({text(_target(path))})"
        )
    except StoreFullError:
        raise
    except StoreUnavailableError as error:
        # The engine's own message would seem to be about the store.
        cause = error.__cause__ or error
        raise StoreUnavailableError(
            f"{path} cannot be read as a backup: it is damaged, or was not written to its end; nothing was added"
            f" ({first_line(str(cause))})"
        ) from error


def _clean_up(database: Database) -> None:
    """Drop what a killed restore has left, except on a server, where another restore may be running."""
    if database.directory is None:
        return
    for left in database.query(
        "SELECT name FROM system.databases WHERE startsWith(name, {aside:String})", {"aside": _ASIDE}
    ):
        database.command(f"DROP DATABASE {quoted(left['name'])} SYNC")


def _target(path: Path) -> str:
    return str(path) if path.name.endswith(SUFFIXES) else f"{path}/"


def _count(database: Database, table: str) -> int:
    return int(one(database.query(f"SELECT count() AS spans FROM {table}"))["spans"])
