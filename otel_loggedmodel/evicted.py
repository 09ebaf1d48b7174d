# SPDX-License-Identifier: Apache-2.0
"""Stamps that a span lost on the way: remembered by the processor, put back by the exporter.

The SDK drops a span's oldest attribute when it gets more than its limit, 128 by default, and the stamp, written when
the span starts, is the oldest. An agent's span with its messages flattened into attributes reaches that easily, and at
its end nobody but an exporter can still change it.
"""

import threading
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext

from otel_loggedmodel.active import Version

# Between a span's end and its export lies at most the queue of a batch processor: 2,048 spans unless configured
# larger, and few of them have lost anything.
_MAX_REMEMBERED: Final = 16_384


class EvictedStamps:
    """The versions of ended spans that may have lost their stamp; the oldest are forgotten."""

    def __init__(self) -> None:
        self._versions: dict[tuple[int, int], Version] = {}
        self._lock = threading.Lock()

    def remember(self, span: SpanContext, version: Version) -> None:
        """Keep the version of a span for the exporters."""
        with self._lock:
            if len(self._versions) >= _MAX_REMEMBERED:
                del self._versions[next(iter(self._versions))]
            self._versions[span.trace_id, span.span_id] = version

    def restored(self, span: ReadableSpan) -> ReadableSpan:
        """The span with its stamp, or as it is where nothing is known to be missing."""
        context = span.context
        # Not forgotten here: several exporters may see the same span.
        version = None if context is None else self._versions.get((context.trace_id, context.span_id))
        if version is None:
            return span
        return _RestoredSpan(span, version)


class _RestoredSpan(ReadableSpan):
    """A copy of an ended span with a stamp in front of its other attributes."""

    def __init__(self, span: ReadableSpan, version: Version) -> None:
        present = span.attributes or {}
        # The name belongs onto entry spans, which are those that link to the model.
        is_entry = any(link.context == version.model_span for link in span.links)
        stamp = version.entry_attributes if is_entry else version.link_attributes
        missing = {key: value for key, value in stamp.items() if key not in present}
        super().__init__(
            name=span.name,
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes={**missing, **present},
            events=span.events,
            links=span.links,
            kind=span.kind,
            status=span.status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )
        self._dropped = (
            max(0, span.dropped_attributes - len(missing)),
            span.dropped_events,
            span.dropped_links,
        )

    @property
    def dropped_attributes(self) -> int:
        return self._dropped[0]

    @property
    def dropped_events(self) -> int:
        return self._dropped[1]

    @property
    def dropped_links(self) -> int:
        return self._dropped[2]


evicted: Final = EvictedStamps()
