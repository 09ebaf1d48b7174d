# SPDX-License-Identifier: Apache-2.0
"""Long params and tags in pieces that backends keep, and the pieces as whole values again.

Backends cut long values, drop attributes beyond some number, or lose the whole span. So a record has no value of more
than 2,000 bytes and no more than 30 attributes. What does not fit goes into further spans, which continue the record. A
long value stands in its record with its beginning and with a digest of the whole. A reader that finds all pieces can
thus tell that the value is whole. A reader that does not find them shows what it has, and says that it is cut.

The limits are those of the strictest of the common backends: Tempo and Dash0 keep 2,048 bytes of a value, and Dash0
keeps 32 attributes of a span. docs/backends has what each of them keeps, and where it says so.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Final

from otel_loggedmodel import attributes

MAX_VALUE_BYTES: Final = 2000
MAX_ATTRIBUTES: Final = 30
# A span of pieces has so many of them: with what says whose they are, no more than MAX_ATTRIBUTES.
PIECES_A_SPAN: Final = 20

# A field is what follows `logged_model.` in an attribute: `param.prompt`, `tag.team`.
_PREFIX: Final = "logged_model."
_FIELDS: Final = (attributes.PARAM_PREFIX, attributes.TAG_PREFIX)
# Compiled when a reader needs it: most processes only write.
_DIGEST: Final = r"sha256:(?P<digest>[0-9a-f]{64}):(?P<bytes>[0-9]{1,12})"
_SHOWN_DIGITS: Final = 12
# No value is longer than a version. What claims to be is nothing that this library has written.
_MAX_PIECES: Final = 2000

Values = dict[str, object]


def split(own: Values, texts: Mapping[str, str], deleted: tuple[str, ...], room_in_others: int) -> list[Values]:
    """The attributes of a record, and of the spans that continue it.

    Args:
        own: What the record says of itself. It is few and short.
        texts: Its params and tags, by the names of their attributes.
        deleted: Keys of tags that were taken away.
        room_in_others: How many attributes a span that continues it can have.
    """
    groups: list[Values] = [{attributes.TAGS_DELETED: keys} for keys in _lists_of(deleted)]
    long: list[Values] = []
    for name, text in texts.items():
        encoded = text.encode()
        if len(encoded) <= MAX_VALUE_BYTES:
            groups.append({name: text})
            continue
        field = name.removeprefix(_PREFIX)
        digest = f"sha256:{hashlib.sha256(encoded).hexdigest()}:{len(encoded)}"
        first, *rest = _cut(encoded)
        groups.append({name: first, attributes.DIGEST_PREFIX + field: digest})
        long += _spans_of_pieces(field, digest, rest)
    return [*_packed(own, groups, room_in_others), *long]


def _packed(own: Values, groups: list[Values], room_in_others: int) -> Iterator[Values]:
    values, room = dict(own), MAX_ATTRIBUTES
    for group in groups:
        # A span has one list of deleted keys, as lists of the same name would replace each other.
        if len(values) + len(group) > room or not values.keys().isdisjoint(group):
            yield values
            values, room = {}, room_in_others
        values.update(group)
    yield values


def _spans_of_pieces(field: str, digest: str, pieces: list[str]) -> Iterator[Values]:
    for start in range(0, len(pieces), PIECES_A_SPAN):
        yield {
            attributes.PIECE_OF: field,
            attributes.PIECE_DIGEST: digest,
            # The beginning, which stands in the record, is number 0.
            attributes.PIECE_FIRST: start + 1,
            **{
                f"{attributes.PIECE_PREFIX}{slot}": piece
                for slot, piece in enumerate(pieces[start : start + PIECES_A_SPAN])
            },
        }


def _cut(encoded: bytes) -> list[str]:
    """A text in pieces that are as long as they may be, cut between characters."""
    pieces = []
    start = 0
    while start < len(encoded):
        end = start + MAX_VALUE_BYTES
        while end < len(encoded) and encoded[end] & 0xC0 == 0x80:  # the middle of a character in UTF-8
            end -= 1
        pieces.append(encoded[start:end].decode())
        start = end
    return pieces


def _lists_of(keys: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Keys in lists that are short enough for a value, as stores of texts write a list as JSON."""
    start, size = 0, 0
    for index, key in enumerate(keys):
        taken = len(key.encode()) + len('"",')
        if index > start and size + taken > MAX_VALUE_BYTES:
            yield keys[start:index]
            start, size = index, 0
        size += taken
    if keys:
        yield keys[start:]


class Pieces:
    """The pieces that have arrived, of any number of versions, in any order and any number of copies."""

    def __init__(self) -> None:
        # By what makes a value the one that its digest is of: its version and the digest.
        self._found: dict[tuple[str, str], dict[int, str]] = {}

    def take(self, model_id: str, values: Mapping[str, object]) -> bool:
        """Keep the pieces that a span carries. Returns whether it is one that carries pieces."""
        digest = values.get(attributes.PIECE_DIGEST)
        if not isinstance(digest, str):
            return False
        try:
            first = int(str(values.get(attributes.PIECE_FIRST)))
        except ValueError:
            return True
        pieces = self._found.setdefault((model_id, digest), {})
        for slot in range(PIECES_A_SPAN):
            piece = values.get(f"{attributes.PIECE_PREFIX}{slot}")
            # Of two copies, the shorter one was cut on its way.
            if isinstance(piece, str) and len(piece) > len(pieces.get(first + slot, "")):
                pieces[first + slot] = piece
        return True

    def completed(self, model_id: str, values: Mapping[str, object]) -> Mapping[str, object]:
        """The attributes of a record, with its long values whole as far as their pieces have arrived."""
        digests = [name for name in values if name.startswith(attributes.DIGEST_PREFIX)]
        if not digests:
            return values
        completed = dict(values)
        for name in digests:
            whole_name = _PREFIX + name.removeprefix(attributes.DIGEST_PREFIX)
            digest, beginning = values[name], values.get(whole_name, "")
            if whole_name.startswith(_FIELDS) and isinstance(digest, str) and isinstance(beginning, str):
                completed[whole_name] = self._whole(model_id, beginning, digest)
        return completed

    def _whole(self, model_id: str, beginning: str, digest: str) -> str:
        said = re.fullmatch(_DIGEST, digest)
        if said is None:
            return beginning
        pieces = self._found.get((model_id, digest), {})
        found = [beginning]
        while len(found) < _MAX_PIECES and (piece := pieces.get(len(found))) is not None:
            found.append(piece)
        text = "".join(found)
        encoded = text.encode(errors="replace")
        # A backend that keeps everything may have been sent the whole value by an older release.
        for candidate in (encoded, beginning.encode(errors="replace")):
            if hashlib.sha256(candidate).hexdigest() == said["digest"]:
                return candidate.decode()
        # The digest tells two values apart whose beginnings are the same.
        digits = said["digest"][:_SHOWN_DIGITS]
        return f"{text}… [cut: {len(encoded):,} of {int(said['bytes']):,} bytes arrived, sha256 {digits}]"
