# SPDX-License-Identifier: Apache-2.0
"""What a stored trace says: whose work it is, and what was said of it."""

from collections.abc import Iterator

from otel_loggedmodel.attributes import EVALUATION_RESULT
from otel_loggedmodel.mlflow_server.assessments import Assessment
from otel_loggedmodel.store.trace_results import Span, Trace
from otel_loggedmodel.versions.identity import span_id_from


def root_of(trace: Trace) -> Span | None:
    """The span that has no parent; None if it was not received."""
    return next((span for span in trace.spans if span.parent_span_id is None and span.name != EVALUATION_RESULT), None)


def responsible_span(trace: Trace) -> Span | None:
    """The span whose version is that of the trace, as a server knows one for each trace.

    It is the root. If the root has no version, it is the earliest entry span.
    """
    root = root_of(trace)
    if root is not None and root.model_id:
        return root
    entries = {span.span_id: span for span in trace.spans if span.is_entry}
    # One that is inside another one of the same moment counts with the outer one.
    return min(
        entries.values(), key=lambda span: (span.start_ns, span.parent_span_id in entries, span.span_id), default=None
    )


def assessments_of(trace: Trace) -> Iterator[Assessment]:
    """What was said of the trace, in spans of its own or in events of other spans."""
    trace_id = int(trace.trace_id, 16)
    for span in trace.spans:
        if span.name == EVALUATION_RESULT:
            parent = None if span.parent_span_id is None else int(span.parent_span_id, 16)
            found = Assessment.of_span(span.attributes, trace_id, int(span.span_id, 16), parent, span.start_ns)
            if found is not None:
                yield found
            continue
        for number, event in enumerate(span.events):
            if event.name == EVALUATION_RESULT:
                event_id = _id_of_event(trace.trace_id, span.span_id, number)
                found = Assessment.of_span(event.attributes, trace_id, event_id, int(span.span_id, 16), event.time_ns)
                if found is not None:
                    yield found


def _id_of_event(trace_id: str, span_id: str, number: int) -> int:
    """Makes an id for an event, which has none, so that it can be recognised as a result's span can."""
    return span_id_from(f"event:{trace_id}:{span_id}:{number}")
