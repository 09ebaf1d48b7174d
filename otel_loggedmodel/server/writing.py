# SPDX-License-Identifier: Apache-2.0
"""What people say on the pages: feedback on a trace, and rows for data sets.

Each becomes the spans that `log_feedback` and `EvaluationDataset.merge_records` would have sent, and goes the way of
every request, so that nothing else knows where it came from.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from otel_loggedmodel.genai.assessments import DEFAULT_NAME, AssessmentSource, Feedback
from otel_loggedmodel.genai.datasets import rows_of, spans_of_rows
from otel_loggedmodel.genai.found_traces import trace_of_stored
from otel_loggedmodel.genai.recording import Judged, result_span
from otel_loggedmodel.server.decoding import PROTOBUF
from otel_loggedmodel.server.intake import Intake
from otel_loggedmodel.store.reading import Reader
from otel_loggedmodel.store.trace_results import Trace

_RESOURCE: Final = Resource({"service.name": "otel-loggedmodel pages"})
# Of one person's feedback on an answer the newest counts. Whoever uses the pages is one person to it.
_SOURCE: Final = AssessmentSource("HUMAN", "pages")
_MOST_NAME_CHARACTERS: Final = 200
_MOST_SPANS: Final = 10_000
_VALUES: Final = {"good": True, "bad": False}


class Writing:
    """Stores what people say.

    Args:
        intake: What takes requests.
    """

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def store(self, spans: Sequence[ReadableSpan]) -> None:
        """Have spans stored; done when they are.

        Raises:
            RefusalError: The backend takes nothing at the moment.
        """
        with self._intake.place():
            body = encode_spans(spans).SerializeToString()
            taken = await asyncio.wrap_future(self._intake.take(body, PROTOBUF, "identity"))
            await asyncio.wrap_future(taken.stored)


def feedback_of(trace: Trace, said: str, comment: str) -> ReadableSpan:
    """What somebody says of a trace.

    Args:
        trace: The trace.
        said: `good` or `bad`.
        comment: Why; may be empty.

    Raises:
        ValueError: It is neither.
    """
    if said not in _VALUES:
        raise ValueError(f"the feedback is {said!r}: expected {' or '.join(_VALUES)}")
    entry = next((span for span in trace.spans if span.is_entry), trace.spans[0])
    feedback = Feedback(name=DEFAULT_NAME, value=_VALUES[said], source=_SOURCE, rationale=comment.strip() or None)
    judged = Judged(int(trace.trace_id, 16), int(entry.span_id, 16), entry.model_id or None)
    return result_span(feedback, judged, _RESOURCE)


def row_of(trace: Trace, dataset: str, expected: str) -> list[ReadableSpan]:
    """A trace as a row of a data set: what went in, and what should come out.

    Args:
        trace: The trace.
        dataset: What the data set is called; it is made where there is none.
        expected: What should come out; may be empty.

    Raises:
        ValueError: There is no name, or the trace says no input.
    """
    name = dataset.strip()
    if not name or len(name) > _MOST_NAME_CHARACTERS or not name.isprintable():
        raise ValueError(f"name the data set, with at most {_MOST_NAME_CHARACTERS} letters")
    found = trace_of_stored(trace)
    # A server's span says nothing of it where the call of the model inside does.
    inputs = next((said for said in [found.inputs, *(span.inputs for span in found.spans)] if said is not None), None)
    if inputs is None:
        raise ValueError("no span of this trace says what went in, so it makes no row")
    if not isinstance(inputs, dict):
        inputs = {"messages" if isinstance(inputs, list) else "input": inputs}
    record: dict[str, Any] = {"inputs": inputs}
    if expected.strip():
        record["expectations"] = {"expected_response": expected.strip()}
    return spans_of_rows(name, rows_of([record]), _RESOURCE)


def read(reader: Reader, trace_id: str) -> Trace:
    """A trace that somebody says something of.

    Raises:
        UnknownTraceError: There is none.
    """
    return reader.trace(trace_id, _MOST_SPANS)
