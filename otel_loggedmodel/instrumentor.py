# SPDX-License-Identifier: Apache-2.0
"""Setting up an application in one call."""

import logging
import threading
import weakref
from typing import Any, Final

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from otel_loggedmodel.exporter import LoggedModelExporter, otlp_exporter_from_environment
from otel_loggedmodel.processor import LoggedModelSpanProcessor

_logger = logging.getLogger(__name__)
_lock: Final = threading.Lock()
_instrumented: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


def instrument(tracer_provider: trace.TracerProvider | None = None, exporter: SpanExporter | None = None) -> bool:
    """Stamp the spans of a tracer provider and deliver the records of versions. A second call does nothing.

    - Where no tracer provider was set, a new one becomes the global one; it exports to `exporter`, else over OTLP as
      the environment says.
    - Where the provider has processors already, its spans are theirs to export. Records go through `exporter`, else
      over OTLP as the environment says, from a thread of their own.
    - A provider that is not the OpenTelemetry SDK's cannot be extended: that is logged, and nothing else happens.

    Args:
        tracer_provider: The provider to extend; the global one by default.
        exporter: Where to deliver to.

    Returns:
        Whether the provider stamps spans now.
    """
    with _lock:
        provider: Any = tracer_provider or trace.get_tracer_provider()
        if tracer_provider is None and isinstance(provider, trace.ProxyTracerProvider):
            provider = TracerProvider()
            trace.set_tracer_provider(provider)
        if provider in _instrumented:
            return True
        if not callable(getattr(provider, "add_span_processor", None)):
            _logger.warning(
                "%s.%s is not the OpenTelemetry SDK's tracer provider and takes no span processors: its spans are not "
                "linked to versions; register LoggedModelSpanProcessor where that provider is set up",
                type(provider).__module__,
                type(provider).__qualname__,
            )
            return False
        if _exports_already(provider):
            provider.add_span_processor(LoggedModelSpanProcessor(exporter or otlp_exporter_from_environment()))
        else:
            provider.add_span_processor(LoggedModelSpanProcessor())
            provider.add_span_processor(BatchSpanProcessor(LoggedModelExporter(exporter)))
        _instrumented.add(provider)
        return True


def _exports_already(provider: Any) -> bool:
    # The SDK has no public way to ask for the processors. Not knowing, assume that an application which set up a
    # provider exports from it: records alone are then sent, and no span twice.
    try:
        return bool(provider._active_span_processor._span_processors)
    except AttributeError:
        return True
