# SPDX-License-Identifier: Apache-2.0
"""The record of an evaluation run, as spans: that it began, and how it ended.

A run is a trace. Its trace id is the run's id, so any trace viewer shows it. Its root says that the run began, and its
children how it ended, or that it went on after a kill. Every row and every result of the run has the run's id as an
attribute. Records are built like those of versions: past the sampler, with what makes samplers on the way keep them.
"""

import hashlib
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags

from otel_loggedmodel import attributes
from otel_loggedmodel.genai.recording import direct_span
from otel_loggedmodel.versions import runs
from otel_loggedmodel.versions.identity import random_span_id, span_id_from
from otel_loggedmodel.versions.records import KEPT_BY_SAMPLERS

RUNNING: Final = "RUNNING"
FINISHED: Final = "FINISHED"
# It ended before all rows were done: by Ctrl-C for instance.
KILLED: Final = "KILLED"

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}")


@dataclass(frozen=True)
class EvaluationRun:
    """One evaluation of a version on a data set.

    Attributes:
        run_id: Its id. Evaluations inside one `start_run` have that run's id.
        name: What it is called, or None.
        experiment_id: The experiment it belongs to.
        model_id: The version; empty if the traces in the data say it.
        dataset: Digest of the data set; empty for traces.
        dataset_name: What that is called, or None.
        scorers: Their names.
        rows: How many rows there are; None if that is known only at the end.
        started_ns: When it began.
        is_resumed: Whether it goes on after a kill.
    """

    run_id: str
    name: str | None
    experiment_id: str
    model_id: str
    dataset: str
    dataset_name: str | None
    scorers: tuple[str, ...]
    rows: int | None
    started_ns: int
    is_resumed: bool = False

    @property
    def row_attributes(self) -> dict[str, str]:
        """What the run's rows and results say of it."""
        named = {} if self.name is None else {attributes.EVALUATION_RUN_NAME: self.name}
        return {attributes.EVALUATION_RUN: self.run_id, **named}

    @property
    def kept(self) -> dict[str, Any]:
        """What a journal keeps of it, as values that JSON has."""
        return {"id": self.run_id, "name": self.name, "experiment": self.experiment_id, "started_ns": self.started_ns}


def identified(run_name: str | None, kept: Mapping[str, Any] | None) -> dict[str, Any]:
    """Which run an evaluation is, as the arguments of `EvaluationRun` of these names.

    A run that was killed and is resumed is the same run. Otherwise it is the active run, unless the caller names one.

    Args:
        run_name: What the caller calls it.
        kept: What a journal kept of a run that was killed.
    """
    if kept is not None and isinstance(kept.get("id"), str):
        return {
            "run_id": kept["id"],
            "name": run_name or kept.get("name"),
            "experiment_id": str(kept.get("experiment") or runs.default_experiment_id()),
            "started_ns": int(kept.get("started_ns") or time.time_ns()),
            "is_resumed": True,
        }
    run = runs.current_run()
    if run_name is not None or (run is None and runs.default_run_id() is None):
        run = runs.new_run(run_name)
    active = runs.default_run_id()
    return {
        "run_id": str(active) if run is None else run.info.run_id,
        "name": None if run is None else run.info.run_name,
        "experiment_id": (
            runs.experiment_id_of(active) or runs.default_experiment_id() if run is None else run.info.experiment_id
        ),
        "started_ns": time.time_ns(),
    }


def begun(run: EvaluationRun, resource: Resource) -> ReadableSpan:
    """The record that a run began, or that it goes on."""
    values = {} if run.rows is None else {attributes.RUN_ROWS_TOTAL: run.rows}
    now_ns = time.time_ns() if run.is_resumed else run.started_ns
    return _record(run, RUNNING, resource, values, now_ns, now_ns, is_root=not run.is_resumed)


def ended(
    run: EvaluationRun,
    resource: Resource,
    *,
    is_whole: bool,
    rows: int,
    failed: int,
    scorer_errors: Mapping[str, int],
    metrics: Mapping[str, float],
) -> ReadableSpan:
    """The record that a run ended.

    Args:
        run: The run.
        resource: Where.
        is_whole: Whether all rows were worked on.
        rows: How many were.
        failed: How many of them have no outputs.
        scorer_errors: How often each scorer failed.
        metrics: What came out.
    """
    values: dict[str, Any] = {attributes.RUN_ROWS: rows, attributes.RUN_ROWS_FAILED: failed}
    total = rows if is_whole else run.rows
    if total is not None:
        values[attributes.RUN_ROWS_TOTAL] = total
    if scorer_errors:
        values[attributes.RUN_SCORER_ERRORS] = _json(scorer_errors)
    if metrics:
        values[attributes.RUN_METRICS] = _json(metrics)
    return _record(run, FINISHED if is_whole else KILLED, resource, values, run.started_ns, time.time_ns())


def _record(
    run: EvaluationRun,
    status: str,
    resource: Resource,
    values: Mapping[str, Any],
    start_ns: int,
    end_ns: int,
    *,
    is_root: bool = False,
) -> ReadableSpan:
    trace_id = trace_id_of_run(run.run_id)
    root = SpanContext(
        trace_id,
        span_id_from(f"run:{run.run_id}:{run.model_id}:{run.dataset}"),
        is_remote=not is_root,
        trace_flags=_SAMPLED,
        trace_state=KEPT_BY_SAMPLERS,
    )
    own = root if is_root else SpanContext(trace_id, random_span_id(), False, _SAMPLED, KEPT_BY_SAMPLERS)
    said = {
        attributes.EVENT: attributes.RUN_EVENT,
        attributes.ID: run.model_id or None,
        attributes.EXPERIMENT_ID: run.experiment_id,
        **run.row_attributes,
        attributes.EVALUATION_DATASET: run.dataset or None,
        attributes.EVALUATION_DATASET_NAME: run.dataset_name,
        attributes.RUN_STATUS: status,
        attributes.RUN_STARTED_AT: run.started_ns // 1_000_000,
        attributes.RUN_SCORERS: _names(run.scorers),
        **values,
        attributes.SAMPLING_PRIORITY: 1,
    }
    given = {key: value for key, value in said.items() if value is not None}
    return direct_span(attributes.RUN_RECORD, own, None if is_root else root, resource, given, start_ns, end_ns)


def trace_id_of_run(run_id: str) -> int:
    """The trace that a run's record is: the digits of its id; if it has another shape, those of a digest of it."""
    if _TRACE_ID.fullmatch(run_id):
        return int(run_id, 16)
    return int.from_bytes(hashlib.sha256(b"run:" + run_id.encode(errors="replace")).digest()[:16], "big") or 1


def _names(names: Sequence[str]) -> tuple[str, ...] | None:
    return tuple(names) or None


def _json(values: Mapping[str, float]) -> str:
    return json.dumps(dict(values), ensure_ascii=False, separators=(",", ":"))
