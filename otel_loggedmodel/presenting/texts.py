# SPDX-License-Identifier: Apache-2.0
"""Text from outside made safe to show: without what could do harm (see `_cleaning`), without secrets."""

import difflib
import re
from collections.abc import Iterable
from typing import Final

from otel_loggedmodel._cleaning import clean

__all__ = ["clean", "clean_lines", "did_you_mean", "without_secrets"]

_USER_OF_URL: Final = re.compile(r"//[^/\s]*@")
_SECRET_IN_QUERY: Final = re.compile(r"(?i)\b([\w-]*(?:key|token|secret|password)[\w-]*=)[^&\s,]+")


def clean_lines(text: str) -> str:
    """The same for a message of several lines."""
    return "\n".join(clean(line) for line in text.splitlines())


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
