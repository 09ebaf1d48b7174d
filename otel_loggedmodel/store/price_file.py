# SPDX-License-Identifier: Apache-2.0
"""Prices of one's own, in a file of TOML: for models without a list price, discounts and contracts.

Each `[[price]]` has a `model`, the price of `input` and `output` in US dollars for a million tokens, and what else is
priced apart. A `*` stands for anything in a model's name. With `from`, a price holds from then on; of several that
hold, the latest counts, and of these the last in the file.
"""

import difflib
import fnmatch
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any, Final

from otel_loggedmodel.store.prices import KINDS, Called, Prices, Schedule
from otel_loggedmodel.store.reading import ReadingError

_PER_MILLION: Final = (*KINDS, "reasoning")
_KEYS: Final = ("model", "provider", "from", "request", *_PER_MILLION)
_ALWAYS: Final = datetime(1, 1, 1, tzinfo=timezone.utc)
_MILLION: Final = 1_000_000


@dataclass(frozen=True)
class Entry:
    """One price of a file.

    Attributes:
        model: The model's name; `*` stands for anything.
        provider: The provider whose price it is; None for any.
        since: When it begins to hold.
        prices: The prices per token.
    """

    model: str
    provider: str | None
    since: datetime
    prices: Prices

    def fits(self, called: Called) -> bool:
        """Whether it is a price of what was called."""
        names = [name.lower() for name in (called.model, called.asked) if name]
        return (self.provider is None or self.provider.lower() == called.provider.lower()) and any(
            fnmatch.fnmatchcase(name, self.model.lower()) for name in names
        )


@dataclass(frozen=True)
class _Own(Schedule):
    entries: Sequence[Entry]
    otherwise: Schedule | None

    def at(self, when: datetime) -> tuple[Prices, ...]:
        held = [entry for entry in self.entries if entry.since <= when]
        if held:
            return (max(enumerate(held), key=lambda one: (one[1].since, one[0]))[1].prices,)
        return () if self.otherwise is None else self.otherwise.at(when)

    def dates(self) -> frozenset[datetime]:
        own = frozenset(entry.since for entry in self.entries if entry.since != _ALWAYS)
        return own if self.otherwise is None else own | self.otherwise.dates()

    def times(self) -> frozenset[int]:
        return frozenset() if self.otherwise is None else self.otherwise.times()


@dataclass(frozen=True)
class PriceFile:
    """The prices of a file."""

    entries: tuple[Entry, ...] = ()

    def schedule_of(self, called: Called, otherwise: Schedule | None) -> Schedule | None:
        """The prices of what was called: those of the file, or `otherwise` for a time when the file has none."""
        found = [entry for entry in self.entries if entry.fits(called)]
        return _Own(found, otherwise) if found else otherwise


NO_FILE: Final = PriceFile()


def read(path: str | Path) -> PriceFile:
    """Read a file of prices.

    Raises:
        ReadingError: It cannot be read, or something in it is wrong; the text says where, and what to write.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ReadingError(f"the file of prices {path} cannot be read: {error}") from None
    # The standard library has it from Python 3.11 on, which everything that reads stores needs.
    import tomllib  # type: ignore[import-not-found]

    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ReadingError(f"{path} is no TOML: {error}") from None
    lines = [number for number, line in enumerate(text.splitlines(), 1) if re.match(r"\s*\[\[\s*price\s*\]\]", line)]
    unknown = [key for key in found if key != "price"]
    if unknown:
        raise ReadingError(f"{path}: {unknown[0]!r} means nothing here; write each price under [[price]]")
    tables = found.get("price", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ReadingError(f"{path}: 'price' is no list of tables; write each price under [[price]], in two brackets")
    where = [f"{path}, line {lines[place]}" if place < len(lines) else str(path) for place in range(len(tables))]
    return PriceFile(tuple(_entry(table, at) for table, at in zip(tables, where, strict=True)))


def _entry(table: Mapping[str, Any], at: str) -> Entry:
    for key in table:
        if key not in _KEYS:
            close = difflib.get_close_matches(key, _KEYS, n=1)
            advice = f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(_KEYS)}"
            raise ReadingError(f"{at}: a price has no key {key!r}{advice}")
    model, provider = table.get("model"), table.get("provider")
    if not isinstance(model, str) or not model.strip():
        raise ReadingError(f'{at}: a price needs the name of its model: write model = "my-model"')
    if provider is not None and not isinstance(provider, str):
        raise ReadingError(f'{at}: provider is {provider!r}: write a text, provider = "openai"')
    numbers = {key: _dollars(table[key], key, at) for key in (*_PER_MILLION, "request") if key in table}
    for key in ("input", "output"):
        if key not in numbers:
            raise ReadingError(
                f"{at}: the price of {model!r} lacks {key!r}: write {key} = 2.5, US dollars per million tokens"
            )
    per_token = {key: numbers[key] / _MILLION for key in _PER_MILLION if key in numbers}
    plain, read_, given = per_token["input"], per_token.get("cache_read"), per_token["output"]
    cached = plain if read_ is None else read_
    return Entry(
        model.strip(),
        provider,
        _since(table.get("from"), at),
        Prices(
            0,
            input=plain,
            output=given,
            cache_read=cached,
            cache_write=per_token.get("cache_write", plain),
            input_audio=per_token.get("input_audio", plain),
            input_image=per_token.get("input_image", plain),
            cache_read_audio=per_token.get("cache_read_audio", cached),
            output_audio=per_token.get("output_audio", given),
            output_image=per_token.get("output_image", given),
            reasoning=per_token.get("reasoning"),
            request=numbers.get("request", 0.0),
        ),
    )


def _dollars(value: Any, key: str, at: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        unit = "for a request" if key == "request" else "per million tokens"
        raise ReadingError(f"{at}: {key} is {value!r}: write a number of US dollars {unit}, such as {key} = 2.5")
    return float(value)


def _since(value: Any, at: str) -> datetime:
    if value is None:
        return _ALWAYS
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=timezone.utc)
    raise ReadingError(f"{at}: from is {value!r}: write a date without quotes, from = 2026-03-01")
