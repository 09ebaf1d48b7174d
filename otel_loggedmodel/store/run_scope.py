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
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.run_results import Run

# Clocks of machines differ.
_BEFORE_MS: Final = 3_600_000
# Of a run that has not told of its end.
_UNKNOWN: Final = 2**62
_TRACE: Final = schema.call("trace")


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

    A span is of the run that it names, else of the run of its trace.

    Args:
        columns: How the spans are read otherwise.
        runs: The runs.
        versions: The ids of the versions beside them, and all ids that stand for these.
        judging: The runs of which there may be results on traces that are not theirs, as of outputs that were there
            already.
        has_unnamed: Whether spans that count may name no run, as those of calls inside a row do.
    """

    def __init__(
        self,
        columns: schema.Columns,
        runs: Sequence[Run],
        versions: Collection[str],
        judging: Collection[str],
        *,
        has_unnamed: bool = True,
    ) -> None:
        super().__init__(columns.present, is_counted=columns.is_counted)
        self.stored = columns
        self._run_ids = sorted({run.run_id for run in runs})
        row_run = f"SpanAttributes['{attributes.EVALUATION_RUN}']"
        of_version, began = _of(runs)
        traces = {}
        for run_id in self._run_ids:
            parts = []
            if self.is_counted:
                parts.append(
                    f"SELECT {_TRACE} FROM {self.counted} WHERE {of_version} AND {began}"
                    f" AND LoggedModelRole = 'entry' AND LoggedModelRun = {sql.literal(run_id)}"
                )
            if run_id in judging or not self.is_counted:
                parts.append(
                    f"SELECT cityHash64(TraceId) FROM {self.spans} WHERE {of_version} AND {began}"
                    f" AND LoggedModelRole IN ('entry', 'evaluation') AND {row_run} = {sql.literal(run_id)}"
                )
            traces[run_id] = " UNION ALL ".join(parts)
        wanted = f"({of_version} AND {began})"
        if versions:
            wanted += f" OR {sql.one_of('LoggedModelId', sorted(versions))}"

        def owned(table: str, everything: str, run: str, trace: str, *, only: str = "1", is_looked_up: bool) -> str:
            cases = [f"{run} = {sql.literal(run_id)}, {sql.literal(run_id)}" for run_id in self._run_ids]
            if is_looked_up:
                # Only what names no run is looked up.
                cases += [f"{trace} IN ({traces[run_id]}), {sql.literal(run_id)}" for run_id in self._run_ids]
            return f"""(
            SELECT * EXCEPT (OwnModelId, LoggedModelId),
                multiIf(OwnModelId = '', '', {", ".join(cases)}, OwnModelId) AS LoggedModelId
            FROM (
                SELECT {everything}, toString(LoggedModelId) AS OwnModelId FROM {table}
                WHERE ({wanted} OR LoggedModelId = '') AND {only}
            )
        )"""

        # A star leaves out columns that the table of spans works out itself.
        worked_out = f"*, {', '.join(schema.COLUMNS)}" if self.spans == schema.SPANS else "*"
        of_span = (self.spans, worked_out, row_run, "cityHash64(TraceId)")
        # ClickHouse takes no condition into a query that looks up traces, and would read all spans.
        self.results = owned(*of_span, only=schema.IS_RESULT, is_looked_up=True)
        self.spans = owned(*of_span, is_looked_up=True)
        # What stands for a trace is of the run of the trace alone, as it is not always the same span.
        run = f"if({schema.call('lone')} = 0, LoggedModelRun, '')"
        self.counted = owned(self.counted, "*", run, _TRACE, is_looked_up=has_unnamed or bool(judging))

    def owner_of_record(self, said: str, stated: str) -> str:
        """The run that a record names, if it is one of these; else as `schema.Columns` says."""
        run = f"{said}['{attributes.EVALUATION_RUN}']"
        return f"if({sql.one_of(run, self._run_ids)}, {run}, {stated})"


def judging(database: Database, columns: schema.Columns, runs: Sequence[Run]) -> frozenset[str]:
    """The runs that have fewer traces of their own than rows: they may judge traces that are not theirs.

    Args:
        database: Where.
        columns: How the spans are read.
        runs: The runs.
    """
    if not columns.is_counted:
        return frozenset(run.run_id for run in runs)
    rows: dict[str, int] = {}
    for run in runs:
        rows[run.run_id] = rows.get(run.run_id, 0) + (_UNKNOWN if run.rows is None else run.rows)
    of_version, began = _of(runs)
    found = database.query(
        f"""
        SELECT toString(LoggedModelRun) AS run, uniqExact({_TRACE}) AS traces FROM {columns.counted}
        WHERE {of_version} AND {began} AND LoggedModelRole = 'entry' AND {sql.one_of("LoggedModelRun", sorted(rows))}
        GROUP BY run"""
    )
    whole = {row["run"] for row in found if row["traces"] >= rows[row["run"]]}
    return frozenset(rows.keys() - whole)


def has_unnamed(database: Database, columns: schema.Columns, runs: Sequence[Run]) -> bool:
    """Whether spans that count may be of a run and not name it.

    Args:
        database: Where.
        columns: How the spans are read.
        runs: The runs.
    """
    of_version, began = _of(runs)
    return not columns.is_counted or bool(
        database.query(
            f"SELECT 1 AS found FROM {columns.counted}"
            f" WHERE {of_version} AND {began} AND LoggedModelId != ''"
            f" AND (LoggedModelRun = '' OR {schema.call('lone')} != 0) LIMIT 1"
        )
    )


def _of(runs: Sequence[Run]) -> tuple[str, str]:
    """The conditions on spans of runs: by version, and by time."""
    behind = {run.model_id for run in runs}
    # Traces that were scored say the version themselves.
    of_version = sql.one_of("LoggedModelId", sorted(behind)) if all(behind) else "1"
    return of_version, f"Timestamp >= fromUnixTimestamp64Milli({min(run.start_ms for run in runs) - _BEFORE_MS})"
