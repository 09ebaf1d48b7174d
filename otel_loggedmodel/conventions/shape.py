# SPDX-License-Identifier: Apache-2.0
"""The one shape that every module of `sources` has: who writes, and in which place each thing stands."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from otel_loggedmodel.conventions.things import Kind, Thing


@dataclass(frozen=True)
class Place:
    """Where a convention keeps one thing.

    Attributes:
        thing: What it is.
        attribute: The attribute of a span that holds it.
        path: Where in that attribute, if it is JSON: names of members, and numbers of elements from 0 on. An empty path
            is a plain attribute.
        since: The release that wrote it first, or up to which it was written; empty where that is not known.
        factor: What its number is multiplied by, as where a convention counts milliseconds.
        kinds: For the kind of work, what each of its values means; other values mean nothing.
        is_json: Whether a text is written as JSON, in quotes.
    """

    thing: Thing
    attribute: str
    path: tuple[str | int, ...] = ()
    since: str = ""
    factor: float = 1
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    is_json: bool = False


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
