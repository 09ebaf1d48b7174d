# SPDX-License-Identifier: Apache-2.0
"""Requests of this library's own are not traced."""

import contextlib
from collections.abc import Iterator

from opentelemetry import context as context_api


@contextlib.contextmanager
def uninstrumented() -> Iterator[None]:
    """Keep an instrumented HTTP client from tracing our own requests, as the SDK's processors do."""
    key = getattr(context_api, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")
    token = context_api.attach(context_api.set_value(key, True))
    try:
        yield
    finally:
        context_api.detach(token)
