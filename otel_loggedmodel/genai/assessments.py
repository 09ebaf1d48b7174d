# SPDX-License-Identifier: Apache-2.0
"""What is said of a trace, and by whom: Feedback and its source, in the shape of MLflow's entities of these names."""

import enum
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from otel_loggedmodel.genai.texts import text_of_any

DEFAULT_NAME: Final = "feedback"
_MAX_LABEL_CHARACTERS: Final = 1024

# Labels that readers of scores take for 1 and for 0.
_PASSED: Final = frozenset({"pass", "passed", "true", "yes", "correct"})
_FAILED: Final = frozenset({"fail", "failed", "false", "no", "incorrect"})


class AssessmentSourceType(str, enum.Enum):
    """Who judged: a person, code, or a language model. Equal to its text."""

    HUMAN = "HUMAN"
    CODE = "CODE"
    LLM_JUDGE = "LLM_JUDGE"

    def __str__(self) -> str:
        return self.value

    @property
    def on_wire(self) -> str:
        """`human`, `code` or `llm`."""
        return "llm" if self is AssessmentSourceType.LLM_JUDGE else self.value.lower()


_OTHER_SPELLINGS: Final = {"LLM": "LLM_JUDGE", "AI_JUDGE": "LLM_JUDGE", "USER": "HUMAN"}


@dataclass(frozen=True)
class AssessmentSource:
    """The source of an assessment.

    Args:
        source_type: `HUMAN`, `CODE` or `LLM_JUDGE`, in any case.
        source_id: Which person, code or model.

    Raises:
        ValueError: There is no such type.
    """

    source_type: AssessmentSourceType | str
    source_id: str | None = None

    def __post_init__(self) -> None:
        text = str(self.source_type).upper()
        try:
            kind = AssessmentSourceType(_OTHER_SPELLINGS.get(text, text))
        except ValueError:
            choices = ", ".join(AssessmentSourceType)
            raise ValueError(f"source_type is {self.source_type!r}: pass one of {choices}") from None
        object.__setattr__(self, "source_type", kind)

    @property
    def kind(self) -> AssessmentSourceType:
        """The type of the source."""
        return AssessmentSourceType(self.source_type)


_PYTHONS_OWN: Final = frozenset({bool, int, float, str, type(None)})

CODE: Final = AssessmentSource(AssessmentSourceType.CODE)


@dataclass
class AssessmentError:
    """Why there is no value."""

    error_code: str
    error_message: str | None = None
    stack_trace: str | None = None


@dataclass
class Feedback:
    """What is said of an output.

    Args:
        name: What was judged, such as `"correctness"`. For a scorer's result the default is the scorer's name.
        value: A bool, a number, a text, or a list or dict of these. None if there is an error.
        error: Why there is no value: an exception, a text, or an `AssessmentError`.
        source: Who judged. The default is code.
        trace_id: The trace it is about.
        metadata: Anything else. It is not sent.
        span_id: The span it is about.
        rationale: Why.
        assessment_id: The id by which it can be changed later; `log_feedback` gives one.
        overrides: Taken for MLflow's sake: `override_feedback` overrides.
        valid: The same.
    """

    name: str = DEFAULT_NAME
    value: Any = None
    error: AssessmentError | BaseException | str | None = None
    source: AssessmentSource | None = None
    trace_id: str | None = None
    metadata: dict[str, Any] | None = None
    span_id: str | None = None
    create_time_ms: int | None = None
    last_update_time_ms: int | None = None
    rationale: str | None = None
    assessment_id: str | None = None
    overrides: str | None = None
    valid: bool | None = None

    def __post_init__(self) -> None:
        self.error = as_error(self.error)

    @property
    def assessment_name(self) -> str:
        """The same as `name`."""
        return self.name

    @property
    def feedback(self) -> "Feedback":
        """What MLflow keeps under `assessment.feedback`."""
        return self

    @property
    def error_code(self) -> str | None:
        """The kind of the error, if there is one."""
        return self.error.error_code if isinstance(self.error, AssessmentError) else None

    @property
    def error_message(self) -> str | None:
        """What the error says, if there is one."""
        return self.error.error_message if isinstance(self.error, AssessmentError) else None


@dataclass(init=False)
class Expectation(Feedback):
    """What should have come out, as a person or a data set says. It is told beside results, and is no score.

    Args:
        name: What is expected, such as `"expected_response"`.
        value: The value.
        source: Who says so.
        more: The other arguments of `Feedback`, by name.
    """

    def __init__(
        self, name: str = DEFAULT_NAME, value: Any = None, source: AssessmentSource | None = None, **more: Any
    ) -> None:
        super().__init__(name, value, source=source, **more)

    @property
    def expectation(self) -> "Expectation":
        """What MLflow keeps under `assessment.expectation`."""
        return self


def as_error(error: object) -> AssessmentError | None:
    """An error in the one form that the rest of this package reads.

    Raises:
        TypeError: It is no error.
    """
    if error is None or isinstance(error, AssessmentError):
        return error
    if isinstance(error, BaseException):
        return AssessmentError(type(error).__name__, text_of_any(error))
    if isinstance(error, str):
        return AssessmentError("ASSESSMENT_ERROR", error)
    if hasattr(error, "error_code") and hasattr(error, "error_message"):  # MLflow's own
        return AssessmentError(str(error.error_code), error.error_message)
    raise TypeError(f"error is {error!r}: pass an exception, a text or an AssessmentError")


def plain(value: Any) -> Any:
    """A number as Python's own: of NumPy, a decimal or fraction, an array or tensor of one element.

    Anything else stays as it is.
    """
    if type(value) in _PYTHONS_OWN:
        return value
    if hasattr(value, "item") and isinstance(shape := getattr(value, "shape", None), tuple) and math.prod(shape) == 1:
        return value.item()
    if isinstance(value, Decimal | Fraction):
        return float(value)
    return value


def score_and_label(value: Any) -> tuple[float | None, str | None]:
    """What a value is on the wire.

    Returns:
        The score (None if the value is no number) and the label (None if the number says it all). They are
        `(1.0, "pass")` for True and `(0.0, "fail")` for False.

    Raises:
        ValueError: It is a number that is not finite.
    """
    if type(value) is bool:  # as of most scorers
        return (1.0, "pass") if value else (0.0, "fail")
    value = plain(value)
    if value is None:
        return None, None
    if isinstance(value, bool):
        return float(value), "pass" if value else "fail"
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise ValueError(f"the score is {value}, which is no number to compare")
        return float(value), None
    if isinstance(value, enum.Enum):
        value = value.value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=text_of_any)
    return None, text[:_MAX_LABEL_CHARACTERS]


def as_number(value: Any) -> float | None:
    """The number that readers take a value for: a number, a bool, or a label that says whether it passed.

    Otherwise None.
    """
    try:
        score, label = score_and_label(value)
    except ValueError:
        return None
    if score is not None or label is None:
        return score
    word = label.strip().lower()
    return 1.0 if word in _PASSED else 0.0 if word in _FAILED else None


def feedback_from(values: Mapping[str, Any]) -> Feedback:
    """The Feedback that `feedback_values` was made of."""
    source = values.get("source")
    return Feedback(
        name=values["name"],
        value=values.get("value"),
        error=AssessmentError(*values["error"]) if values.get("error") else None,
        source=AssessmentSource(*source) if source else None,
        rationale=values.get("rationale"),
    )


def feedback_values(feedback: Feedback) -> dict[str, Any]:
    """What is kept of a Feedback in a file, as values that JSON has."""
    values: dict[str, Any] = {"name": feedback.name, "value": plain(feedback.value)}
    if isinstance(feedback.error, AssessmentError):
        values["error"] = [feedback.error.error_code, feedback.error.error_message]
    if feedback.source is not None:
        values["source"] = [str(feedback.source.kind), feedback.source.source_id]
    if feedback.rationale:
        values["rationale"] = feedback.rationale
    return values
