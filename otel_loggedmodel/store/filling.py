# SPDX-License-Identifier: Apache-2.0
"""Fills in what the tables of what counts and of what was seen lack in an embedded store, in the background.

They lack something after an upgrade. The filler goes day by day, as each day that is done is remembered. A day of many
spans is filled in hour by hour, so that the thread can stop soon.
"""

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from otel_loggedmodel.store import counted, layout, schema, seen_table
from otel_loggedmodel.store.database import Database, second, text
from otel_loggedmodel.store.reading import ReadingError

_logger = logging.getLogger(__name__)

_HOURS: Final = range(24)
# So many spans take less than a second.
_MOST_AT_ONCE: Final = 100_000
_ONE_THREAD: Final = {"max_threads": 1}


def is_needed(database: Database) -> bool:
    """Whether anything has to be filled in."""
    return bool(schema.missing_days(database)) or seen_table.is_missing(database)


class Filler:
    """A thread that fills in the days that are missing, and ends.

    Args:
        database: Where; it has to stay open until `stop` has returned.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="otel-loggedmodel filler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it, at the latest when an hour of spans is filled in; what is left is done after the next start."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            database = second(self._database)
            try:
                self._fill(database)
            finally:
                database.close()
        except ReadingError as error:
            _logger.warning("what counts could not be filled in, so that answers take longer: %s", error)

    def _fill(self, database: Database) -> None:
        for statement in _statements(database):
            if self._stopping.is_set():
                return
            database.command(statement, _ONE_THREAD)


def _statements(database: Database) -> Iterator[str]:
    """What fills in all that is missing, in order."""
    days = schema.missing_days(database)
    for place, day in enumerate(days, 1):
        (found,) = database.query(
            f"SELECT count() AS spans FROM {schema.SPANS} WHERE _partition_id = {text(day)}", settings=_ONE_THREAD
        )
        hours = _HOURS if found["spans"] > _MOST_AT_ONCE else (None,)
        parts = [schema.AS_READ.of_day(day, hour) for hour in hours]
        yield from counted.refilling(day, parts, days[place:])
    if seen_table.is_missing(database):
        yield from seen_table.filling(database)


def notice_damage(database: Database, directory: Path) -> None:
    """Mark what has to be filled in anew if the engine has set a part of it aside: days, or the table of what was seen.

    These parts are dropped. Nothing is lost with them, as both tables follow from the table of spans.
    """
    if seen := _set_aside(directory, seen_table.TABLE):
        database.command(seen_table.forgetting())
        _drop(database, seen_table.TABLE, seen)
    if parts := _set_aside(directory, counted.TABLE):
        days = {match[0] for part in parts if (match := re.search(r"\d{8}", part))}
        database.command(counted.remembering(sorted({*days, *schema.missing_days(database)})))
        _drop(database, counted.TABLE, parts)


def _set_aside(directory: Path, table: str) -> list[str]:
    return [Path(part.path).name for part in layout.set_aside(directory) if part.table == table]


def _drop(database: Database, table: str, parts: Sequence[str]) -> None:
    for part in parts:
        database.command(f"ALTER TABLE {table} DROP DETACHED PART {text(part)}", {"allow_drop_detached": 1})
