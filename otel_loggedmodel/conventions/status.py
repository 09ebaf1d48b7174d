# SPDX-License-Identifier: Apache-2.0
"""How senders and stores spell the status and the kind of a span.

OTLP has numbers. The Collector's `clickhouse` exporter writes texts, in its newer releases `Error` and `Server`, in
older ones the names of the protocol, `STATUS_CODE_ERROR` and `SPAN_KIND_SERVER`; SDKs write `ERROR` and `SERVER`.
Source: https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto
"""

from typing import Final

ERROR_STATUSES: Final = ("Error", "STATUS_CODE_ERROR")
"""What the stored status of a failed span is."""
OK_STATUSES: Final = ("Ok", "STATUS_CODE_OK")
"""What the stored status is of a span that says that it did not fail."""
EXCEPTION_EVENT: Final = "exception"
"""The name of the event that an exception is recorded as."""
SCOPES_THAT_END_OK: Final = ("langsmith",)
"""Instrumentations that end a span with the status OK although its work has failed, and record the exception.

Source: https://github.com/langchain-ai/langsmith-sdk/blob/main/python/langsmith/_internal/otel/_otel_exporter.py
"""
FAILURE_THAT_ENDS_OK: Final = "langsmith.metadata.is_error"
"""The attribute by which these say that an agent gave up, where there is no exception: `true`."""
INTERNAL_KINDS: Final = ("Internal", "SPAN_KIND_INTERNAL")
"""What the stored kind is of a span that is within an application."""
SERVER_KINDS: Final = ("Server", "SPAN_KIND_SERVER")
"""What the stored kind of a server's span is."""
CLIENT_KINDS: Final = ("Client", "SPAN_KIND_CLIENT")
"""What the stored kind of a client's span is."""
CONSUMER_KINDS: Final = ("Consumer", "SPAN_KIND_CONSUMER")
"""What the stored kind of a consumer's span is."""
PRODUCER_KINDS: Final = ("Producer", "SPAN_KIND_PRODUCER")
"""What the stored kind of a producer's span is."""
KINDS: Final = (INTERNAL_KINDS, SERVER_KINDS, CLIENT_KINDS, PRODUCER_KINDS, CONSUMER_KINDS)
"""The stored kinds in the order of their numbers in OTLP, from 1 on."""
STATUSES: Final = (OK_STATUSES, ERROR_STATUSES)
"""The same of statuses."""


def is_error(status: str) -> bool:
    """Whether a status is that of a failed span, in whichever spelling."""
    return status.upper().removeprefix("STATUS_CODE_") == "ERROR"


def status_name(status: str) -> str:
    """A status as SDKs call it: `OK`, `ERROR` or `UNSET`; another text in capitals, as it is."""
    return status.upper().removeprefix("STATUS_CODE_") or "UNSET"
