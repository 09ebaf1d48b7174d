# SPDX-License-Identifier: Apache-2.0
"""Seeing and extending a tracer provider: what the SDK keeps to itself, and what vendors make of it.

The SDK has no public way to see the processors and exporters of a provider. What is private there is used in this
module only, and doing without it costs records, not spans. Only the SDK's own classes and their subclasses are reached
into: what another class calls `_exporter` is its own business.
"""

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, TypeVar

from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    ReadableSpan,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter

from otel_loggedmodel.exporter import LoggedModelExporter
from otel_loggedmodel.processor import LoggedModelSpanProcessor

_ADD: Final = "add_span_processor"

Value = TypeVar("Value")


class ByIdentity(Generic[Value]):
    """Values of objects. The objects need not be hashable: a provider that is a dataclass is not."""

    def __init__(self) -> None:
        self._values: dict[int, tuple[Callable[[], object], Value]] = {}
        # Reentrant: the garbage collector may run in the middle of a change.
        self._lock = threading.RLock()

    def __contains__(self, key: object) -> bool:
        """Whether there is one for this very object."""
        found = self._values.get(id(key))
        return found is not None and found[0]() is key

    def get(self, key: object) -> Value | None:
        """The value of an object."""
        return self._values[id(key)][1] if key in self else None

    def set(self, key: object, value: Value) -> None:
        """Keep a value as long as the object lives."""
        number = id(key)
        reference: Callable[[], object]
        try:
            reference = weakref.ref(key, lambda dead: self._forget(number, dead))
        except TypeError:  # it has no room for that, so it is kept
            reference = lambda: key  # noqa: E731
        with self._lock:
            self._values[number] = (reference, value)

    def pop(self, key: object) -> Value | None:
        """Forget an object."""
        value = self.get(key)
        with self._lock:
            if key in self:
                del self._values[id(key)]
        return value

    def _forget(self, number: int, dead: object) -> None:
        with self._lock:
            found = self._values.get(number)
            if found is not None and found[0] is dead:
                del self._values[number]


# Providers


def takes_processors(provider: object) -> bool:
    """Whether a provider can be extended at all."""
    return callable(getattr(provider, _ADD, None))


def sdk_provider_of(provider: object) -> TracerProvider | None:
    """The SDK's provider that a provider is or stands for, as logfire's proxy does; None where there is none."""
    if isinstance(provider, TracerProvider):
        return provider
    held = [value for value in _held_by(provider).values() if isinstance(value, TracerProvider)]
    return held[0] if len(held) == 1 else None


def processors_of(provider: object) -> tuple[SpanProcessor, ...] | None:
    """The provider's processors, also those inside of the SDK's own ones; None if they cannot be seen."""
    multi = _multi_of(provider)
    return None if multi is None else tuple(_flat(multi))


def stamping_processor_of(provider: object) -> LoggedModelSpanProcessor | None:
    """The processor of ours that a provider has."""
    return next((one for one in processors_of(provider) or () if isinstance(one, LoggedModelSpanProcessor)), None)


def add_processor(provider: Any, processor: SpanProcessor) -> None:
    """Add a processor, and keep every one that is there.

    A vendor's `add_span_processor` may do more: Phoenix's shuts down and takes out the processor that `register()` has
    made. So it goes to where the SDK has them.
    """
    multi = _multi_of(provider)
    if multi is None:
        provider.add_span_processor(processor)
    else:
        multi.add_span_processor(processor)


def take_out(provider: object, processor: SpanProcessor | None) -> None:
    """Take a processor out, and shut it down."""
    multi = _multi_of(provider)
    if multi is not None and processor is not None and any(one is processor for one in multi._span_processors):
        multi._span_processors = tuple(one for one in multi._span_processors if one is not processor)
        processor.shutdown()


def watch_adding(provider: Any, adding: Callable[[object], None], added: Callable[[], None]) -> None:
    """Be told of each processor before and after it is added, by whoever has the provider."""
    for one in _those_that_add(provider):
        if _ADD not in _held_by(one):
            _watch(one, adding, added)


def stop_watching(provider: object) -> None:
    """Be told no longer."""
    for one in _those_that_add(provider):
        _held_by(one).pop(_ADD, None)


def intake_of(provider: object) -> Callable[[ReadableSpan], None] | None:
    """What takes finished spans that no tracer of a provider has started, or None where there is nothing like it."""
    sdk_provider = sdk_provider_of(provider)
    holder = provider if sdk_provider is None else sdk_provider
    intake = getattr(getattr(holder, "_active_span_processor", None), "on_end", None)
    return intake if callable(intake) else None


def _watch(provider: Any, adding: Callable[[object], None], added: Callable[[], None]) -> None:
    add = provider.add_span_processor

    def add_and_tell(*arguments: Any, **options: Any) -> Any:
        adding(arguments[0] if arguments else options.get("span_processor"))
        try:
            return add(*arguments, **options)
        finally:
            added()

    # Where there is no room for that, a second `instrument()` finds what was added.
    with contextlib.suppress(AttributeError, TypeError):
        setattr(provider, _ADD, add_and_tell)


def _those_that_add(provider: object) -> list[object]:
    sdk_provider = sdk_provider_of(provider)
    return [provider if sdk_provider is None else sdk_provider]


def _held_by(holder: object) -> dict[str, Any]:
    """An object's own attributes, without running any code of its class."""
    try:
        held = object.__getattribute__(holder, "__dict__")
    except AttributeError:
        return {}
    return held if isinstance(held, dict) else {}


def _multi_of(provider: object) -> Any:
    sdk_provider = sdk_provider_of(provider)
    multi = _held_by(provider if sdk_provider is None else sdk_provider).get("_active_span_processor")
    return multi if isinstance(multi, SynchronousMultiSpanProcessor | ConcurrentMultiSpanProcessor) else None


def _flat(multi: Any) -> Iterable[SpanProcessor]:
    for processor in multi._span_processors:
        if isinstance(processor, SynchronousMultiSpanProcessor | ConcurrentMultiSpanProcessor):
            yield from _flat(processor)
        else:
            yield processor


# Exporters


def wrap_exporters_of(processors: Iterable[object]) -> bool:
    """Put a `LoggedModelExporter` in front of every exporter. Returns whether there is any."""
    wrapped = [wrap_exporter_of(processor) for processor in processors]
    return any(wrapped)


def wrap_exporter_of(processor: object) -> bool:
    """Put a `LoggedModelExporter` between a processor and its exporter. Returns whether there is one now."""
    if isinstance(processor, SynchronousMultiSpanProcessor | ConcurrentMultiSpanProcessor):
        return wrap_exporters_of(_flat(processor))
    holder, name = _place_of_exporter(processor)
    exporter = _held_by(holder).get(name)
    if isinstance(exporter, LoggedModelExporter):
        return True
    if not _can_be_wrapped(exporter):
        return False
    try:
        setattr(holder, name, LoggedModelExporter(exporter))
    except (AttributeError, TypeError):
        return False
    return True


def unwrap_exporter_of(processor: object) -> None:
    """Take the `LoggedModelExporter` out."""
    holder, name = _place_of_exporter(processor)
    exporter = _held_by(holder).get(name)
    if isinstance(exporter, LoggedModelExporter):
        setattr(holder, name, exporter.unwrap())


def _place_of_exporter(processor: object) -> tuple[object, str]:
    """The object and its attribute that hold the exporter of one of the SDK's processors."""
    if isinstance(processor, BatchSpanProcessor):
        # Releases before 1.34 keep it in the processor itself.
        batch = _held_by(processor).get("_batch_processor")
        return (processor, "span_exporter") if batch is None else (batch, "_exporter")
    return (processor, "span_exporter") if isinstance(processor, SimpleSpanProcessor) else (None, "")


def _can_be_wrapped(exporter: object) -> bool:
    if not isinstance(exporter, SpanExporter):
        return False
    # Spans that MLflow's exporters are given only tell them which of their own to send. Records mean nothing to them,
    # and they do not say whether they succeeded.
    if type(exporter).__module__.partition(".")[0] == "mlflow":
        return False
    # AWS has an exporter for spans that are not sampled, beside one for those that are. Its daemon only makes metrics
    # of them. https://github.com/aws-observability/aws-otel-python-instrumentation
    held = _held_by(exporter)
    udp = next((one for one in (exporter, held.get("_delegate")) if type(one).__name__ == "OTLPUdpSpanExporter"), None)
    return udp is None or _held_by(udp).get("_sampled") is not False
