# SPDX-License-Identifier: Apache-2.0
"""Requests of this library's own are not traced."""

import contextlib
from collections.abc import Iterator
from typing import Final

from opentelemetry import context as context_api

_OURS: Final = context_api.create_key("otel_loggedmodel.uninstrumented")


@contextlib.contextmanager
def uninstrumented() -> Iterator[None]:
    """Keep an instrumented HTTP client from tracing our own requests, as the SDK's processors do."""
    key = getattr(context_api, "_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation")
    token = context_api.attach(context_api.set_value(_OURS, True, context_api.set_value(key, True)))
    try:
        yield
    finally:
        context_api.detach(token)


def is_uninstrumented() -> bool:
    """Whether this is inside of `uninstrumented`. The SDK's own key does not tell: its processors set that, too."""
    return bool(context_api.get_value(_OURS))
