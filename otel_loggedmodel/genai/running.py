# SPDX-License-Identifier: Apache-2.0
"""Puts the parts of an evaluation together, from its first row to its result."""

import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Final

from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from otel_loggedmodel._counting import Counting
from otel_loggedmodel.genai.assessments import Feedback
from otel_loggedmodel.genai.calling import Caller
from otel_loggedmodel.genai.capturing import capture_of
from otel_loggedmodel.genai.conversations import Conversation
from otel_loggedmodel.genai.conversing import Converser
from otel_loggedmodel.genai.delivery import Delivery
from otel_loggedmodel.genai.events import EventRecorder
from otel_loggedmodel.genai.harness import worked
from otel_loggedmodel.genai.journal import DoneRow, Journal, default_directory
from otel_loggedmodel.genai.outcome import EvaluationResult, RowResult, Tally
from otel_loggedmodel.genai.pending import Pending, Todo
from otel_loggedmodel.genai.predicting import Predictor
from otel_loggedmodel.genai.recording import Recorder
from otel_loggedmodel.genai.rows import MISSING, Row
from otel_loggedmodel.genai.run_records import EvaluationRun, begun, ended, identified
from otel_loggedmodel.genai.scoring import Scorer
from otel_loggedmodel.genai.session import Session
from otel_loggedmodel.genai.sources import Dataset
from otel_loggedmodel.genai.working import DoneRowWork, Worker
from otel_loggedmodel.instrumentor import extended_provider
from otel_loggedmodel.versions import runs
from otel_loggedmodel.versions.active import Version

_logger = logging.getLogger(__name__)

# So many results are kept of rows from streams and files. Those of data in memory are all kept.
_MAX_ROWS_KEPT: Final = 10_000


@dataclass(frozen=True)
class Options:
    """How an evaluation is done. These are the arguments of `evaluate` with the same names."""

    max_workers: int
    timeout: float | None
    retries: int
    scorer_timeout: float | None
    scorer_retries: int
    record_content: bool
    resume: bool
    resume_dir: str | PathLike[str] | None
    progress: bool | None
    as_events: bool = False
    logger_provider: Any = None
    run_name: str | None = None


def run(
    dataset: Dataset,
    scorers: Sequence[Scorer],
    predict_fn: Callable[..., Any] | None,
    version: Version | None,
    options: Options,
    tracer_provider: trace_api.TracerProvider | None,
) -> EvaluationResult:
    """Evaluate.

    Args:
        dataset: The rows.
        scorers: Who judges.
        predict_fn: What is evaluated; None if the rows have outputs.
        version: Whose work it is; None if the traces in the data say it.
        options: How.
        tracer_provider: Makes and exports the spans; the global one by default.
    """
    provider = extended_provider(tracer_provider)
    events = EventRecorder(options.logger_provider) if options.as_events else None
    recorder, capture, caller = Recorder(provider, events), capture_of(provider), Caller()
    journal = _journal(dataset, version, options)
    this_run = EvaluationRun(
        **identified(options.run_name, None if journal is None else journal.run),
        model_id="" if version is None else version.model_id,
        dataset=dataset.digest,
        dataset_name=dataset.name,
        scorers=tuple(scorer.name for scorer in scorers),
        rows=dataset.size,
    )
    if journal is not None:
        journal.begin(this_run.kept)
    session = Session(
        dataset,
        provider,
        recorder,
        capture if any({"trace", "session"} & set(scorer.takes) for scorer in scorers) else None,
        caller,
        context_api.get_current(),
        options.record_content,
        this_run,
    )
    worker = _worker(session, scorers, predict_fn, version, options)
    converser = Converser(
        worker, [one for one in scorers if one.is_session_level_scorer], has_digest=bool(dataset.digest)
    )
    known: Mapping[str, DoneRow] = {} if journal is None else journal.rows
    pending = Pending(dataset, scorers, known, is_held=predict_fn is not None)
    results = _Results(scorers, dataset)

    def resume(row: Row, done: DoneRow) -> None:
        results.add(row, done.scores, done.trace_id, done.span_id, resumed=True)
        show()

    def work(todo: Todo) -> Sequence[DoneRowWork]:
        what, done = todo
        if isinstance(what, Conversation):
            return converser.work(what, done)  # type: ignore[arg-type]
        return (worker.work(what, done),)  # type: ignore[arg-type]

    def show() -> None:
        counting.at(results.count, f"{results.errors} failed" if results.errors else "")

    finished = False
    recorder.record([begun(this_run, recorder.resource)])
    delivery = Delivery(recorder, journal, capture)
    try:
        with Counting("evaluating", "rows", dataset.size, is_shown=options.progress, stays=True) as counting:
            left = pending.left(resume)
            for done in itertools.chain.from_iterable(worked(left, work, options.max_workers)):
                delivery.put(done)
                scores = pending.with_known(done)
                results.add(done.row, scores, done.trace_id, done.span_id, done.outputs, done.error)
                show()
        finished = True
    finally:
        delivery.close([results.record(this_run, recorder.resource, is_whole=finished)])
        caller.close()
        if journal is not None:
            journal.close(finished=finished)
    if pending.has_judges and results.count and not pending.conversations:
        _logger.warning(
            "%s judged nothing, as no row is a conversation: pass rows with `conversation`, a list of messages, or "
            "traces that say their session",
            ", ".join(scorer.name for scorer in scorers if scorer.is_session_level_scorer),
        )
    return results.result(this_run)


def _worker(
    session: Session,
    scorers: Sequence[Scorer],
    predict_fn: Callable[..., Any] | None,
    version: Version | None,
    options: Options,
) -> Worker:
    predictor = None
    if predict_fn is not None and version is not None:
        predictor = Predictor(predict_fn, version, session, timeout=options.timeout, retries=options.retries)
    return Worker(
        [scorer for scorer in scorers if not scorer.is_session_level_scorer],
        predictor,
        None if version is None else version.model_id,
        session,
        timeout=options.scorer_timeout,
        retries=options.scorer_retries,
    )


def _journal(dataset: Dataset, version: Version | None, options: Options) -> Journal | None:
    if not options.resume or not dataset.digest:
        return None
    directory = default_directory() if options.resume_dir is None else Path(options.resume_dir)
    return Journal(directory, "" if version is None else version.model_id, dataset.digest)


class _Results:
    """Collects the results of rows, in any order."""

    def __init__(self, scorers: Sequence[Scorer], dataset: Dataset) -> None:
        self._order = [scorer.digest for scorer in scorers]
        self._tally = Tally(scorers)
        self._dataset = dataset
        self._rows: list[tuple[int, RowResult]] = []
        self.count = self.errors = self._resumed = 0

    def add(
        self,
        row: Row,
        scores: Mapping[str, Sequence[Feedback]],
        trace_id: str | None,
        span_id: str | None,
        outputs: Any = None,
        error: str | None = None,
        *,
        resumed: bool = False,
    ) -> None:
        feedback = [one for digest in self._order for one in scores.get(digest, ())]
        self._tally.add(feedback)
        self.count += 1
        self.errors += error is not None
        self._resumed += resumed
        if not self._dataset.in_memory and len(self._rows) >= _MAX_ROWS_KEPT:
            return
        given = None if outputs is MISSING else outputs
        kept = RowResult(
            row.key, feedback, error, trace_id, span_id, row.inputs, given, row.expectations, resumed, row.session
        )
        self._rows.append((row.number, kept))

    def record(self, run: EvaluationRun, resource: Resource, *, is_whole: bool) -> ReadableSpan:
        """The record that the run ended, as it stands now."""
        return ended(
            run,
            resource,
            is_whole=is_whole,
            rows=self.count,
            failed=self.errors,
            scorer_errors=self._tally.errors,
            metrics=self._metrics(),
        )

    def _metrics(self) -> dict[str, float]:
        try:
            return self._tally.metrics()
        except Exception:  # an aggregation of the user's; the result of the evaluation raises it
            return {}

    def result(self, run: EvaluationRun) -> EvaluationResult:
        self._rows.sort(key=lambda numbered: numbered[0])
        metrics = self._tally.metrics()
        known = runs.known_run(run.run_id)
        if known is not None:
            known.data.metrics.update(metrics)
        return EvaluationResult(
            run_id=run.run_id,
            run_name=run.name,
            metrics=metrics,
            model_id=run.model_id,
            dataset=self._dataset.digest,
            dataset_name=self._dataset.name,
            count=self.count,
            error_count=self.errors,
            resumed_count=self._resumed,
            scorer_errors=self._tally.errors,
            rows=[row for _, row in self._rows],
        )
