# SPDX-License-Identifier: Apache-2.0
"""Decompression that stops at a limit, before what is too large was made."""

import sys
import zlib
from typing import Any, Final

from otel_loggedmodel.server.refusing import Reason, RefusalError, content_too_large, malformed

__all__ = ["check_encoding", "decompress", "decompressor", "zstd"]

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# https://opentelemetry.io/docs/specs/otlp/ names gzip; HTTP's "deflate" is zlib's format (RFC 9110, section 8.4.1.2).
# The Collector has "zlib" for it, too.
_WBITS: Final = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS, "zlib": zlib.MAX_WBITS}
# The Collector can send it: https://github.com/open-telemetry/opentelemetry-collector/tree/main/config/configcompression
_ZSTD: Final = "zstd"
# How much of the past a decompressor keeps. Decoders should take 8 MiB (RFC 8878, section 3.1.1.1.2). They never need
# more than a body may have.
_LEAST_ZSTD_WINDOW_LOG: Final = 23
_MOST_ZSTD_WINDOW_LOG: Final = 27


def check_encoding(encoding: str) -> None:
    """See that a `Content-Encoding` is one that can be decompressed.

    Raises:
        RefusalError: It is not known here.
    """
    if encoding not in ("identity", _ZSTD, *_WBITS):
        raise RefusalError(
            Reason.UNSUPPORTED, f"Content-Encoding {encoding!r} is not known here: use gzip, zstd, deflate or none"
        )


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """What was compressed.

    Args:
        body: As it was sent.
        encoding: `identity`, `gzip`, `zstd` or `deflate`.
        limit: The most bytes that are made of it.

    Raises:
        RefusalError: It is not of that encoding, cut off, or larger than the limit.
    """
    if encoding == "identity":
        if len(body) > limit:
            raise content_too_large(limit)
        return body
    part = decompressor(encoding, limit)
    try:
        # One byte more than the limit tells what is too large from what just fits.
        plain: bytes = part.decompress(body, limit + 1)
    except (zlib.error, zstd.ZstdError) as error:
        raise malformed(f"the body is not {encoding}: {error}") from error
    if len(plain) > limit:
        raise content_too_large(limit)
    if not part.eof:
        raise malformed(f"the body is {encoding} that was cut off")
    if part.unused_data:
        raise malformed(f"there is more in the body after the end of the {encoding}")
    return plain


def decompressor(encoding: str, limit: int) -> Any:
    """What decompresses one frame or member piece by piece.

    Args:
        encoding: `gzip`, `zstd` or `deflate`.
        limit: The most bytes that are made of it, which bounds what it keeps of the past.
    """
    if encoding != _ZSTD:
        return zlib.decompressobj(wbits=_WBITS[encoding])
    window_log = max(_LEAST_ZSTD_WINDOW_LOG, min(_MOST_ZSTD_WINDOW_LOG, limit.bit_length()))
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: window_log})
