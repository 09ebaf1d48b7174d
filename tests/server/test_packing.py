# SPDX-License-Identifier: Apache-2.0
"""Pages are compressed for browsers that take it, without holding back what is shown first."""

import gzip
import zlib

import pytest

from otel_loggedmodel.server.packing import takes_gzip

from .conftest import Backend


@pytest.mark.parametrize(
    ("accepted", "is_taken"),
    [
        ("gzip, deflate, br, zstd", True),
        ("GZIP;q=0.5", True),
        ("*", True),
        ("br, *;q=0.1", True),
        ("gzip;q=0, *", False),
        ("gzip;q=0.000", False),
        ("gzip;q=often", False),
        ("identity", False),
        ("", False),
        (",;,gzip ;q=", True),
    ],
)
def test_a_client_says_what_it_takes(accepted: str, is_taken: bool) -> None:
    assert takes_gzip(accepted) is is_taken


def headers(encoding: str = "gzip") -> dict[str, str]:
    return {"Accept": "text/html", "Accept-Encoding": encoding}


def test_a_page_is_the_same_whether_it_is_compressed_or_not(shared: Backend) -> None:
    for path in ("/compare", "/static/pages.css", "/static/pages.js"):
        plain, packed = (shared.ask("GET", path, headers=headers(encoding)) for encoding in ("identity", "gzip"))
        assert "content-encoding" not in plain.headers
        assert packed.headers["content-encoding"] == "gzip"
        assert "Accept-Encoding" in packed.headers["vary"]
        # A page that takes long begins with a word on that.
        assert gzip.decompress(packed.body).partition(b"<main")[2] == plain.body.partition(b"<main")[2]
        assert len(packed.body) < len(plain.body) / 2
    # This is compressed already, and what is small is not worth it.
    assert "content-encoding" not in shared.ask("GET", "/static/inter-latin.woff2", headers=headers()).headers
    assert "content-encoding" not in shared.ask("GET", "/revision", headers=headers()).headers


def test_the_head_of_a_page_that_takes_long_comes_before_the_rest(shared: Backend) -> None:
    shared.reader.gate.clear()
    connection = shared.connect()
    connection.request("GET", "/traces", headers=headers())
    response = connection.getresponse()
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    head = unpacker.decompress(response.read1())
    assert b"Reading the store" in head
    assert b"<main" not in head
    shared.reader.gate.set()
    rest = unpacker.decompress(response.read())
    connection.close()
    assert unpacker.eof
    assert rest.rstrip().endswith(b"</html>")
