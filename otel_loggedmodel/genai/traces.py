# SPDX-License-Identifier: Apache-2.0
"""A trace as scorers see it: spans, times, tokens. It was captured in this process or read from a store."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode, format_span_id, format_trace_id

from otel_loggedmodel.attributes import EVALUATION_RESULT
from otel_loggedmodel.conventions import messages
from otel_loggedmodel.conventions.reading import count_of, kind_name_of
from otel_loggedmodel.conventions.status import status_name
from otel_loggedmodel.conventions.things import Thing


class TraceSpan:
    """One span.

    Attributes:
        name: Its name.
        trace_id: 32 hex digits.
        span_id: 16 hex digits.
        parent_id: Of its parent, or None.
        start_time_ns: When it began.
        end_time_ns: When it ended.
        attributes: What it says. If the span comes from a store, numbers may be texts.
        status: `OK`, `ERROR` or `UNSET`.
        events: Its events, each with a `name` and `attributes`.
    """

    __slots__ = (
        *("attributes", "end_time_ns", "events", "name", "parent_id", "span_id", "start_time_ns", "status"),
        "trace_id",
    )

    def __init__(
        self,
        name: str,
        trace_id: str,
        span_id: str,
        parent_id: str | None,
        start_time_ns: int,
        end_time_ns: int,
        attributes: Mapping[str, Any],
        status: str,
        events: Sequence[messages.Event] = (),
    ) -> None:
        self.name = name
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.start_time_ns = start_time_ns
        self.end_time_ns = end_time_ns
        self.attributes = attributes
        self.status = status
        self.events = events

    @property
    def span_type(self) -> str | None:
        """What kind of work it is, such as `LLM`, `TOOL` or `RETRIEVER`, where the span says so."""
        return kind_name_of(self.attributes)

    @property
    def inputs(self) -> Any:
        """What went in: a value, parsed where it is JSON, else messages as dicts with `role` and `content`; or None."""
        return messages.inputs_of(self.attributes, self.events)

    @property
    def outputs(self) -> Any:
        """What came out: a value, parsed where it is JSON, else the text of the answer, else messages; or None."""
        return messages.outputs_of(self.attributes, self.events)

    @property
    def messages(self) -> list[messages.Message]:
        """What an application and a model said to each other, in whichever convention the span has it."""
        return messages.messages_of(self.attributes, self.events)

    @property
    def duration_ms(self) -> float:
        """How long it took."""
        return max(0, self.end_time_ns - self.start_time_ns) / 1e6

    def get_attribute(self, key: str) -> Any:
        """One attribute, or None."""
        return self.attributes.get(key)

    def __repr__(self) -> str:
        return f"TraceSpan(name={self.name!r}, span_id={self.span_id!r})"


class Trace:
    """The spans of one call, by their start.

    The names that MLflow's scorers use work, too: `info.trace_id`, `info.execution_duration` (ms), `data.spans`.

    Args:
        spans: Of one trace.
        judged: Id of the span that is judged. The default is the one whose parent is not here.
    """

    def __init__(self, spans: Sequence[TraceSpan], judged: str | None = None) -> None:
        self.spans = sorted(spans, key=lambda span: span.start_time_ns)
        self._judged = judged

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return self.spans[0].trace_id if self.spans else ""

    @functools.cached_property
    def root(self) -> TraceSpan | None:
        """The span that is judged: the one that was asked for, else the first one whose parent is not in the trace."""
        known = {span.span_id for span in self.spans}
        wanted = [span for span in self.spans if span.span_id == self._judged]
        return next(iter(wanted or [span for span in self.spans if span.parent_id not in known]), None)

    @property
    def info(self) -> "Trace":
        """What MLflow keeps under `trace.info`."""
        return self

    @property
    def data(self) -> "Trace":
        """What MLflow keeps under `trace.data`."""
        return self

    @property
    def execution_duration(self) -> float:
        """Milliseconds that the judged span took."""
        return 0.0 if self.root is None else self.root.duration_ms

    execution_time_ms = execution_duration

    @property
    def state(self) -> str:
        """`OK` or `ERROR`."""
        return "ERROR" if self.root is not None and self.root.status == "ERROR" else "OK"

    @property
    def inputs(self) -> Any:
        """What went into the judged span."""
        return None if self.root is None else self.root.inputs

    @property
    def outputs(self) -> Any:
        """What came out of the judged span."""
        return None if self.root is None else self.root.outputs

    def search_spans(
        self, span_type: str | None = None, name: str | None = None, span_id: str | None = None
    ) -> list[TraceSpan]:
        """The spans of a type, a name and an id, each if given."""
        return [
            span
            for span in self.spans
            if (name is None or span.name == name)
            and (span_id is None or span.span_id == span_id)
            and (span_type is None or span.span_type == span_type.upper())
        ]

    @functools.cached_property
    def tokens(self) -> tuple[int, int]:
        """Tokens in and out. If a span sums up those below it, the larger number counts."""
        below: dict[str | None, list[TraceSpan]] = {}
        for span in self.spans:
            below.setdefault(span.parent_id, []).append(span)
        known = {span.span_id for span in self.spans}
        tops = [span for span in self.spans if span.parent_id not in known]
        totals = [_tokens_of(span, below, 0) for span in tops]
        return sum(total[0] for total in totals), sum(total[1] for total in totals)


def _tokens_of(span: TraceSpan, below: Mapping[str | None, list[TraceSpan]], depth: int) -> tuple[int, int]:
    children = [_tokens_of(child, below, depth + 1) for child in below.get(span.span_id, ())] if depth < 200 else []
    own = (
        count_of(span.attributes, Thing.INPUT_TOKENS) or 0,
        count_of(span.attributes, Thing.OUTPUT_TOKENS) or 0,
    )
    return max(own[0], sum(child[0] for child in children)), max(own[1], sum(child[1] for child in children))


def trace_of_finished(spans: Sequence[ReadableSpan], judged: str | None = None) -> Trace:
    """The trace made of spans of this process."""
    return Trace([_finished(span) for span in spans if span.context is not None], judged)


def _finished(span: ReadableSpan) -> TraceSpan:
    context = span.context
    assert context is not None
    return TraceSpan(
        span.name,
        format_trace_id(context.trace_id),
        format_span_id(context.span_id),
        None if span.parent is None else format_span_id(span.parent.span_id),
        span.start_time or 0,
        span.end_time or span.start_time or 0,
        span.attributes or {},
        "ERROR" if span.status.status_code is StatusCode.ERROR else span.status.status_code.name,
        span.events,
    )


def trace_of_stored(stored: Any, judged: str | None = None) -> Trace:
    """The trace that a store gave.

    It may be anything whose spans have the field names of `store.trace_results.Span`.
    """
    spans = [
        TraceSpan(
            span.name,
            span.trace_id,
            span.span_id,
            span.parent_span_id,
            span.start_ns,
            span.start_ns + span.duration_ns,
            span.attributes,
            status_name(span.status),
            span.events,
        )
        for span in stored.spans
        if span.name != EVALUATION_RESULT
    ]
    return Trace(spans, judged or next((span.span_id for span in stored.spans if span.is_entry), None))
