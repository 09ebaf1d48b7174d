# SPDX-License-Identifier: Apache-2.0
"""Query parameters of the JSON API, each checked: one that is misspelt must not widen what is asked for."""

import re
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta, timezone
from typing import Final

from otel_loggedmodel.presenting.selecting import prompt_of
from otel_loggedmodel.store.reading import MOST_TRIES, Selection

SELECTION: Final = frozenset(
    {
        *("since", "until", "service", "attribute", "dataset", "production", "prompt", "agent"),
        *("by", "runs", "failed_rows", "pass_at"),
    }
)

# RFC 3339, section 5.6. A plus sign that nobody escaped arrives as a blank.
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+\- ])(\d\d):(\d\d))", re.ASCII)


class BadParameterError(Exception):
    """A parameter is unknown, missing or wrong; the text says which and how."""


class Parameters:
    """The parameters of one question.

    Args:
        items: Names and values, in order.
        known: The names that this question has.

    Raises:
        BadParameterError: There are others.
    """

    def __init__(self, items: Iterable[tuple[str, str]], known: Collection[str]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in items:
            self._values.setdefault(name, []).append(value)
        unknown = sorted(set(self._values) - set(known))
        if unknown:
            there_are = ", ".join(sorted(known)) if known else "none"
            raise BadParameterError(f"no parameter {', '.join(map(repr, unknown))} here; there are: {there_are}")

    def text(self, name: str) -> str | None:
        """A parameter that is given once or not at all."""
        values = self._values.get(name)
        if values is None:
            return None
        if len(values) > 1:
            raise BadParameterError(f"{name} is given {len(values)} times: once at most")
        return values[0]

    def texts(self, name: str) -> list[str]:
        """A parameter that is given any number of times."""
        return self._values.get(name, [])

    def pairs(self, name: str) -> dict[str, str]:
        """A parameter whose values are `key=value`."""
        pairs: dict[str, str] = {}
        for text in self.texts(name):
            key, equals, value = text.partition("=")
            if not equals or not key:
                raise BadParameterError(f"{name} is {text!r}: expected key=value")
            if pairs.setdefault(key, value) != value:
                raise BadParameterError(f"{name} {key!r} is given with two values")
        return pairs

    def flag(self, name: str) -> bool:
        """A parameter that is `true` or `false`, by default false."""
        return self.choice(name, ("false", "true"), "false") == "true"

    def choice(self, name: str, choices: Collection[str], default: str) -> str:
        """A parameter that is one of a few."""
        text = self.text(name)
        if text is None:
            return default
        if text not in choices:
            raise BadParameterError(f"{name} is {text!r}: expected one of {', '.join(choices)}")
        return text

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """A parameter that is a whole number."""
        text = self.text(name)
        if text is None:
            return default
        if not re.fullmatch(r"[0-9]{1,12}", text) or not least <= int(text) <= most:
            raise BadParameterError(f"{name} is {text!r}: expected a number between {least} and {most}")
        return int(text)

    def time(self, name: str) -> datetime | None:
        """A parameter that is a time in the form of RFC 3339."""
        text = self.text(name)
        if text is None:
            return None
        match = _TIME.fullmatch(text)
        try:
            if match is None:
                raise ValueError(text)
            date, time, fraction, sign, hours, minutes = match.groups()
            offset = timedelta(hours=int(hours), minutes=int(minutes)) if sign else timedelta()
            zone = timezone(-offset if sign == "-" else offset)
            microseconds = f"{fraction or '0':0<6.6}"
            return datetime.fromisoformat(f"{date}T{time}.{microseconds}").replace(tzinfo=zone)
        except ValueError:
            raise BadParameterError(
                f"{name} is {text!r}: expected a time with its zone as RFC 3339 has it, 2026-01-31T18:30:00Z"
            ) from None

    def selection(self) -> Selection:
        """The parameters that say which traces count."""
        since, until = self.time("since"), self.time("until")
        if since is not None and until is not None and since >= until:
            raise BadParameterError("since is not before until: nothing lies between them")
        dataset, production = self.text("dataset"), self.flag("production")
        if dataset is not None and production:
            raise BadParameterError("dataset and production exclude each other: production is what is of no data set")
        return Selection(
            since=since,
            until=until,
            service=self.text("service"),
            attributes=self.pairs("attribute"),
            dataset=dataset,
            production=production,
            prompt=None if (prompt := self.text("prompt")) is None else prompt_of(prompt),
            agent=self.text("agent"),
            by=self.text("by") or None,
            runs=self.choice("runs", ("latest", "all"), "latest"),
            failed_rows=self.choice("failed_rows", ("skip", "zero"), "skip"),
            pass_at=self.number("pass_at", 0, 1, MOST_TRIES) or None,
        )
