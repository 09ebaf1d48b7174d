# SPDX-License-Identifier: Apache-2.0
"""Setting up an application in one call, or in none.

`opentelemetry-instrument`, the OpenTelemetry operator and declarative configuration find `LoggedModelInstrumentor` by
its entry point and call it when the tracer provider exists. It follows the interface of the instrumentations in
opentelemetry-python-contrib without depending on their base class. What is known of providers is in `_providers`.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Collection, Iterator
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from otel_loggedmodel import _logger_providers, _providers, environment, propagation
from otel_loggedmodel._errors import swallow, warn_once
from otel_loggedmodel._providers import ByIdentity, processors_of, stamping_processor_of
from otel_loggedmodel.exporter import LoggedModelExporter, otlp_exporter_from_environment
from otel_loggedmodel.processor import LoggedModelSpanProcessor

_logger = logging.getLogger(__name__)
# Nobody waits longer for this lock. Its holder may be waiting for a lock of a provider that the waiting thread holds.
_LOCK_SECONDS: Final = 5.0
_lock: Final = threading.RLock()


class _Extension:
    """What was done to a provider.

    Attributes:
        added: The processor that was put in, or None where the application had registered one itself.
        is_wrapping: Whether records go along with spans, so that exporters that come later are wrapped.
        again: Does it again, where what was put in is gone.
    """

    def __init__(self, added: LoggedModelSpanProcessor | None, is_wrapping: bool, again: Callable[[], None]) -> None:
        self.added = added
        self.is_wrapping: Final = is_wrapping
        self.again: Final = again


_extensions: Final[ByIdentity[_Extension]] = ByIdentity()


def instrument(
    tracer_provider: trace.TracerProvider | None = None,
    exporter: SpanExporter | None = None,
    *,
    logger_provider: Any = None,
) -> bool:
    """Stamp the spans of a tracer provider and deliver the records of versions. A second call adds what is missing.

    Call it after your vendor's set-up. It never raises because of a provider, and takes nothing out of one.

    - Where no tracer provider was set, a new one becomes the global one; it exports to `exporter`, else over OTLP as
      the environment says.
    - Where the provider exports already, records go along with its spans, through the exporters that it has and those
      that it gets later. If `exporter` is given, they go there instead, from a thread of their own.
    - Where the provider does not show what exports its spans, records go to `exporter`, else over OTLP as the
      environment says.
    - Where a `LoggedModelSpanProcessor` is registered, it stays the only one; what else is missing is added.
    - A provider that is not the OpenTelemetry SDK's cannot be extended: that is logged, and nothing else happens.
    - Log records of the global logger provider are stamped too, now or when one is set, and what its batch processors'
      exporters cannot deliver is kept. No logger provider is made.

    Args:
        tracer_provider: The provider to extend; the global one by default.
        exporter: Where to deliver to.
        logger_provider: The logger provider to extend; the global one by default, and none where `tracer_provider` is
            given.

    Returns:
        Whether the provider stamps spans now. Not where OTEL_SDK_DISABLED switches OpenTelemetry off.
    """
    if environment.is_sdk_disabled():
        return False
    with _one_at_a_time():
        if logger_provider is not None or tracer_provider is None:
            _logger_providers.extend(logger_provider)
        provider: Any = trace.get_tracer_provider() if tracer_provider is None else tracer_provider
        if tracer_provider is None and isinstance(provider, trace.ProxyTracerProvider):
            provider = TracerProvider()
            trace.set_tracer_provider(provider)
            _extend_when_set(_extend_one_that_came_late)
        return _extended(provider, lambda: _complete(provider, exporter))


def extended_provider(tracer_provider: trace.TracerProvider | None = None) -> trace.TracerProvider:
    """The tracer provider, or the global one. If it does not stamp spans yet, it is extended as by `instrument`."""
    provider = trace.get_tracer_provider() if tracer_provider is None else tracer_provider
    if stamping_processor_of(provider) is None:
        instrument(tracer_provider)
    return trace.get_tracer_provider() if tracer_provider is None else tracer_provider


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
        return trace.get_tracer_provider() in _extensions

    def instrument(self, **options: Any) -> None:
        """Extend a tracer provider. A second call adds what is missing.

        Args:
            **options: `tracer_provider`, the global one by default; `accept_baggage`, as in `LoggedModelSpanProcessor`,
                where the application registers none itself; `logger_provider`, as in `instrument`;
                `propagate` and `propagate_hosts`, as in `LoggedModelPropagator`. What else loaders pass is for other
                instrumentations.
        """
        if environment.is_sdk_disabled():
            return
        accept_baggage = bool(options.get("accept_baggage", False))

        def extend(provider: Any) -> None:
            _extended(provider, lambda: _extend(provider, accept_baggage))

        with _one_at_a_time():
            if options.get("propagate"):
                propagation.install(propagate=True, hosts=options.get("propagate_hosts"))
            if options.get("logger_provider") is not None or options.get("tracer_provider") is None:
                _logger_providers.extend(options.get("logger_provider"))
            provider = _provider_in(options)
            if isinstance(provider, trace.ProxyTracerProvider):
                _extend_when_set(extend)
            else:
                extend(provider)

    def uninstrument(self, **options: Any) -> None:
        """Take out of the tracer provider what `instrument` put in; spans that are open keep their stamp.

        Args:
            **options: `tracer_provider` and `logger_provider`, the global ones by default.
        """
        with _one_at_a_time():
            _forget_to_extend()
            if options.get("logger_provider") is not None or options.get("tracer_provider") is None:
                _logger_providers.restore(options.get("logger_provider"))
            propagation.uninstall()
            provider = _provider_in(options)
            extension = _extensions.pop(provider)
            if extension is not None:
                _restore(provider, extension)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    is_ours = _lock.acquire(timeout=_LOCK_SECONDS)
    try:
        yield
    finally:
        if is_ours:
            _lock.release()


def _provider_in(options: dict[str, Any]) -> Any:
    given = options.get("tracer_provider")
    return trace.get_tracer_provider() if given is None else given


# Extending a provider


def _extended(provider: Any, extend: Callable[[], None]) -> bool:
    """Extend a provider, whatever it is. Whether it stamps spans now."""
    try:
        if not _providers.takes_processors(provider):
            _logger.warning(
                "%s.%s is not the OpenTelemetry SDK's tracer provider and takes no span processors: its spans are not "
                "linked to versions; register LoggedModelSpanProcessor where that provider is set up",
                type(provider).__module__,
                type(provider).__qualname__,
            )
            return False
        extend()
    except Exception as error:
        warn_once(
            f"cannot extend {type(provider).__qualname__}",
            "%s.%s cannot be extended, and its spans are not linked to versions: %r",
            type(provider).__module__,
            type(provider).__qualname__,
            error,
        )
        return False
    return True


def _complete(provider: Any, exporter: SpanExporter | None) -> None:
    """Add what a provider lacks for stamping, exporting, and delivering records."""
    before = _extensions.get(provider)
    registered, processors = stamping_processor_of(provider), processors_of(provider)
    others = [one for one in processors or () if not isinstance(one, LoggedModelSpanProcessor)]
    is_bare = processors is not None and not others
    sends_records = registered is not None and registered.sends_records
    is_wrapping = (exporter is None and not sends_records) if before is None else before.is_wrapping
    is_delivering = sends_records or (is_wrapping and _providers.wrap_exporters_of(others))
    if before is not None and processors is None:
        is_delivering = True  # an earlier call has seen to it, which does not show
    records_to: SpanExporter | None = None
    if not is_bare and not is_delivering:
        records_to = exporter or otlp_exporter_from_environment()
        if exporter is None:
            _tell_where_records_go(provider, records_to)
        if environment.tracking_server():
            # An exporter that gets only records never sees which traces there are.
            _logger.warning(
                "%s links no traces here, as spans are not exported through a LoggedModelExporter: call instrument() "
                "without an exporter, or wrap the provider's own in LoggedModelExporter",
                environment.OTEL_LOGGEDMODEL_MLFLOW,
            )
    added = _stamp(provider, records_to)
    if is_bare:
        _providers.add_processor(provider, BatchSpanProcessor(LoggedModelExporter(exporter)))
    _note(provider, _Extension(added, is_wrapping or is_bare, lambda: _complete(provider, None)))


def _extend(provider: Any, accept_baggage: bool) -> None:
    """Have a provider stamp spans, and the exporters that it has and gets deliver records."""
    _providers.wrap_exporters_of(processors_of(provider) or ())
    added = _stamp(provider, accept_baggage=accept_baggage)
    _note(provider, _Extension(added, True, lambda: _extend(provider, accept_baggage)))


def _stamp(
    provider: Any, records_to: SpanExporter | None = None, *, accept_baggage: bool = False
) -> LoggedModelSpanProcessor | None:
    """Have a provider stamp spans. The processor of ours that was put in, by this call or an earlier one."""
    before = _extensions.get(provider)
    registered = stamping_processor_of(provider)
    if registered is not None:
        if records_to is not None:
            registered.send_records_to(records_to)
        return registered if before is not None and registered is before.added else None
    if before is not None and processors_of(provider) is None:
        return before.added
    added = LoggedModelSpanProcessor(records_to, accept_baggage=accept_baggage)
    _providers.add_processor(provider, added)
    return added


def _note(provider: Any, extension: _Extension) -> None:
    _extensions.set(provider, extension)
    _providers.watch_adding(
        provider, lambda processor: _before_adding(provider, processor), lambda: _after_adding(provider)
    )


def _before_adding(provider: Any, processor: object) -> None:
    try:
        extension = _extensions.get(provider)
        if extension is None:
            return
        if extension.is_wrapping:
            _providers.wrap_exporter_of(processor)
        if isinstance(processor, LoggedModelSpanProcessor) and processor is not extension.added:
            # The application's own takes over: one of two is enough.
            _providers.take_out(provider, extension.added)
            extension.added = None
    except Exception:
        swallow("looking at a span processor that is added")


def _after_adding(provider: Any) -> None:
    """Put our processor in again where adding another one has taken it out."""
    try:
        extension = _extensions.get(provider)
        if extension is None or extension.added is None or processors_of(provider) is None:
            return
        if stamping_processor_of(provider) is None:
            extension.again()
    except Exception:
        swallow("looking at a tracer provider after a span processor was added")


def _tell_where_records_go(provider: Any, exporter: SpanExporter) -> None:
    from otel_loggedmodel.delivery.destinations import destination_of

    destination = destination_of(exporter)
    _logger.warning(
        "nothing shows through what %s.%s exports: the records of versions go to %s by themselves; "
        "pass instrument(exporter=...) to send them elsewhere",
        type(provider).__module__,
        type(provider).__qualname__,
        type(exporter).__qualname__ if destination is None else destination.endpoint,
    )


def _restore(provider: Any, extension: _Extension) -> None:
    _providers.stop_watching(provider)
    for processor in processors_of(provider) or ():
        _providers.unwrap_exporter_of(processor)
    _providers.take_out(provider, extension.added)


# A provider that is set later

# Every call of `set_tracer_provider` ends up in this, even if the caller imported that function before.
_SETTER: Final = (
    "_set_tracer_provider" if callable(getattr(trace, "_set_tracer_provider", None)) else ("set_tracer_provider")
)
_original_setter: Any = None


def _extend_when_set(extend: Callable[[Any], None]) -> None:
    """Extend the provider that is set next."""
    global _original_setter  # noqa: PLW0603 - the API's function that is replaced is one per process, too
    if _original_setter is not None:
        return
    _original_setter = getattr(trace, _SETTER)

    def set_and_extend(tracer_provider: trace.TracerProvider, *arguments: Any, **options: Any) -> None:
        original = _original_setter
        _forget_to_extend()
        (original or getattr(trace, _SETTER))(tracer_provider, *arguments, **options)
        with _one_at_a_time():
            extend(tracer_provider)

    setattr(trace, _SETTER, set_and_extend)


def _forget_to_extend() -> None:
    global _original_setter  # noqa: PLW0603 - as above
    if _original_setter is not None:
        setattr(trace, _SETTER, _original_setter)
        _original_setter = None


def _extend_one_that_came_late(provider: Any) -> None:
    """The spans that are started with this one are stamped; those of the global tracers never get to it."""
    warn_once(
        "late provider",
        "a tracer provider (%s.%s) was set after instrument() had made one. OpenTelemetry keeps the first, so spans of "
        "the global tracers do not get to the exporters of the second: call instrument() after your vendor's set-up",
        type(provider).__module__,
        type(provider).__qualname__,
    )
    _extended(provider, lambda: _extend(provider, accept_baggage=False))
