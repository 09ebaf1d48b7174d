# SPDX-License-Identifier: Apache-2.0
"""Versions of which everything follows from their own spans, so that what was measured of them can be remembered."""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from otel_loggedmodel.store import measured, scoping, seen_table
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.measured import Measured
from otel_loggedmodel.store.reading import EVERYTHING
from otel_loggedmodel.store.scope import Scope

T = TypeVar("T")


@dataclass(frozen=True)
class Steady:
    """Some versions, of all of whose traces something is asked.

    Attributes:
        memory: What was measured before of versions.
        compared: What was measured before of several versions together.
        stamps: The stamps of the versions (`measured`), by their ids.
        lives: When the first and the last entry span of each began, in ms; without those that have none.
    """

    memory: Measured
    compared: Measured
    stamps: Mapping[str, int]
    lives: Mapping[str, tuple[int, int]]

    def measure(self, scope: Scope, what: Hashable, measure: Callable[[Scope], Mapping[str, T]]) -> dict[str, T]:
        """What is measured of the versions, by their ids.

        Args:
            scope: The versions.
            what: What is measured, with all that it depends on beside the spans of a version.
            measure: Measures some of the versions.
        """

        def measure_some(model_ids: Collection[str]) -> Mapping[str, T]:
            some = set(model_ids)
            return measure(replace(scope, model_ids=[one for one in scope.model_ids or () if one in some]))

        return self.memory.of(self.stamps, what, measure_some)

    def measure_together(self, model_ids: Sequence[str], what: Hashable, measure: Callable[[], T]) -> T:
        """What is measured of several versions together.

        Args:
            model_ids: The versions, in order.
            what: What is measured, with all that it depends on beside the spans of the versions.
            measure: Measures them.
        """
        key = "\n".join(model_ids)
        stamp = tuple(self.stamps.get(model_id) for model_id in model_ids)
        return self.compared.of({key: stamp}, what, lambda _: {key: measure()})[key]

    def called(self, database: Database, scope: Scope) -> Sequence[Mapping[str, Any]] | None:
        """What `scoping.priced` has to know of calls; None if not all of them are of spans that carry a version."""
        if scope.adopted:
            return None
        found = self.measure(scope, "called", lambda some: scoping.called_by_version(database, some))
        return [row for rows in found.values() for row in rows]


def steady(database: Database, scope: Scope, memory: Measured, compared: Measured) -> Steady | None:
    """The versions of a scope, if everything follows from their own spans, and all of them are asked for.

    Args:
        database: Where.
        scope: Which versions, before anything is known of their calls.
        memory: What was measured before of versions.
        compared: What was measured before of several versions together.
    """
    if not scope.columns.is_seen or not scope.model_ids or scope.aliases or scope.selection.of_traces != EVERYTHING:
        return None
    rows = database.query(
        f"""
        SELECT toString(LoggedModelId) AS id, {measured.STAMP} AS stamp, max(IsOdd) AS is_odd,
            min(FirstEntry) IS NOT NULL AS has_entry,
            toUnixTimestamp64Nano(assumeNotNull(min(FirstEntry))) AS first_ns,
            toUnixTimestamp64Nano(assumeNotNull(max(LastEntry))) AS last_ns
        FROM {seen_table.TABLE} WHERE LoggedModelId IN {{ids:Array(String)}} GROUP BY id""",
        {"ids": list(scope.model_ids)},
    )
    if any(row["is_odd"] for row in rows):
        return None
    return Steady(
        memory=memory,
        compared=compared,
        stamps={row["id"]: row["stamp"] for row in rows},
        lives={
            row["id"]: (row["first_ns"] // 1_000_000, row["last_ns"] // 1_000_000) for row in rows if row["has_entry"]
        },
    )
