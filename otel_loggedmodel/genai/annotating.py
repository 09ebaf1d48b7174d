# SPDX-License-Identifier: Apache-2.0
"""Says what should have come out of a trace, and changes or takes away what was said of a trace.

An assessment has an id. What is said last under an id counts. So a change is said under the same id, and to take an
assessment away is to say it again without a value.
"""

import dataclasses
import json
import time
from typing import Any, Final

from opentelemetry.trace import SpanContext, TraceFlags

from otel_loggedmodel import attributes
from otel_loggedmodel._checking import check_name, id_of
from otel_loggedmodel._errors import swallow
from otel_loggedmodel._latest import Latest
from otel_loggedmodel.genai.assessments import AssessmentSource, AssessmentSourceType, Expectation, Feedback
from otel_loggedmodel.genai.feedback import checked_source, log_feedback, new_assessment_id, record_feedback
from otel_loggedmodel.genai.recording import Recorder, direct_span
from otel_loggedmodel.genai.texts import text_of_any
from otel_loggedmodel.instrumentor import extended_provider
from otel_loggedmodel.versions.identity import random_span_id, unknown_span_id_of
from otel_loggedmodel.versions.records import KEPT_BY_SAMPLERS

# What this process said lately, by its id: a change needs its name and source.
_said: Final[Latest[str, Feedback]] = Latest(10_000)
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_HUMAN: Final = AssessmentSource(AssessmentSourceType.HUMAN)


def log_expectation(
    *,
    trace_id: str,
    name: str,
    value: Any,
    source: AssessmentSource | str | None = None,
    metadata: dict[str, Any] | None = None,
    span_id: str | None = None,
) -> Expectation:
    """Say what should have come out of a trace. It is no score: scorers get it as `expectations`.

    Args:
        trace_id: 32 hex digits, also with MLflow's `tr-` before them.
        name: Such as `"expected_response"`.
        value: What JSON has.
        source: Who says so; a person by default.
        metadata: Kept in what is returned. It is not sent.
        span_id: The span that it is about, 16 hex digits.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An id is not valid, or there is no value.
    """
    if value is None:
        raise ValueError("pass a value: what should have come out")
    said = Expectation(
        name=check_name(name),
        value=value,
        source=_HUMAN if source is None else checked_source(source),
        trace_id=trace_id,
        metadata=metadata,
        span_id=span_id,
        assessment_id=new_assessment_id(),
    )
    _record_expectation(said)
    _said[str(said.assessment_id)] = said
    return said


def log_assessment(trace_id: str, assessment: Feedback) -> Feedback:
    """Say what a `Feedback` or an `Expectation` holds, of a trace.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(assessment, Expectation):
        return log_expectation(
            trace_id=trace_id,
            name=assessment.name,
            value=assessment.value,
            source=assessment.source,
            metadata=assessment.metadata,
            span_id=assessment.span_id,
        )
    if not isinstance(assessment, Feedback):
        raise TypeError(f"assessment is {type(assessment).__name__}: pass a Feedback or an Expectation")
    return log_feedback(
        trace_id=trace_id,
        name=assessment.name,
        value=assessment.value,
        source=assessment.source,
        error=assessment.error,
        rationale=assessment.rationale,
        metadata=assessment.metadata,
        span_id=assessment.span_id,
    )


def get_assessment(trace_id: str, assessment_id: str) -> Feedback:
    """What was said under an id: by this process, else as a store has it.

    Raises:
        LookupError: Neither knows it.
    """
    known = _said.get(assessment_id)
    if known is not None and known.trace_id is not None and _bare(known.trace_id) == _bare(trace_id):
        return known
    from otel_loggedmodel.genai.stored import find_trace

    trace = find_trace(trace_id)
    for said in () if trace is None else trace.assessments:
        if said.assessment_id == assessment_id:
            return said
    raise LookupError(
        f"the trace {trace_id} has no assessment {assessment_id!r}, as far as this process and the store know"
    )


def update_assessment(trace_id: str, assessment_id: str, assessment: Feedback) -> Feedback:
    """Say something else under an id that was given before.

    Raises:
        TypeError: It is neither a Feedback nor an Expectation.
        LookupError: Nobody knows the id.
    """
    if not isinstance(assessment, Feedback):
        raise TypeError(f"assessment is {type(assessment).__name__}: pass a Feedback or an Expectation")
    before = get_assessment(trace_id, assessment_id)
    return _say_again(
        dataclasses.replace(
            before,
            name=before.name if assessment.name == "feedback" else assessment.name,
            value=assessment.value,
            error=assessment.error,
            rationale=assessment.rationale or before.rationale,
            source=assessment.source or before.source,
        ),
        before,
    )


def override_feedback(
    *,
    trace_id: str,
    assessment_id: str,
    value: Any,
    rationale: str | None = None,
    source: AssessmentSource | str | None = None,
    metadata: dict[str, Any] | None = None,
) -> Feedback:
    """Put a person's word in the place of feedback that was given before, a judge's for instance.

    Args:
        trace_id: The trace.
        assessment_id: The id of the feedback.
        value: What is said instead.
        rationale: Why.
        source: Who says so; by default whoever said it before.
        metadata: Kept in what is returned. It is not sent.

    Raises:
        LookupError: Nobody knows the id.
    """
    before = get_assessment(trace_id, assessment_id)
    checked = before.source if source is None else checked_source(source)
    changed = dataclasses.replace(
        before, value=value, error=None, rationale=rationale, source=checked, metadata=metadata
    )
    return _say_again(changed, before)


def delete_assessment(trace_id: str, assessment_id: str) -> None:
    """Take away what was said. Backends other than this library's keep it.

    Raises:
        LookupError: Nobody knows the id.
    """
    before = get_assessment(trace_id, assessment_id)
    _say_again(dataclasses.replace(before, value=None, error=None, rationale=None), before)
    _said.pop(assessment_id, None)


def _say_again(said: Feedback, before: Feedback) -> Feedback:
    if isinstance(before, Expectation):
        _record_expectation(said)
    else:
        if said.source != before.source and before.source is not None:
            # The newest word of each source counts, so what the source before has said is taken away.
            record_feedback(dataclasses.replace(before, value=None, error=None, rationale=None))
        record_feedback(said)
    _said[str(said.assessment_id)] = said
    return said


def _record_expectation(said: Feedback) -> None:
    trace = id_of(said.trace_id, 32, "trace_id")
    span = unknown_span_id_of(trace) if said.span_id is None else id_of(said.span_id, 16, "span_id")
    source = said.source or _HUMAN
    value = None if said.value is None else json.dumps(said.value, ensure_ascii=False, default=text_of_any)
    values = {
        attributes.EVENT: "expectation",
        attributes.EVALUATION_NAME: said.name,
        attributes.EXPECTATION_VALUE: value,
        attributes.EVALUATION_SOURCE: source.kind.on_wire,
        attributes.EVALUATION_SOURCE_ID: source.source_id,
        attributes.EVALUATION_ASSESSMENT: said.assessment_id,
        attributes.SAMPLING_PRIORITY: 1,
    }
    try:
        recorder = Recorder(extended_provider(None))
        now_ns = time.time_ns()
        recorder.record(
            [
                direct_span(
                    attributes.EXPECTATION,
                    SpanContext(trace, random_span_id(), False, _SAMPLED, KEPT_BY_SAMPLERS),
                    SpanContext(trace, span, True, _SAMPLED),
                    recorder.resource,
                    {key: text for key, text in values.items() if text is not None},
                    now_ns,
                    now_ns,
                )
            ]
        )
    except Exception:
        swallow("recording an expectation")


def remember(said: Feedback) -> None:
    """Keep what was said, so that it can be changed."""
    _said[str(said.assessment_id)] = said


def _bare(trace_id: str) -> str:
    return trace_id.removeprefix("tr-").lower()
