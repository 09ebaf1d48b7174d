# SPDX-License-Identifier: Apache-2.0
"""Evaluation results as OpenTelemetry's events, which are log records, beside the spans that `recording` makes.

For backends that read the conventions' events and not spans. A backend that has both ways counts one result: event and
span say the same of the same span.
"""

from typing import Any

from opentelemetry import _logs
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import NonRecordingSpan, set_span_in_context

from otel_loggedmodel._errors import warn_once
from otel_loggedmodel.attributes import SAMPLING_PRIORITY
from otel_loggedmodel.conventions.log_events import NAME_ATTRIBUTE
from otel_loggedmodel.version import __version__
from otel_loggedmodel.versions.active import with_version


class EventRecorder:
    """Emits results through a logger provider, and so to its exporters.

    Args:
        logger_provider: Which; the global one by default.
    """

    def __init__(self, logger_provider: Any = None) -> None:
        self._provider = _logs.get_logger_provider() if logger_provider is None else logger_provider
        self._logger = self._provider.get_logger("otel_loggedmodel.genai", __version__)
        if not callable(getattr(self._provider, "force_flush", None)):
            warn_once(
                "no logger provider",
                "%s.%s is not the OpenTelemetry SDK's logger provider: evaluation results are not sent as events",
                type(self._provider).__module__,
                type(self._provider).__qualname__,
            )

    def record(self, result: ReadableSpan) -> None:
        """Emit the event of a result, in the context of the span that it judges."""
        parent = result.parent
        if parent is None:
            return
        attributes = {key: value for key, value in (result.attributes or {}).items() if key != SAMPLING_PRIORITY}
        # A result that names no version counts for that of the span it judges, and not for the one that is active here.
        context = with_version(set_span_in_context(NonRecordingSpan(parent), Context()), None)
        token = attach(context)
        try:
            self._logger.emit(self._record_of(result, attributes, context))
        finally:
            detach(token)

    def flush(self) -> bool:
        """Have everything delivered that was emitted. This may wait for the backend."""
        flush = getattr(self._provider, "force_flush", None)
        return bool(flush()) if callable(flush) else False

    def _record_of(self, result: ReadableSpan, attributes: dict[str, Any], context: Context) -> Any:
        from otel_loggedmodel.delivery.log_types import IS_READABLE

        parts: dict[str, Any] = {
            "timestamp": result.start_time,
            "observed_timestamp": result.start_time,
            "severity_number": _logs.SeverityNumber.INFO,
        }
        if IS_READABLE:
            return _logs.LogRecord(**parts, context=context, attributes=attributes, event_name=result.name)
        from opentelemetry.sdk import _logs as sdk

        legacy: Any = sdk  # of releases before 1.39, which have no field for the name or do not send it
        parent = result.parent
        assert parent is not None
        return legacy.LogRecord(
            **parts,
            trace_id=parent.trace_id,
            span_id=parent.span_id,
            trace_flags=parent.trace_flags,
            # These cannot send a record without one.
            body=result.name,
            attributes={**attributes, NAME_ATTRIBUTE: result.name},
            resource=getattr(self._provider, "resource", None),
        )
