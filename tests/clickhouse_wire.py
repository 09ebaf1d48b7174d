# SPDX-License-Identifier: Apache-2.0
"""What ClickHouse's server and its clients put around statements and results.

Embedded ClickHouse gives and takes the Native format as it was at revision 0, uncompressed. Network clients ask for a
later revision, some for ClickHouse's own compressed blocks, others for HTTP's content encodings.
"""

import gzip
import struct
import sys
import zlib
from collections.abc import Iterator, Sequence

from clickhouse_connect.datatypes.registry import get_from_name
from clickhouse_connect.driver.buffer import ResponseBuffer
from clickhouse_connect.driver.compression import available_compression
from clickhouse_connect.driver.query import QueryContext

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

try:
    import lz4.block
    import lz4.frame
except ImportError:  # clickhouse-connect can do without, and then does not ask for it
    lz4 = None

# HTTP's content encodings


def encoding_for(accepted: str) -> str | None:
    """The first of the content encodings in an Accept-Encoding header that is known here."""
    names = [name.partition(";")[0].strip() for name in accepted.split(",")]
    return next((name for name in names if name in available_compression and name != "br"), None)


def encoded(content: bytes, encoding: str) -> bytes:
    if encoding == "lz4":
        return lz4.frame.compress(content)
    if encoding == "zstd":
        return zstd.compress(content)
    return gzip.compress(content, compresslevel=1) if encoding == "gzip" else zlib.compress(content)


def decoded(content: bytes, encoding: str) -> bytes:
    if encoding == "lz4":
        return _all_frames(content)
    if encoding == "zstd":
        return zstd.decompress(content)
    if encoding == "gzip":
        return gzip.decompress(content)
    if encoding == "deflate":
        return zlib.decompress(content)
    if encoding == "identity":
        return content
    raise ValueError(f"content encoding {encoding!r}")


def _all_frames(content: bytes) -> bytes:
    parts = []
    while content:
        decompressor = lz4.frame.LZ4FrameDecompressor()
        parts.append(decompressor.decompress(content))
        content = decompressor.unused_data or b""
    return b"".join(parts)


# Revisions of the Native format

WITH_BLOCK_INFO = 51903
WITH_CUSTOM_SERIALIZATION = 54454

# Field 1, "is an overflow", is 0; field 2, the bucket, is -1; there are no more.
_BLOCK_INFO = struct.pack("<B?BiB", 1, False, 2, -1, 0)


def at_revision(blocks: Sequence[bytes], revision: int) -> bytes:
    """Blocks in the Native format, at a client's revision instead of 0."""
    if revision < WITH_BLOCK_INFO:
        return b"".join(blocks)
    if revision >= WITH_CUSTOM_SERIALIZATION:
        blocks = [_with_flags(block) for block in blocks]
    return b"".join(_BLOCK_INFO + block for block in blocks)


class _Nothing:
    """Where a buffer that holds everything would read on."""

    gen: Iterator[bytes] = iter(())


def _with_flags(block: bytes) -> bytes:
    """The block with a byte after each column's type that says: serialized as usual."""
    source = ResponseBuffer(_Nothing)
    source.buffer, source.buf_sz = block, len(block)
    columns, rows = source.read_leb128(), source.read_leb128()
    parts, copied, context = [], 0, QueryContext()
    for _ in range(columns):
        source.read_leb128_str()
        column_type = get_from_name(source.read_leb128_str())
        parts += [block[copied : source.buf_loc], b"\0"]
        copied = source.buf_loc
        if rows:
            column_type.read_column(source, rows, context)  # nothing else tells where the column ends
    return b"".join((*parts, block[copied:]))


# ClickHouse's compressed blocks

# Each is: checksum, method, size of the rest including method and sizes, size of the content, the rest.
_CHECKSUM = struct.Struct("<QQ")
_HEADER = struct.Struct("<BII")
_UNCOMPRESSED, _LZ4, _ZSTD = 0x02, 0x82, 0x90
_MOST_IN_A_BLOCK = 100  # of short input the checksum is easier to compute


def to_blocks(content: bytes) -> bytes:
    """The content in ClickHouse's compressed blocks; of the methods of compression, it is "none"."""
    parts = []
    for start in range(0, len(content), _MOST_IN_A_BLOCK):
        part = content[start : start + _MOST_IN_A_BLOCK]
        block = _HEADER.pack(_UNCOMPRESSED, _HEADER.size + len(part), len(part)) + part
        parts += [_CHECKSUM.pack(*_short_hash(block)), block]
    return b"".join(parts)


def from_blocks(blocks: bytes) -> bytes:
    """The content of compressed blocks, whose checksums are taken on trust."""
    parts, position = [], 0
    while position < len(blocks):
        position += _CHECKSUM.size
        method, size, content_size = _HEADER.unpack_from(blocks, position)
        body = blocks[position + _HEADER.size : position + size]
        if method == _LZ4:
            body = lz4.block.decompress(body, uncompressed_size=content_size)
        elif method == _ZSTD:
            body = zstd.decompress(body)
        elif method != _UNCOMPRESSED:
            raise ValueError(f"compression method {method:#x}")
        parts.append(body)
        position += size
    return b"".join(parts)


_ALL_64 = 0xFFFFFFFFFFFFFFFF
_K0, _K1, _K2, _K3 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F, 0xC949D7C7509E6557


def _short_hash(data: bytes) -> tuple[int, int]:
    """CityHash128 of release 1.0.2, which ClickHouse has stayed with, of 8 to 143 bytes."""
    if len(data) >= 16:
        return _murmur(data[16:], _u64(data, 0) ^ _K3, _u64(data, 8))
    return _murmur(b"", _u64(data, 0) ^ (len(data) * _K0 & _ALL_64), _u64(data, len(data) - 8) ^ _K1)


def _murmur(data: bytes, a: int, b: int) -> tuple[int, int]:
    if len(data) <= 16:
        a = _mixed(a * _K1) * _K1 & _ALL_64
        c = (b * _K1 + _hash_up_to_16(data)) & _ALL_64
        d = _mixed(a + (_u64(data, 0) if len(data) >= 8 else c))
    else:
        c = _hash_16(_u64(data, len(data) - 8) + _K1, a)
        d = _hash_16(b + len(data), c + _u64(data, len(data) - 16))
        a = (a + d) & _ALL_64
        # The last bytes, up to 16, were mixed in above.
        for start in range(0, len(data) - 16, 16):
            a = (a ^ _mixed(_u64(data, start) * _K1) * _K1) * _K1 & _ALL_64
            b ^= a
            c = (c ^ _mixed(_u64(data, start + 8) * _K1) * _K1) * _K1 & _ALL_64
            d ^= c
    a, b = _hash_16(a, c), _hash_16(d, b)
    return a ^ b, _hash_16(b, a)


def _hash_up_to_16(data: bytes) -> int:
    size = len(data)
    if size > 8:
        last = _u64(data, size - 8)
        shifted = (last + size) & _ALL_64
        rotated = (shifted >> size | shifted << 64 - size) & _ALL_64
        return _hash_16(_u64(data, 0), rotated) ^ last
    if size >= 4:
        first, last = struct.unpack_from("<I", data)[0], struct.unpack_from("<I", data, size - 4)[0]
        return _hash_16(size + (first << 3), last)
    if size > 0:
        low = data[0] + (data[size >> 1] << 8)
        high = size + (data[-1] << 2)
        return _mixed(low * _K2 ^ high * _K3) * _K2 & _ALL_64
    return _K2


def _hash_16(low: int, high: int) -> int:
    multiplier = 0x9DDFEA08EB382D69
    a = ((low ^ high) & _ALL_64) * multiplier & _ALL_64
    a ^= a >> 47
    b = ((high ^ a) & _ALL_64) * multiplier & _ALL_64
    b ^= b >> 47
    return b * multiplier & _ALL_64


def _mixed(value: int) -> int:
    value &= _ALL_64
    return value ^ value >> 47


def _u64(data: bytes, start: int) -> int:
    return int(struct.unpack_from("<Q", data, start)[0])
