# SPDX-License-Identifier: Apache-2.0
"""From the bytes of a request to what a store can take of it, for both transports."""

import contextlib
import hashlib
import threading
import time
from dataclasses import dataclass
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from otel_loggedmodel.server.accounting import Account
from otel_loggedmodel.server.checking import Checked, check
from otel_loggedmodel.server.compression import decompress
from otel_loggedmodel.server.otlp_json import from_json
from otel_loggedmodel.server.outline import has_more_messages, has_more_spans
from otel_loggedmodel.server.refusing import too_many_messages, too_many_spans
from otel_loggedmodel.server.settings import Settings

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

_LARGE_BYTES: Final = 4 * 1024 * 1024
# Messages take up to a hundred times the room of their bytes, where these are many and empty: one such at a time.
_large: Final = threading.Lock()


@dataclass(frozen=True)
class Decoded:
    """A request that was decoded.

    Attributes:
        digest: Of its content, the same whenever the same is sent again.
        checked: What can be stored of it.
    """

    digest: bytes
    checked: Checked

    def response(self) -> ExportTraceServiceResponse:
        """What to answer once it was stored."""
        account = self.checked.account
        if not account.rejected:
            return ExportTraceServiceResponse()
        total = sum(account.rejected.values())
        return ExportTraceServiceResponse(
            partial_success=ExportTracePartialSuccess(
                rejected_spans=total,
                error_message=f"{total} of {total + self.checked.spans} spans were rejected: {account.reasons()}",
            )
        )


def decode(body: bytes, content_type: str, encoding: str, settings: Settings) -> Decoded:
    """Decompress, parse and check a request.

    Args:
        body: As it was sent.
        content_type: `PROTOBUF` or `JSON`.
        encoding: `identity`, `gzip`, `zstd` or `deflate`.
        settings: The limits.

    Raises:
        RefusalError: It is malformed or too large.
    """
    is_json = content_type == JSON
    limit = (
        min(settings.max_json_bytes, settings.max_decompressed_bytes) if is_json else settings.max_decompressed_bytes
    )
    plain = decompress(body, encoding, limit)
    digest = hashlib.blake2b(plain, digest_size=16, person=b"json" if is_json else b"protobuf").digest()
    account = Account()
    with _large if len(plain) > _LARGE_BYTES else contextlib.nullcontext():
        if is_json:
            payload = from_json(plain, settings.max_spans, account, settings.max_messages).SerializeToString()
        elif has_more_spans(plain, settings.max_spans):
            raise too_many_spans(settings.max_spans)
        elif has_more_messages(plain, settings.max_messages):
            raise too_many_messages(settings.max_messages)
        else:
            payload = plain
        return Decoded(digest, check(payload, settings, time.time_ns(), account))
