# SPDX-License-Identifier: Apache-2.0
"""Puts back the stamp that a span lost on its way to the exporter.

The SDK drops a span's oldest attribute when it gets more than its limit, 128 by default, and the stamp, written when
the span starts, is the oldest. An agent's span with its messages flattened into attributes reaches that easily, and at
its end nobody but an exporter can still change it.
"""

from collections.abc import Mapping
from typing import Any, cast

from opentelemetry.sdk.trace import ReadableSpan

from otel_loggedmodel.delivery.rebuilt import RebuiltSpan
from otel_loggedmodel.versions.active import noted_stamp


def restamped(span: ReadableSpan) -> ReadableSpan:
    """The span with the stamp that it was given, or as it is where nothing is missing."""
    stamp = None if span.context is None else noted_stamp(span.context)
    present = span.attributes or {}
    missing = {key: value for key, value in (stamp or {}).items() if key not in present}
    if not missing:
        return span
    return RebuiltSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={**missing, **_copied(present)},
        events=span.events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
        dropped_attributes=max(0, span.dropped_attributes - len(missing)),
        dropped_events=span.dropped_events,
        dropped_links=span.dropped_links,
    )


def _copied(present: Mapping[str, Any]) -> Mapping[str, Any]:
    # The SDK's mapping copies itself in a third of the time in which it can be read item by item.
    copy = getattr(present, "copy", None)
    return dict(present) if copy is None else cast(Mapping[str, Any], copy())
