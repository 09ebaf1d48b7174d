# SPDX-License-Identifier: Apache-2.0
"""Versions whose calls may have written to a cache and do not say so.

If a model has no price for writing to a cache, no tokens count as written.
"""

from typing import TYPE_CHECKING

from otel_loggedmodel.store.call_column import UNCACHED_BIT
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.schema import call

if TYPE_CHECKING:
    from otel_loggedmodel.store.scope import Scope


def may_have_written(database: Database, scope: "Scope") -> frozenset[str]:
    """The ids of the versions with calls that do not tell cached tokens, of models that may have written some."""
    version, spans = scope.version, scope.spans
    rows = database.query(
        f"""
        SELECT DISTINCT toString({version.sql}) AS version, {call("llm")} AS llm FROM {scope.source}
        WHERE {spans.sql} AND bitTest({call("usage")}, {UNCACHED_BIT})""",
        {**version.parameters, **spans.parameters},
    )
    return frozenset(row["version"] for row in rows if scope.prices.may_write(row["llm"]))
