# SPDX-License-Identifier: Apache-2.0
"""What all the work of one evaluation shares, and what each of its spans says of its row."""

import functools
import json
from dataclasses import dataclass
from typing import Any, Final

from opentelemetry import trace as trace_api
from opentelemetry.context import Context

from otel_loggedmodel import attributes
from otel_loggedmodel.genai.calling import Caller
from otel_loggedmodel.genai.capturing import Capture
from otel_loggedmodel.genai.recording import Recorder
from otel_loggedmodel.genai.rows import Row
from otel_loggedmodel.genai.run_records import EvaluationRun
from otel_loggedmodel.genai.sources import Dataset
from otel_loggedmodel.genai.texts import text_of_any
from otel_loggedmodel.versions.active import Version, with_version

_MAX_CHARACTERS: Final = 64 * 1024
_JSON: Final = json.JSONEncoder(ensure_ascii=False, default=text_of_any)
# OpenInference's, as `otel_loggedmodel.trace` has them.
INPUT: Final = "input"
OUTPUT: Final = "output"


@dataclass(frozen=True)
class Session:
    """One evaluation, as the parts that work for it see it.

    Attributes:
        dataset: The rows.
        provider: Makes the spans.
        recorder: Takes spans that no sampler is asked about, and has the resource of all.
        capture: Keeps the spans of a row for its scorers; None if no scorer looks at them.
        caller: Calls functions and scorers.
        base: The Context to start from.
        record_content: Whether inputs and outputs go onto spans.
        run: Which run this is.
    """

    dataset: Dataset
    provider: trace_api.TracerProvider
    recorder: Recorder
    capture: Capture | None
    caller: Caller
    base: Context
    record_content: bool
    run: EvaluationRun

    def context_for(self, version: Version | None) -> Context:
        """The Context in which traces begin that belong to a version, or to none if it is None."""
        return with_version(trace_api.set_span_in_context(trace_api.INVALID_SPAN, self.base), version)

    @functools.cached_property
    def _of_all_rows(self) -> dict[str, Any]:
        values: dict[str, Any] = dict(self.run.row_attributes)
        if self.dataset.digest:
            values[attributes.EVALUATION_DATASET] = self.dataset.digest
        if self.dataset.name:
            values[attributes.EVALUATION_DATASET_NAME] = self.dataset.name
        return values

    def attributes_of(self, row: Row) -> dict[str, Any]:
        """What a span says of the row that it is about."""
        values = {attributes.EVALUATION_ROW: row.key, **self._of_all_rows}
        if row.group is not None:
            values[attributes.EVALUATION_GROUP] = row.group
        if row.session is not None:
            values[attributes.CONVERSATION] = row.session
        if self.record_content and row.expectations is not None:
            values[attributes.EVALUATION_EXPECTED] = _text_of(row.expectations)[0]
        for key, value in row.tags.items():
            values[attributes.EVALUATION_TAG_PREFIX + key] = value
        return values

    def content(self, place: str, value: Any) -> dict[str, str]:
        """The attributes that say what went into a span or came out of it.

        None of them if that is not to be recorded.
        """
        if not self.record_content:
            return {}
        text, kind = _text_of(value)
        return {f"{place}.value": text, f"{place}.mime_type": kind}


def _text_of(value: Any) -> tuple[str, str]:
    """A value as a span has it, and what kind of text that is."""
    if isinstance(value, str):
        return value[:_MAX_CHARACTERS], "text/plain"
    try:
        text = _JSON.encode(value)
    except (TypeError, ValueError, RecursionError):
        text = text_of_any(value)
    return text[:_MAX_CHARACTERS], "application/json"
