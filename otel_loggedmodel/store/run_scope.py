# SPDX-License-Identifier: Apache-2.0
"""Compares runs as versions are compared: spans of a run's traces count for the run, and not for its version.

So every number of a comparison, latency, errors, tokens and cost as well as scores, is that of the run.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from otel_loggedmodel import attributes
from otel_loggedmodel.store import conventions_sql as sql
from otel_loggedmodel.store import schema
from otel_loggedmodel.store.run_results import Run

# Clocks of machines differ.
_BEFORE_MS: Final = 3_600_000


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
        versions: The ids of the versions beside them, and all ids that stand for these.
    """

    def __init__(self, present: Collection[str], runs: Sequence[Run], versions: Collection[str]) -> None:
        super().__init__(present)
        others = ", ".join(name for name in schema.COLUMNS if name != "LoggedModelId")
        row_run = f"SpanAttributes['{attributes.EVALUATION_RUN}']"
        behind = {run.model_id for run in runs}
        # Traces that were scored say the version themselves.
        of_version = sql.one_of("LoggedModelId", sorted(behind)) if all(behind) else "1"
        began = f"Timestamp >= fromUnixTimestamp64Milli({min(run.start_ms for run in runs) - _BEFORE_MS})"
        conditions = []
        for run_id in sorted({run.run_id for run in runs}):
            traces = (
                f"SELECT TraceId FROM {self.spans} WHERE {of_version} AND {began}"
                f" AND LoggedModelRole IN ('entry', 'evaluation') AND {row_run} = {sql.literal(run_id)}"
            )
            conditions.append(f"TraceId IN ({traces}), {sql.literal(run_id)}")
        wanted = f"({of_version} AND {began})"
        if versions:
            wanted += f" OR {sql.one_of('LoggedModelId', sorted(versions))}"
        self.spans = f"""(
            SELECT * EXCEPT (OwnModelId), if(OwnModelId = '', '', multiIf({", ".join(conditions)}, OwnModelId))
                AS LoggedModelId
            FROM (
                SELECT *, {others}, toString(LoggedModelId) AS OwnModelId FROM {self.spans}
                WHERE {wanted} OR LoggedModelId = ''
            )
        )"""
