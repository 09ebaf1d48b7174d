# SPDX-License-Identifier: Apache-2.0
"""What readers get of traces: lists of them, and one with its spans.

What `results` says of its values holds here too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class TraceSummary:
    """One trace of a version, seen from its entry span.

    Attributes:
        trace_id: 32 hex digits.
        span_id: The entry span's id, 16 hex digits.
        model_id: The version.
        span_name: The entry span's name.
        service: `service.name`.
        start_ns: When the entry span began.
        duration_ms: How long it took.
        error: Whether it failed.
        status_message: What it said of that.
        input_tokens: Those of the whole trace; None where no span says.
        output_tokens: Those of the whole trace; None where no span says.
        cost_usd: That of the whole trace; None where no price is known.
        scores: Mean of each evaluation of a span of the trace.
        cut_off: Whether the beginning of the trace is missing: the earliest span that is there stands for it.
        input: The beginning of what was asked, as people read it; None where no span says, or in a long list.
        output: The same of what was answered.
        reason: Why it failed, as its entry span or else another says; empty where it did not.
        conversation: Id of the conversation that it is a turn of.
    """

    trace_id: str
    span_id: str
    model_id: str
    span_name: str
    service: str
    start_ns: int
    duration_ms: float
    error: bool = False
    status_message: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    cut_off: bool = False
    input: str | None = None
    output: str | None = None
    reason: str = ""
    conversation: str | None = None


@dataclass(frozen=True, kw_only=True)
class FacetValue:
    """A value that traces have.

    Attributes:
        value: As a filter takes it. Of a score it is a bound, such as `correct<0.5`.
        traces: How many of the traces a list would have that is narrowed to it.
    """

    value: str
    traces: int


@dataclass(frozen=True, kw_only=True)
class TracesPart:
    """A part of the time of a list of traces.

    Attributes:
        start_ms: When it begins.
        traces: How many traces began in it.
        errors: How many of these failed.
    """

    start_ms: int
    traces: int
    errors: int = 0


@dataclass(frozen=True, kw_only=True)
class Facets:
    """What a list of traces could be narrowed to.

    Attributes:
        traces: How many traces the filter finds.
        errors: How many of these failed.
        is_cut: Whether there may be more: only so many of the newest are counted, here and below.
        values: The values that they have, the most frequent first, by what a filter calls it: `version`, `service`,
            `route`, `model`, `error_type`, `conversation` (with several turns) or `score`.
        parts: The time in which they began, in parts of one length; those without traces are left out.
        step_ms: How long each part is.
    """

    traces: int = 0
    errors: int = 0
    is_cut: bool = False
    values: Mapping[str, tuple[FacetValue, ...]] = field(default_factory=dict)
    parts: tuple[TracesPart, ...] = ()
    step_ms: int = 0


@dataclass(frozen=True, kw_only=True)
class SpanEvent:
    """Something that happened during a span."""

    time_ns: int
    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SpanLink:
    """A span's link to another."""

    trace_id: str
    span_id: str
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Span:
    """One span as it is stored. Attribute values are texts; lists and maps are JSON."""

    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: str
    service: str
    start_ns: int
    duration_ns: int
    status: str
    status_message: str = ""
    scope: str = ""
    model_id: str | None = None
    is_entry: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    resource: Mapping[str, str] = field(default_factory=dict)
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Trace:
    """The spans of a trace, by their start.

    Attributes:
        trace_id: 32 hex digits.
        spans: All of them, or of very many the earliest.
        left_out: How many more there are.
    """

    trace_id: str
    spans: tuple[Span, ...]
    left_out: int = 0
