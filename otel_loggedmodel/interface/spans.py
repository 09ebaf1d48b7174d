# SPDX-License-Identifier: Apache-2.0
"""Spans by hand, and what is said of a whole trace: its tags, its session and its user.

What is said of a trace is on its first span of this process: tags as `mlflow.traceTag.<key>`, which MLflow's server
takes for tags of the trace, the session and the user under the conventions' names.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from opentelemetry import trace as trace_api
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags, format_trace_id

from otel_loggedmodel import attributes, tracing
from otel_loggedmodel._checking import check_name, check_texts, id_of
from otel_loggedmodel._errors import swallow
from otel_loggedmodel._span_options import check_place, links_of, said_of_span
from otel_loggedmodel.genai.live_span import LiveSpan, attribute_of, status_of
from otel_loggedmodel.genai.recording import Recorder, direct_span
from otel_loggedmodel.genai.traces import METADATA_PREFIX, SESSION, TAG_PREFIX, USER
from otel_loggedmodel.instrumentor import extended_provider
from otel_loggedmodel.versions.identity import random_span_id, unknown_span_id_of
from otel_loggedmodel.versions.records import KEPT_BY_SAMPLERS

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_CONVENTIONAL: Final = {"mlflow.trace.session": SESSION, "mlflow.trace.user": USER}


@contextmanager
def start_span(
    name: str = "span",
    span_type: str | None = None,
    attributes: Mapping[str, Any] | None = None,
    trace_destination: Any = None,
    log_level: Any = None,
    run_id: str | None = None,
    links: Sequence[Any] | None = None,
    description: str | None = None,
) -> Iterator[LiveSpan]:
    """A span for a block: `with start_span("retrieve", "RETRIEVER") as span`. An exception is recorded and raised on.

    Args:
        name: Its name.
        span_type: What kind of work it is, such as `"LLM"`, `"RETRIEVER"` or `"TOOL"`.
        attributes: More attributes.
        trace_destination: Not here: the exporter says where spans go.
        log_level: How much it matters, as `"DEBUG"` or `"INFO"`: the attribute that MLflow has for it.
        run_id: Not here: an evaluation says the run of its traces, and a version its source run.
        links: Spans that it has to do with: `entities.Link`, or links of OpenTelemetry's.
        description: For people; likewise an attribute of MLflow's.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is not here, or there is no such level or id.
    """
    check_place(trace_destination)
    if run_id is not None:
        raise ValueError(
            "run_id is not here: evaluate says the run of its traces; elsewhere give the trace a tag, "
            'update_current_trace(tags={"run": ...})'
        )
    linked, said = links_of(links), said_of_span(log_level, description)
    given = said | {key: attribute_of(value) for key, value in (attributes or {}).items()}
    if span_type is not None:
        given[tracing.SPAN_KIND] = str(span_type).upper()
    with tracing.current_span(check_name(name), given, linked) as span:
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
    values = said_of_trace(tags, metadata, session_id, user)
    short = {"client_request_id": client_request_id, "request_preview": request_preview}
    for key, given in {**short, "response_preview": response_preview}.items():
        if given is not None:
            values[METADATA_PREFIX + key] = check_texts({key: given}, key)[key]
    status = None if state is None else status_of(state)
    span = tracing.first_span() or trace_api.get_current_span()
    if not span.is_recording():
        swallow_absent()
        return
    span.set_attributes(values)
    if status is not None:
        span.set_status(status)


def said_of_trace(
    tags: Mapping[str, str] | None, metadata: Mapping[str, str] | None, session_id: str | None, user: str | None
) -> dict[str, str]:
    """What is said of a trace, as attributes of its first span.

    Raises:
        TypeError: An argument has the wrong type.
    """
    values = {_CONVENTIONAL.get(key, TAG_PREFIX + key): text for key, text in check_texts(tags, "tags").items()}
    for key, text in check_texts(metadata, "metadata").items():
        values[_CONVENTIONAL.get(key, METADATA_PREFIX + key)] = text
    for name, given in ((SESSION, session_id), (USER, user)):
        if given is not None:
            values[name] = check_name(given, name)
    return values


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

    if tracing.is_without_provider():
        warn_rarely("no current trace", tracing.NO_PROVIDER)
    else:
        warn_rarely("no current trace", "no span is being recorded here: call it inside @trace or start_span")
