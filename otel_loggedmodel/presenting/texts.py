# SPDX-License-Identifier: Apache-2.0
"""Text from outside made safe to print.

Names, tags and error messages come from whoever sends spans. Printed as they are, they could move the cursor, recolour
the screen, forge lines of a table or reverse the reading order.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Final

# Control characters, line and paragraph separators, what changes the direction of text, lone surrogates, and the two
# code points that neither XML nor YAML can hold.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_USER_OF_URL: Final = re.compile(r"//[^/\s]*@")
_SECRET_IN_QUERY: Final = re.compile(r"(?i)\b([\w-]*(?:key|token|secret|password)[\w-]*=)[^&\s,]+")


def clean(text: str) -> str:
    r"""The text on one line, with whatever could do harm written as an escape: `\x1b`, `\n`."""
    return _UNSAFE.sub(_escaped, text)


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


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    named = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(character)
    if named is not None:
        return named
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
