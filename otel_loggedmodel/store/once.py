# SPDX-License-Identifier: Apache-2.0
"""A database that answers the same question once, for questions that belong together, as those of a page.

What a question asks first is mostly the same: which versions there are, whether there are results, what calls say. The
engine takes some milliseconds to understand each of these statements, however little it reads.
"""

import threading
from collections.abc import Mapping
from typing import Any, Final

from otel_loggedmodel.store.database import Database

# What is larger, as the spans of a trace, is asked once anyway.
_MOST_ROWS: Final = 2000


class Once(Database):
    """The same database, as it was when each question was first asked. Safe to use from several threads.

    Args:
        database: The database; it is closed by whoever opened it.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database.client, database.name, directory=database.directory)
        self._database = database
        self._answers: dict[str, list[dict[str, Any]]] = {}
        self._remembering = threading.Lock()

    def query(
        self, sql: str, parameters: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """See `Database.query`; the answer is a copy, which the caller may change."""
        question = repr((sql, sorted((parameters or {}).items()), sorted((settings or {}).items())))
        with self._remembering:
            known = self._answers.get(question)
        if known is None:
            known = self._database.query(sql, parameters, settings)
            if len(known) > _MOST_ROWS:
                return known
            with self._remembering:
                self._answers[question] = known
        return [dict(row) for row in known]

    def command(self, sql: str, settings: Mapping[str, Any] | None = None) -> None:
        """See `Database.command`."""
        self._database.command(sql, settings)

    def raw_query(self, sql: str, settings: Mapping[str, Any]) -> str:
        """See `Database.raw_query`."""
        return self._database.raw_query(sql, settings)

    def close(self) -> None:
        """Nothing: the database is another's."""
