# SPDX-License-Identifier: Apache-2.0
"""LoggedModelLogRecordProcessor: stamps every log record with the version that is active where it is emitted."""

from typing import Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.context import Context, get_current
from opentelemetry.trace.propagation import _SPAN_KEY

from otel_loggedmodel._errors import swallow
from otel_loggedmodel.attributes import ID
from otel_loggedmodel.delivery.log_types import LogRecordProcessor
from otel_loggedmodel.propagation import version_from_baggage
from otel_loggedmodel.versions.active import NOTE, SCOPE_KEY, Version, process
from otel_loggedmodel.versions.resolution import read_environment


class LoggedModelLogRecordProcessor(LogRecordProcessor):
    """Stamps every log record with the id of the version that is active.

    Active is, first match wins: the scope in the record's own context (`use_model`, `with set_active_model`), the
    version of the span that is current there, the process default (`set_active_model`), the environment
    (OTEL_LOGGEDMODEL_ID, MLFLOW_ACTIVE_MODEL_ID, OTEL_LOGGEDMODEL_NAME), and W3C baggage where that is accepted. A
    record that names a version itself, as the result of an evaluation does, keeps it.

    Register it before what exports log records: a `SimpleLogRecordProcessor` exports a record at once. It never raises
    and never waits.
    """

    def __init__(self) -> None:
        read_environment()

    # This runs for every log record. It is written for speed: the budget and figures are in benchmarks/logs.py.
    def on_emit(self, log_record: Any) -> None:
        """Stamp the record."""
        try:
            record = log_record.log_record
            attributes = record.attributes
            # The SDK's mapping raises and catches a KeyError to say that a key is not there; its dictionary does not.
            if ID in (attributes._dict if type(attributes) is BoundedAttributes else attributes or ()):
                return
            version: Any = process.version
            if process.has_several:
                # The SDK itself takes an empty context for the current one. Before 1.35 a record has none.
                context = getattr(record, "context", None) or get_current()
                scope: Any = context.get(SCOPE_KEY)
                if scope is not None:
                    version = scope.version
                else:
                    version = _version_of_span(record, context) or version or _version_from_baggage(context)
            if version is None:
                return
            model_id = version if type(version) is str else version.model_id
            if attributes is None:
                record.attributes = {ID: model_id}
            else:
                attributes[ID] = model_id
            # Should a limit of the SDK's take the attribute or cut it, the exporter puts it back.
            record._otel_loggedmodel_stamp = model_id
        except Exception:
            swallow("stamping a log record")

    def emit(self, log_data: Any) -> None:
        """The same, as releases of the SDK before 1.35 call it."""
        self.on_emit(log_data)

    def enabled(self, **_: Any) -> bool:
        """Whether it emits anything: it does not, so the other processors alone decide whether a record is made."""
        return False

    def shutdown(self) -> None:
        """Nothing is held."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing is held. Returns True."""
        return True


def _version_of_span(record: Any, context: Context) -> str | None:
    """The version of the span that a record belongs to, where it is the one that is current in its context."""
    span: Any = context.get(_SPAN_KEY)
    if span is None:
        return None
    span_context = span.get_span_context()
    noted = span_context.__dict__.get(NOTE)
    if noted is None:
        return None
    # A record may be told to belong to another span than the current one. A SpanContext is a tuple: [1] is its span id.
    # Before 1.35 a record need not be told of any.
    span_id = record.span_id
    return noted[ID] if span_id == span_context[1] or span_id is None else None


def _version_from_baggage(context: Context) -> Version | None:
    return version_from_baggage(context) if process.accepts_baggage else None
