# SPDX-License-Identifier: Apache-2.0
"""What a span says, for those who read spans one by one; the store asks the same table in SQL.

A value that cannot be what it is said to be is not believed: a count that is negative or huge, a cost that is not
finite. The next place is asked then, as if the attribute were not there.
"""

import ast
import json
import math
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from otel_loggedmodel.conventions.shape import Form, Place
from otel_loggedmodel.conventions.sources import mlflow
from otel_loggedmodel.conventions.table import places_of
from otel_loggedmodel.conventions.things import Kind, Thing

_NAMES: Final = {Kind.BUILD: "AGENT"}
LARGEST_COUNT: Final = 2**53
"""No count of tokens is larger; up to here every system has whole numbers."""


def name_of(attributes: Mapping[str, Any], *things: Thing) -> str | None:
    """The first name that a span has for one of these, and that is not empty; a list or a map is no name.

    Args:
        attributes: The span's attributes; values may be texts, as stores have them, or of their own types.
        *things: Which, in order.
    """
    if _attributes_of(*things).isdisjoint(attributes):
        return None
    for place in places_of(*things):
        value = _value_at(attributes, place)
        if isinstance(value, str) and value and value[0] not in "[{":
            return value
    return None


def count_of(attributes: Mapping[str, Any], thing: Thing) -> int | None:
    """The first whole number that a span has for this, up to `LARGEST_COUNT`; 0 only where no place has more."""
    if _attributes_of(thing).isdisjoint(attributes):
        return None
    found = None
    for place in places_of(thing):
        count = _count(_value_at(attributes, place))
        if count:
            return count
        found = count if found is None else found
    return found


def number_of(attributes: Mapping[str, Any], thing: Thing) -> float | None:
    """The first finite number that a span has for this and that is not negative; 0 only where no place has more."""
    if _attributes_of(thing).isdisjoint(attributes):
        return None
    found = None
    for place in places_of(thing):
        number = _number(_value_at(attributes, place))
        if number:
            return number * place.factor
        found = number if found is None else found
    return found


def kind_of(attributes: Mapping[str, Any]) -> Kind | None:
    """What kind of work a span is, where it says so in a way that a convention knows."""
    for place in places_of(Thing.KIND):
        value = _value_at(attributes, place)
        kind = place.kinds.get(value) if isinstance(value, str) else None
        if kind is not None:
            return kind
    return None


def kind_name_of(attributes: Mapping[str, Any]) -> str | None:
    """What kind of work a span is, as MLflow calls it: `LLM`, `TOOL`; a kind that no convention knows in capitals."""
    kind = kind_of(attributes)
    for place in places_of(Thing.KIND):
        value = _value_at(attributes, place)
        if isinstance(value, str) and value and (kind is None or value in place.kinds):
            name = value.upper()
            return name if kind is None or name in mlflow.KINDS else _NAMES.get(kind, str(kind))
    return None


@cache
def _attributes_of(*things: Thing) -> frozenset[str]:
    """The attributes that may have one of these. Most spans have none of them, which is seen at once."""
    return frozenset(place.attribute for place in places_of(*things))


def _value_at(attributes: Mapping[str, Any], place: Place) -> Any:
    value = attributes.get(place.attribute)
    if value is None or place.form is Form.VALUE:
        return value
    if place.form not in (Form.JSON, Form.PYTHON):
        return None  # it takes more than attributes to tell
    if isinstance(value, str):
        try:
            value = json.loads(value) if place.form is Form.JSON else ast.literal_eval(value)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None if place.path else value
    for step in place.path:
        if isinstance(step, str) and isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list | tuple) and len(value) > step:
            value = value[step]
        else:
            return None
    return value


def _count(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number <= LARGEST_COUNT and number == int(number) else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and number >= 0 else None
