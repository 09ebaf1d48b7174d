# SPDX-License-Identifier: Apache-2.0
"""Spans by hand, and what is said of a whole trace: its tags, its session and its user.

What is said of a trace is on its first span of this process: tags as `mlflow.traceTag.<key>`, which MLflow's server
takes for tags of the trace, the session and the user under the conventions' names.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import trace as trace_api
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags, format_span_id, format_trace_id

from otel_loggedmodel import attributes, tracing
from otel_loggedmodel._checking import check_name, check_texts
from otel_loggedmodel._errors import swallow
from otel_loggedmodel.genai.feedback import id_of
from otel_loggedmodel.genai.recording import Recorder, direct_span
from otel_loggedmodel.genai.texts import text_of_any
from otel_loggedmodel.genai.traces import METADATA_PREFIX, SESSION, TAG_PREFIX, USER
from otel_loggedmodel.instrumentor import extended_provider
from otel_loggedmodel.versions.identity import random_span_id, unknown_span_id_of
from otel_loggedmodel.versions.records import KEPT_BY_SAMPLERS

_MAX_CHARACTERS: Final = 64 * 1024
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_CONVENTIONAL: Final = {"mlflow.trace.session": SESSION, "mlflow.trace.user": USER}


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
        self.otel.set_attribute(key, _attribute(value))

    def set_attributes(self, values: Mapping[str, Any]) -> None:
        """Set several attributes."""
        for key, value in values.items():
            self.set_attribute(key, value)

    def get_attribute(self, key: str) -> Any:
        """One attribute, or None."""
        return (getattr(self.otel, "attributes", None) or {}).get(key)

    def set_span_type(self, span_type: str) -> None:
        """Say what kind of work it is, such as `"LLM"`, `"RETRIEVER"` or `"TOOL"`."""
        self.otel.set_attribute(tracing.SPAN_KIND, str(span_type).upper())

    def set_status(self, status: str | StatusCode) -> None:
        """Set the status: `"OK"` or `"ERROR"`.

        Raises:
            ValueError: It is neither.
        """
        self.otel.set_status(_status(status))

    def add_event(self, event: Any, attributes: Mapping[str, Any] | None = None) -> None:
        """Note that something happened: by its name, or as an object with `name` and `attributes`."""
        values = attributes if attributes is not None else getattr(event, "attributes", None)
        name = event if isinstance(event, str) else str(getattr(event, "name", event))
        self.otel.add_event(name, {key: _attribute(value) for key, value in (values or {}).items()})

    def record_exception(self, error: BaseException | str) -> None:
        """Note an exception, and that the span failed."""
        exception = error if isinstance(error, BaseException) else Exception(error)
        self.otel.record_exception(exception)
        self.otel.set_status(Status(StatusCode.ERROR, text_of_any(error)))

    def _record(self, place: str, value: Any) -> None:
        is_text = isinstance(value, str)
        self.otel.set_attributes(
            {
                f"{place}.value": (value if is_text else _json(value))[:_MAX_CHARACTERS],
                f"{place}.mime_type": "text/plain" if is_text else "application/json",
            }
        )


@contextmanager
def start_span(
    name: str = "span", span_type: str | None = None, attributes: Mapping[str, Any] | None = None
) -> Iterator[LiveSpan]:
    """A span for a block: `with start_span("retrieve", "RETRIEVER") as span`. An exception is recorded and raised on.

    Args:
        name: Its name.
        span_type: What kind of work it is, such as `"LLM"`, `"RETRIEVER"` or `"TOOL"`.
        attributes: More attributes.
    """
    given = {key: _attribute(value) for key, value in (attributes or {}).items()}
    if span_type is not None:
        given[tracing.SPAN_KIND] = str(span_type).upper()
    with tracing.current_span(check_name(name), given) as span:
        yield LiveSpan(span)


def get_current_active_span() -> LiveSpan | None:
    """The span that is current here, or None."""
    span = trace_api.get_current_span()
    return LiveSpan(span) if span.get_span_context().is_valid else None


def get_active_trace_id() -> str | None:
    """The id of the trace that is current here, 32 hex digits, or None."""
    span = get_current_active_span()
    return None if span is None else span.trace_id


def get_last_active_trace_id(thread_local: bool = False) -> str | None:
    """The id of the last trace that `trace` or `start_span` began in this process, 32 hex digits, or None.

    Traces that an instrumentation begins are not known here: take their ids from the current span.

    Args:
        thread_local: In this thread instead.
    """
    found = tracing.last_trace_id(in_thread=thread_local)
    return None if found is None else format_trace_id(found)


def update_current_trace(
    tags: Mapping[str, str] | None = None,
    metadata: Mapping[str, str] | None = None,
    client_request_id: str | None = None,
    request_preview: str | None = None,
    response_preview: str | None = None,
    state: str | None = None,
    model_id: str | None = None,
    *,
    session_id: str | None = None,
    user: str | None = None,
) -> None:
    """Say something of the trace that is current here.

    Args:
        tags: To find it by.
        metadata: The same; `mlflow.trace.session` and `mlflow.trace.user` are its session and user.
        client_request_id: What the caller calls the request.
        request_preview: What went in, in short.
        response_preview: What came out, in short.
        state: `"OK"` or `"ERROR"`.
        model_id: Not here: a scope says which version a span is of.
        session_id: The session, or conversation, that it is a turn of.
        user: Whose it is.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: The state is neither of these, or there is a model_id.
    """
    if model_id is not None:
        raise ValueError("a scope says of which version a trace is: with use_model(model_id=...) around the call")
    values = {_CONVENTIONAL.get(key, TAG_PREFIX + key): text for key, text in check_texts(tags, "tags").items()}
    for key, text in check_texts(metadata, "metadata").items():
        values[_CONVENTIONAL.get(key, METADATA_PREFIX + key)] = text
    short = {"client_request_id": client_request_id, "request_preview": request_preview}
    for key, given in {**short, "response_preview": response_preview}.items():
        if given is not None:
            values[METADATA_PREFIX + key] = check_texts({key: given}, key)[key]
    for name, given in ((SESSION, session_id), (USER, user)):
        if given is not None:
            values[name] = check_name(given, name)
    status = None if state is None else _status(state)
    span = tracing.first_span() or trace_api.get_current_span()
    if not span.is_recording():
        swallow_absent()
        return
    span.set_attributes(values)
    if status is not None:
        span.set_status(status)


def set_trace_tag(trace_id: str, key: str, value: str) -> None:
    """Tag a trace, also one that ended long ago or that another process made. The call waits for nothing.

    Args:
        trace_id: 32 hex digits, also with MLflow's `tr-` before them.
        key: The tag's key.
        value: The tag's value; the newest counts.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: The id is not valid.
    """
    trace = id_of(trace_id, 32, "trace_id")
    values = {TAG_PREFIX + name: text for name, text in check_texts({key: value}, "tags").items()}
    open_span = tracing.open_first_span(trace)
    if open_span is not None:
        open_span.set_attributes(values)
        return
    _record_of_trace(trace, values)


def delete_trace_tag(trace_id: str, key: str) -> None:
    """Take a tag away from a trace. Backends other than this library's keep the old value.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: The id is not valid.
    """
    check_texts({key: ""}, "tags")
    _record_of_trace(id_of(trace_id, 32, "trace_id"), {TAG_PREFIX + key: ""})


def _record_of_trace(trace_id: int, values: Mapping[str, str]) -> None:
    try:
        recorder = Recorder(extended_provider(None))
        recorder.record([_tag_record(trace_id, values, recorder)])
    except Exception:
        swallow("recording a tag of a trace")


def _tag_record(trace_id: int, values: Mapping[str, str], recorder: Recorder) -> ReadableSpan:
    import time

    now_ns = time.time_ns()
    return direct_span(
        attributes.TRACE_TAG,
        SpanContext(trace_id, random_span_id(), False, _SAMPLED, KEPT_BY_SAMPLERS),
        SpanContext(trace_id, unknown_span_id_of(trace_id), True, _SAMPLED),
        recorder.resource,
        {attributes.EVENT: "trace_tag", attributes.SAMPLING_PRIORITY: 1, **values},
        now_ns,
        now_ns,
    )


def swallow_absent() -> None:
    """Warn that there is no current trace."""
    from otel_loggedmodel._errors import warn_rarely

    warn_rarely("no current trace", "no span is being recorded here: call it inside @trace or start_span")


def _status(status: str | StatusCode) -> Status:
    text = status.name if isinstance(status, StatusCode) else str(getattr(status, "value", status)).upper()
    if text not in ("OK", "ERROR", "UNSET"):
        raise ValueError(f"status is {status!r}: pass 'OK' or 'ERROR'")
    return Status(StatusCode[text])


def _attribute(value: Any) -> Any:
    if isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(item, str) for item in value):
        return value
    return _json(value)


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=text_of_any)
    except (TypeError, ValueError, RecursionError):
        return text_of_any(value)
