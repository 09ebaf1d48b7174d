# SPDX-License-Identifier: Apache-2.0
"""The files that pages refer to: style, script, font and icon, by addresses that change with their content."""

import functools
import gzip
import hashlib
from importlib import resources
from typing import Final

NAMES: Final = ("pages.css", "pages.js", "inter-latin.woff2", "icon.svg")
_FONT: Final = "inter-latin.woff2"
_FONTS: Final = "fonts.css"
# A font is compressed already, and so small a picture fits into one packet.
_PACKED: Final = frozenset({"pages.css", "pages.js"})


@functools.cache
def read(name: str) -> bytes:
    """A file as it is in the package.

    Raises:
        FileNotFoundError: There is none of this name.
    """
    return resources.files("otel_loggedmodel.pages").joinpath("static").joinpath(name).read_bytes()


@functools.cache
def content(name: str) -> bytes:
    """A file as browsers get it."""
    if name != "pages.css":
        return read(name)
    # The font is in the same file as the rest of the style, as each request holds up the first paint.
    plain = f"/static/{_FONT}".encode()
    return read(_FONTS).replace(plain, address(_FONT).encode()) + read(name)


@functools.cache
def packed(name: str) -> bytes | None:
    """The same, compressed; None if that is not worth it."""
    return gzip.compress(content(name), 9, mtime=0) if name in _PACKED else None


@functools.cache
def digest(name: str) -> str:
    """What changes with the content of a file."""
    return hashlib.sha256(content(name)).hexdigest()[:8]


@functools.cache
def address(name: str) -> str:
    """Where pages find a file."""
    return f"/static/{name}?v={digest(name)}"


def warm_up() -> None:
    """Read and compress them now, so that the first page does not wait for it."""
    for name in NAMES:
        address(name)
        packed(name)
