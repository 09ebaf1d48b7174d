# SPDX-License-Identifier: Apache-2.0
"""Fills in, in the background, what the table of what counts lacks of an embedded store, as after an upgrade.

It goes hour by hour, so that it stops soon, and day by day, as a day that is done is remembered.
"""

import logging
import threading
from typing import Final

from otel_loggedmodel.store import counted, schema
from otel_loggedmodel.store.database import Database, second
from otel_loggedmodel.store.reading import ReadingError

_logger = logging.getLogger(__name__)

_HOURS: Final = range(24)


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
            for hour in _HOURS:
                if self._stopping.is_set():
                    return
                database.command(counted.filling(schema.AS_READ.of_day(day, hour)), {"max_threads": 1})
            database.command(counted.remembering(days[place:]))
