# SPDX-License-Identifier: Apache-2.0
"""`trace`: a span for each call of a function, for code that follows MLflow's tracing decorator."""

import inspect
import json
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, TypeVar, overload

from opentelemetry import trace as trace_api
from opentelemetry.util.types import AttributeValue

from otel_loggedmodel import environment
from otel_loggedmodel._decorating import Around, run_inside
from otel_loggedmodel._errors import warn_once, warn_rarely
from otel_loggedmodel._lazy import loaded_on_demand
from otel_loggedmodel._span_options import check_place, links_of, said_of_span
from otel_loggedmodel._values import fields_of
from otel_loggedmodel.version import __version__

F = TypeVar("F", bound=Callable[..., Any])

# Arguments and results have no convention of OpenTelemetry's own for just any function. These are OpenInference's,
# which Phoenix, Langfuse and MLflow display.
# https://github.com/Arize-ai/openinference/blob/main/spec/semantic_conventions.md
_INPUT: Final = "input.value"
_INPUT_TYPE: Final = "input.mime_type"
_OUTPUT: Final = "output.value"
_OUTPUT_TYPE: Final = "output.mime_type"
SPAN_KIND: Final = "openinference.span.kind"
_FUNCTION_NAME: Final = "code.function.name"
NO_PROVIDER: Final = (
    "nothing is traced, as no tracer provider is set up: call otel_loggedmodel.instrument() first, or start the "
    "program with opentelemetry-instrument"
)
_JSON: Final = "application/json"

# A stream may never end: what is recorded of one is bounded, as is any one value.
_MAX_RECORDED_ITEMS: Final = 1000
_MAX_RECORDED_CHARACTERS: Final = 64 * 1024


@overload
def trace(function: F, /) -> F: ...
@overload
def trace(
    function: None = None,
    /,
    *,
    name: str | None = None,
    span_type: str | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    record_arguments: bool = False,
    record_result: bool = False,
    output_reducer: Callable[[list[Any]], object] | None = None,
    trace_destination: Any = None,
    sampling_ratio_override: float | None = None,
    log_level: Any = None,
    links: Sequence[Any] | None = None,
    description: str | None = None,
) -> Callable[[F], F]: ...
def trace(
    function: F | None = None,
    /,
    *,
    name: str | None = None,
    span_type: str | None = None,
    attributes: Mapping[str, AttributeValue] | None = None,
    record_arguments: bool = False,
    record_result: bool = False,
    output_reducer: Callable[[list[Any]], object] | None = None,
    trace_destination: Any = None,
    sampling_ratio_override: float | None = None,
    log_level: Any = None,
    links: Sequence[Any] | None = None,
    description: str | None = None,
) -> F | Callable[[F], F]:
    """Make a span for each call of a function: plain, async, generator or async generator.

    The span of a generator lasts as long as the iteration. An exception is recorded on the span and raised on. What
    goes in and comes out is not recorded unless asked for, because prompts and answers are often personal data.

    Args:
        function: The function, when used without parentheses.
        name: Name of the span; the function's qualified name by default.
        span_type: What kind of work it is, such as `"LLM"`, `"RETRIEVER"` or `"TOOL"`.
        attributes: More attributes of the span.
        record_arguments: Whether to record the arguments, as JSON.
        record_result: Whether to record the result, as JSON; of a generator, the list of what it yielded.
        output_reducer: What to record in place of that list, made from it.
        trace_destination: Not here: the exporter says where spans go.
        sampling_ratio_override: Not here: the sampler chooses traces.
        log_level: How much the span matters, as `"DEBUG"` or `"INFO"`: the attribute that MLflow has for it.
        links: Spans that it has to do with: `entities.Link`, or links of OpenTelemetry's.
        description: For people; likewise an attribute of MLflow's.

    Raises:
        TypeError: What is decorated is not callable, or a link is none.
        ValueError: An argument is not here, or there is no such level or id.
    """
    check_place(trace_destination, sampling_ratio_override)
    linked, said = links_of(links), said_of_span(log_level, description)

    def decorate(decorated: F) -> F:
        if not callable(decorated):
            raise TypeError(
                f"trace decorates functions, not {type(decorated).__name__}: write @trace or @trace(name=...)"
            )
        recording = _Recording(decorated, record_arguments, record_result, output_reducer)
        fixed: dict[str, AttributeValue] = {_FUNCTION_NAME: _qualified_name(decorated)}
        if span_type is not None:
            fixed[SPAN_KIND] = span_type.upper()
        fixed.update(said)
        fixed.update(attributes or {})
        span_name = name or getattr(decorated, "__qualname__", type(decorated).__name__).replace("<locals>.", "")
        return run_inside(decorated, lambda args, kwargs: _Spanned(span_name, fixed, linked, recording, args, kwargs))

    return decorate if function is None else decorate(function)


class _Recording:
    """What the user asked to record of a function's calls."""

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: bool,
        result: bool,
        reducer: Callable[[list[Any]], object] | None,
    ) -> None:
        self.arguments = arguments
        self.result = result
        self.reducer = reducer
        self.is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
        try:
            self._signature: inspect.Signature | None = inspect.signature(function)
        except (TypeError, ValueError):
            self._signature = None  # some built-in functions have none

    def by_name(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        if self._signature is not None:
            try:
                bound = self._signature.bind(*args, **kwargs).arguments
                return {key: value for key, value in bound.items() if key not in ("self", "cls")}
            except TypeError:
                pass  # the call itself will say that the arguments do not fit
        return {"args": list(args), "kwargs": kwargs}


class _Spanned(Around):
    def __init__(
        self,
        name: str,
        attributes: Mapping[str, AttributeValue],
        links: Sequence[trace_api.Link],
        recording: _Recording,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._name = name
        self._attributes = attributes
        self._links = links
        self._recording = recording
        self._call = (args, kwargs)
        self._items: list[Any] = []
        self._span: trace_api.Span = trace_api.INVALID_SPAN
        self._current: AbstractContextManager[trace_api.Span] | None = None

    def enter(self) -> None:
        self._current = _tracer().start_as_current_span(self._name, attributes=self._attributes, links=self._links)
        self._span = self._current.__enter__()
        _note(self._span)
        if self._recording.arguments and self._span.is_recording():
            self._record(_INPUT, _INPUT_TYPE, lambda: self._recording.by_name(*self._call))

    def yielded(self, value: object) -> None:
        if self._recording.result and len(self._items) < _MAX_RECORDED_ITEMS:
            self._items.append(value)

    def returned(self, value: object) -> None:
        if self._recording.result and self._span.is_recording():
            self._record(_OUTPUT, _OUTPUT_TYPE, lambda: self._reduced() if self._recording.is_generator else value)

    def leave(self, error: BaseException | None) -> None:
        if self._current is not None:
            if error is None:
                self._current.__exit__(None, None, None)
            else:
                self._current.__exit__(type(error), error, error.__traceback__)

    def _reduced(self) -> object:
        return self._items if self._recording.reducer is None else self._recording.reducer(self._items)

    def _record(self, attribute: str, type_attribute: str, value: Callable[[], object]) -> None:
        try:
            # Recursion and values that refuse repr() are the application's, and must not fail its call.
            text = json.dumps(value(), default=_fields, ensure_ascii=False)
            self._span.set_attribute(attribute, text[:_MAX_RECORDED_CHARACTERS])
            self._span.set_attribute(type_attribute, _JSON)
        except Exception as error:
            warn_rarely(f"recording {self._name}", "cannot record %s of %s: %r", attribute, self._name, error)


def _fields(value: object) -> object:
    try:
        return fields_of(value)
    except Exception:
        return repr(value)


# Which span of this process is the first of a trace. It is noted on the context of each span that is made here, as no
# other object of a span reaches its children.
_FIRST: Final = "_otel_loggedmodel_first"
_open: Final[weakref.WeakValueDictionary[int, trace_api.Span]] = weakref.WeakValueDictionary()
_last_trace: int | None = None
_last_in_thread: Final = threading.local()


@contextmanager
def current_span(
    name: str, attributes: Mapping[str, AttributeValue], links: Sequence[trace_api.Link] = ()
) -> Iterator[trace_api.Span]:
    """A span that is current for a block, as those of `trace` are."""
    with _tracer().start_as_current_span(name, attributes=attributes, links=links) as span:
        _note(span)
        yield span


def _note(span: trace_api.Span) -> None:
    global _last_trace  # noqa: PLW0603 - one value for the process, as in the interface that is followed
    context = span.get_span_context()
    if not span.is_recording():
        return
    parent = getattr(span, "parent", None)
    first = None if parent is None else parent.__dict__.get(_FIRST)
    if first is None:
        first = weakref.ref(span)
        _open[context.trace_id] = span
        _last_trace = _last_in_thread.trace_id = context.trace_id
    context.__dict__[_FIRST] = first


def first_span() -> trace_api.Span | None:
    """The first span of the current trace in this process, if `trace` or `start_span` made it and it has not ended."""
    noted = trace_api.get_current_span().get_span_context().__dict__.get(_FIRST)
    span = None if noted is None else noted()
    return span if span is not None and span.is_recording() else None


def open_first_span(trace_id: int) -> trace_api.Span | None:
    """The same of another trace, by its id."""
    span = _open.get(trace_id)
    return span if span is not None and span.is_recording() else None


def last_trace_id(*, in_thread: bool) -> int | None:
    """The id of the trace that was begun last, in this thread or in the process."""
    return getattr(_last_in_thread, "trace_id", None) if in_thread else _last_trace


_tracer_of_provider: tuple[trace_api.TracerProvider | None, trace_api.Tracer] = (None, trace_api.NoOpTracer())


def _tracer() -> trace_api.Tracer:
    """The tracer of the global provider, which the application may set after it has decorated its functions."""
    global _tracer_of_provider  # noqa: PLW0603 - making a tracer costs as much as a span does, so the last one is kept
    provider = trace_api.get_tracer_provider()
    known, tracer = _tracer_of_provider
    if provider is not known:
        if is_without_provider():
            # MLflow sets up tracing by itself; who swaps its import has to hear that nobody does so here.
            warn_once("no tracer provider", NO_PROVIDER)
        tracer = provider.get_tracer("otel_loggedmodel", __version__)
        _tracer_of_provider = (provider, tracer)
    return tracer


def is_without_provider() -> bool:
    """Whether spans go nowhere because nobody set up a tracer provider. Switched off by the environment is not that."""
    provider = trace_api.get_tracer_provider()
    return isinstance(provider, trace_api.ProxyTracerProvider) and not environment.is_sdk_disabled()


def _qualified_name(function: Callable[..., Any]) -> str:
    name = getattr(function, "__qualname__", type(function).__name__)
    return f"{getattr(function, '__module__', None) or '?'}.{name}"


# What else MLflow keeps under `mlflow.tracing`. The rooms that know it are above this one.
__getattr__, __dir__ = loaded_on_demand(
    __name__,
    {
        "context": "otel_loggedmodel.interface.declaring",
        "get_tracing_context_headers_for_http_request": "otel_loggedmodel.interface.headers",
        "set_tracing_context_from_http_request_headers": "otel_loggedmodel.interface.headers",
    },
    otherwise=("otel_loggedmodel.interface.elsewhere", "found"),
)
