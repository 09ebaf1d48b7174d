# SPDX-License-Identifier: Apache-2.0
"""Evaluation results as spans. They are built past the SDK's sampler and handed to a provider's own processors.

So they go where the application's spans go. A result is a child of the span that it judges, has no duration, and
carries what makes a sampler on the way keep it.
"""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from otel_loggedmodel import attributes
from otel_loggedmodel._errors import warn_once
from otel_loggedmodel._providers import intake_of
from otel_loggedmodel.genai.assessments import CODE, AssessmentError, AssessmentSourceType, Feedback, score_and_label
from otel_loggedmodel.genai.events import EventRecorder
from otel_loggedmodel.genai.texts import text_of_any
from otel_loggedmodel.version import __version__
from otel_loggedmodel.versions.identity import random_span_id, span_id_from, unknown_span_id_of
from otel_loggedmodel.versions.records import KEPT_BY_SAMPLERS, MOMENT_NS

INSTRUMENTATION: Final = InstrumentationScope("otel_loggedmodel.genai", __version__)
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_ON_WIRE: Final = {kind: kind.on_wire for kind in AssessmentSourceType}
_MAX_EXPLANATION_CHARACTERS: Final = 16 * 1024


@dataclass(frozen=True)
class Judged:
    """What a result is about.

    Attributes:
        trace_id: The trace.
        span_id: The span in it; None if only the trace is known.
        model_id: The version whose work it is; None if readers have to take it from the trace.
        dataset: Digest of the data set, or None.
        dataset_name: What that is called, or None.
        row: Key of the row, or None.
        group: The group of rows that its row belongs to, or None.
        run: What its run says: its id and name, as attributes.
        is_of_run: Whether each run that judges the same span has a result of its own.
        conversation: The conversation that is judged as a whole, whose first turn the span is; None if it is a span.
        turns: The traces of its turns.
    """

    trace_id: int
    span_id: int | None = None
    model_id: str | None = None
    dataset: str | None = None
    dataset_name: str | None = None
    row: str | None = None
    group: str | None = None
    run: Mapping[str, str] = field(default_factory=dict)
    is_of_run: bool = False
    conversation: str | None = None
    turns: tuple[str, ...] = ()


def result_span(
    feedback: Feedback, judged: Judged, resource: Resource, scorer: str | None = None, time_ns: int | None = None
) -> ReadableSpan:
    """The span that carries what was said of an output.

    Args:
        feedback: What was said.
        judged: What the feedback is about.
        resource: Where.
        scorer: Digest of the scorer. If a result has one, its copies are the same span.
        time_ns: When; now by default.
    """
    time_ns = time.time_ns() if time_ns is None else time_ns
    return direct_span(
        attributes.EVALUATION_RESULT,
        SpanContext(
            judged.trace_id,
            random_span_id() if scorer is None else _id_of(judged, scorer, feedback.name),
            is_remote=False,
            trace_flags=_SAMPLED,
            trace_state=KEPT_BY_SAMPLERS,
        ),
        SpanContext(judged.trace_id, judged.span_id or unknown_span_id_of(judged.trace_id), True, _SAMPLED),
        resource,
        _attributes_of(feedback, judged, scorer),
        time_ns,
        time_ns,
    )


def direct_span(
    name: str,
    context: SpanContext,
    parent: SpanContext | None,
    resource: Resource,
    values: dict[str, Any],
    start_ns: int,
    end_ns: int,
    **more: Any,
) -> ReadableSpan:
    """A span that was made without asking a sampler. It takes a moment, if it takes no time at all."""
    return ReadableSpan(
        name=name,
        context=context,
        parent=parent,
        resource=resource,
        attributes=values,
        kind=SpanKind.INTERNAL,
        status=more.pop("status", Status(StatusCode.UNSET)),
        start_time=start_ns,
        end_time=max(end_ns, start_ns + MOMENT_NS),
        instrumentation_scope=INSTRUMENTATION,
        **more,
    )


def new_context() -> SpanContext:
    """The span context of a span that begins a trace of its own."""
    return SpanContext(
        int.from_bytes(os.urandom(16), "big") or 1,
        random_span_id(),
        is_remote=False,
        trace_flags=_SAMPLED,
        trace_state=TraceState(),
    )


def _attributes_of(feedback: Feedback, judged: Judged, scorer: str | None) -> dict[str, Any]:
    source = feedback.source or CODE
    score = label = error_type = None
    explanation = feedback.rationale
    if isinstance(feedback.error, AssessmentError):
        error_type = feedback.error.error_code
        explanation = feedback.error.error_message or explanation
    else:
        score, label = score_and_label(feedback.value)
    found: dict[str, Any] = {
        attributes.EVALUATION_NAME: feedback.name,
        attributes.EVALUATION_SOURCE: _ON_WIRE[source.kind],
    }
    for key, value in (
        (attributes.EVALUATION_VALUE, score),
        (attributes.EVALUATION_LABEL, label),
        (attributes.ERROR_TYPE, error_type),
        (attributes.ID, judged.model_id),
        (attributes.EVALUATION_SOURCE_ID, source.source_id),
        (attributes.EVALUATION_DATASET, judged.dataset or None),
        (attributes.EVALUATION_DATASET_NAME, judged.dataset_name),
        (attributes.EVALUATION_ROW, judged.row),
        (attributes.EVALUATION_GROUP, judged.group),
        (attributes.CONVERSATION, judged.conversation),
        (attributes.EVALUATION_TURNS, judged.turns or None),
        (attributes.EVALUATION_SCORER, scorer),
        (attributes.EVALUATION_ASSESSMENT, feedback.assessment_id),
    ):
        if value is not None:
            found[key] = value
    if explanation:
        found[attributes.EVALUATION_EXPLANATION] = text_of_any(explanation)[:_MAX_EXPLANATION_CHARACTERS]
    found.update(judged.run)
    found[attributes.SAMPLING_PRIORITY] = 1
    return found


def _id_of(judged: Judged, scorer: str, name: str) -> int:
    text = f"result:{judged.trace_id:032x}:{judged.span_id or 0:016x}:{scorer}:{name}"
    if judged.is_of_run:
        text += f":{judged.run.get(attributes.EVALUATION_RUN)}"
    return span_id_from(text)


class Recorder:
    """Hands finished spans to the processors of a tracer provider, and so to its exporters.

    Args:
        provider: The SDK's tracer provider. Any other has no processors, so nothing is recorded there.
        events: Takes results as events, too; None if they are only spans.
    """

    def __init__(self, provider: Any, events: EventRecorder | None = None) -> None:
        self._provider = provider
        self._events = events
        self._intake = intake_of(provider)
        if self._intake is None:
            warn_once(
                "no SDK provider",
                "%s.%s is not the OpenTelemetry SDK's tracer provider: evaluation results are not recorded",
                type(provider).__module__,
                type(provider).__qualname__,
            )

    @property
    def can_record(self) -> bool:
        """Whether there is anything to record to."""
        return self._intake is not None

    @property
    def resource(self) -> Resource:
        """The resource of the provider."""
        found = getattr(self._provider, "resource", None)
        return found if isinstance(found, Resource) else Resource.get_empty()

    def record(self, spans: Sequence[ReadableSpan]) -> None:
        """Hand spans over."""
        if self._intake is not None:
            for span in spans:
                self._intake(span)
        if self._events is not None:
            for span in spans:
                if span.name == attributes.EVALUATION_RESULT:
                    self._events.record(span)

    def flush(self) -> bool:
        """Have everything delivered that was handed over. This may wait for the backend."""
        flush = getattr(self._provider, "force_flush", None)
        is_flushed = bool(flush()) if callable(flush) else False
        return is_flushed if self._events is None else self._events.flush() and is_flushed
