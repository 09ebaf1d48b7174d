# SPDX-License-Identifier: Apache-2.0
"""Fills in what the table of what counts lacks in an embedded store, as after an upgrade, in the background.

It goes day by day, as each day that is done is remembered. A day of many spans is filled in hour by hour, so that the
thread can stop soon.
"""

import logging
import re
import threading
from pathlib import Path
from typing import Final

from otel_loggedmodel.store import counted, layout, schema
from otel_loggedmodel.store.database import Database, second, text
from otel_loggedmodel.store.reading import ReadingError

_logger = logging.getLogger(__name__)

_HOURS: Final = range(24)
# So many spans take less than a second.
_MOST_AT_ONCE: Final = 100_000
_ONE_THREAD: Final = {"max_threads": 1}


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
        days = schema.missing_days(database)
        for place, day in enumerate(days, 1):
            (found,) = database.query(
                f"SELECT count() AS spans FROM {schema.SPANS} WHERE _partition_id = {text(day)}", settings=_ONE_THREAD
            )
            hours = _HOURS if found["spans"] > _MOST_AT_ONCE else (None,)
            parts = [schema.AS_READ.of_day(day, hour) for hour in hours]
            for statement in counted.refilling(day, parts, days[place:]):
                if self._stopping.is_set():
                    return
                database.command(statement, _ONE_THREAD)


def notice_damage(database: Database, directory: Path) -> None:
    """Mark days as missing if the engine has set a part of theirs aside, so that they are filled in anew.

    These parts are dropped. Nothing is lost with them, as the whole table follows from the table of spans.
    """
    parts = [Path(part.path).name for part in layout.set_aside(directory) if part.table == counted.TABLE]
    if not parts:
        return
    days = {match[0] for part in parts if (match := re.search(r"\d{8}", part))}
    database.command(counted.remembering(sorted({*days, *schema.missing_days(database)})))
    for part in parts:
        database.command(f"ALTER TABLE {counted.TABLE} DROP DETACHED PART {text(part)}", {"allow_drop_detached": 1})
