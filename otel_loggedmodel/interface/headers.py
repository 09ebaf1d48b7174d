# SPDX-License-Identifier: Apache-2.0
"""A trace that goes on in another process, by the headers of a request, under MLflow's names.

What is in the headers is what OTEL_PROPAGATORS says, by default W3C's trace context and baggage. Instrumentations of
HTTP libraries do the same without being called.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import propagate
from opentelemetry.context import attach, detach


def get_tracing_context_headers_for_http_request() -> dict[str, str]:
    """The headers to send with a request, so that the spans of its receiver are of this trace."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


@contextmanager
def set_tracing_context_from_http_request_headers(headers: Mapping[str, str]) -> Iterator[None]:
    """Make spans inside the block part of the sender's trace.

    Args:
        headers: Those of the request; upper and lower case are the same.
    """
    token = attach(propagate.extract({str(key).lower(): value for key, value in headers.items()}))
    try:
        yield
    finally:
        detach(token)
