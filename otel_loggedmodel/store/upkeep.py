# SPDX-License-Identifier: Apache-2.0
"""What keeps an embedded store whole: it says what is damaged, sets that aside, makes backups and restores them.

It also exports what is in it.

Nothing is ever deleted. What is damaged is moved out of the way of the rest.
"""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from otel_loggedmodel.store import backup, counted, filling, layout, log_schema, schema, seen_table
from otel_loggedmodel.store.backup import Backup
from otel_loggedmodel.store.counts import Counts
from otel_loggedmodel.store.database import Database, text
from otel_loggedmodel.store.exporting import Exported, Exporter, Wanted
from otel_loggedmodel.store.layout import SetAside
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import ReadingError

_TABLES: Final = (schema.SPANS, f"{schema.SPANS}_trace_id_ts")
_FILLED_IN: Final = "filled in anew what was damaged of the table of what counts"


@dataclass(frozen=True, kw_only=True)
class Condition:
    """How whole a store is.

    Attributes:
        directory: Where it is; None for one on a server, of which nothing is known here.
        set_aside: The parts that are not read, as they are damaged.
        gone: How many spans were there once and are lost, by day as `20260131`; those set aside are not among them.
    """

    directory: str | None = None
    set_aside: Sequence[SetAside] = ()
    gone: dict[str, int] | None = None

    @property
    def warnings(self) -> list[str]:
        """What to tell, a sentence each."""
        told = [str(part) for part in self.set_aside if part.table == schema.SPANS]
        told += [
            f"{rows} rows of {schema.SPANS} of {day[:4]}-{day[4:6]}-{day[6:]} are gone: they were there when the store"
            " was last in use"
            for day, rows in (self.gone or {}).items()
        ]
        return told


@dataclass(frozen=True, kw_only=True)
class Repair:
    """What a repair did.

    Attributes:
        done: What was put back or set aside, a sentence each.
        condition: How whole the store is now.
    """

    done: Sequence[str]
    condition: Condition


class Upkeep:
    """Looks after a store that is open. Safe to use from several threads; changes wait for one another.

    Args:
        database: Where.
        counts: How many rows there were.
        reader: Answers questions, for exports.
    """

    def __init__(self, database: Database, counts: Counts, reader: StoreReader) -> None:
        self._database = database
        self._counts = counts
        self._reader = reader
        self._changing = threading.Lock()

    def condition(self) -> Condition:
        """How whole the store is."""
        directory = self._database.directory
        if directory is None:
            return Condition()
        parts = layout.set_aside(directory)
        gone = self._counts.gone()
        for part in parts:
            if part.table == schema.SPANS and part.since is not None:
                day = f"{part.since:%Y%m%d}"
                gone[day] = gone.get(day, 0) - (part.rows or 0)
        return Condition(
            directory=str(directory), set_aside=parts, gone={day: rows for day, rows in gone.items() if rows > 0}
        )

    def repair(self) -> Repair:
        """Read everything, and set aside the parts that cannot be read.

        Raises:
            ReadingError: The store is not one in a directory.
        """
        directory = self._check_embedded()
        with self._changing:
            tables = [*_TABLES, *([log_schema.LOGS] if log_schema.is_there(self._database) else [])]
            done = [line for table in tables for line in self._set_broken_aside(table)]
            followed = [line for table in (counted.TABLE, seen_table.TABLE) for line in self._set_broken_aside(table)]
            if followed:
                filling.notice_damage(self._database, directory)
                schema.prepare(self._database)
                done.append(_FILLED_IN)
            condition = self.condition()
            # What is gone was told with this repair, and is not told again.
            self._counts.note()
        return Repair(done=done, condition=condition)

    def backup(self, path: Path) -> Backup:
        """Make a backup; see `backup.make`."""
        self._check_embedded()
        with self._changing:
            return backup.make(self._database, path)

    def restore(self, path: Path) -> Backup:
        """Restore a backup; see `backup.restore`."""
        self._check_embedded()
        with self._changing:
            restored = backup.restore(self._database, path)
            self._counts.note()
        return restored

    def export(self, wanted: Wanted) -> Exported:
        """Export; see `exporting.Exporter.run`."""
        return Exporter(self._database, self._reader).run(wanted)

    def _set_broken_aside(self, table: str) -> list[str]:
        checked = self._database.raw_query(f"CHECK TABLE {table}", {"check_query_single_value_result": 0})
        done = []
        for row in map(json.loads, checked.splitlines()):
            if not row["is_passed"]:
                part = row["part_path"]
                self._database.command(f"ALTER TABLE {table} DETACH PART {text(part)}")
                done.append(f"set the part {part} of {table} aside: it is damaged")
        return done

    def _check_embedded(self) -> Path:
        directory = self._database.directory
        if directory is None:
            raise ReadingError(
                f"{self._database.name} is on a server: it is backed up and repaired there, with BACKUP and CHECK TABLE"
            )
        return directory
