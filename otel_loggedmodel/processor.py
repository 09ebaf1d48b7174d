# SPDX-License-Identifier: Apache-2.0
"""LoggedModelSpanProcessor: stamps every span with the version that is active when it starts."""

from collections.abc import Mapping

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter

from otel_loggedmodel import environment, propagation
from otel_loggedmodel._errors import swallow
from otel_loggedmodel.attributes import ID
from otel_loggedmodel.delivery.sender import RecordSender
from otel_loggedmodel.delivery.shipping import check_exporter, flush_all
from otel_loggedmodel.propagation import version_from_baggage
from otel_loggedmodel.versions.active import NOTE, SCOPE_KEY, Scope, Version, is_noted_entry, process, stamp_entry
from otel_loggedmodel.versions.catalogue import catalogue
from otel_loggedmodel.versions.resolution import activate, read_environment


class LoggedModelSpanProcessor(SpanProcessor):
    """Stamps every span with the id of the version that is active, and entry spans with its name and a link to it.

    Active is, first match wins: the scope in the span's parent context (`use_model`, `with set_active_model`), the
    version of its parent where that is a span of this process, the process default (`set_active_model`), the
    environment (OTEL_LOGGEDMODEL_ID, MLFLOW_ACTIVE_MODEL_ID, OTEL_LOGGEDMODEL_NAME, read when the processor is built),
    and W3C baggage where that is accepted.

    Register it beside whatever exports spans; the order does not matter. It never raises and never waits.

    Args:
        exporter: Where to send the records of versions itself, from a thread of its own. For set-ups whose span
            exporter cannot be wrapped in a `LoggedModelExporter`; otherwise leave it out.
        accept_baggage: Whether a version may come in as the baggage entry `logged_model.id` of a request. Baggage is
            written by whoever sends the request, so accept it only from callers you trust: they choose under which
            version your spans are counted. Values other than 1 to 128 of `A-Za-z0-9._-` are ignored.
            OTEL_LOGGEDMODEL_ACCEPT_BAGGAGE=1 says the same.
    """

    def __init__(self, exporter: SpanExporter | None = None, *, accept_baggage: bool = False) -> None:
        if exporter is not None:
            check_exporter(exporter)
        self._accept_baggage = accept_baggage or environment.is_baggage_accepted()
        self._sender = None if exporter is None else RecordSender(exporter)
        read_environment()
        process.has_processor = True
        process.accepts_baggage |= self._accept_baggage
        process.has_several |= self._accept_baggage
        if self._accept_baggage or environment.is_propagation_wanted():
            propagation.install()

    # This runs for every span. It is written for speed: budgets and figures are in benchmarks/processor.py.
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Stamp the span."""
        try:
            # A child of a stamped span that knows no scope is of its parent's version.
            inherited: Mapping[str, str] | None = None
            scope: Scope | None = None
            # What the properties `parent` and `context` return, at half of their cost. A SpanContext is a tuple: [2] is
            # its is_remote.
            parent = span._parent
            if parent is not None and parent[2]:
                parent = None
            if process.has_several:
                # An empty Context is falsy and means "no scope", not "the current one".
                context = get_current() if parent_context is None else parent_context
                scope = context.get(SCOPE_KEY)  # type: ignore[assignment]
                if scope is None and parent is not None:
                    inherited = parent.__dict__.get(NOTE)
            elif process.version is None:
                return
            notes = span._context.__dict__
            if NOTE in notes:  # stamped by another processor of ours: one link is enough
                if self._sender is not None and is_noted_entry(span.context):
                    self._sender.note_use(notes[NOTE][ID], span.resource)
                return
            if inherited is not None:
                model_id = inherited[ID]
                span.set_attribute(ID, model_id)
                notes[NOTE] = inherited if len(inherited) == 1 else {ID: model_id}
                return
            version = process.version if scope is None else scope.version
            if version is None:
                version = version_from_baggage(parent_context) if self._accept_baggage else None
                if version is None:
                    return
            if parent is not None and (scope is None or not scope.undecided or not scope.begins_under(parent_context)):
                span.set_attribute(ID, version.model_id)
                notes[NOTE] = version.link_attributes
                return
            stamp_entry(span, version)
            # What came in as baggage is announced where it was set: whoever can send requests could otherwise make this
            # process send a record for each.
            if scope is not None or process.version is not None:
                self._note_use(span, version)
        except Exception:
            swallow("stamping a span")

    def on_ending(self, span: Span) -> None:
        """Nothing: the stamp is noted when the span starts, so whatever an SDK calls at its end, no stamp is lost."""

    @property
    def sends_records(self) -> bool:
        """Whether it sends the records of versions itself."""
        return self._sender is not None

    def send_records_to(self, exporter: SpanExporter) -> None:
        """Send the records of versions itself from now on, as if it had been given this exporter; once."""
        if self._sender is None:
            self._sender = RecordSender(exporter)

    def shutdown(self) -> None:
        """Deliver what is due, and stop."""
        if self._sender is not None:
            self._sender.shutdown()

    def force_flush(self, timeout_millis: int | None = 30_000) -> bool:
        """Deliver the model records that are due, through every exporter of this process that carries them.

        It takes at most half of the time, since a provider flushes the processors behind this one with what is left.
        What takes longer goes on by itself.

        Returns:
            True, always: on anything else a provider skips the processors behind this one. What could not be delivered
            is logged, and tried again.
        """
        try:
            flush_all((30_000 if timeout_millis is None else timeout_millis) / 2000)
        except Exception:
            swallow("flushing model records")
        return True

    def _note_use(self, span: Span, version: Version) -> None:
        if version.model_id not in catalogue.activated:  # in a forked child nothing has been activated yet
            activate(version)
        if self._sender is not None:
            self._sender.note_use(version.model_id, span.resource)
