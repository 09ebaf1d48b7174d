# SPDX-License-Identifier: Apache-2.0
"""Puts back the stamp that a span lost to the SDK's limits on its way to the exporter.

When a span gets more attributes than its limit (128 by default), the SDK drops the oldest. The stamp is written when
the span starts, so it is the oldest. An agent's span with its messages flattened into attributes reaches the limit
easily. The links of a span that handles a batch are dropped in the same way. And a limit on the length of values
(OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT) cuts an id to one that no version has. Once a span has ended, only an exporter can
still change it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Link

from otel_loggedmodel.attributes import ID
from otel_loggedmodel.delivery.rebuilt import RebuiltSpan
from otel_loggedmodel.versions.active import is_noted_entry, noted_stamp, version_of


def restamped(span: ReadableSpan) -> ReadableSpan:
    """The span with the stamp that it was given. If nothing is missing, the span itself."""
    context = span.context
    stamp = None if context is None else noted_stamp(context)
    if context is None or stamp is None:
        return span
    present = span.attributes or {}
    is_entry = is_noted_entry(context)
    if not is_entry and present.get(ID) == stamp[ID]:
        return span  # as with nearly all spans
    lost = {key: value for key, value in stamp.items() if key not in present}
    cut = {key: value for key, value in stamp.items() if _is_cut(present.get(key), value)}
    links = _linked(span.links, stamp[ID], may_be_lost=span.dropped_links > 0) if is_entry else span.links
    if not lost and not cut and links is span.links:
        return span
    return RebuiltSpan(
        name=span.name,
        context=context,
        parent=span.parent,
        resource=span.resource,
        # The stamp goes where it was written: at the beginning.
        attributes={**lost, **_copied(present), **cut},
        events=span.events,
        links=links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
        dropped_attributes=max(0, span.dropped_attributes - len(lost)),
        dropped_events=span.dropped_events,
        dropped_links=max(0, span.dropped_links - (len(links) - len(span.links))),
    )


def _is_cut(present: object, value: str) -> bool:
    """Whether an attribute holds the beginning of a value. Any other value was set by the application itself."""
    return isinstance(present, str) and present != value and value.startswith(present)


def _linked(links: Sequence[Link], model_id: str, *, may_be_lost: bool) -> Sequence[Link]:
    """The links of an entry span, with a whole one to its model. If nothing is missing, the links themselves."""
    version = version_of(model_id)
    whole = Link(version.model_span, version.link_attributes)
    for index, link in enumerate(links):
        if link.context == whole.context:
            is_whole = (link.attributes or {}).get(ID) == model_id
            return links if is_whole else [*links[:index], whole, *links[index + 1 :]]
    return [whole, *links] if may_be_lost else links


def _copied(present: Mapping[str, Any]) -> Mapping[str, Any]:
    # Copying the SDK's mapping takes a third of the time of reading it item by item.
    copy = getattr(present, "copy", None)
    return dict(present) if copy is None else cast(Mapping[str, Any], copy())
