# SPDX-License-Identifier: Apache-2.0
"""Compares runs as versions are compared: spans of a run's traces count for the run, and not for its version.

So every number of a comparison, latency, errors, tokens and cost as well as scores, is that of the run.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from otel_loggedmodel import attributes
from otel_loggedmodel.store import conventions_sql as sql
from otel_loggedmodel.store import schema
from otel_loggedmodel.store.run_results import Run


@dataclass(frozen=True)
class Asked:
    """What a comparison was asked for.

    Attributes:
        ids: The versions and runs, in order.
        runs: The runs among them, of each version and data set.
        columns: How queries read the spans.
    """

    ids: Sequence[str]
    runs: Sequence[Run]
    columns: schema.Columns

    @property
    def run_ids(self) -> frozenset[str]:
        """The ids that are those of runs."""
        return frozenset(run.run_id for run in self.runs)


class RunColumns(schema.Columns):
    """Reads the spans of runs as spans of versions whose ids are those of the runs.

    Args:
        present: The names of our columns that the table has.
        runs: The runs.
    """

    def __init__(self, present: Collection[str], runs: Sequence[Run]) -> None:
        super().__init__(present)
        others = ", ".join(name for name in schema.COLUMNS if name != "LoggedModelId")
        ids = sorted({run.run_id for run in runs})
        row_run = f"SpanAttributes['{attributes.EVALUATION_RUN}']"
        # A trace that several runs scored counts for the one that made it.
        found = f"""
            SELECT TraceId, argMin({row_run}, Timestamp) AS of_run FROM {schema.SPANS}
            WHERE {sql.one_of(row_run, ids)} AND SpanName != '{attributes.RUN_RECORD}' GROUP BY TraceId"""
        self.spans = f"""(
            SELECT * EXCEPT (LoggedModelId, of_run),
                if(of_run != '' AND LoggedModelId != '', of_run, toString(LoggedModelId)) AS LoggedModelId
            FROM (SELECT *, {others}, LoggedModelId FROM {self.spans}) AS all_spans
            ANY LEFT JOIN ({found}) AS runs USING (TraceId)
        )"""
