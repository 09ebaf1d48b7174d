# SPDX-License-Identifier: Apache-2.0
"""Text from outside made safe to show: without what could do harm (see `_cleaning`), without secrets."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from otel_loggedmodel._cleaning import clean

__all__ = ["clean", "clean_lines", "cut", "did_you_mean", "in_brief", "where_they_differ", "without_secrets"]

_MOST_OF_A_VALUE: Final = 80
_MOST_PAIRS: Final = 20
_MOST_COMPARED: Final = 600
_BEFORE_DIFFERENCE: Final = 60

_USER_OF_URL: Final = re.compile(r"//[^/\s]*@")
_SECRET_IN_QUERY: Final = re.compile(r"(?i)\b([\w-]*(?:key|token|secret|password)[\w-]*=)[^&\s,]+")


def clean_lines(text: str) -> str:
    """The same for a message of several lines."""
    return "\n".join(clean(line) for line in text.splitlines())


def cut(text: str, longest: int = _MOST_OF_A_VALUE) -> str:
    """The text, or its beginning where it is long. A param may be a prompt of 1 MiB."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def in_brief(texts: Mapping[str, str]) -> str:
    """Params or tags in a line of a list: `k=5, llm=gpt-5`."""
    shown = [f"{key}={cut(value)}" for key, value in sorted(texts.items())[:_MOST_PAIRS]]
    return ", ".join(shown) + (f", and {len(texts) - len(shown):,} more" if len(texts) > len(shown) else "")


def where_they_differ(values: Sequence[str | None], longest: int = _MOST_COMPARED) -> list[str | None]:
    """The same values, each long one cut to where they begin to differ."""
    texts = [value for value in values if value is not None]
    if max(map(len, texts), default=0) <= longest:
        return list(values)
    common = 0
    if len(texts) == len(values):
        columns = enumerate(zip(*texts, strict=False))
        common = next((place for place, column in columns if len(set(column)) > 1), min(map(len, texts)))
    start = max(0, common - _BEFORE_DIFFERENCE)
    return [None if value is None else ("…" if start else "") + cut(value[start:], longest) for value in values]


def without_secrets(text: str) -> str:
    """The text with the user and password of URLs, and what looks like a key in a query, replaced."""
    return _SECRET_IN_QUERY.sub(r"\1***", _USER_OF_URL.sub("//***@", text))


def did_you_mean(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """` Did you mean 'b'?` where something known is close to a word, else nothing.

    Args:
        word: What was written.
        known: What could have been meant.
        likeness: How close, between 0 and 1; higher where all that is known has much in common.
    """
    candidates = list(known)
    close = difflib.get_close_matches(word, candidates, n=3, cutoff=likeness)
    close += [one for one in candidates if one.rpartition(".")[2] == word and one not in close]
    if not close:
        return ""
    return f" Did you mean {' or '.join(repr(clean(one)) for one in close[:3])}?"
