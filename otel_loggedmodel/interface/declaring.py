# SPDX-License-Identifier: Apache-2.0
"""`tracing.context`: the session, user and tags of every trace that begins inside a block, whoever makes its spans."""

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, cast

from opentelemetry.context import Context, attach, create_key, detach, get_current, get_value, set_value
from opentelemetry.sdk.trace import Span, SpanProcessor

from otel_loggedmodel._errors import swallow, warn_once
from otel_loggedmodel.instrumentor import extended_provider
from otel_loggedmodel.interface.elsewhere import NotHereError
from otel_loggedmodel.interface.spans import said_of_trace

_KEY: Final = create_key("otel_loggedmodel_said_of_traces")
_told: Final[weakref.WeakSet[Any]] = weakref.WeakSet()


class _Declaring(SpanProcessor):
    """Puts on the first span of this process in a trace what the block around it says."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        try:
            said = (get_current() if parent_context is None else parent_context).get(_KEY)
            if said and (span.parent is None or span.parent.is_remote):
                span.set_attributes(cast(Mapping[str, str], said))
        except Exception:
            swallow("saying what a block says of its traces")


@contextmanager
def context(
    metadata: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
    enabled: bool | None = None,
    session_id: str | None = None,
    user: str | None = None,
) -> Iterator[None]:
    """Say something of every trace that begins inside the block; also of those that instrumentations begin.

    What an inner block says of a key counts before what an outer one says.

    Args:
        metadata: To find the traces by; `mlflow.trace.session` and `mlflow.trace.user` are the session and the user.
        tags: The same.
        enabled: False is not here.
        session_id: The session, or conversation, that they are turns of.
        user: Whose they are.

    Raises:
        NotImplementedError: `enabled` is False.
        TypeError: An argument has the wrong type.
    """
    if enabled is False:
        raise NotHereError(
            "tracing.context(enabled=False) of MLflow is not here: "
            "use suppress_instrumentation of opentelemetry.instrumentation.utils"
        )
    said = said_of_trace(tags, metadata, session_id, user)
    _tell_provider()
    outer = cast(Mapping[str, str] | None, get_value(_KEY))
    token = attach(set_value(_KEY, {**(outer or {}), **said}))
    try:
        yield
    finally:
        detach(token)


def _tell_provider() -> None:
    try:
        provider: Any = extended_provider(None)
        if provider in _told:
            return
        if not hasattr(provider, "add_span_processor"):
            warn_once("context of traces", "what tracing.context says is on no trace: no tracer provider is set")
            return
        provider.add_span_processor(_Declaring())
        _told.add(provider)
    except Exception:
        swallow("saying what a block says of its traces")
