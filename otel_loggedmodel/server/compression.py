# SPDX-License-Identifier: Apache-2.0
"""Decompression that stops at a limit, before what is too large was made."""

import zlib
from typing import Final

from otel_loggedmodel.server.refusing import Reason, RefusalError, content_too_large, malformed

# https://opentelemetry.io/docs/specs/otlp/ names gzip; HTTP's "deflate" is zlib's format (RFC 9110, section 8.4.1.2).
_WBITS: Final = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


def check_encoding(encoding: str) -> None:
    """See that a `Content-Encoding` is one that can be decompressed.

    Raises:
        RefusalError: It is none.
    """
    if encoding not in ("identity", *_WBITS):
        raise RefusalError(
            Reason.UNSUPPORTED, f"Content-Encoding {encoding!r} is not known here: use gzip, deflate or none"
        )


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """What was compressed.

    Args:
        body: As it was sent.
        encoding: `identity`, `gzip` or `deflate`.
        limit: The most bytes that are made of it.

    Raises:
        RefusalError: It is not of that encoding, cut off, or larger than the limit.
    """
    if encoding == "identity":
        if len(body) > limit:
            raise content_too_large(limit)
        return body
    decompressor = zlib.decompressobj(wbits=_WBITS[encoding])
    try:
        # A byte more than there is room for tells what is too large from what just fits.
        plain = decompressor.decompress(body, limit + 1)
    except zlib.error as error:
        raise malformed(f"the body is not {encoding}: {error}") from error
    if len(plain) > limit:
        raise content_too_large(limit)
    if not decompressor.eof:
        raise malformed(f"the body is {encoding} that was cut off")
    if decompressor.unused_data:
        raise malformed(f"there is more in the body after the end of the {encoding}")
    return plain
