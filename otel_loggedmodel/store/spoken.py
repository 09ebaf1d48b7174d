# SPDX-License-Identifier: Apache-2.0
"""Versions that spans alone tell of, by the names that those spans give them."""

from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.schema import Columns


def ids_called(database: Database, columns: Columns, name: str) -> list[str]:
    """The ids that have this name on spans, that of the newest span first."""
    rows = database.query(
        f"""
        SELECT LoggedModelId AS id FROM {columns.counted}
        WHERE LoggedModelName = {{name:String}} AND id != ''
        GROUP BY id ORDER BY max(Timestamp) DESC, id""",
        {"name": name},
    )
    return [row["id"] for row in rows]
