# SPDX-License-Identifier: Apache-2.0
"""LoggedModelSpanProcessor: stamps every span with the version that is active when it starts."""

import re
from typing import Final, cast

from opentelemetry import baggage
from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter

from otel_loggedmodel import attributes
from otel_loggedmodel._errors import swallow
from otel_loggedmodel.active import SCOPE_KEY, STAMP, Scope, Version, process, stamp_entry, version_of
from otel_loggedmodel.catalogue import catalogue
from otel_loggedmodel.evicted import evicted
from otel_loggedmodel.resolution import activate, read_environment
from otel_loggedmodel.sender import RecordSender
from otel_loggedmodel.shipping import check_exporter, flush_all

_ACCEPTABLE_FROM_BAGGAGE: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
# SDKs before 1.40 do not call `_on_ending`, and `on_end` gets a copy: the span itself has to be kept from its start.
_SDK_SAYS_ON_ENDING: Final = hasattr(SpanProcessor, "_on_ending")
_MAX_OPEN_SPANS: Final = 8192


class LoggedModelSpanProcessor(SpanProcessor):
    """Stamps every span with the id of the version that is active, and entry spans with its name and a link to it.

    Active is, first match wins: the scope in the span's parent context (`use_model`, `with set_active_model`), the
    process default (`set_active_model`), the environment (OTEL_LOGGEDMODEL_ID, MLFLOW_ACTIVE_MODEL_ID,
    OTEL_LOGGEDMODEL_NAME, read when the processor is built), and W3C baggage where that is accepted.

    Register it beside whatever exports spans; the order does not matter. It never raises and never waits.

    Args:
        exporter: Where to send the records of versions itself, from a thread of its own. For set-ups whose span
            exporter cannot be wrapped in a `LoggedModelExporter`; otherwise leave it out.
        accept_baggage: Whether a version may come in as the baggage entry `logged_model.id` of a request. Baggage is
            written by whoever sends the request, so accept it only from callers you trust: they choose under which
            version your spans are counted. Values other than 1 to 128 of `A-Za-z0-9._-` are ignored.
    """

    def __init__(self, exporter: SpanExporter | None = None, *, accept_baggage: bool = False) -> None:
        if exporter is not None:
            check_exporter(exporter)
        self._accept_baggage = accept_baggage
        self._sender = None if exporter is None else RecordSender(exporter)
        self._open: dict[int, Span] = {}
        read_environment()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Stamp the span."""
        try:
            if not _SDK_SAYS_ON_ENDING:
                self._keep_until_end(span)
            # An empty Context is falsy and means "no scope", not "the current one".
            context = get_current() if parent_context is None else parent_context
            scope = cast(Scope | None, context.get(SCOPE_KEY))
            is_ours = True
            if scope is not None:
                version = scope.version
            elif (default := process.version) is not None:
                version = default
            else:
                from_baggage = _version_from_baggage(context) if self._accept_baggage else None
                if from_baggage is None:
                    return
                version = from_baggage
                is_ours = False
            parent = span.parent
            if (
                parent is None
                or parent.is_remote
                or (scope is not None and parent.span_id == scope.boundary and scope.take_entry())
            ):
                stamp_entry(span, version)
                # What came in as baggage is announced where it was set: whoever can send requests could otherwise
                # make this process send a record for each.
                if is_ours:
                    self._note_use(span, version)
            else:
                span.set_attribute(attributes.ID, version.model_id)
                setattr(span, STAMP, version)
        except Exception:
            swallow("stamping a span")

    def _on_ending(self, span: Span) -> None:
        if span.dropped_attributes:
            self._remember_stamp(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Nothing is left to do, except with an old SDK."""
        if _SDK_SAYS_ON_ENDING or span.context is None:
            return
        live = self._open.pop(span.context.span_id, None)
        if live is not None and span.dropped_attributes:
            self._remember_stamp(live)

    def shutdown(self) -> None:
        """Deliver what is due, and stop."""
        if self._sender is not None:
            self._sender.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Deliver the model records that are due, through every exporter of this process that carries them.

        Returns:
            True, always: on anything else a provider skips the processors behind this one. What could not be delivered
            is logged, and tried again.
        """
        try:
            flush_all(timeout_millis / 1000)
        except Exception:
            swallow("flushing model records")
        return True

    def _note_use(self, span: Span, version: Version) -> None:
        if version.model_id not in catalogue.activated:  # in a forked child nothing has been activated yet
            activate(version)
        if self._sender is not None:
            self._sender.note_use(version.model_id, span.resource)

    def _remember_stamp(self, span: Span) -> None:
        try:
            version = getattr(span, STAMP, None)
            if version is not None:
                evicted.remember(span.get_span_context(), version)
        except Exception:
            swallow("looking at an ending span")

    def _keep_until_end(self, span: Span) -> None:
        if len(self._open) >= _MAX_OPEN_SPANS:  # spans that never end
            self._open.pop(next(iter(self._open)), None)
        self._open[span.get_span_context().span_id] = span


def _version_from_baggage(context: Context) -> Version | None:
    value = baggage.get_baggage(attributes.ID, context)
    if isinstance(value, str) and _ACCEPTABLE_FROM_BAGGAGE.fullmatch(value):
        return version_of(value)
    return None
