# SPDX-License-Identifier: Apache-2.0
"""Setting up an application in one call, or in none.

`opentelemetry-instrument`, the OpenTelemetry operator and declarative configuration find `LoggedModelInstrumentor` by
its entry point and call it when the tracer provider exists. It follows the interface of the instrumentations in
opentelemetry-python-contrib without depending on their base class. The SDK has no public way to see the processors and
exporters of a provider; what is private there is used in this module only, and doing without it costs records, not
spans.
"""

import logging
import threading
import weakref
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from otel_loggedmodel import environment, propagation
from otel_loggedmodel.exporter import LoggedModelExporter, otlp_exporter_from_environment
from otel_loggedmodel.processor import LoggedModelSpanProcessor

_logger = logging.getLogger(__name__)
_lock: Final = threading.RLock()
# Each with the processor that was put in, or None where the application had registered one itself.
_instrumented: Final[weakref.WeakKeyDictionary[Any, LoggedModelSpanProcessor | None]] = weakref.WeakKeyDictionary()


def instrument(tracer_provider: trace.TracerProvider | None = None, exporter: SpanExporter | None = None) -> bool:
    """Stamp the spans of a tracer provider and deliver the records of versions. A second call does nothing.

    - Where no tracer provider was set, a new one becomes the global one; it exports to `exporter`, else over OTLP as
      the environment says.
    - Where the provider exports already, records go along with its spans, through its own exporters; or to `exporter`,
      where that is given, from a thread of their own.
    - Where a `LoggedModelSpanProcessor` is registered, it stays the only one; what else is missing is added.
    - A provider that is not the OpenTelemetry SDK's cannot be extended: that is logged, and nothing else happens.

    Args:
        tracer_provider: The provider to extend; the global one by default.
        exporter: Where to deliver to.

    Returns:
        Whether the provider stamps spans now. Not where OTEL_SDK_DISABLED switches OpenTelemetry off.
    """
    if environment.is_sdk_disabled():
        return False
    with _lock:
        provider: Any = tracer_provider or trace.get_tracer_provider()
        if tracer_provider is None and isinstance(provider, trace.ProxyTracerProvider):
            provider = TracerProvider()
            trace.set_tracer_provider(provider)
        if provider in _instrumented:
            return True
        if not _takes_processors(provider):
            return False
        _instrumented[provider] = _complete(provider, exporter)
        return True


def extended_provider(tracer_provider: trace.TracerProvider | None = None) -> trace.TracerProvider:
    """The tracer provider, or the global one, stamping spans: extended as by `instrument` where it does not yet."""
    with _lock:
        provider = tracer_provider or trace.get_tracer_provider()
        if _stamping_processor_of(provider) is None:
            instrument(tracer_provider)
        return tracer_provider or trace.get_tracer_provider()


def intake_of(provider: object) -> Callable[[ReadableSpan], None] | None:
    """What takes finished spans that no tracer of a provider has started, or None where there is nothing like it."""
    intake = getattr(getattr(provider, "_active_span_processor", None), "on_end", None)
    return intake if callable(intake) else None


class LoggedModelInstrumentor:
    """What `opentelemetry-instrument` and declarative configuration call: the `loggedmodel` instrumentation.

    It stamps the spans of the tracer provider that is configured, and sends records through that provider's own
    exporters, including those that are added later. Where there is no tracer provider yet, it waits for the application
    to set one. It makes no connection and no thread of its own.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """No other library has to be there."""
        return ()

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether the global tracer provider stamps spans."""
        return trace.get_tracer_provider() in _instrumented

    def instrument(self, **options: Any) -> None:
        """Extend a tracer provider. A second call does nothing.

        Args:
            **options: `tracer_provider`, the global one by default; `accept_baggage`, as in `LoggedModelSpanProcessor`,
                where the application registers none itself;
                `propagate` and `propagate_hosts`, as in `LoggedModelPropagator`. What else loaders pass is for other
                instrumentations.
        """
        if environment.is_sdk_disabled():
            return
        accept_baggage = bool(options.get("accept_baggage", False))
        with _lock:
            if options.get("propagate"):
                propagation.install(propagate=True, hosts=options.get("propagate_hosts"))
            provider: Any = options.get("tracer_provider") or trace.get_tracer_provider()
            if isinstance(provider, trace.ProxyTracerProvider):
                _extend_when_set(accept_baggage)
            else:
                _extend(provider, accept_baggage)

    def uninstrument(self, **options: Any) -> None:
        """Take out of the tracer provider what `instrument` put in; spans that are open keep their stamp.

        Args:
            **options: `tracer_provider`, the global one by default.
        """
        with _lock:
            _forget_to_extend()
            propagation.uninstall()
            provider: Any = options.get("tracer_provider") or trace.get_tracer_provider()
            if provider in _instrumented:
                _restore(provider, _instrumented.pop(provider))


# Extending a provider


def _complete(provider: Any, exporter: SpanExporter | None) -> LoggedModelSpanProcessor | None:
    """Add what a provider lacks for stamping, exporting, and delivering records. The processor that was put in."""
    registered, processors = _stamping_processor_of(provider), _processors_of(provider)
    others = [one for one in processors or () if not isinstance(one, LoggedModelSpanProcessor)]
    is_bare = processors is not None and not others
    sends_records = registered is not None and registered.sends_records
    records_to: SpanExporter | None = None
    if not is_bare and not sends_records and (exporter is not None or not _wrap_exporters_of(others)):
        records_to = exporter or otlp_exporter_from_environment()
    added = None
    if registered is None:
        added = LoggedModelSpanProcessor(records_to)
        provider.add_span_processor(added)
    elif records_to is not None:
        registered.send_records_to(records_to)
    if is_bare:
        provider.add_span_processor(BatchSpanProcessor(LoggedModelExporter(exporter)))
    return added


# Extending a provider that exports by itself


def _extend(provider: Any, accept_baggage: bool) -> None:
    if provider in _instrumented or not _takes_processors(provider):
        return
    _wrap_exporters_of(_processors_of(provider) or ())
    added = None
    if _stamping_processor_of(provider) is None:
        added = LoggedModelSpanProcessor(accept_baggage=accept_baggage)
        provider.add_span_processor(added)
    _instrumented[provider] = added
    add_span_processor = provider.add_span_processor

    def add_and_wrap(span_processor: SpanProcessor) -> None:
        if provider in _instrumented:
            _wrap_exporter_of(span_processor)
            if isinstance(span_processor, LoggedModelSpanProcessor):
                # The application's own takes over: two would link every entry span to its version twice.
                _take_out(provider, _instrumented[provider])
                _instrumented[provider] = None
        add_span_processor(span_processor)

    provider.add_span_processor = add_and_wrap


def _restore(provider: Any, added: LoggedModelSpanProcessor | None) -> None:
    vars(provider).pop("add_span_processor", None)
    for processor in _processors_of(provider) or ():
        _wrap_exporter_of(processor, unwrap=True)
    _take_out(provider, added)


def _take_out(provider: Any, added: LoggedModelSpanProcessor | None) -> None:
    processors = _processors_of(provider) or ()
    if added is not None and added in processors:
        rest = tuple(processor for processor in processors if processor is not added)
        provider._active_span_processor._span_processors = rest
        added.shutdown()


_set_tracer_provider: Any = None


def _extend_when_set(accept_baggage: bool) -> None:
    global _set_tracer_provider  # noqa: PLW0603 - the API's function that is replaced is one per process, too
    if _set_tracer_provider is not None:
        return
    _set_tracer_provider = trace.set_tracer_provider

    def set_and_extend(tracer_provider: trace.TracerProvider) -> None:
        original = _set_tracer_provider
        _forget_to_extend()
        (original or trace.set_tracer_provider)(tracer_provider)
        with _lock:
            _extend(trace.get_tracer_provider(), accept_baggage)

    trace.set_tracer_provider = set_and_extend


def _forget_to_extend() -> None:
    global _set_tracer_provider  # noqa: PLW0603 - as above
    if _set_tracer_provider is not None:
        trace.set_tracer_provider = _set_tracer_provider
        _set_tracer_provider = None


# What the SDK keeps to itself


def _takes_processors(provider: Any) -> bool:
    if callable(getattr(provider, "add_span_processor", None)):
        return True
    _logger.warning(
        "%s.%s is not the OpenTelemetry SDK's tracer provider and takes no span processors: its spans are not "
        "linked to versions; register LoggedModelSpanProcessor where that provider is set up",
        type(provider).__module__,
        type(provider).__qualname__,
    )
    return False


def _processors_of(provider: Any) -> tuple[SpanProcessor, ...] | None:
    """The provider's processors, or None where this SDK does not show them."""
    processors = getattr(getattr(provider, "_active_span_processor", None), "_span_processors", None)
    return None if processors is None else tuple(processors)


def _stamping_processor_of(provider: Any) -> LoggedModelSpanProcessor | None:
    processors = _processors_of(provider) or ()
    return next((one for one in processors if isinstance(one, LoggedModelSpanProcessor)), None)


def _wrap_exporters_of(processors: Iterable[SpanProcessor]) -> bool:
    """Put a `LoggedModelExporter` in front of every exporter. Whether there is any."""
    wrapped = [_wrap_exporter_of(processor) for processor in processors]
    return any(wrapped)


def _wrap_exporter_of(processor: SpanProcessor, *, unwrap: bool = False) -> bool:
    """Put a `LoggedModelExporter` between a processor and its exporter, or take it out. Whether there is one now."""
    holder = getattr(processor, "_batch_processor", processor)
    attribute = "_exporter" if isinstance(getattr(holder, "_exporter", None), SpanExporter) else "span_exporter"
    exporter = getattr(holder, attribute, None)
    if isinstance(exporter, LoggedModelExporter):
        if unwrap:
            setattr(holder, attribute, exporter.unwrap())
        return not unwrap
    if unwrap or not isinstance(exporter, SpanExporter) or _sends_what_it_kept(exporter):
        return False
    try:
        setattr(holder, attribute, LoggedModelExporter(exporter))
    except AttributeError:
        return False
    return True


def _sends_what_it_kept(exporter: SpanExporter) -> bool:
    """Whether spans that an exporter is given only tell it which of its own to send, as with those to MLflow's server.

    Records mean nothing to them, they do not say whether they succeeded, and MLflow uses more of them than what a
    `LoggedModelExporter` has.
    """
    return type(exporter).__module__.partition(".")[0] == "mlflow"
