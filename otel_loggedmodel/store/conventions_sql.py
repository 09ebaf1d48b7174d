# SPDX-License-Identifier: Apache-2.0
"""The table of `conventions` as SQL over a span's attributes, which the Collector's table has as a map of texts."""

from collections.abc import Iterable, Iterator

from otel_loggedmodel.conventions.shape import Place
from otel_loggedmodel.conventions.status import CONSUMER_KINDS, ERROR_STATUSES, SERVER_KINDS
from otel_loggedmodel.conventions.table import places_of
from otel_loggedmodel.conventions.things import Kind, Thing


def literal(text: str) -> str:
    """A text as a constant of SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def one_of(column: str, values: Iterable[str]) -> str:
    """The condition that a column is one of some constants."""
    return f"{column} IN ({', '.join(map(literal, values))})"


FAILED = one_of("StatusCode", ERROR_STATUSES)
IS_SERVED = one_of("SpanKind", (*SERVER_KINDS, *CONSUMER_KINDS))


def text(*things: Thing) -> str:
    """The first text that a span has for one of these, empty where it has none."""
    *others, last = (_text(place) for place in places_of(*things))
    return "multiIf(" + "".join(f"{other} != '', {other}, " for other in others) + last + ")" if others else last


def raw_text(*things: Thing) -> str:
    """The first attribute that a span has for one of these, as it is written, empty where it has none."""
    *others, last = (_attribute(place) for place in places_of(*things))
    return "multiIf(" + "".join(f"{other} != '', {other}, " for other in others) + last + ")"


def count(thing: Thing) -> str:
    """The first whole number that a span has for this, NULL where it has none."""
    return f"coalesce({', '.join(_number(place, 'UInt64') for place in places_of(thing))})"


def number(thing: Thing) -> str:
    """The first number that a span has for this, NULL where it has none."""
    return f"coalesce({', '.join(_number(place, 'Float64') for place in places_of(thing))})"


def is_of_kind(*kinds: Kind) -> str:
    """The condition that a span says in any way that it is of one of these kinds."""
    return " OR ".join(_kind_conditions(kinds))


def _kind_conditions(kinds: tuple[Kind, ...]) -> Iterator[str]:
    for place in places_of(Thing.KIND):
        values = [value for value, kind in place.kinds.items() if kind in kinds]
        if values:
            # A text that is JSON is compared as it is written, in quotes.
            yield one_of(_attribute(place), (f'"{value}"' if place.is_json else value for value in values))


def _attribute(place: Place) -> str:
    return f"SpanAttributes[{literal(place.attribute)}]"


def _path(place: Place) -> str:
    # ClickHouse counts elements from 1 on.
    return "".join(f", {literal(step) if isinstance(step, str) else step + 1}" for step in place.path)


def _text(place: Place) -> str:
    if place.path or place.is_json:
        return f"JSONExtractString({_attribute(place)}{_path(place)})"
    return _attribute(place)


def _number(place: Place, type_name: str) -> str:
    if place.path:
        return f"JSONExtract({_attribute(place)}{_path(place)}, 'Nullable({type_name})')"
    return f"to{type_name}OrNull({_attribute(place)})"
