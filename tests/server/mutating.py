# SPDX-License-Identifier: Apache-2.0
"""Makes odd requests of sound ones: bytes and pieces that are changed, cut out, repeated, or taken from another."""

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

CORPUS: Final = Path(__file__).parent / "corpus"
# Lengths, tags and ends of numbers, as protobuf writes them.
_INTERESTING: Final = (b"\0", b"\x01", b"\x7f", b"\x80", b"\xff", b"\x0a", b"\x12", b"\x80\x01", b"\xff" * 9 + b"\x01")
_ODD_VALUES: Final[Sequence[Any]] = (
    *(None, True, False, 0, -1, 2**63, 2**64, 1e308, 0.5, "", "0", "x", "NaN", [], {}, [None], {"": ""}, [[]]),
    *("ff" * 16, "-" * 32, "\u0000", "\ud800", "9" * 30),
)
_MOST_BYTES: Final = 20_000


def corpus(suffix: str) -> list[bytes]:
    """The requests to begin with."""
    return [path.read_bytes() for path in sorted(CORPUS.glob(f"*{suffix}"))]


def mutated(rng: random.Random, bodies: Sequence[bytes]) -> bytes:
    """One of some requests, with a few changes to its bytes."""
    body = bytearray(rng.choice(bodies))
    for _ in range(rng.randint(1, 6)):
        rng.choice(_CHANGES)(rng, body, bodies)
    return bytes(body[:_MOST_BYTES])


def mutated_json(rng: random.Random, bodies: Sequence[bytes]) -> bytes:
    """The same for JSON, of which most changes are to what the text means."""
    if rng.random() < 0.3:
        return mutated(rng, bodies)
    document = json.loads(rng.choice(bodies))
    for _ in range(rng.randint(1, 4)):
        document = _changed(rng, document)
    return json.dumps(document).encode("utf-8", "surrogatepass")[:_MOST_BYTES]


def _changed(rng: random.Random, value: Any) -> Any:
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(sorted(value))
        match rng.randrange(12):
            case 0:
                return {name: inner for name, inner in value.items() if name != key}
            case 1:
                return {**value, rng.choice(("zzz", key.upper(), "value", "spans")): value[key]}
            case _:
                return {**value, key: _changed(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        match rng.randrange(8):
            case 0:
                return value[:place] + value[place + 1 :]
            case 1:
                return value + [value[place]] * rng.randint(1, 20)
            case _:
                return [*value[:place], _changed(rng, value[place]), *value[place + 1 :]]
    return rng.choice(_ODD_VALUES)


def _flip(rng: random.Random, body: bytearray, bodies: Sequence[bytes]) -> None:
    if body:
        body[rng.randrange(len(body))] ^= 1 << rng.randrange(8)


def _set(rng: random.Random, body: bytearray, bodies: Sequence[bytes]) -> None:
    place = rng.randint(0, len(body))
    new = rng.choice(_INTERESTING)
    body[place : place + len(new)] = new


def _insert(rng: random.Random, body: bytearray, bodies: Sequence[bytes]) -> None:
    place = rng.randint(0, len(body))
    body[place:place] = rng.randbytes(rng.randint(1, 8))


def _cut(rng: random.Random, body: bytearray, bodies: Sequence[bytes]) -> None:
    place = rng.randint(0, len(body))
    del body[place : place + rng.randint(1, 1 + len(body) // 4)]


def _repeat(rng: random.Random, body: bytearray, bodies: Sequence[bytes]) -> None:
    place = rng.randint(0, len(body))
    body[place:place] = body[place : place + rng.randint(1, 64)] * rng.randint(1, 8)


def _splice(rng: random.Random, body: bytearray, bodies: Sequence[bytes]) -> None:
    other = rng.choice(bodies)
    start = rng.randint(0, len(other))
    place = rng.randint(0, len(body))
    body[place:] = other[start:]


_CHANGES: Final[Sequence[Callable[[random.Random, bytearray, Sequence[bytes]], None]]] = (
    *(_flip, _flip, _set, _insert, _cut, _repeat, _splice),
)
