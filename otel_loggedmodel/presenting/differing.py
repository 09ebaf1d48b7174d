# SPDX-License-Identifier: Apache-2.0
"""How two texts differ, by words: what only the first has, what only the second has, what both have."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Words, white space, and each other character alone.
_PARTS: Final = re.compile(r"\w+|\s+|[^\w\s]")
# Matching takes time that grows with the product of both.
_MOST_PARTS: Final = 2_000
# With less in common than this, a word by word difference is confetti.
_LEAST_ALIKE: Final = 0.25


@dataclass(frozen=True)
class Piece:
    """A part of two texts.

    Attributes:
        kind: `both`, `first` (only the first has it) or `second`.
        text: The part.
    """

    kind: str
    text: str


def words_that_differ(first: str, second: str) -> list[Piece]:
    """The parts of both texts, in order; texts that have little in common are one part each."""
    if first == second:
        return [Piece("both", first)]
    before, after = _PARTS.findall(first), _PARTS.findall(second)
    if max(len(before), len(after)) > _MOST_PARTS:
        return _whole(first, second)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    if matcher.ratio() < _LEAST_ALIKE:
        return _whole(first, second)
    pieces: list[Piece] = []
    for kind, start, end, other_start, other_end in matcher.get_opcodes():
        if kind == "equal":
            _add(pieces, "both", before[start:end])
        else:
            _add(pieces, "first", before[start:end])
            _add(pieces, "second", after[other_start:other_end])
    return _without_slivers(pieces)


def only(pieces: Sequence[Piece], side: str) -> list[Piece]:
    """What one text has: `first` or `second`."""
    return [piece for piece in pieces if piece.kind in ("both", side)]


def _whole(first: str, second: str) -> list[Piece]:
    return [piece for piece in (Piece("first", first), Piece("second", second)) if piece.text]


def _add(pieces: list[Piece], kind: str, parts: Sequence[str]) -> None:
    if parts:
        pieces.append(Piece(kind, "".join(parts)))


def _without_slivers(pieces: Sequence[Piece]) -> list[Piece]:
    """White space alone between two differences belongs to them: a phrase is marked as one."""
    found: list[Piece] = []
    place = 0
    while place < len(pieces):
        first: list[str] = []
        second: list[str] = []
        while place < len(pieces):
            if pieces[place].kind == "both" and not _is_sliver(pieces, place, bool(first or second)):
                break
            piece = pieces[place]
            if piece.kind != "second":
                first.append(piece.text)
            if piece.kind != "first":
                second.append(piece.text)
            place += 1
        _add(found, "first", first)
        _add(found, "second", second)
        if place < len(pieces):
            found.append(pieces[place])
            place += 1
    return found


def _is_sliver(pieces: Sequence[Piece], place: int, is_within: bool) -> bool:
    is_before_more = place + 1 < len(pieces) and pieces[place + 1].kind != "both"
    return is_within and is_before_more and not pieces[place].text.strip()
