# SPDX-License-Identifier: Apache-2.0
"""The rows of data sets that changed most between two versions: each once, with a column for each score."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from otel_loggedmodel.conventions import previews
from otel_loggedmodel.pages import figures
from otel_loggedmodel.presenting.differing import Piece, only, words_that_differ
from otel_loggedmodel.presenting.metrics import SCORE_PREFIX
from otel_loggedmodel.store.reading import MOST_CHANGED, RowFilter
from otel_loggedmodel.store.results import Comparison, ScoreComparison, Verdict
from otel_loggedmodel.store.row_results import RowChange, RowResult

# How many rows are shown at first, and how many each time that more are asked for.
LIMITS: Final = (10, 100, 1000)


@dataclass(frozen=True)
class Column:
    """An evaluation of the rows.

    Attributes:
        score: The evaluation's name.
        found: What was paired, and what came of it.
        is_whole: Whether a row of the table that is not said to have changed under it has not.
        verdict: What came of it.
    """

    score: str
    found: ScoreComparison
    is_whole: bool
    verdict: Verdict

    @property
    def kinds(self) -> Sequence[tuple[str, str, int]]:
        """What its rows can be narrowed to: the kind of change, its symbol, and how many rows have it."""
        found = (("lower", "✗", self.found.lower), ("higher", "✓", self.found.higher))
        return [one for one in found if one[2]]

    @property
    def counts(self) -> str:
        """How many rows changed, in words."""
        found = self.found
        return f"{found.higher:,} higher, {found.lower:,} lower, {found.equal:,} the same"

    @property
    def picture(self) -> Markup:
        """Each row as a dot, by how much it changed."""
        return figures.dots(self.found.changes, self.found.change_range, f"{self.score}: {self.counts}")

    @property
    def rows_of_a_dot(self) -> int:
        """For how many rows a dot stands."""
        return figures.rows_of_a_dot(self.found.changes)

    @property
    def changed(self) -> int:
        """How many rows changed."""
        return self.found.higher + self.found.lower


@dataclass(frozen=True)
class Side:
    """What one version did with a row.

    Attributes:
        result: Where, and what was said of it.
        pieces: The answer, with the words marked that the other version's has not; None where it was not recorded.
    """

    result: RowResult
    pieces: Sequence[Piece] | None


@dataclass(frozen=True)
class RowShown:
    """A row of a data set.

    Attributes:
        row: Its key.
        dataset: Digest of the data set.
        asked: What was asked.
        expected: What was expected, or empty.
        sides: Of the first version and of the other.
        is_same: Whether both answered alike.
        changes: How it changed under each evaluation, in the order of the columns; None where it is not known to have.
    """

    row: str
    dataset: str
    asked: str
    expected: str
    sides: tuple[Side, Side]
    is_same: bool
    changes: Sequence[RowChange | None]


@dataclass(frozen=True)
class Table:
    """The rows that changed.

    Attributes:
        columns: The evaluations that rows were compared under.
        rows: The rows, those that changed most first.
        datasets: What the data sets are called.
        pairs: How many rows both versions have.
    """

    columns: Sequence[Column] = ()
    rows: Sequence[RowShown] = ()
    datasets: Sequence[str] = ()
    pairs: int = 0

    @property
    def has_expected(self) -> bool:
        """Whether it is known of any row what was expected."""
        return any(row.expected for row in self.rows)


def have_rows(comparison: Comparison) -> bool:
    """Whether versions were compared row by row."""
    return any(
        difference.evaluation is not None and difference.evaluation.pairs
        for differences in comparison.differences
        for difference in differences.metrics.values()
    )


def table_of(comparison: Comparison, rows: Sequence[RowChange], which: RowFilter = MOST_CHANGED) -> Table:
    """The rows of a comparison of two versions; of more there are none.

    Args:
        comparison: Of two versions.
        rows: As `Reader.rows` has them for the same versions.
        which: Which rows those are.
    """
    if len(comparison.differences) != 1:
        return Table()
    compared = comparison.differences[0].metrics
    found = {
        key.removeprefix(SCORE_PREFIX): difference.evaluation
        for key, difference in compared.items()
        if difference.evaluation is not None and difference.evaluation.pairs
    }
    names = _dataset_names(comparison)
    listed = {score: sum(row.score == score for row in rows) for score in found}
    columns = [
        Column(
            score,
            evaluation,
            which.with_others or listed[score] >= evaluation.higher + evaluation.lower,
            compared[f"{SCORE_PREFIX}{score}"].verdict,
        )
        for score, evaluation in found.items()
    ]
    by_row: dict[tuple[str, str], dict[str, RowChange]] = {}
    for change in rows:
        if change.score in found:
            by_row.setdefault((change.dataset, change.row), {})[change.score] = change
    shown = sorted(by_row.values(), key=lambda changes: -max(abs(change.delta) for change in changes.values()))
    return Table(
        columns=columns,
        rows=[_shown(changes, [column.score for column in columns]) for changes in shown],
        datasets=list(
            dict.fromkeys(names.get(digest, digest) for evaluation in found.values() for digest in evaluation.datasets)
        ),
        pairs=max((evaluation.pairs for evaluation in found.values()), default=0),
    )


def next_limit(which: RowFilter, table: Table) -> int | None:
    """How many rows to offer next; None where all are shown."""
    if all(_is_whole(column, which) for column in table.columns if which.score in (None, column.score)):
        return None
    return next((more for more in LIMITS if more > which.limit), None)


def _is_whole(column: Column, which: RowFilter) -> bool:
    """Whether all rows that are wanted under an evaluation are in the table."""
    counts = {"higher": column.found.higher, "lower": column.found.lower}
    return which.limit >= counts.get(which.change or "", column.changed)


def _shown(changes: Mapping[str, RowChange], scores: Sequence[str]) -> RowShown:
    first = next(iter(changes.values()))
    before, after = first.base.output, first.candidate.output
    texts = [None if text is None else previews.answered(text) for text in (before, after)]
    pieces: list[Sequence[Piece] | None] = [None if text is None else [Piece("both", text)] for text in texts]
    if texts[0] is not None and texts[1] is not None:
        both = words_that_differ(texts[0], texts[1])
        pieces = [only(both, "first"), only(both, "second")]
    return RowShown(
        row=first.row,
        dataset=first.dataset,
        asked=previews.asked(first.input),
        expected=previews.answered(first.expected),
        sides=(Side(first.base, pieces[0]), Side(first.candidate, pieces[1])),
        is_same=texts[0] is not None and texts[0] == texts[1],
        changes=[changes.get(score) for score in scores],
    )


def _dataset_names(comparison: Comparison) -> Mapping[str, str]:
    return {
        group.dataset: group.dataset_name
        for version in comparison.versions
        for score in version.scores.values()
        for group in score.groups
        if group.dataset is not None and group.dataset_name is not None
    }
