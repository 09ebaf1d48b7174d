# SPDX-License-Identifier: Apache-2.0
"""Tracer providers, processors and exporters that do what some vendor's do, or what one might: they lock, raise, block,
return nothing, and take out what is there. `programs.run` puts this directory on a program's path."""

import threading
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import TracerProvider as AnyTracerProvider

from doubles import ScriptedExporter


class Locking(TracerProvider):
    """Holds a lock while it flushes or shuts down, and takes it to answer anything."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    @property
    def resource(self) -> Resource:
        with self.lock:
            return super().resource

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        with self.lock:
            super().add_span_processor(span_processor)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        with self.lock:
            return super().force_flush(timeout_millis)

    def shutdown(self) -> None:
        with self.lock:
            super().shutdown()


@dataclass
class Proxy(AnyTracerProvider):
    """Stands for a provider of the SDK's, is not hashable, and locks as the one above."""

    provider: TracerProvider = field(default_factory=TracerProvider)
    lock: Any = field(default_factory=threading.Lock)

    def get_tracer(self, *arguments: Any, **options: Any) -> Any:
        return self.provider.get_tracer(*arguments, **options)

    @property
    def resource(self) -> Resource:
        with self.lock:
            return self.provider.resource

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        with self.lock:
            self.provider.add_span_processor(span_processor)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        with self.lock:
            return self.provider.force_flush(timeout_millis)

    def shutdown(self) -> None:
        with self.lock:
            self.provider.shutdown()


class Closed(AnyTracerProvider):
    """Shows nothing of what is inside, and has no room for more."""

    __slots__ = ("_hidden",)

    def __init__(self) -> None:
        inner = TracerProvider()
        self._hidden = (inner.add_span_processor, inner.get_tracer, inner.force_flush, inner.shutdown)

    def get_tracer(self, *arguments: Any, **options: Any) -> Any:
        return self._hidden[1](*arguments, **options)

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        self._hidden[0](span_processor)

    def force_flush(self, timeout_millis: int = 30000) -> None:
        self._hidden[2](timeout_millis)

    def shutdown(self) -> None:
        self._hidden[3]()


class Replacing(TracerProvider):
    """Shuts its first processor down and takes it out when it gets another one."""

    def __init__(self, first: SpanProcessor) -> None:
        super().__init__()
        super().add_span_processor(first)
        self.first: SpanProcessor | None = first

    def add_span_processor(self, span_processor: SpanProcessor, *, keep: bool = False) -> None:
        if self.first is not None and not keep:
            self.first.shutdown()
            self._active_span_processor._span_processors = ()
            self.first = None
        super().add_span_processor(span_processor)


class Raising(TracerProvider):
    """Raises whatever it is asked by anybody but the SDK itself, and cannot be compared."""

    is_asked_by_the_sdk = True

    def get_tracer(self, *arguments: Any, **options: Any) -> Any:
        self.is_asked_by_the_sdk = True
        tracer = super().get_tracer(*arguments, **options)
        self.is_asked_by_the_sdk = False
        return tracer

    @property
    def resource(self) -> Resource:
        if self.is_asked_by_the_sdk:
            return super().resource
        raise RuntimeError("no resource")

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        raise RuntimeError("no more processors")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("not to be compared")

    def __bool__(self) -> bool:
        raise RuntimeError("neither true nor false")

    __hash__ = None  # type: ignore[assignment]


class RaisingAndClosed(AnyTracerProvider):
    """Takes no processor, though it says that it does."""

    def get_tracer(self, *arguments: Any, **options: Any) -> Any:
        return TracerProvider().get_tracer(*arguments, **options)

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        raise RuntimeError("no more processors")


class OwnExporterProcessor(SpanProcessor):
    """No processor of the SDK's: what it calls `_exporter` has a method that it needs."""

    def __init__(self, exporter: "Initialised") -> None:
        self._exporter = exporter

    def on_end(self, span: Any) -> None:
        self._exporter.initialise()
        self._exporter.export([span])

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        # The SDK's base class says None before OpenTelemetry 1.29, and then the processors after it are not flushed.
        return True


class InitialisingProcessor(SimpleSpanProcessor):
    """One of the SDK's with such an exporter."""

    def on_end(self, span: Any) -> None:
        self.span_exporter.initialise()
        super().on_end(span)


class Initialised(ScriptedExporter):
    """An exporter that wants to be asked."""

    def __init__(self) -> None:
        super().__init__()
        self.initialised = 0

    def initialise(self) -> None:
        self.initialised += 1


class Silent(SpanProcessor):
    """Exports in some way that does not show."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def on_end(self, span: Any) -> None:
        self.ended.append(span.name)


class Blocking(SpanExporter):
    """Never returns."""

    def _block(self) -> None:
        threading.Event().wait()

    def export(self, spans: Any) -> SpanExportResult:
        self._block()
        return SpanExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        self._block()
        return True

    def shutdown(self) -> None:
        """The only thing of it that a process has to wait for without this library."""


class BlockingToTheEnd(Blocking):
    """Never returns, not even from being shut down."""

    def shutdown(self) -> None:
        self._block()


class RaisingExporter(SpanExporter):
    """Raises whatever it is asked."""

    def export(self, spans: Any) -> SpanExportResult:
        raise RuntimeError("no export")

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        raise RuntimeError("no flush")

    def shutdown(self) -> None:
        raise RuntimeError("no shutdown")


class Nothing(SpanExporter):
    """Returns nothing, against the interface."""

    def __init__(self) -> None:
        self.exported: list[str] = []

    def export(self, spans: Any) -> Any:
        self.exported.extend(span.name for span in spans)

    def force_flush(self, timeout_millis: int = 30000) -> Any:
        pass

    def shutdown(self) -> None:
        pass


def batching(exporter: SpanExporter) -> BatchSpanProcessor:
    """The usual processor, which exports by itself only after an hour."""
    return BatchSpanProcessor(exporter, schedule_delay_millis=3_600_000)
