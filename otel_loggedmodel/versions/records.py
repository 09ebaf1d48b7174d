# SPDX-License-Identifier: Apache-2.0
"""A model's events as spans, and back.

A model is a trace. Its trace id follows from its id. So does the span id of its root, the event `created`, so that the
announcements of all processes are the same span. The other events are the root's children. In the trace one sees the
model's history. What is too large for one span goes on in children of it (see `pieces`).
"""

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast, get_args

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from otel_loggedmodel import attributes
from otel_loggedmodel.version import __version__
from otel_loggedmodel.versions import identity
from otel_loggedmodel.versions.active import model_span_of
from otel_loggedmodel.versions.model import EventKind, LoggedModel, LoggedModelStatus, ModelEvent

SPAN_NAME_PREFIX: Final = "logged_model."
CONTINUED: Final = "continued"
# Backends warn of spans that end when they begin, as clocks do not stand still.
MOMENT_NS: Final = 1000

# A model has one trace id, so a sampler on the way would keep or drop it for good. Every consistent sampler keeps a
# trace whose explicit randomness is all ones:
# https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
KEPT_BY_SAMPLERS: Final = TraceState([("ot", "rv:ffffffffffffff")])
_SCOPE: Final = InstrumentationScope("otel_loggedmodel", __version__)
_NANOSECONDS_PER_MILLISECOND: Final = 1_000_000
_KINDS: Final[tuple[str, ...]] = get_args(EventKind)


def span_of(event: ModelEvent, resource: Resource, time_ns: int | None = None) -> ReadableSpan:
    """The one span that carries an event, however large. It is for readers of this library, which keep all of it.

    Args:
        event: What happened.
        resource: The resource of the process that tells it.
        time_ns: When the span begins, if that is not when the event happened. A repetition has the present time, or
            else a backend's retention would drop it at once.
    """
    values = _own_attributes_of(event)
    if event.tags_deleted:
        values[attributes.TAGS_DELETED] = event.tags_deleted
    return _span(event, event.kind, _span_id_of(event), {**values, **_texts_of(event)}, resource, time_ns)


def spans_of(event: ModelEvent, resource: Resource, time_ns: int | None = None) -> list[ReadableSpan]:
    """The spans that carry an event so that common backends keep all of it: the record, then what continues it.

    They are built directly, past the SDK's sampler and limits. An event is the same spans whichever process sends it.

    Args:
        event: What happened.
        resource: The resource of the process that tells it.
        time_ns: When they begin, if that is not when the event happened.
    """
    # Not imported with the library: see `RecordShipper`.
    from otel_loggedmodel.versions.pieces import MAX_ATTRIBUTES, split

    span_id = _span_id_of(event)
    common: dict[str, object] = {
        attributes.EVENT: CONTINUED,
        attributes.ID: event.model_id,
        attributes.SAMPLING_PRIORITY: 1,
        attributes.CONTINUES: f"{span_id:016x}",
        attributes.EVENT_TIME: event.time_ns // _NANOSECONDS_PER_MILLISECOND,
    }
    room = MAX_ATTRIBUTES - len(common)
    # A key that is set was not taken away, whatever came first.
    deleted = tuple(key for key in event.tags_deleted if key not in event.tags)
    first, *others = split(_own_attributes_of(event), _texts_of(event), deleted, room)
    spans = [_span(event, event.kind, span_id, first, resource, time_ns)]
    for values in others:
        own_id = identity.span_id_from(json.dumps([f"{span_id:016x}", values], sort_keys=True))
        spans.append(_span(event, CONTINUED, own_id, {**common, **values}, resource, time_ns))
    return spans


def size_of(span: ReadableSpan) -> int:
    """About how many bytes the attributes of a record take."""
    return sum(len(name) + len(value) for name, value in (span.attributes or {}).items() if isinstance(value, str))


def _span(
    event: ModelEvent,
    name: str,
    span_id: int,
    values: dict[str, object],
    resource: Resource,
    time_ns: int | None,
) -> ReadableSpan:
    time_ns = event.time_ns if time_ns is None else time_ns
    root = model_span_of(event.model_id)
    parent = None
    if name == CONTINUED and event.span_id is not None:
        parent = _context(root, event.span_id)
    elif span_id != root.span_id:
        parent = root
    return ReadableSpan(
        name=SPAN_NAME_PREFIX + name,
        context=_context(root, span_id),
        parent=parent,
        resource=resource,
        attributes=cast(Any, values),
        kind=SpanKind.INTERNAL,
        status=Status(StatusCode.UNSET),
        start_time=time_ns,
        end_time=time_ns + MOMENT_NS,
        instrumentation_scope=_SCOPE,
    )


def _context(root: SpanContext, span_id: int) -> SpanContext:
    return SpanContext(
        root.trace_id,
        span_id,
        is_remote=False,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
        trace_state=KEPT_BY_SAMPLERS,
    )


def _span_id_of(event: ModelEvent) -> int:
    return identity.root_span_id_of(event.model_id) if event.span_id is None else event.span_id


def _own_attributes_of(event: ModelEvent) -> dict[str, object]:
    """What a record says, without what can be many."""
    time_ms = event.time_ns // _NANOSECONDS_PER_MILLISECOND
    values: dict[str, object] = {
        attributes.EVENT: event.kind,
        attributes.ID: event.model_id,
        attributes.SAMPLING_PRIORITY: 1,
        attributes.CREATED_AT if event.kind == "created" else attributes.EVENT_TIME: time_ms,
    }
    if event.kind == "created" and identity.is_reference(event.model_id):
        values[attributes.REFERENCE] = "name"
    optional = {
        attributes.NAME: event.name,
        attributes.EXPERIMENT_ID: event.experiment_id,
        attributes.TYPE: event.model_type,
        attributes.SOURCE_RUN_ID: event.source_run_id,
        attributes.STATUS: None if event.status is None else str(event.status),
    }
    values.update((key, value) for key, value in optional.items() if value is not None)
    return values


def _texts_of(event: ModelEvent) -> dict[str, str]:
    params = {attributes.PARAM_PREFIX + key: value for key, value in event.params.items()}
    return params | {attributes.TAG_PREFIX + key: value for key, value in event.tags.items()}


def event_of(
    span_attributes: Mapping[str, object], start_time_ns: int, span_id: int | None = None
) -> ModelEvent | None:
    """The event that a span carries; None if it carries none, or none that can be understood.

    What other spans have of the same event is not looked for: `arriving` reads events of several spans.

    Args:
        span_attributes: The span's attributes; numbers may be texts, as some stores keep them.
        start_time_ns: When the span began.
        span_id: The span's id.
    """
    kind = span_attributes.get(attributes.EVENT)
    model_id = span_attributes.get(attributes.ID)
    if kind not in _KINDS or not isinstance(model_id, str) or not model_id:
        return None
    text = functools.partial(_text, span_attributes)
    said_ms = _number(span_attributes.get(attributes.CREATED_AT if kind == "created" else attributes.EVENT_TIME))
    # The attribute has milliseconds. If the span's start is the same moment, it has the rest.
    same_moment = said_ms is None or start_time_ns // _NANOSECONDS_PER_MILLISECOND == said_ms
    time_ns = start_time_ns if same_moment else cast(int, said_ms) * _NANOSECONDS_PER_MILLISECOND
    status = text(attributes.STATUS)
    return ModelEvent(
        kind=cast(EventKind, kind),
        model_id=model_id,
        time_ns=time_ns,
        span_id=None if kind == "created" else span_id,
        name=text(attributes.NAME),
        experiment_id=text(attributes.EXPERIMENT_ID),
        model_type=text(attributes.TYPE),
        source_run_id=text(attributes.SOURCE_RUN_ID),
        status=LoggedModelStatus(status) if status in LoggedModelStatus.__members__ else None,
        params=_texts_under(attributes.PARAM_PREFIX, span_attributes),
        tags=_texts_under(attributes.TAG_PREFIX, span_attributes),
        tags_deleted=texts_of_list(span_attributes.get(attributes.TAGS_DELETED)),
    )


@dataclasses.dataclass(frozen=True)
class FoldedModel:
    """What a model's events come to.

    Attributes:
        model: Its present state. The name is None if only an activation or an update was seen.
        deleted: Whether it was deleted and not created again since.
        activations: Its activations, oldest first.
    """

    model: LoggedModel
    deleted: bool
    activations: tuple[ModelEvent, ...]


def fold(events: Iterable[ModelEvent]) -> dict[str, FoldedModel]:
    """The state of every model. Its earliest creation counts, and then the newest value for each key."""
    distinct: dict[object, ModelEvent] = {}
    for event in events:
        # Copies of an event have the same span id. Those that were sent again know its time only to the millisecond.
        key = (event.model_id, event.kind, event.time_ns if event.span_id is None else event.span_id)
        known = distinct.get(key)
        if known is None or known.time_ns < event.time_ns:
            distinct[key] = event
    by_model: dict[str, list[ModelEvent]] = {}
    for event in sorted(distinct.values(), key=lambda event: event.time_ns):
        by_model.setdefault(event.model_id, []).append(event)
    return {model_id: _fold_one(model_id, history) for model_id, history in by_model.items()}


def _fold_one(model_id: str, history: list[ModelEvent]) -> FoldedModel:
    creations = [event for event in history if event.kind == "created"]
    deletions = [event for event in history if event.kind == "deleted"]
    activations = tuple(event for event in history if event.kind == "activated")
    first = creations[0] if creations else history[0]
    params, tags, status = dict(first.params), dict(first.tags), first.status or LoggedModelStatus.READY
    last_change_ns = first.time_ns
    for event in history:
        if event.kind == "updated":
            params = {**event.params, **params}  # write-once: the first value stays
            for key in event.tags_deleted:
                tags.pop(key, None)
            tags.update(event.tags)
            status = event.status or status
            last_change_ns = max(last_change_ns, event.time_ns)
    model = LoggedModel(
        model_id=model_id,
        name=first.name or next((event.name for event in history if event.name), None),
        experiment_id=first.experiment_id or "0",
        creation_timestamp=first.time_ns // _NANOSECONDS_PER_MILLISECOND if creations else 0,
        last_updated_timestamp=last_change_ns // _NANOSECONDS_PER_MILLISECOND,
        model_type=first.model_type,
        source_run_id=first.source_run_id,
        status=status,
        tags=tags,
        params=params,
    )
    # A process that does not know of the deletion repeats the old creation. Only a later creation is a new one.
    deleted = bool(deletions) and not any(event.time_ns > deletions[-1].time_ns for event in creations)
    return FoldedModel(model, deleted, activations)


def _text(values: Mapping[str, object], key: str) -> str | None:
    value = values.get(key)
    return value if isinstance(value, str) and value else None


def _number(value: object) -> int | None:
    try:
        return int(value) if isinstance(value, int | str) else None
    except ValueError:
        return None


def _texts_under(prefix: str, values: Mapping[str, object]) -> dict[str, str]:
    return {key[len(prefix) :]: str(value) for key, value in values.items() if key.startswith(prefix)}


def texts_of_list(value: object) -> tuple[str, ...]:
    """The texts of a list, which may be written as JSON; none if it is no list."""
    if isinstance(value, str):  # stores whose attributes are all texts keep lists as JSON
        try:
            value = json.loads(value)
        except ValueError:
            return ()
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
