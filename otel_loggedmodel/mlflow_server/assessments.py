# SPDX-License-Identifier: Apache-2.0
"""Evaluation results as assessments, which is what the server calls them."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import math
from collections.abc import Mapping
from typing import Any, Final, Literal

from otel_loggedmodel import attributes
from otel_loggedmodel.versions.identity import unknown_span_id_of

SourceType = Literal["HUMAN", "CODE", "LLM_JUDGE"]

RESULT_SPAN: Final = "logged_model.evaluation.span_id"
"""The key in an assessment's metadata that has the id of the result's own span."""
_MAX_NAME_CHARACTERS: Final = 250
_SOURCES: Final[dict[object, SourceType]] = {"human": "HUMAN", "code": "CODE", "llm": "LLM_JUDGE"}
# How results say a bool; see otel_loggedmodel.genai.assessments.score_and_label.
_BOOLS: Final[dict[object, bool]] = {(1.0, "pass"): True, (0.0, "fail"): False}
_METADATA: Final = (
    attributes.EVALUATION_SCORER,
    attributes.EVALUATION_DATASET,
    attributes.EVALUATION_DATASET_NAME,
    attributes.EVALUATION_ROW,
)


@dataclasses.dataclass(frozen=True)
class Assessment:
    """An evaluation result, as the server has it.

    Attributes:
        trace_id: The trace that was judged.
        span_id: The id of the result's own span; a repetition has the same.
        name: What was judged.
        value: A number, a bool or a label; None together with an error.
        judged_span_id: The span that was judged; None if it was the trace.
        rationale: Why.
        source_type: Who or what judged.
        source_id: Which.
        error_code: Why there is no value.
        error_message: The same at length.
        time_ns: When, in nanoseconds since the epoch.
        metadata: More about it: scorer, data set, row.
    """

    trace_id: int
    span_id: int
    name: str
    value: float | bool | str | None = None
    judged_span_id: int | None = None
    rationale: str | None = None
    source_type: SourceType = "CODE"
    source_id: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    time_ns: int = 0
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of_span(
        cls,
        values: Mapping[str, object],
        trace_id: int,
        span_id: int,
        parent_span_id: int | None,
        time_ns: int,
    ) -> Assessment | None:
        """The assessment that a span named `gen_ai.evaluation.result` carries; None if it carries none.

        Args:
            values: The span's attributes; numbers may be texts, as some stores keep them.
            trace_id: Its trace.
            span_id: Its id.
            parent_span_id: Its parent, which is what was judged.
            time_ns: When it began.
        """
        name = _text(values, attributes.EVALUATION_NAME)
        if name is None:
            return None
        error_code = _text(values, attributes.ERROR_TYPE)
        explanation = _text(values, attributes.EVALUATION_EXPLANATION)
        score, label = _number(values.get(attributes.EVALUATION_VALUE)), _text(values, attributes.EVALUATION_LABEL)
        value = None if error_code else _BOOLS.get((score, label), label if score is None else score)
        if value is None and error_code is None:
            return None
        metadata = {key: str(values[key]) for key in _METADATA if values.get(key)}
        metadata |= {k: str(v) for k, v in values.items() if k.startswith(attributes.EVALUATION_TAG_PREFIX)}
        if label is not None and not isinstance(value, bool | str):
            metadata[attributes.EVALUATION_LABEL] = label
        return cls(
            trace_id=trace_id,
            span_id=span_id,
            name=name,
            value=value,
            judged_span_id=None if parent_span_id in (None, 0, unknown_span_id_of(trace_id)) else parent_span_id,
            rationale=None if error_code else explanation,
            source_type=_SOURCES.get(values.get(attributes.EVALUATION_SOURCE), "CODE"),
            source_id=_text(values, attributes.EVALUATION_SOURCE_ID),
            error_code=error_code,
            error_message=explanation if error_code else None,
            time_ns=time_ns,
            metadata=metadata,
        )


def assessment_id_of(assessment: Assessment) -> str:
    """The id on the server. It follows from the result's span, so that the server takes the result once."""
    text = f"assessment:{assessment.trace_id:032x}:{assessment.span_id:016x}"
    return "a-" + hashlib.sha256(text.encode()).hexdigest()[:32]


def document_of(assessment: Assessment) -> dict[str, Any]:
    """An assessment as the server takes it."""
    feedback: dict[str, Any] = {"value": assessment.value}
    if assessment.error_code:
        feedback = {"value": None, "error": {"error_code": assessment.error_code}}
        if assessment.error_message:
            feedback["error"]["error_message"] = assessment.error_message
    optional = {
        "span_id": None if assessment.judged_span_id is None else f"{assessment.judged_span_id:016x}",
        "rationale": assessment.rationale,
    }
    time = timestamp(assessment.time_ns)
    return {
        "assessment_id": assessment_id_of(assessment),
        "assessment_name": assessment.name[:_MAX_NAME_CHARACTERS],
        "source": {"source_type": assessment.source_type, "source_id": assessment.source_id or "default"},
        "create_time": time,
        "last_update_time": time,
        "feedback": feedback,
        "metadata": {**assessment.metadata, RESULT_SPAN: f"{assessment.span_id:016x}"},
        **{key: value for key, value in optional.items() if value is not None},
    }


def timestamp(time_ns: int) -> str:
    """A time as the server reads it. The server keeps the milliseconds."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _text(values: Mapping[str, object], key: str) -> str | None:
    value = values.get(key)
    return value if isinstance(value, str) and value else None


def _number(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
