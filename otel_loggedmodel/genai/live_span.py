# SPDX-License-Identifier: Apache-2.0
"""A span that has not ended, with the methods that MLflow's has."""

import json
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry import trace as trace_api
from opentelemetry.trace import Status, StatusCode, format_span_id, format_trace_id

from otel_loggedmodel import tracing
from otel_loggedmodel._span_options import links_of, said_of_span
from otel_loggedmodel._values import fields_of
from otel_loggedmodel.genai.texts import text_of_any

_MAX_CHARACTERS: Final = 64 * 1024


class LiveSpan:
    """A span that has not ended, with the methods of MLflow's.

    Attributes:
        otel: The span of OpenTelemetry.
    """

    def __init__(self, otel: trace_api.Span) -> None:
        self.otel: Final = otel
        self.inputs: Any = None
        self.outputs: Any = None

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return format_trace_id(self.otel.get_span_context().trace_id)

    @property
    def span_id(self) -> str:
        """16 hex digits."""
        return format_span_id(self.otel.get_span_context().span_id)

    @property
    def name(self) -> str:
        """Its name; empty if the span is not recorded."""
        return str(getattr(self.otel, "name", ""))

    def set_inputs(self, inputs: Any) -> None:
        """Record what went in, as a text or as JSON."""
        self.inputs = inputs
        self._record("input", inputs)

    def set_outputs(self, outputs: Any) -> None:
        """Record what came out, as a text or as JSON."""
        self.outputs = outputs
        self._record("output", outputs)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set an attribute. What OpenTelemetry has no type for becomes JSON."""
        self.otel.set_attribute(key, attribute_of(value))

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Set several attributes."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def get_attribute(self, key: str) -> Any:
        """One attribute, or None."""
        return (getattr(self.otel, "attributes", None) or {}).get(key)

    def set_span_type(self, span_type: str) -> None:
        """Say what kind of work it is, such as `"LLM"`, `"RETRIEVER"` or `"TOOL"`."""
        self.otel.set_attribute(tracing.SPAN_KIND, str(span_type).upper())

    def set_log_level(self, level: Any) -> None:
        """Say how much the span matters, as `"DEBUG"` or `"INFO"`: the attribute that MLflow has for it.

        Raises:
            ValueError: There is no such level.
        """
        self.otel.set_attributes(said_of_span(level, None))

    def set_description(self, description: str) -> None:
        """Say what the span is, for people: the attribute that MLflow has for it."""
        self.otel.set_attributes(said_of_span(None, description))

    def add_link(self, link: Any) -> None:
        """Add a span that this one has to do with: `entities.Link`, or a link of OpenTelemetry's.

        Raises:
            TypeError: It is neither.
            ValueError: An id is not valid.
        """
        (found,) = links_of([link])
        self.otel.add_link(found.context, found.attributes)

    def set_status(self, status: str | StatusCode) -> None:
        """Set the status: `"OK"` or `"ERROR"`.

        Raises:
            ValueError: It is neither.
        """
        self.otel.set_status(status_of(status))

    def add_event(self, event: Any, attributes: Mapping[str, Any] | None = None) -> None:
        """Note that something happened: by its name, or as an object with `name` and `attributes`."""
        values = attributes if attributes is not None else getattr(event, "attributes", None)
        name = event if isinstance(event, str) else str(getattr(event, "name", event))
        self.otel.add_event(name, {key: attribute_of(value) for key, value in (values or {}).items()})

    def record_exception(self, exception: BaseException | str) -> None:
        """Note an exception, and that the span failed."""
        error = exception if isinstance(exception, BaseException) else Exception(exception)
        self.otel.record_exception(error)
        self.otel.set_status(Status(StatusCode.ERROR, text_of_any(exception)))

    def _record(self, place: str, value: Any) -> None:
        is_text = isinstance(value, str)
        self.otel.set_attributes(
            {
                f"{place}.value": (value if is_text else _json(value))[:_MAX_CHARACTERS],
                f"{place}.mime_type": "text/plain" if is_text else "application/json",
            }
        )


def status_of(status: str | StatusCode) -> Status:
    """A status of OpenTelemetry's, by its name.

    Raises:
        ValueError: There is no such status.
    """
    text = status.name if isinstance(status, StatusCode) else str(getattr(status, "value", status)).upper()
    if text not in ("OK", "ERROR", "UNSET"):
        raise ValueError(f"status is {status!r}: pass 'OK' or 'ERROR'")
    return Status(StatusCode[text])


def attribute_of(value: Any) -> Any:
    """A value as an attribute: what OpenTelemetry has no type for becomes JSON."""
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        return value
    return _json(value)


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=_fields)
    except (TypeError, ValueError, RecursionError):
        return text_of_any(value)


def _fields(value: object) -> object:
    try:
        return fields_of(value)
    except Exception:
        return text_of_any(value)
