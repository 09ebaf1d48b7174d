# SPDX-License-Identifier: Apache-2.0
"""What MLflow's tracing SDK exported of tests/integrations/mlflow_application.py.

`python -m integrations.record_mlflow` has recorded it; see there.
"""

import dataclasses
from pathlib import Path
from typing import Final

from otel_loggedmodel.store.trace_results import Span, SpanEvent, Trace
from otlp_receiver import ReceivedSpan, decode_json, spans_of

REQUEST: Final = decode_json((Path(__file__).parent / "mlflow_spans.json").read_bytes())
VERSION: Final = "my-agent-v1.0"


def spans() -> list[Span]:
    """The spans as a store gives them, by their start."""
    return sorted(map(_stored, spans_of(REQUEST)), key=lambda span: span.start_ns)


def named(name: str, place: int = 0) -> Span:
    """One span: of several with a name, the one that began at that place."""
    return [span for span in spans() if span.name == name][place]


def trace_of_the_agent() -> Trace:
    """The trace whose root is `answer`."""
    root = named("answer")
    of_trace = [span for span in spans() if span.trace_id == root.trace_id]
    return Trace(
        trace_id=root.trace_id,
        spans=tuple(dataclasses.replace(span, is_entry=span == root) for span in of_trace),
    )


def _stored(span: ReceivedSpan) -> Span:
    return Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=span.name,
        kind=span.kind.capitalize(),
        service=str(span.resource["service.name"]),
        start_ns=span.start_ns,
        duration_ns=span.end_ns - span.start_ns,
        status=span.status_code.capitalize(),
        status_message=span.status_message,
        model_id=VERSION,
        attributes={key: str(value) for key, value in span.attributes.items()},
        events=tuple(
            SpanEvent(
                time_ns=event.time_ns,
                name=event.name,
                attributes={key: str(value) for key, value in event.attributes.items()},
            )
            for event in span.events
        ),
    )
