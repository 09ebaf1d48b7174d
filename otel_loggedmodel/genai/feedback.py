# SPDX-License-Identifier: Apache-2.0
"""`log_feedback`: what a person, code or a judge says of a trace, from any process and at any later time."""

import os
from typing import TYPE_CHECKING, Any

from opentelemetry import trace as trace_api

from otel_loggedmodel._checking import check_name, id_of
from otel_loggedmodel._errors import swallow
from otel_loggedmodel.genai.assessments import DEFAULT_NAME, AssessmentSource, Feedback, score_and_label
from otel_loggedmodel.instrumentor import extended_provider
from otel_loggedmodel.versions.active import current_version
from otel_loggedmodel.versions.model import LoggedModel

if TYPE_CHECKING:
    from otel_loggedmodel.genai.recording import Judged


def log_feedback(
    *,
    trace_id: str,
    name: str = DEFAULT_NAME,
    value: Any = None,
    source: AssessmentSource | str | None = None,
    error: Any = None,
    rationale: str | None = None,
    metadata: dict[str, Any] | None = None,
    span_id: str | None = None,
    model_id: str | LoggedModel | None = None,
    tracer_provider: trace_api.TracerProvider | None = None,
    as_events: bool = False,
    logger_provider: Any = None,
) -> Feedback:
    """Say something of a trace. It goes out as a span of that trace, through the exporters that there are.

    The process need not be the one that made the trace. The call waits for nothing.

    Args:
        trace_id: 32 hex digits, as `opentelemetry.trace.format_trace_id` gives them, also with MLflow's `tr-` before
            them.
        name: What is judged, such as `"helpful"`.
        value: A bool, a number or a text. Scores are compared by it.
        source: Who judges: an `AssessmentSource`, or `"human"`, `"code"` or `"llm"`. The default is code.
        error: Why there is no value: an exception, a text or an `AssessmentError`.
        rationale: Why.
        metadata: Kept in what is returned. It is not sent.
        span_id: The span that is judged, 16 hex digits. Without it, the trace is judged.
        model_id: The version whose work it is. If the trace is the current one, the default is the active version.
            Otherwise readers take that of the trace.
        tracer_provider: Exports it; the global one by default, set up as `instrument` does if need be.
        as_events: Whether to send it as a log record, too, which is how OpenTelemetry has events.
        logger_provider: Exports that; the global one by default.

    Returns:
        What was said.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An id is not valid, there is no such source, there is neither value nor error, or a number is not
            finite.
    """
    from otel_loggedmodel.genai.recording import Judged

    if value is None and error is None:
        raise ValueError("pass a value, True for instance, or an error")
    score_and_label(value)
    feedback = Feedback(
        name=check_name(name),
        value=value,
        error=error,
        source=checked_source(source),
        trace_id=trace_id,
        metadata=metadata,
        span_id=span_id,
        rationale=rationale,
    )
    feedback.assessment_id = new_assessment_id()
    trace, span = id_of(trace_id, 32, "trace_id"), None if span_id is None else id_of(span_id, 16, "span_id")
    current = trace_api.get_current_span().get_span_context()
    if current.trace_id == trace:
        version = current_version()
        span = span or current.span_id
        model_id = model_id or (None if version is None else version.model_id)
    if span is not None:
        feedback.span_id = f"{span:016x}"
    if isinstance(model_id, LoggedModel):
        model_id = model_id.model_id
    model = None if model_id is None else check_name(model_id, "model_id")
    _record(feedback, Judged(trace, span, model), tracer_provider, as_events=as_events, logger_provider=logger_provider)
    from otel_loggedmodel.genai.annotating import remember

    remember(feedback)
    return feedback


def record_feedback(feedback: Feedback) -> None:
    """Say what a Feedback holds, as it is, of the trace and span that it names."""
    from otel_loggedmodel.genai.recording import Judged

    trace = id_of(feedback.trace_id, 32, "trace_id")
    span = None if feedback.span_id is None else id_of(feedback.span_id, 16, "span_id")
    _record(feedback, Judged(trace, span))


def _record(
    feedback: Feedback,
    judged: "Judged",
    tracer_provider: trace_api.TracerProvider | None = None,
    *,
    as_events: bool = False,
    logger_provider: Any = None,
) -> None:
    from otel_loggedmodel.genai.events import EventRecorder
    from otel_loggedmodel.genai.recording import Recorder, result_span

    try:
        events = EventRecorder(logger_provider) if as_events else None
        recorder = Recorder(extended_provider(tracer_provider), events)
        recorder.record([result_span(feedback, judged, recorder.resource)])
    except Exception:
        swallow("recording feedback")


def new_assessment_id() -> str:
    """An id for something that is said."""
    return f"a-{os.urandom(16).hex()}"


def checked_source(source: object) -> AssessmentSource | None:
    """The source, in whatever form it was given.

    Raises:
        TypeError: It is no source.
        ValueError: There is no such type.
    """
    if source is None or isinstance(source, AssessmentSource):
        return source
    if isinstance(source, str):
        return AssessmentSource(source)
    if hasattr(source, "source_type"):  # MLflow's own
        return AssessmentSource(str(source.source_type), getattr(source, "source_id", None))
    raise TypeError(f"source is {type(source).__name__}: pass an AssessmentSource, or 'human', 'code' or 'llm'")
