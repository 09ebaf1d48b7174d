# SPDX-License-Identifier: Apache-2.0
"""What readers get of evaluation runs.

What `results` says of its values holds here too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Run:
    """One evaluation of a version on a data set. A run that evaluates several has one of these for each.

    Attributes:
        run_id: Its id.
        name: What it is called, if anything.
        model_id: The version; empty where the traces that were scored say it.
        version_name: The version's name, where it is known.
        experiment_id: The experiment it belongs to.
        dataset: Digest of the data set; None where traces were scored.
        dataset_name: What the data set is called, if anything.
        status: `FINISHED`, `KILLED` (it ended before all rows were done) or `RUNNING` (no end was received).
        start_ms: When it began.
        end_ms: When it ended; None while it runs.
        rows: How many rows were done, those that failed among them; None while it runs.
        rows_failed: How many of them have no outputs, as what was evaluated failed.
        rows_total: How many rows there are, if known.
        scorers: Names of the scorers.
        scorer_errors: How often each scorer failed.
        metrics: What came out, by `<scorer>/<aggregation>`.
    """

    run_id: str
    name: str | None = None
    model_id: str = ""
    version_name: str | None = None
    experiment_id: str = "0"
    dataset: str | None = None
    dataset_name: str | None = None
    status: str = "RUNNING"
    start_ms: int = 0
    end_ms: int | None = None
    rows: int | None = None
    rows_failed: int | None = None
    rows_total: int | None = None
    scorers: tuple[str, ...] = ()
    scorer_errors: Mapping[str, int] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        """Whether all of its rows were worked on."""
        return self.status == "FINISHED"
