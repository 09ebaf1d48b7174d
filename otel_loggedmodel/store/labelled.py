# SPDX-License-Identifier: Apache-2.0
"""The labels of evaluations of versions side by side."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from otel_loggedmodel.store import categories, scores, statistics
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.label_results import Label, Labels
from otel_loggedmodel.store.scope import Scope

_MOST_SHOWN: Final = 12


def compared(database: Database, scope: Scope) -> tuple[Labels, ...]:
    """The labels of each evaluation that has some that are no numbers.

    Args:
        database: Where.
        scope: Which versions, in order, and which of their traces.
    """
    if not scope.has_results:
        return ()
    query = scores.labels(scope)
    model_ids = list(scope.model_ids or ())
    found: dict[str, dict[str, Counter[str]]] = {}
    for row in database.query(query.sql, query.parameters):
        of_version = found.setdefault(row["name"], {one: Counter() for one in model_ids}).get(row["version"])
        if of_version is not None:
            of_version[row["label"]] += int(row["count"])
    tests = {
        (name, place): p_value
        for name, versions in found.items()
        for place, model_id in enumerate(model_ids[1:])
        if (p_value := categories.p_value(versions[model_ids[0]], versions[model_id])) is not None
    }
    corrected = dict(zip(tests, statistics.holm(list(tests.values())), strict=True))
    return tuple(
        Labels(
            name=name,
            labels=tuple(_shown([versions[one] for one in model_ids])),
            totals=tuple(versions[one].total() for one in model_ids),
            p_values=tuple(corrected.get((name, place)) for place in range(len(model_ids) - 1)),
        )
        for name, versions in sorted(found.items())
    )


def _shown(versions: Sequence[Mapping[str, int]]) -> list[Label]:
    together: Counter[str] = Counter()
    for counts in versions:
        together.update(counts)
    ordered = [label for label, _ in sorted(together.items(), key=lambda one: (-one[1], one[0]))]
    found = [
        Label(label=label, counts=tuple(counts.get(label, 0) for counts in versions)) for label in ordered[:_MOST_SHOWN]
    ]
    rest = tuple(sum(counts.get(label, 0) for label in ordered[_MOST_SHOWN:]) for counts in versions)
    return [*found, Label(label="", counts=rest)] if any(rest) else found
