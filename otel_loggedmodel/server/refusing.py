# SPDX-License-Identifier: Apache-2.0
"""Why a request is not taken, and how that is said over HTTP and over gRPC."""

import enum
from typing import Final

from google.rpc import code_pb2  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

BUSY_SECONDS: Final = 1
# Exporters give up after ten seconds by default: this lets them try several times.
UNAVAILABLE_SECONDS: Final = 2
# gRPC sends texts as metadata, and may need three bytes for one. Clients take 8 KiB of metadata.
_MAX_TEXT: Final = 1000


class Reason(enum.Enum):
    """Why a request is not taken: the HTTP status, and the gRPC code.

    Which of them make a client try again is fixed by https://opentelemetry.io/docs/specs/otlp/#failures and
    https://opentelemetry.io/docs/specs/otlp/#failures-1.
    """

    MALFORMED = (400, code_pb2.INVALID_ARGUMENT)
    UNAUTHENTICATED = (401, code_pb2.UNAUTHENTICATED)
    FORBIDDEN = (403, code_pb2.PERMISSION_DENIED)
    UNKNOWN = (404, code_pb2.UNIMPLEMENTED)
    WRONG_METHOD = (405, code_pb2.UNIMPLEMENTED)
    SLOW = (408, code_pb2.DEADLINE_EXCEEDED)
    TOO_LARGE = (413, code_pb2.RESOURCE_EXHAUSTED)
    UNSUPPORTED = (415, code_pb2.INVALID_ARGUMENT)
    MISDIRECTED = (421, code_pb2.FAILED_PRECONDITION)
    BUSY = (429, code_pb2.RESOURCE_EXHAUSTED)
    UNAVAILABLE = (503, code_pb2.UNAVAILABLE)

    @property
    def http_status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def grpc_code(self) -> int:
        """The number of the gRPC status code."""
        return int(self.value[1])


class RefusalError(Exception):
    """A request is not taken; the text is for the client.

    Args:
        reason: Why.
        text: What to tell the client.
        retry_seconds: After how long it may try again; None where that would not help.
    """

    def __init__(self, reason: Reason, text: str, retry_seconds: int | None = None) -> None:
        super().__init__(text if len(text) <= _MAX_TEXT else text[:_MAX_TEXT] + "...")
        self.reason = reason
        self.retry_seconds = retry_seconds

    def status(self) -> Status:
        """What OTLP has in the body of an answer that is an error."""
        return Status(code=self.reason.grpc_code, message=str(self))


def busy(text: str, retry_seconds: int = BUSY_SECONDS) -> RefusalError:
    """Too much is going on at the moment."""
    return RefusalError(Reason.BUSY, text, retry_seconds)


def unavailable(text: str) -> RefusalError:
    """Nothing can be taken at the moment."""
    return RefusalError(Reason.UNAVAILABLE, text, UNAVAILABLE_SECONDS)


def malformed(text: str) -> RefusalError:
    """What was sent is not OTLP."""
    return RefusalError(Reason.MALFORMED, text)


def body_too_large(limit: int) -> RefusalError:
    """A body is larger than what is read."""
    return _too_large(f"a body may have at most {limit} bytes as it is sent: compress it, or send less at a time")


def content_too_large(limit: int) -> RefusalError:
    """A body is larger than what is kept, once it is decompressed."""
    return _too_large(f"a request may have at most {limit} bytes, decompressed: send less at a time")


def too_many_spans(limit: int) -> RefusalError:
    """There are more spans in a request than are looked at."""
    return _too_large(f"a request may have at most {limit} spans or log records: send fewer")


def too_many_messages(limit: int) -> RefusalError:
    """There is more in a request than is parsed."""
    return _too_large(
        f"a request may have at most {limit} spans or log records, events, links and attributes in all: send fewer"
    )


def too_much_memory(text: str) -> RefusalError:
    """Storing a request takes more memory than it may have."""
    return _too_large(text)


def _too_large(text: str) -> RefusalError:
    return RefusalError(Reason.TOO_LARGE, text)
