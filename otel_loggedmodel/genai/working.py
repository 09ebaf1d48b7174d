# SPDX-License-Identifier: Apache-2.0
"""The work on one row: its outputs are made, scorers judge them, and what they say becomes spans."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry import context as context_api
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import format_span_id, format_trace_id

from otel_loggedmodel import attributes
from otel_loggedmodel.genai.assessments import Feedback
from otel_loggedmodel.genai.calling import ENDS
from otel_loggedmodel.genai.found_traces import trace_of_finished, trace_of_stored
from otel_loggedmodel.genai.predicting import Predictor
from otel_loggedmodel.genai.recording import Judged, direct_span, new_context, result_span
from otel_loggedmodel.genai.rows import MISSING, Row
from otel_loggedmodel.genai.scoring import Scorer, failed, feedback_of
from otel_loggedmodel.genai.session import INPUT, OUTPUT, Session
from otel_loggedmodel.genai.traces import Trace

_STATIC: str = "evaluated output"
_RUN: Final = (attributes.EVALUATION_RUN, attributes.EVALUATION_RUN_NAME)


@dataclass(frozen=True)
class DoneRowWork:
    """The result of the work on a row.

    Attributes:
        row: The row.
        outputs: What was judged.
        error: Why there is nothing to judge, or None.
        trace_id: The trace of the outputs.
        span_id: The judged span in it.
        scores: What each scorer said, by the scorer's digest.
        results: The spans that say so.
    """

    row: Row
    outputs: Any = None
    error: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    scores: Mapping[str, Sequence[Feedback]] = field(default_factory=dict)
    results: Sequence[ReadableSpan] = ()


@dataclass(frozen=True)
class Output:
    """What there is to judge of a row.

    Attributes:
        outputs: What came out.
        judged: The span that is judged, and what is known of it.
        inputs: What went in.
        trace: Gives the trace.
        expectations: What should have come out.
        spans: The spans that were made for it here.
        is_of_other: Whether it was a row of a data set before.
    """

    outputs: Any
    judged: Judged
    inputs: Any
    trace: Callable[[], Any]
    expectations: Any = None
    spans: Sequence[ReadableSpan] = ()
    is_of_other: bool = False


class Worker:
    """Works on rows, from any thread.

    Args:
        scorers: Who judges rows.
        predictor: Gets the outputs; None if the rows have them.
        model_id: The version whose work is judged; None if the traces say it.
        session: Whose rows, and what the work needs.
        timeout: Seconds that a scorer may take, if it does not say so itself.
        retries: How often to try a scorer again.
    """

    def __init__(
        self,
        scorers: Sequence[Scorer],
        predictor: Predictor | None,
        model_id: str | None,
        session: Session,
        *,
        timeout: float | None,
        retries: int,
    ) -> None:
        # What is asked of a scorer for each row, once.
        self._scorers = [(scorer, scorer.digest, "trace" in scorer.takes) for scorer in scorers]
        self.predictor = predictor
        self._model_id = model_id
        self._session = session
        self._dataset = session.dataset
        self._run = session.run.row_attributes
        self._resource = session.recorder.resource
        # What a judge calls is not the work of the version. It is a trace of its own, of no version unless the judge
        # chooses one.
        self._context = session.context_for(None)
        self._timeout = timeout
        self._retries = retries

    def work(self, row: Row, done: frozenset[str] = frozenset()) -> DoneRowWork:
        """Work on a row.

        Args:
            row: The row.
            done: Digests of scorers that have judged it already.
        """
        return self.work_on(row, done)[0]

    def work_on(
        self, row: Row, done: frozenset[str] = frozenset(), given: Any = None
    ) -> tuple[DoneRowWork, Output | None]:
        """Work on a row, and give what was judged, too; None if nothing came out.

        Args:
            row: The row.
            done: Digests of scorers that have judged it already.
            given: What the function is called with, if that is not the row's inputs alone.
        """
        try:
            output = self._given(row) if self.predictor is None else self._predicted(self.predictor, row, given)
        except _NothingToJudgeError as nothing:
            return DoneRowWork(row, error=str(nothing), trace_id=nothing.trace_id, span_id=nothing.span_id), None
        judged, expectations = output.judged, {} if output.expectations is None else output.expectations
        scores: dict[str, Sequence[Feedback]] = {}
        results = list(output.spans)
        token = context_api.attach(self._context)
        try:
            for scorer, digest, takes_trace in self._scorers:
                if digest in done:
                    continue
                trace = output.trace() if takes_trace else None
                found = scores[digest] = self._said(
                    scorer, inputs=output.inputs, outputs=output.outputs, expectations=expectations, trace=trace
                )
                results += [result_span(feedback, judged, self._resource, digest) for feedback in found]
        finally:
            context_api.detach(token)
        span_id = None if judged.span_id is None else format_span_id(judged.span_id)
        trace_id = format_trace_id(judged.trace_id)
        return DoneRowWork(row, output.outputs, None, trace_id, span_id, scores, results), output

    def judged_as_one(
        self, scorers: Sequence[Scorer], judged: Judged, given: Mapping[str, Any]
    ) -> tuple[dict[str, Sequence[Feedback]], list[ReadableSpan]]:
        """What scorers say of a conversation, by their digests, and the spans that say so.

        Args:
            scorers: Those that judge conversations.
            judged: The conversation.
            given: What they can take.
        """
        scores: dict[str, Sequence[Feedback]] = {}
        spans: list[ReadableSpan] = []
        token = context_api.attach(self._context)
        try:
            for scorer in scorers:
                found = scores[scorer.digest] = self._said(scorer, **given)
                spans += [result_span(feedback, judged, self._resource, scorer.digest) for feedback in found]
        finally:
            context_api.detach(token)
        return scores, spans

    def _said(self, scorer: Scorer, **given: Any) -> list[Feedback]:
        timeout = self._timeout if scorer.timeout is None else scorer.timeout
        caller = self._session.caller
        try:
            return feedback_of(
                scorer, caller.call(lambda: scorer.run(**given), timeout=timeout or None, retries=self._retries)
            )
        except ENDS:
            raise
        except BaseException as error:
            return failed(scorer, error)

    def _predicted(self, predictor: Predictor, row: Row, given: Any) -> Output:
        prediction = predictor.predict(row, given)
        span = prediction.span
        span_id = format_span_id(span.span_id)
        capture = self._session.capture
        finished = [] if capture is None else capture.take(span.trace_id)
        if prediction.error is not None:
            raise _NothingToJudgeError(prediction.error, format_trace_id(span.trace_id), span_id)
        return Output(
            prediction.outputs,
            self._judged(row, span.trace_id, span.span_id),
            row.inputs,
            _once(lambda: trace_of_finished(finished, span_id)),
            row.expectations,
        )

    def _given(self, row: Row) -> Output:
        if row.trace is not None or row.trace_id is not None:
            return self._in_trace(row)
        if row.outputs is MISSING:
            raise _NothingToJudgeError("the row has no outputs: add them, or pass predict_fn")
        context = new_context()
        judged = self._judged(row, context.trace_id, context.span_id)
        values = self._session.attributes_of(row) | {attributes.SAMPLING_PRIORITY: 1}
        values |= self._session.content(INPUT, row.inputs) | self._session.content(OUTPUT, row.outputs)
        time_ns = time.time_ns()
        # This is not a span of the version. Nothing was called, so there is no latency to count.
        span = direct_span(_STATIC, context, None, self._resource, values, time_ns, time_ns)
        trace = _once(lambda: trace_of_finished([span]))
        return Output(row.outputs, judged, row.inputs, trace, row.expectations, [span])

    def _in_trace(self, row: Row) -> Output:
        trace: Any = row.trace
        if trace is not None and not isinstance(trace, Trace) and hasattr(trace, "spans") and _is_stored(trace):
            trace = trace_of_stored(trace, row.span_id)
        root = trace.root if isinstance(trace, Trace) else None
        said: Mapping[str, Any] = {} if root is None else root.attributes
        try:
            trace_id = int(row.trace_id or "", 16)
            span_id = row.span_id or (None if root is None else root.span_id)
            span = None if span_id is None else int(span_id, 16)
        except ValueError:
            raise _NothingToJudgeError(f"{row.trace_id!r} is no trace id of 32 hex digits") from None
        # What is scored later belongs to the run that made it.
        own_run = {key: said[key] for key in _RUN if said.get(key)}
        own_row, own_dataset = said.get(attributes.EVALUATION_ROW), said.get(attributes.EVALUATION_DATASET)
        judged = Judged(
            trace_id,
            span,
            self._model_id or said.get(attributes.ID) or _model_of_stored(row.trace, span_id),
            own_dataset or self._dataset.digest or None,
            said.get(attributes.EVALUATION_DATASET_NAME) or self._dataset.name,
            own_row or (row.key if self._dataset.digest else None),
            said.get(attributes.EVALUATION_GROUP) or row.group,
            own_run or self._run,
            is_of_run=not own_run and bool(self._dataset.digest),
        )
        outputs = row.outputs
        if outputs is MISSING:
            outputs = getattr(trace, "outputs", None)
        inputs = row.inputs if row.inputs is not None else getattr(trace, "inputs", None)
        expectations = row.expectations
        if expectations is None and isinstance(trace, Trace):
            expectations = trace.expectations  # what people said of it later
        return Output(outputs, judged, inputs, lambda: trace, expectations, is_of_other=bool(own_dataset))

    def _judged(self, row: Row, trace_id: int, span_id: int) -> Judged:
        dataset = self._dataset
        return Judged(
            trace_id, span_id, self._model_id, dataset.digest or None, dataset.name, row.key, row.group, self._run
        )


class _NothingToJudgeError(Exception):
    def __init__(self, text: str, trace_id: str | None = None, span_id: str | None = None) -> None:
        super().__init__(text)
        self.trace_id = trace_id
        self.span_id = span_id


def _is_stored(trace: Any) -> bool:
    return all(hasattr(span, "start_ns") for span in trace.spans)


def _model_of_stored(trace: Any, span_id: str | None) -> str | None:
    for span in getattr(trace, "spans", ()):
        if span.span_id == span_id:
            return getattr(span, "model_id", None)
    return None


def _once(make: Callable[[], Any]) -> Callable[[], Any]:
    made: list[Any] = []

    def get() -> Any:
        if not made:
            made.append(make())
        return made[0]

    return get
