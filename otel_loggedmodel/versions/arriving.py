# SPDX-License-Identifier: Apache-2.0
"""Events out of the spans that carry them, where an event may be several spans (see `pieces`).

Spans arrive in any order and any number of copies, and some do not arrive. Records of older releases are one span each.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from otel_loggedmodel import attributes
from otel_loggedmodel.versions import identity
from otel_loggedmodel.versions.model import ModelEvent
from otel_loggedmodel.versions.pieces import Pieces
from otel_loggedmodel.versions.records import CONTINUED, SPAN_NAME_PREFIX, event_of, texts_of_list

_TEXTS: Final = (attributes.PARAM_PREFIX, attributes.TAG_PREFIX)


class Arrived(NamedTuple):
    """A span as a reader found it.

    Attributes:
        values: Its attributes; numbers may be texts, as some stores keep them.
        start_ns: When it began.
        span_id: Its id.
    """

    values: Mapping[str, object]
    start_ns: int
    span_id: int


def events_of(spans: Iterable[Arrived]) -> list[ModelEvent]:
    """The events that spans carry, in whatever order and in however many copies they arrived.

    A long value whose pieces have not all arrived is cut, and says so. What continues a record that has not arrived is
    an event of its own.
    """
    return [event for _, event in numbered_events_of(spans)]


def numbered_events_of(spans: Iterable[Arrived]) -> Iterator[tuple[int, ModelEvent]]:
    """The same, each with the number of the span that it was found in, counted from 0."""
    pieces = Pieces()
    rests: dict[tuple[str, str], list[tuple[int, Arrived]]] = {}
    found: list[tuple[int, Arrived]] = []
    for number, span in enumerate(spans):
        model_id = span.values.get(attributes.ID)
        if span.values.get(attributes.EVENT) != CONTINUED or not isinstance(model_id, str):
            found.append((number, span))
        elif not pieces.take(model_id, span.values):
            key = (model_id, str(span.values.get(attributes.CONTINUES)))
            rests.setdefault(key, []).append((number, span))
    for rest in rests.values():
        rest.sort(key=lambda one: (one[1].start_ns, one[1].span_id))
    continued: set[tuple[str, str]] = set()
    for number, span in found:
        model_id = str(span.values.get(attributes.ID))
        is_root = span.values.get(attributes.EVENT) == "created"
        key = (model_id, f"{identity.root_span_id_of(model_id) if is_root else span.span_id:016x}")
        continued.add(key)
        values = _joined(span.values, [one.values for _, one in rests.get(key, ())])
        event = event_of(pieces.completed(model_id, values), span.start_ns, span.span_id)
        if event is not None:
            yield number, event
    for key, rest in rests.items():
        if key not in continued:
            # To say what arrived is better than to say nothing.
            for number, span in rest:
                values = {**pieces.completed(key[0], span.values), attributes.EVENT: "updated"}
                event = event_of(values, span.start_ns, span.span_id)
                if event is not None:
                    yield number, event


def _joined(values: Mapping[str, object], rests: list[Mapping[str, object]]) -> Mapping[str, object]:
    """The attributes of a record with those of the spans that continue it. Its own count, then the oldest."""
    if not rests:
        return values
    joined = dict(values)
    deleted = list(texts_of_list(values.get(attributes.TAGS_DELETED)))
    for rest in rests:
        deleted += texts_of_list(rest.get(attributes.TAGS_DELETED))
        for name, value in rest.items():
            if name.startswith(_TEXTS) and name not in joined:
                joined[name] = value
                digest = attributes.DIGEST_PREFIX + name.removeprefix(SPAN_NAME_PREFIX)
                if digest in rest:
                    joined[digest] = rest[digest]
    if deleted:
        joined[attributes.TAGS_DELETED] = list(dict.fromkeys(deleted))
    return joined
