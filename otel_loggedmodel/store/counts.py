# SPDX-License-Identifier: Apache-2.0
"""How many rows each day of an embedded store had when it was last looked at, to tell when some are gone.

The engine keeps no such count: where the files of a part are gone, it opens the rest and says nothing.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from otel_loggedmodel.store import schema
from otel_loggedmodel.store.database import Database

_NAME: Final = "otel-loggedmodel-rows.json"
_SECONDS_BETWEEN: Final = 30.0


class Counts:
    """The file with the counts, and the store that they are of. Safe to use from several threads.

    Args:
        database: An embedded store, or one on a server, of which nothing is counted.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._path = None if database.directory is None else database.directory / _NAME
        self._lock = threading.Lock()
        self._noted_at = time.monotonic()

    def gone(self) -> dict[str, int]:
        """How many rows are not there any more, by day as `20260131`; those that were set aside are among them."""
        noted = self._noted()
        if not noted:
            return {}
        there = self._counted()
        return {day: rows - there.get(day, 0) for day, rows in sorted(noted.items()) if rows > there.get(day, 0)}

    def note(self) -> None:
        """Write down what is there now, and that nothing of it is gone."""
        if self._path is not None:
            with self._lock:
                self._write(self._counted())

    def note_growth(self, *, at_once: bool = False) -> None:
        """Write down what is there now, at most every half minute; what was gone stays so."""
        if self._path is None or (not at_once and time.monotonic() < self._noted_at + _SECONDS_BETWEEN):
            return
        with self._lock:
            self._noted_at = time.monotonic()
            there, noted = self._counted(), self._noted()
            self._write({day: max(there.get(day, 0), noted.get(day, 0)) for day in {*there, *noted}})

    @contextlib.contextmanager
    def changing(self, days: Iterator[str] | list[str]) -> Iterator[None]:
        """While rows of these days are deleted on purpose."""
        changed = set(days)
        if self._path is None or not changed:
            yield
            return
        with self._lock:
            gone = self.gone()
            # If this process ends half-way, rows of days that are not written down are not taken for lost.
            self._write({day: rows for day, rows in self._noted().items() if day not in changed})
            yield
            there = self._counted()
            self._write({day: rows + gone.get(day, 0) * (day not in changed) for day, rows in there.items()})

    def _counted(self) -> dict[str, int]:
        rows = self._database.query(
            "SELECT partition_id, sum(rows) AS rows FROM system.parts WHERE active AND database = currentDatabase()"
            " AND table = {table:String} GROUP BY partition_id",
            {"table": schema.SPANS},
        )
        return {row["partition_id"]: int(row["rows"]) for row in rows}

    def _noted(self) -> dict[str, int]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8")) if self._path is not None else {}
            return {str(day): int(rows) for day, rows in content.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def _write(self, rows: Mapping[str, int]) -> None:
        assert self._path is not None
        new = Path(f"{self._path}.new")
        with contextlib.suppress(OSError):  # of a full disk, too, which says so elsewhere
            new.touch(mode=0o600)
            new.write_text(json.dumps(dict(sorted(rows.items()))), encoding="utf-8")
            new.replace(self._path)
