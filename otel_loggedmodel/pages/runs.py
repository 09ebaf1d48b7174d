# SPDX-License-Identifier: Apache-2.0
"""Evaluation runs: all of them by data set, one of them, and how a score of a version went from run to run.

A run stands alone: it is compared with a run, and two runs of one version are never pooled here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_loggedmodel.pages.addresses import Links
from otel_loggedmodel.presenting.naming import Title, short_id
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.trace_results import TraceSummary

_MEAN: Final = "/mean"
_MOST_SCORES: Final = 4
OF_TRACES: Final = "traces"


@dataclass(frozen=True)
class Shown:
    """A run in a table.

    Attributes:
        run: The run.
        means: Of each score of the table, in order; None where it has none.
        previous: The id of the run before it, of the same data set; None where there is none.
        letter: `A` or `B`, if it is one of two that are compared.
        of_version: What its version is called, as far as that is known.
    """

    run: Run
    means: Sequence[float | None]
    previous: str | None = None
    letter: str = ""
    of_version: Title | None = None

    @property
    def title(self) -> str:
        """What it is called."""
        return self.run.name or short_id(self.run.run_id)

    @property
    def version(self) -> str:
        """What the version is called; empty where traces were scored, which may be of several."""
        if self.of_version is not None and self.of_version.name:
            return self.of_version.text
        return self.run.version_name or (short_id(self.run.model_id) if self.run.model_id else "")

    @property
    def state(self) -> str:
        """What to know of it, if it is not whole."""
        return {"KILLED": "stopped", "RUNNING": "running"}.get(self.run.status, "")


@dataclass(frozen=True)
class Table:
    """The runs of a data set, the newest first.

    Attributes:
        dataset: What the data set is called, or `traces`.
        digest: Of the data set, or empty.
        scores: The names of the scores that have a column.
        runs: The runs.
    """

    dataset: str
    digest: str
    scores: Sequence[str]
    runs: Sequence[Shown]


def means_of(run: Run) -> dict[str, float]:
    """The means of what its scorers said, by their names."""
    return {key.removesuffix(_MEAN): value for key, value in run.metrics.items() if key.endswith(_MEAN)}


def tables_of(
    runs: Sequence[Run], letters: Mapping[str, str] | None = None, titles: Mapping[str, Title] | None = None
) -> list[Table]:
    """Runs by data set, the data set that was used last first.

    Args:
        runs: The newest first.
        letters: What those are called that are compared, by their ids.
        titles: What their versions are called, by their ids.
    """
    by_dataset: dict[str, list[Run]] = {}
    for run in runs:
        by_dataset.setdefault(run.dataset or "", []).append(run)
    return [_table(digest, found, letters or {}, titles or {}) for digest, found in by_dataset.items()]


def _table(digest: str, runs: Sequence[Run], letters: Mapping[str, str], titles: Mapping[str, Title]) -> Table:
    scores = list(dict.fromkeys(name for run in runs for name in means_of(run)))[:_MOST_SCORES]
    name = next((run.dataset_name for run in runs if run.dataset_name), None) or digest[:8] or OF_TRACES
    before = [*(run.run_id for run in runs[1:]), None]
    shown = [
        Shown(
            run=run,
            means=[means_of(run).get(score) for score in scores],
            # A run of several versions has one id.
            previous=earlier if earlier != run.run_id else None,
            letter=letters.get(run.run_id, ""),
            of_version=titles.get(run.model_id or ""),
        )
        for run, earlier in zip(runs, before, strict=True)
    ]
    return Table(dataset=name, digest=digest, scores=scores, runs=shown)


def histories(runs: Sequence[Run]) -> Iterator[tuple[str, str, list[float | None]]]:
    """How each score of a version went from run to run: data set, score, and means, the oldest first.

    Args:
        runs: Of one version, the newest first.
    """
    for table in tables_of(runs):
        for place, score in enumerate(table.scores):
            yield table.dataset, score, [shown.means[place] for shown in reversed(table.runs)]


def values(
    parts: Sequence[Run],
    others: Sequence[Run],
    worst: Sequence[TraceSummary],
    failed: Sequence[TraceSummary],
    titles: Mapping[str, Title],
) -> Mapping[str, Any]:
    """What the template of one run shows.

    Args:
        parts: The run, of each version and data set that it evaluated.
        others: The runs of its data set, the newest first, with itself.
        worst: Traces of the run with the lowest scores.
        failed: Traces of the run that failed.
        titles: What the versions of all these are called, by their ids.
    """
    run = parts[0]
    tables = tables_of(others, {run.run_id: ""}, titles)
    previous = next((one.previous for table in tables for one in table.runs if one.run.run_id == run.run_id), None)
    # The same data set, and what somebody else did on it last.
    rival = next((one.run_id for one in others if one.model_id != run.model_id and one.is_whole), None)
    return {
        "own": Shown(run, [], of_version=titles.get(run.model_id or "")),
        "parts_of_run": [(part, sorted(means_of(part).items())) for part in parts],
        "previous": previous,
        "rival": rival,
        "tables": tables,
        "lists": [("Lowest scores", "worst", worst), ("Failed", "failed", failed)],
        "links": Links(),
        "short_id": short_id,
    }
