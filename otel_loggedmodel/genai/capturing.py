# SPDX-License-Identifier: Apache-2.0
"""Keeps the spans of the rows that are being evaluated, for scorers that look at the trace."""

import itertools
import threading
import weakref
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

# A larger trace is cut off, as a scorer looks at a conversation and not at a load test.
_MAX_SPANS: Final = 2000


class Capture(SpanProcessor):
    """A span processor that keeps the finished spans of traces that were asked for, and counts all spans.

    There is one for each tracer provider. While nothing is asked for, it costs one look at an empty dict.
    """

    def __init__(self) -> None:
        self._traces: dict[int, list[ReadableSpan]] = {}
        self._ended = itertools.count(1)
        self.ended = 0

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing."""

    def on_end(self, span: ReadableSpan) -> None:
        """Keep the span if its trace was asked for."""
        self.ended = next(self._ended)
        if self._traces and span.context is not None:
            spans = self._traces.get(span.context.trace_id)
            if spans is not None and len(spans) < _MAX_SPANS:
                spans.append(span)

    def begin(self, trace_id: int) -> None:
        """Keep the spans of this trace from now on."""
        self._traces[trace_id] = []

    def take(self, trace_id: int) -> list[ReadableSpan]:
        """What was kept of a trace. It is forgotten here then."""
        return self._traces.pop(trace_id, [])

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing to do."""
        return True


_captures: Final[weakref.WeakKeyDictionary[Any, Capture]] = weakref.WeakKeyDictionary()
_lock: Final = threading.Lock()


def capture_of(provider: Any) -> Capture:
    """The capture of a tracer provider. It is added to the provider the first time."""
    with _lock:
        capture = _captures.get(provider)
        if capture is None:
            capture = _captures[provider] = Capture()
            add = getattr(provider, "add_span_processor", None)
            if callable(add):
                add(capture)
        return capture
