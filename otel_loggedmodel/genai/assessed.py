# SPDX-License-Identifier: Apache-2.0
"""What a span that is a result says of a trace, as Feedback or Expectation."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from otel_loggedmodel.attributes import (
    ERROR_TYPE,
    EVALUATION_ASSESSMENT,
    EVALUATION_EXPLANATION,
    EVALUATION_LABEL,
    EVALUATION_NAME,
    EVALUATION_RUN,
    EVALUATION_SOURCE,
    EVALUATION_SOURCE_ID,
    EVALUATION_VALUE,
    EXPECTATION,
    EXPECTATION_VALUE,
)
from otel_loggedmodel.genai.assessments import AssessmentError, AssessmentSource, Expectation, Feedback

if TYPE_CHECKING:
    from otel_loggedmodel.genai.traces import TraceSpan

# Of an assessment, under MLflow's name.
SOURCE_RUN: Final = "mlflow.assessment.sourceRunId"


def assessment_of(said: Mapping[str, Any], span: "TraceSpan") -> Feedback | None:
    """What a result says, as Feedback or Expectation; None if it has no name."""
    name = said.get(EVALUATION_NAME)
    if not name:
        return None
    value: Any = said.get(EVALUATION_LABEL) or _number(said.get(EVALUATION_VALUE))
    value = {"pass": True, "fail": False}.get(str(value), value)
    if span.name == EXPECTATION:
        text = said.get(EXPECTATION_VALUE)
        return Expectation(
            name=str(name),
            value=None if text is None else parsed(str(text)),
            source=_source_of(said),
            trace_id=span.trace_id,
            span_id=span.parent_id,
            create_time_ms=span.start_time_ns // 1_000_000,
            assessment_id=str(said.get(EVALUATION_ASSESSMENT) or span.span_id),
        )
    error = said.get(ERROR_TYPE)
    run = said.get(EVALUATION_RUN)
    explanation = said.get(EVALUATION_EXPLANATION) or None
    return Feedback(
        name=str(name),
        value=None if error else value,
        error=AssessmentError(str(error), None if explanation is None else str(explanation)) if error else None,
        source=_source_of(said),
        trace_id=span.trace_id,
        metadata={SOURCE_RUN: str(run)} if run else None,
        span_id=span.parent_id,
        rationale=None if explanation is None else str(explanation),
        create_time_ms=span.start_time_ns // 1_000_000,
        assessment_id=str(said.get(EVALUATION_ASSESSMENT) or span.span_id),
    )


def _number(score: Any) -> float | None:
    """The value of a result, as far as it counts: another sender may have written anything."""
    text = str(score).strip().lower()
    try:
        number = {"true": 1.0, "false": 0.0}[text] if text in ("true", "false") else float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def parsed(text: str) -> Any:
    """A value that is JSON, else the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _source_of(said: Mapping[str, Any]) -> AssessmentSource | None:
    try:
        return AssessmentSource(str(said.get(EVALUATION_SOURCE) or "code"), said.get(EVALUATION_SOURCE_ID) or None)
    except ValueError:  # another sender's word
        return None
