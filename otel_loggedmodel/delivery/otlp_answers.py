# SPDX-License-Identifier: Apache-2.0
"""What the far end's answer to an OTLP request says: whether it was taken, and whether trying again makes sense.

What may be tried again follows the specification: https://opentelemetry.io/docs/specs/otlp/#failures
"""

from __future__ import annotations

import contextlib
import dataclasses
import email.utils
import enum
import json
import math
import re
import time
from typing import Any, Final

from otel_loggedmodel._cleaning import brief

MAX_RETRY_AFTER_SECONDS: Final = 3600.0  # a mistaken header must not silence a process for a day
_MAX_WORDS: Final = 300
_RETRYABLE_STATUSES: Final = frozenset({429, 502, 503, 504})
# The request is refused for its content, so a part of it may be taken. Servers also answer 500 if the content makes
# them fail.
_STATUSES_OF_CONTENT: Final = frozenset({400, 413, 415, 422, 500})
_RETRYABLE_CODES: Final = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
_CODES_OF_CONTENT: Final = frozenset({"INVALID_ARGUMENT", "INTERNAL", "UNKNOWN", "FAILED_PRECONDITION"})
# gRPC has the same code for "too much at once" and "one message too large". Only the words tell them apart.
_TOO_LARGE: Final = re.compile(r"larger than|too large|exceeds? (?:the )?max", re.IGNORECASE)


class Verdict(enum.Enum):
    """What became of a request."""

    DELIVERED = "delivered"
    """It was acknowledged."""
    LATER = "later"
    """It was not taken, for a reason that may pass."""
    NOT_YET = "not yet"
    """It was not taken, as something is missing that only this request needs. That may come; others may be taken
    meanwhile."""
    MALFORMED = "malformed"
    """It was refused for its content. A part of it may be taken."""
    REFUSED = "refused"
    """It was refused as any other would be, for instance for wrong credentials or a wrong address."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the far end said to a request.

    Attributes:
        verdict: What became of it.
        words: What the far end or the network said, cut off if it is long.
        error_type: The HTTP status, the gRPC code or the name of the exception; empty if all is well.
        retry_after: Seconds to wait that the far end asked for.
        rejected: How many spans of an acknowledged request it did not take.
    """

    verdict: Verdict
    words: str = ""
    error_type: str = ""
    retry_after: float | None = None
    rejected: int = 0


def outcome_of_http(response: Any) -> Outcome:
    """What an answer over HTTP says. It comes from `requests`, or from the transport that newer exporters have."""
    status = int(response.status_code)
    headers = response.headers() if callable(response.headers) else response.headers
    if 300 <= status < 400:
        # Following it would take the credentials along.
        to = cut(str(headers.get("location") or "elsewhere"))
        return Outcome(Verdict.REFUSED, f"{status}: the endpoint redirects to {to}: name that one", "redirect")
    content = response.content() if callable(response.content) else response.content
    content_type = str(headers.get("content-type") or "").partition(";")[0].strip().lower()
    if 200 <= status < 300:
        return _acknowledged_over_http(content, content_type)
    words = cut(f"{status} {response.reason or ''}: {_words_of(content, content_type)}".rstrip(": "))
    if status in _RETRYABLE_STATUSES:
        return Outcome(Verdict.LATER, words, str(status), retry_after_of(headers.get("retry-after")))
    verdict = Verdict.MALFORMED if status in _STATUSES_OF_CONTENT else Verdict.REFUSED
    return Outcome(verdict, words, str(status))


def _acknowledged_over_http(content: bytes, content_type: str) -> Outcome:
    """An acknowledgement, with what the answer says of spans that were not taken.

    An answer that cannot be read is still an acknowledgement.
    """
    try:
        if content_type == "application/x-protobuf" and content:
            from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

            return acknowledged(ExportTraceServiceResponse.FromString(content))
        if content_type == "application/json" and content:
            said = json.loads(content).get("partialSuccess") or {}
            return Outcome(
                Verdict.DELIVERED,
                cut(str(said.get("errorMessage") or "")),
                rejected=max(0, int(said.get("rejectedSpans") or said.get("rejectedLogRecords") or 0)),
            )
    except Exception:
        return Outcome(Verdict.DELIVERED)
    return Outcome(Verdict.DELIVERED)


def acknowledged(response: Any) -> Outcome:
    """What an ExportTraceServiceResponse says; that of another signal has the same fields under other names."""
    said = response.partial_success
    return Outcome(Verdict.DELIVERED, cut(said.error_message), rejected=max(0, said.rejected_spans))


def _words_of(content: bytes, content_type: str) -> str:
    if content_type == "application/x-protobuf":
        try:
            from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

            return str(Status.FromString(content).message)
        except Exception:
            return ""
    text = content[: 4 * _MAX_WORDS].decode(errors="replace").strip()
    if content_type == "application/json":
        # If it cannot be read, for instance as it is nested too deeply, the status says what became of the request.
        with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
            return str(json.loads(content)["message"])
    return text


def retry_after_of(value: object) -> float | None:
    """The seconds of a Retry-After header, which is a number or a date."""
    text = str(value or "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError, OSError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS) if math.isfinite(seconds) else None


def outcome_of_exception(error: Exception, verdict: Verdict = Verdict.LATER) -> Outcome:
    """The outcome of a try that raised. Its reason may pass, unless `verdict` says otherwise."""
    return Outcome(verdict, cut(str(error) or repr(error)), type(error).__name__)


def cut(text: str) -> str:
    """Words of a far end or of the network on one line, without control characters, and cut off where they are long."""
    return brief(text, _MAX_WORDS)


def outcome_of_grpc(error: Any) -> Outcome:
    """What a `grpc.RpcError` says."""
    code = error.code().name
    details = error.details() or ""
    words = cut(f"{code}: {details}")
    retry_after = _retry_info(error)
    if code in _RETRYABLE_CODES or (code == "RESOURCE_EXHAUSTED" and retry_after is not None):
        return Outcome(Verdict.LATER, words, code, retry_after)
    is_of_content = code in _CODES_OF_CONTENT or (code == "RESOURCE_EXHAUSTED" and _TOO_LARGE.search(details))
    return Outcome(Verdict.MALFORMED if is_of_content else Verdict.REFUSED, words, code)


def _retry_info(error: Any) -> float | None:
    """The seconds of a RetryInfo, which servers send as a detail of the status or as a trailer of its own."""
    from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
    from google.rpc.status_pb2 import Status

    trailers = dict(error.trailing_metadata() or ())
    info = RetryInfo()
    try:
        if "google.rpc.retryinfo-bin" in trailers:
            info.ParseFromString(trailers["google.rpc.retryinfo-bin"])
        elif "grpc-status-details-bin" in trailers:
            details = Status.FromString(trailers["grpc-status-details-bin"]).details
            if not any(detail.Unpack(info) for detail in details if detail.Is(RetryInfo.DESCRIPTOR)):
                return None
        else:
            return None
    except Exception:
        return None
    seconds = float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9)
    return min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)
