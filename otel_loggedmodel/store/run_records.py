# SPDX-License-Identifier: Apache-2.0
"""The records of evaluation runs, and what a reader of scores has to know of the runs that count.

A run tells that it began, and how it ended. If it goes on after it was killed, it tells that, too. What it told last
counts. A run that has not told of its end is not whole, so an older run that is whole counts before it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from otel_loggedmodel import attributes
from otel_loggedmodel.store import schema
from otel_loggedmodel.store.database import Database
from otel_loggedmodel.store.reading import ReadingError, UnknownRunError
from otel_loggedmodel.store.run_results import Run
from otel_loggedmodel.store.score_groups import Group, Scores

_SHOWN: Final = 8
_MOST: Final = 100_000


def load(database: Database, columns: schema.Columns) -> list[Run]:
    """The runs of a store, the newest first."""
    rows = database.query(
        f"""
        SELECT argMax(said, (told_ns, is_over)) AS attributes, max(told_ns) AS end_ns,
            groupUniqArray(said['{attributes.RUN_ROWS_TOTAL}']) AS totals
        FROM (
            SELECT SpanAttributes AS said, toUnixTimestamp64Nano(Timestamp) + toInt64(Duration) AS told_ns,
                toString(LoggedModelId) AS model_id, said['{attributes.EVALUATION_RUN}'] AS run,
                said['{attributes.EVALUATION_DATASET}'] AS dataset,
                said['{attributes.RUN_STATUS}'] != 'RUNNING' AS is_over
            FROM {columns.stored.spans} WHERE SpanName = '{attributes.RUN_RECORD}' AND LoggedModelRole = 'record'
        )
        WHERE run != '' GROUP BY run, model_id, dataset ORDER BY end_ns DESC, run, dataset LIMIT {_MOST}"""
    )
    return sorted(map(_run_of, rows), key=lambda run: (-run.start_ms, run.run_id, run.dataset or ""))


def _run_of(row: Mapping[str, Any]) -> Run:
    said: Mapping[str, str] = row["attributes"]
    status = said.get(attributes.RUN_STATUS, "")
    is_over = status in ("FINISHED", "KILLED")
    end_ms = row["end_ns"] // 1_000_000
    total = _number(said.get(attributes.RUN_ROWS_TOTAL)) or max(filter(None, map(_number, row["totals"])), default=None)
    return Run(
        run_id=said[attributes.EVALUATION_RUN],
        name=said.get(attributes.EVALUATION_RUN_NAME) or None,
        model_id=said.get(attributes.ID, ""),
        experiment_id=said.get(attributes.EXPERIMENT_ID) or "0",
        dataset=said.get(attributes.EVALUATION_DATASET) or None,
        dataset_name=said.get(attributes.EVALUATION_DATASET_NAME) or None,
        status=status if is_over else "RUNNING",
        start_ms=_number(said.get(attributes.RUN_STARTED_AT)) or end_ms,
        end_ms=end_ms if is_over else None,
        rows=_number(said.get(attributes.RUN_ROWS)),
        rows_failed=_number(said.get(attributes.RUN_ROWS_FAILED)),
        rows_total=total,
        scorers=tuple(str(name) for name in _json(said.get(attributes.RUN_SCORERS), list)),
        scorer_errors={str(name): int(count) for name, count in _numbers(said.get(attributes.RUN_SCORER_ERRORS))},
        metrics=dict(_numbers(said.get(attributes.RUN_METRICS))),
    )


def key_of(run: Run) -> str:
    """A run on a data set, as `scores.groups` has it."""
    return f"{run.run_id}/{run.dataset or ''}"


def unfinished(runs: Iterable[Run]) -> list[str]:
    """The keys of the runs that are not whole."""
    return [key_of(run) for run in runs if not run.is_whole]


def found(runs: Sequence[Run], text: str) -> list[Run]:
    """The run that a user names, as one entry for each version and data set.

    Args:
        runs: All there are, the newest first.
        text: Its id, the beginning of it, or its name.

    Raises:
        UnknownRunError: There is no such run.
        ReadingError: Several ids begin so.
    """
    named = next((run.run_id for run in runs if run.name == text), None)
    if any(run.run_id == text for run in runs):
        named = text
    if named is None and text:
        ids = sorted({run.run_id for run in runs if run.run_id.startswith(text)})
        if len(ids) > 1:
            raise ReadingError(f"{len(ids)} runs have ids that begin with {text!r}: {', '.join(ids[:5])}")
        named = ids[0] if ids else None
    if named is None:
        raise UnknownRunError(
            f"there is no run {text!r}: no id, beginning of an id, or name; `otel-loggedmodel runs` lists them"
        )
    return [run for run in runs if run.run_id == named]


def named(runs: Iterable[Run], names: Mapping[str, str | None]) -> list[Run]:
    """The same with the names of their versions."""
    return [replace(run, version_name=names.get(run.model_id)) for run in runs]


def notes(runs: Sequence[Run], scores: Mapping[str, Scores], *, fail_as_zero: bool = False) -> Iterator[str]:
    """What a reader of scores has to know: which run counts where there are several, and what is missing of it.

    Args:
        runs: All there are.
        scores: What counts, by version and name.
        fail_as_zero: Whether rows that failed count as 0.
    """
    by_key = {(key_of(run), run.model_id): run for run in runs}
    by_run = {key_of(run): run for run in runs}
    for model_id, by_name in scores.items():
        told: set[str] = set()
        for name, groups in by_name.items():
            for group in groups:
                yield from _failures(name, model_id, group)
                key = f"{group.run}/{group.dataset}"
                if not group.run or key in told:
                    continue
                told.add(key)
                run = by_key.get((key, model_id)) or by_run.get(key)
                yield from _about(model_id, group, run, fail_as_zero=fail_as_zero)


def _failures(name: str, model_id: str, group: Group) -> Iterator[str]:
    if group.failed:
        number = group.failed + group.count
        mean = "these have no value, and the mean is that of the others" if group.count else "so there is no mean"
        yield (
            f"Score {name} of {model_id}: the scorer failed on {group.failed} of {number}"
            f" {'rows' if group.dataset else 'results'}; {mean}."
        )


def _about(model_id: str, group: Group, run: Run | None, *, fail_as_zero: bool) -> Iterator[str]:
    called = _called(group.run, group.run_name)
    dataset = group.dataset_name or group.dataset[:_SHOWN]
    if group.others:
        number = "1 other run of it is" if group.others == 1 else f"{group.others} other runs of it are"
        yield (
            f"{model_id} was evaluated on {dataset} more than once: scores are those of run {called};"
            f" {number} not counted (`--runs all` counts all, `otel-loggedmodel runs` lists them)."
        )
    if run is not None and not run.is_whole:
        done = "" if run.rows is None else f" after {run.rows} of {run.rows_total or 'its'} rows"
        state = f"ended{done} before it was whole" if run.status == "KILLED" else "has not told of its end"
        yield f"Run {called} of {model_id} on {dataset} {state}: its scores are those of the rows that were done."
    if run is not None and run.rows_failed:
        count = "count as 0" if fail_as_zero else "have no scores (`--failed-rows zero` counts each as 0)"
        yield f"Run {called} of {model_id} on {dataset}: {run.rows_failed} of {run.rows} rows failed and {count}."


def _called(run_id: str, name: str) -> str:
    return f"{name} ({run_id[:_SHOWN]})" if name else run_id[:_SHOWN]


def _number(text: str | None) -> int | None:
    try:
        return int(text or "")
    except ValueError:
        return None


def _json(text: str | None, kind: type) -> Any:
    try:
        found = json.loads(text or "")
    except ValueError:
        return kind()
    return found if isinstance(found, kind) else kind()


def _numbers(text: str | None) -> Iterator[tuple[str, float]]:
    for name, value in _json(text, dict).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            yield str(name), value
