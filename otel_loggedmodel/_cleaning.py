# SPDX-License-Identifier: Apache-2.0
"""Text from outside made safe to print and to log.

Names, tags and error messages come from whoever sends spans, and answers from whoever takes them. Printed as they are,
they could move the cursor, recolour the screen, forge lines of a log or a table, or reverse the reading order.
"""

import re
from typing import Final

# Control characters, line and paragraph separators, what changes the direction of text, lone surrogates, and the two
# code points that neither XML nor YAML can hold.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    r"""The text on one line, with whatever could do harm written as an escape: `\x1b`, `\n`."""
    return _UNSAFE.sub(_escaped, text)


def brief(text: str, longest: int) -> str:
    """The same with single blanks for all white space, and cut off after so many characters."""
    # What is cut off need not be cleaned: an answer may be long.
    text = clean(" ".join(text[: 4 * longest].split()))
    return text if len(text) <= longest else text[: longest - 3] + "..."


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    named = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}.get(character)
    if named is not None:
        return named
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
