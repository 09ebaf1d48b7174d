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
        columns: How the spans are read otherwise.
        runs: The runs.
        versions: The ids of the versions beside them, and all ids that stand for these.
    """

    def __init__(self, columns: schema.Columns, runs: Sequence[Run], versions: Collection[str]) -> None:
        super().__init__(columns.present, is_counted=columns.is_counted)
        self._run_ids = sorted({run.run_id for run in runs})
        row_run = f"SpanAttributes['{attributes.EVALUATION_RUN}']"
        behind = {run.model_id for run in runs}
        # Traces that were scored say the version themselves.
        of_version = sql.one_of("LoggedModelId", sorted(behind)) if all(behind) else "1"
        began = f"Timestamp >= fromUnixTimestamp64Milli({min(run.start_ms for run in runs) - _BEFORE_MS})"
        conditions = []
        for run_id in self._run_ids:
            traces = (
                f"SELECT TraceId FROM {self.spans} WHERE {of_version} AND {began}"
                f" AND LoggedModelRole IN ('entry', 'evaluation') AND {row_run} = {sql.literal(run_id)}"
            )
            conditions.append(f"TraceId IN ({traces}), {sql.literal(run_id)}")
        owner = f"if(OwnModelId = '', '', multiIf({', '.join(conditions)}, OwnModelId)) AS LoggedModelId"
        wanted = f"({of_version} AND {began})"
        if versions:
            wanted += f" OR {sql.one_of('LoggedModelId', sorted(versions))}"

        def owned(table: str, everything: str) -> str:
            return f"""(
            SELECT * EXCEPT (OwnModelId, LoggedModelId), {owner}
            FROM (
                SELECT {everything}, toString(LoggedModelId) AS OwnModelId FROM {table}
                WHERE {wanted} OR LoggedModelId = ''
            )
        )"""

        # A star leaves out columns that the table of spans works out itself.
        worked_out = f"*, {', '.join(schema.COLUMNS)}" if self.spans == schema.SPANS else "*"
        self.spans, self.counted = owned(self.spans, worked_out), owned(self.counted, "*")

    def owner_of_record(self, said: str, stated: str) -> str:
        """The run that a record names, if it is one of these; else as `schema.Columns` says."""
        run = f"{said}['{attributes.EVALUATION_RUN}']"
        return f"if({sql.one_of(run, self._run_ids)}, {run}, {stated})"
