# SPDX-License-Identifier: Apache-2.0
"""Calls the function that is evaluated. Each call is an entry span of the version, in a trace of its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import context as context_api
from opentelemetry import trace as trace_api
from opentelemetry.trace import Link, Span, SpanContext, Status, StatusCode, TraceFlags

from otel_loggedmodel import attributes
from otel_loggedmodel.genai.calling import ENDS, CallTimeoutError
from otel_loggedmodel.genai.collecting import Stream
from otel_loggedmodel.genai.recording import direct_span, new_context
from otel_loggedmodel.genai.rows import Row
from otel_loggedmodel.genai.session import INPUT, OUTPUT, Session
from otel_loggedmodel.genai.texts import text_of_any, text_of_error
from otel_loggedmodel.version import __version__
from otel_loggedmodel.versions.active import Version

# Seconds from the call to the first chunk, under the conventions' name:
# https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"


@dataclass(frozen=True)
class Prediction:
    """The result of a call.

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
        session: Whose rows, and what the work needs.
        timeout: Seconds that a call may take.
        retries: How often to try again.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        version: Version,
        session: Session,
        *,
        timeout: float | None,
        retries: int,
    ) -> None:
        self._function = function
        self._version = version
        self._session = session
        self._tracer = session.provider.get_tracer("otel_loggedmodel.genai", __version__)
        self._capture = session.capture
        self._caller = session.caller
        self._context = session.context_for(version)
        self._timeout = timeout
        self._retries = retries
        self._name = getattr(function, "__qualname__", type(function).__name__).replace("<locals>.", "")

    @property
    def function(self) -> Callable[..., Any]:
        """What is evaluated."""
        return self._function

    def predict(self, row: Row, given: Any = None) -> Prediction:
        """Call the function for a row. Each try is a trace, and the last one is judged.

        Args:
            row: The row, with its inputs as they are recorded.
            given: What the function is called with, if that is not the inputs alone.
        """
        last: list[SpanContext] = []
        inputs = row.inputs if given is None else given
        try:
            outputs = self._caller.call(lambda: self._attempt(row, inputs, last), retries=self._retries)
        except ENDS:
            raise
        except BaseException as error:
            return Prediction(last[-1], error=text_of_error(error))
        return Prediction(last[-1], outputs)

    def _attempt(self, row: Row, inputs: Any, made: list[SpanContext]) -> Any:
        values = self._session.attributes_of(row) | self._session.content(INPUT, row.inputs)
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
        stream = Stream(self._function, self._timeout)
        try:
            outputs = self._caller.call(lambda: stream.outputs(inputs), timeout=self._timeout)
        except BaseException as error:
            said = str(error) if isinstance(error, CallTimeoutError) else text_of_error(error)
            status = Status(StatusCode.ERROR, said)
            if span.is_recording():
                _record_exception(span, error)
                span.set_status(status)
            raise
        else:
            output: dict[str, Any] = dict(self._session.content(OUTPUT, outputs))
            if stream.first_ns is not None:
                output[_FIRST_CHUNK] = max(0, stream.first_ns - start_ns) / 1e9
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
        # A sampler dropped it. What is judged has to be kept, or a data set of thirty rows could become one of three.
        recorder = self._session.recorder
        recorder.record(
            [
                direct_span(
                    self._name,
                    SpanContext(context.trace_id, context.span_id, False, TraceFlags(TraceFlags.SAMPLED)),
                    None,
                    recorder.resource,
                    {**values, **self._version.entry_attributes, attributes.SAMPLING_PRIORITY: 1},
                    start_ns,
                    time.time_ns(),
                    status=status,
                    links=(Link(self._version.model_span, dict(self._version.link_attributes)),),
                )
            ]
        )


def _record_exception(span: Span, error: BaseException) -> None:
    try:
        span.record_exception(error)
    except Exception:  # its text cannot be had, or its traceback
        span.add_event(
            "exception", {"exception.type": type(error).__qualname__, "exception.message": text_of_any(error)}
        )
