# SPDX-License-Identifier: Apache-2.0
"""From the bytes of a request to what a store can take of it, for both transports."""

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from otel_loggedmodel.server import shapes
from otel_loggedmodel.server.accounting import Account
from otel_loggedmodel.server.checking import Checked, check
from otel_loggedmodel.server.compression import decompress
from otel_loggedmodel.server.log_checking import check_logs
from otel_loggedmodel.server.otlp_json import from_json
from otel_loggedmodel.server.outline import OF_LOG_RECORDS, OF_SPANS, has_more_messages, has_more_spans
from otel_loggedmodel.server.refusing import too_many_messages, too_many_spans
from otel_loggedmodel.server.settings import Settings
from otel_loggedmodel.server.shapes import Shape

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"

_LARGE_BYTES: Final = 4 * 1024 * 1024
# Many empty messages take up to a hundred times as much memory as their bytes. So large requests are decoded one at a
# time.
_large: Final = threading.Lock()


@dataclass(frozen=True)
class Decoded:
    """A request that was decoded.

    Attributes:
        digest: The digest of its content. If the same is sent again, the digest is the same.
        checked: What can be stored of it.
        signal: What is in it.
    """

    digest: bytes
    checked: Checked
    signal: "Signal"

    def response(self) -> Message:
        """What to answer once it was stored."""
        account = self.checked.account
        if not account.rejected:
            return self.signal.response(0, "")
        rejected = sum(account.rejected.values())
        total = rejected + self.checked.spans
        return self.signal.response(
            rejected, f"{rejected} of {total} {self.signal.shape.plural} were rejected: {account.reasons()}"
        )


@dataclass(frozen=True)
class Signal:
    """How requests of one kind are decoded.

    Attributes:
        shape: The shape of the requests.
        outline: Which of their fields hold messages, as in `outline`.
        check: Sees what can be stored.
        response: Makes the answer that says how many items were rejected, and why.
    """

    shape: Shape
    outline: dict[int, Any]
    check: Callable[[bytes, Settings, int, Account], Checked]
    response: Callable[[int, str], Message]


def _answer_spans(rejected: int, why: str) -> ExportTraceServiceResponse:
    if not rejected:
        return ExportTraceServiceResponse()
    return ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=rejected, error_message=why)
    )


def _answer_log_records(rejected: int, why: str) -> ExportLogsServiceResponse:
    if not rejected:
        return ExportLogsServiceResponse()
    return ExportLogsServiceResponse(
        partial_success=ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=why)
    )


SPANS: Final = Signal(shapes.SPANS, OF_SPANS, check, _answer_spans)
LOG_RECORDS: Final = Signal(shapes.LOG_RECORDS, OF_LOG_RECORDS, check_logs, _answer_log_records)


def decode(body: bytes, content_type: str, encoding: str, settings: Settings, signal: Signal = SPANS) -> Decoded:
    """Decompress, parse and check a request.

    Args:
        body: As it was sent.
        content_type: `PROTOBUF` or `JSON`.
        encoding: `identity`, `gzip`, `zstd` or `deflate`.
        settings: The limits.
        signal: What is in it.

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
            request = from_json(plain, settings.max_spans, account, settings.max_messages, signal.shape.request)
            payload = request.SerializeToString()
        elif has_more_spans(plain, settings.max_spans):
            raise too_many_spans(settings.max_spans)
        elif has_more_messages(plain, settings.max_messages, signal.outline):
            raise too_many_messages(settings.max_messages)
        else:
            payload = plain
        return Decoded(digest, signal.check(payload, settings, time.time_ns(), account), signal)
