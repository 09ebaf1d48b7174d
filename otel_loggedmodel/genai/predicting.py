# SPDX-License-Identifier: Apache-2.0
"""Calls of the function that is evaluated: each in an entry span of the version, in a trace of its own."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, Status, StatusCode, TraceFlags

from otel_loggedmodel import attributes
from otel_loggedmodel.active import Version, with_version
from otel_loggedmodel.genai.calling import Caller, CallTimeoutError
from otel_loggedmodel.genai.capturing import Capture
from otel_loggedmodel.genai.recording import Recorder, direct_span, new_context
from otel_loggedmodel.genai.rows import Row
from otel_loggedmodel.genai.sources import Dataset
from otel_loggedmodel.version import __version__

_MAX_CHARACTERS: Final = 64 * 1024
# OpenInference's, as `otel_loggedmodel.trace` has them.
_JSON: Final = json.JSONEncoder(ensure_ascii=False, default=str)
INPUT: Final = "input"
OUTPUT: Final = "output"


@dataclass(frozen=True)
class Prediction:
    """What came of a call.

    Attributes:
        span: The entry span.
        outputs: What came out.
        error: Why nothing did, or None.
    """

    span: SpanContext
    outputs: Any = None
    error: str | None = None


class Predictor:
    """Calls a function for rows, from any thread.

    Args:
        function: What is evaluated.
        version: Whose work it is.
        dataset: Whose rows.
        provider: Makes the spans.
        recorder: Takes those that a sampler would have dropped.
        capture: Keeps the spans of a row for its scorers; None where none of them looks.
        caller: Calls.
        base: The Context to start from.
        timeout: Seconds that a call may take.
        retries: How often to try again.
        record_content: Whether inputs and outputs go onto the span.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        version: Version,
        dataset: Dataset,
        *,
        provider: trace_api.TracerProvider,
        recorder: Recorder,
        capture: Capture | None,
        caller: Caller,
        base: Context,
        timeout: float | None,
        retries: int,
        record_content: bool,
    ) -> None:
        self._function = function
        self._version = version
        self._dataset = dataset
        self._tracer = provider.get_tracer("otel_loggedmodel.genai", __version__)
        self._recorder = recorder
        self._capture = capture
        self._caller = caller
        self._context = with_version(trace_api.set_span_in_context(trace_api.INVALID_SPAN, base), version)
        self._timeout = timeout
        self._retries = retries
        self._record_content = record_content
        self._name = getattr(function, "__qualname__", type(function).__name__).replace("<locals>.", "")

    def predict(self, row: Row) -> Prediction:
        """Call the function with the inputs of a row. Each try is a trace; the last one is what is judged."""
        last: list[SpanContext] = []
        try:
            outputs = self._caller.call(lambda: self._attempt(row, last), retries=self._retries)
        except Exception as error:
            return Prediction(last[-1], error=f"{type(error).__name__}: {error}")
        return Prediction(last[-1], outputs)

    def _attempt(self, row: Row, made: list[SpanContext]) -> Any:
        values: dict[str, Any] = {attributes.EVALUATION_ROW: row.key}
        if self._dataset.digest:
            values[attributes.EVALUATION_DATASET] = self._dataset.digest
        if self._dataset.name:
            values[attributes.EVALUATION_DATASET_NAME] = self._dataset.name
        values.update((attributes.EVALUATION_TAG_PREFIX + key, value) for key, value in row.tags.items())
        if self._record_content:
            values.update(content(INPUT, row.inputs))
        start_ns = time.time_ns()
        span = self._tracer.start_span(self._name, self._context, attributes=values, start_time=start_ns)
        context = span.get_span_context()
        if not context.is_valid:
            context = new_context()
        if made and self._capture is not None:
            self._capture.take(made[-1].trace_id)  # of a try that failed
        made.append(context)
        if self._capture is not None:
            self._capture.begin(context.trace_id)
        token = context_api.attach(trace_api.set_span_in_context(span, self._context))
        status = Status(StatusCode.UNSET)
        try:
            outputs = self._caller.call(lambda: called(self._function, row.inputs), timeout=self._timeout)
        except BaseException as error:
            status = Status(StatusCode.ERROR, str(error) if isinstance(error, CallTimeoutError) else repr(error))
            if span.is_recording():
                span.record_exception(error)
                span.set_status(status)
            raise
        else:
            if self._record_content:
                output = content(OUTPUT, outputs)
                values.update(output)
                span.set_attributes(output)
            return outputs
        finally:
            context_api.detach(token)
            self._end(span, context, values, start_ns, status)

    def _end(self, span: Span, context: SpanContext, values: dict[str, Any], start_ns: int, status: Status) -> None:
        if span.is_recording():
            span.end()
            return
        # A sampler dropped it. What is judged is kept, and a data set of thirty rows is not to become one of three.
        self._recorder.record(
            [
                direct_span(
                    self._name,
                    SpanContext(context.trace_id, context.span_id, False, TraceFlags(TraceFlags.SAMPLED)),
                    None,
                    self._recorder.resource,
                    {**values, **self._version.entry_attributes, attributes.SAMPLING_PRIORITY: 1},
                    start_ns,
                    time.time_ns(),
                    status=status,
                    links=(Link(self._version.model_span, dict(self._version.link_attributes)),),
                )
            ]
        )


def called(function: Callable[..., Any], inputs: Any) -> Any:
    """Call a function with inputs: a dict becomes keyword arguments, anything else the one argument."""
    return function(**inputs) if isinstance(inputs, Mapping) else function(inputs)


def content(place: str, value: Any) -> dict[str, str]:
    """The attributes that say what went in or came out of a span."""
    if isinstance(value, str):
        return {f"{place}.value": value[:_MAX_CHARACTERS], f"{place}.mime_type": "text/plain"}
    try:
        text = _JSON.encode(value)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return {f"{place}.value": text[:_MAX_CHARACTERS], f"{place}.mime_type": "application/json"}
