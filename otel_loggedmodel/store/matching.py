# SPDX-License-Identifier: Apache-2.0
"""The scores of versions, and which of two versions can be held against each other."""

from collections.abc import Mapping, Sequence

from otel_loggedmodel.store import production_scores, run_records
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.design import SIMPLE, Design
from otel_loggedmodel.store.results import Score
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.samples import Row
from otel_loggedmodel.store.scope import Scope
from otel_loggedmodel.store.score_comparison import Match, match
from otel_loggedmodel.store.score_groups import Scores, read, score_of
from otel_loggedmodel.store.scores import groups


def matches(database: Database, scope: Scope) -> dict[str, dict[str, Match]]:
    """What can be compared of the scores of each version but the first, by its id and the names of the scores.

    Args:
        database: Where.
        scope: Which versions, in order, and which of their traces.
    """
    runs = run_records.load(database, scope.columns)
    return of_candidates(list(scope.model_ids or ()), grouped(database, scope, runs))


def scores(database: Database, scope: Scope, design: Design) -> dict[str, dict[str, Score]]:
    """The scores of versions, by their ids and by name.

    Args:
        database: Where.
        scope: Which versions, in order, and which of their traces.
        design: How often their traces count.
    """
    runs = run_records.load(database, scope.columns) if scope.has_results else []
    return {model_id: shown(found) for model_id, found in grouped(database, scope, runs, design).items()}


def shown(found: Scores) -> dict[str, Score]:
    """The scores of a version, by name."""
    return {name: score_of(groups) for name, groups in sorted(found.items())}


def grouped(database: Database, scope: Scope, runs: Sequence[Run], design: Design = SIMPLE) -> dict[str, Scores]:
    """The groups of results of each version's scores, by its id."""
    scores: dict[str, list[Row]] = {model_id: [] for model_id in scope.model_ids or ()}
    if scope.has_results:
        query = groups(scope, run_records.unfinished(runs))
        for row in database.query(query.sql, query.parameters):
            scores[row["version"]].append(row)
    is_complex = design.is_complex and any(not row["dataset"] for rows in scores.values() for row in rows)
    of_units = production_scores.moments(database, scope, design) if is_complex else {}
    return {model_id: read(found, of_units) for model_id, found in scores.items()}


def of_candidates(model_ids: Sequence[str], scores: Mapping[str, Scores]) -> dict[str, dict[str, Match]]:
    """What can be compared of the scores of each version but the first."""
    base, *candidates = model_ids
    return {candidate: _matches(scores[base], scores[candidate]) for candidate in candidates}


def _matches(base: Scores, candidate: Scores) -> dict[str, Match]:
    return {name: match(base.get(name, ()), candidate.get(name, ())) for name in sorted({*base, *candidate})}
