# SPDX-License-Identifier: Apache-2.0
"""The rows of data sets that changed most between two versions, to read one after the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel.presenting.metrics import SCORE_PREFIX
from otel_loggedmodel.store.results import Comparison, RowChange, ScoreComparison

# How many rows are shown at first, and how many each time that more are asked for.
LIMITS: Final = (10, 100, 1000)


@dataclass(frozen=True)
class Changes:
    """The rows that changed under one evaluation.

    Attributes:
        score: The evaluation's name.
        found: What was paired, and what came of it.
        datasets: Of the rows, as they are called.
        rows: Those that changed most.
    """

    score: str
    found: ScoreComparison
    datasets: Sequence[str]
    rows: Sequence[RowChange]

    @property
    def changed(self) -> int:
        """How many rows changed."""
        return self.found.higher + self.found.lower


def have_rows(comparison: Comparison) -> bool:
    """Whether versions were compared row by row."""
    return any(
        difference.evaluation is not None and difference.evaluation.pairs
        for differences in comparison.differences
        for difference in differences.metrics.values()
    )


def changes_of(comparison: Comparison, rows: Sequence[RowChange]) -> list[Changes]:
    """The rows by evaluation, of a comparison of two versions; one under which no row changed has none.

    Args:
        comparison: Of two versions; of more there is nothing.
        rows: As `Reader.rows` has them for the same versions.
    """
    if len(comparison.differences) != 1:
        return []
    names = _dataset_names(comparison)
    return [
        Changes(
            score=key.removeprefix(SCORE_PREFIX),
            found=difference.evaluation,
            datasets=list(dict.fromkeys(names.get(digest, digest) for digest in difference.evaluation.datasets)),
            rows=[row for row in rows if SCORE_PREFIX + row.score == key],
        )
        for key, difference in comparison.differences[0].metrics.items()
        if difference.evaluation is not None and difference.evaluation.pairs
    ]


def next_limit(limit: int, changes: Sequence[Changes]) -> int | None:
    """How many rows to offer next; None where all are shown."""
    if all(one.changed <= limit for one in changes):
        return None
    return next((more for more in LIMITS if more > limit), None)


def _dataset_names(comparison: Comparison) -> Mapping[str, str]:
    return {
        group.dataset: group.dataset_name
        for version in comparison.versions
        for score in version.scores.values()
        for group in score.groups
        if group.dataset is not None and group.dataset_name is not None
    }
