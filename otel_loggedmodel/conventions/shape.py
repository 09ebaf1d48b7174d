# SPDX-License-Identifier: Apache-2.0
"""The one shape that every module of `sources` has: who writes, and in which place each thing stands."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from otel_loggedmodel.conventions.things import Kind, Thing


class Form(enum.Enum):
    """How a place holds what it holds."""

    VALUE = "an attribute, as it is"
    JSON = "an attribute whose text is JSON"
    PYTHON = "an attribute whose text is a dictionary as Python prints it"
    TIME = "an attribute that says when, by ISO 8601"
    EVENT = "an event of the span, which says when"


@dataclass(frozen=True)
class Place:
    """Where a convention keeps one thing.

    Attributes:
        thing: What it is.
        attribute: The attribute of a span that holds it, or the name of the event.
        path: Where in the JSON, or the dictionary: names of members, and numbers of elements from 0 on.
        form: How it stands there; with a path, JSON where nothing else is said.
        since: The release that wrote it first, or up to which it was written; empty where that is not known.
        factor: What its number is multiplied by, as where a convention counts milliseconds.
        kinds: For the kind of work, what each of its values means; other values mean nothing.
    """

    thing: Thing
    attribute: str
    path: tuple[str | int, ...] = ()
    form: Form = Form.VALUE
    since: str = ""
    factor: float = 1
    kinds: Mapping[str, Kind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path and self.form is Form.VALUE:
            object.__setattr__(self, "form", Form.JSON)


@dataclass(frozen=True)
class Source:
    """A convention, or an instrumentation that follows its own.

    Attributes:
        name: What people call it.
        url: Its specification, or the code that writes it.
        places: Where it keeps things; of two places for one thing, the first that holds something counts.
    """

    name: str
    url: str
    places: tuple[Place, ...]
