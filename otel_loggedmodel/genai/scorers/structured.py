# SPDX-License-Identifier: Apache-2.0
"""Scorers of structured outputs: JSON, and numbers."""

import json
import math
import re
from typing import Any, Final

from otel_loggedmodel.genai.assessments import Feedback
from otel_loggedmodel.genai.scorers._values import EXPECTED, expected, needs
from otel_loggedmodel.genai.scoring import Scorer

_NUMBER: Final = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][-+]?\d+)?")


class ValidJSON(Scorer):
    """Whether the outputs are a JSON text. A dict or list is taken for JSON that was parsed.

    Args:
        field: Where in `outputs` the text is, if they are a dict.
        name: What the results are called.
    """

    name = "valid_json"
    revision = 1
    field: str | None = None

    def __call__(self, *, outputs: Any) -> Feedback:
        """Judge."""
        problem, _ = _parsed(outputs if self.field is None else outputs[self.field])
        return Feedback(value=problem is None, rationale=problem)


class JSONSchema(Scorer):
    """Whether the outputs, a JSON text or values that were parsed, fit a JSON schema. Needs `jsonschema`.

    Args:
        schema: The schema, of the draft that its `$schema` names, else the newest.
        field: Where in `outputs` the text is, if they are a dict.
        name: What the results are called.

    Raises:
        ImportError: `jsonschema` is not installed.
        ValueError: The schema is not valid.
    """

    name = "json_schema"
    revision = 1
    schema: Any
    field: str | None = None

    def __init__(self, schema: Any, **fields: Any) -> None:
        super().__init__(schema=schema, **fields)
        try:
            import jsonschema
            from jsonschema.validators import validator_for
        except ImportError as error:
            raise needs("jsonschema", error) from None
        kind = validator_for(schema, default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise ValueError(f"this is no JSON schema: {error.message}") from None
        self._validator = kind(schema)

    def __call__(self, *, outputs: Any) -> Feedback:
        """Judge."""
        from jsonschema.exceptions import best_match

        problem, value = _parsed(outputs if self.field is None else outputs[self.field])
        if problem is None:
            error = best_match(self._validator.iter_errors(value))
            problem = None if error is None else f"{error.json_path}: {error.message}"
        return Feedback(value=problem is None, rationale=problem)


class NumericCloseness(Scorer):
    """Whether the number in the outputs is close to the expected one. In a text, the last number counts.

    Args:
        relative: By which fraction of the expected number it may be off.
        absolute: By how much it may be off in any case.
        key: Where in `expectations` the number is.
        field: Where in `outputs` the number is, if they are a dict.
        name: What the results are called.
    """

    name = "numeric_closeness"
    revision = 1
    relative: float = 1e-6
    absolute: float = 0.0
    key: str = EXPECTED
    field: str | None = None

    def __call__(self, *, outputs: Any, expectations: Any) -> Feedback | None:
        """Judge."""
        wanted = _number(expected(expectations, self.key))
        if wanted is None:
            return None
        found = _number(outputs if self.field is None else outputs[self.field])
        if found is None:
            return Feedback(value=False, rationale="there is no number")
        close = math.isclose(found, wanted, rel_tol=self.relative, abs_tol=self.absolute)
        return Feedback(value=close, rationale=f"{found:g} for {wanted:g}")


def _parsed(value: Any) -> tuple[str | None, Any]:
    """Why a value is no JSON (or None), and what it says."""
    if not isinstance(value, str | bytes):
        return None, value
    try:
        return None, json.loads(value)
    except ValueError as error:
        return str(error), None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        found = [match for match in _NUMBER.findall(value) if any(character.isdigit() for character in match)]
        return float(found[-1].replace(",", "")) if found else None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
