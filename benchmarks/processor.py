# SPDX-License-Identifier: Apache-2.0
"""What stamping adds to a span, beside what others add.

The bare SDK is a tracer provider with one empty span processor, which stands for the processor that exports: no
application has a provider with none. Every contestant is a second processor beside that one, and what it adds is the
difference between the two. Langfuse's is itself the processor that exports, so it is compared with the SDK's batch
processor in its place.
"""

from collections.abc import Callable, Sequence

from opentelemetry import baggage, trace
from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import otel_loggedmodel
from benchmarks import peers
from benchmarks.decorators import traced_calls
from benchmarks.measuring import Contestant, Figure, Timings, measure
from benchmarks.reporting import Budget, Column, Report, Row, Table
from benchmarks.spans import NullExporter
from otel_loggedmodel import attributes
from otel_loggedmodel.active import model_span_of

MODEL_ID = "m-0123456789abcdef0123456789abcdef"
NAME = "support-agent"
# The scope of a well-known instrumentation: those processors that look at it then keep the spans, as they do in use.
SCOPE = "opentelemetry.instrumentation.openai_v2"

# Slices are shorter than a scheduler's turn, so that many of them are not disturbed at all.
SPANS_PER_SLICE = 100
WARM_UP = 20
BLOCKS = 12
ROUNDS_PER_BLOCK = 100

NO_PROCESSOR = "no processor at all"
BARE = "bare SDK: one empty processor"
EMPTY = "+ another empty processor"
FLOOR = "+ floor: one get_value, one set_attribute"
IDLE = "+ ours, no version active"
DEFAULT = "+ ours, stamped by process default"
SCOPED = "+ ours, stamped by scope"
BAGGAGE_1 = "+ BaggageSpanProcessor, 1 entry"
BAGGAGE_3 = "+ BaggageSpanProcessor, 3 entries"
BATCH = "bare SDK: one BatchSpanProcessor"
BATCH_OURS = "+ ours, stamped by process default, beside Batch"
LANGFUSE = "Langfuse's in place of Batch"
LANGFUSE_VERSION = "Langfuse's, with a propagated version"

ENTRY_BARE = "bare SDK, root spans"
ENTRY_HAND = "+ by hand: get_value, set_attributes of 2, add_link"
ENTRY_DEFAULT = "+ ours, by process default"
ENTRY_SCOPED = "+ ours, by scope"
ENTRY_SENDING = "+ ours with an exporter for records"

_KEY = context_api.create_key("benchmarks.model_id")


class _Empty(SpanProcessor):
    """Does nothing, as the SDK's base class does."""


class _Floor(SpanProcessor):
    """The least that any processor must do through the public API to stamp a span: look the id up, and set it."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        model_id = context_api.get_value(_KEY, parent_context)
        if isinstance(model_id, str):
            span.set_attribute(attributes.ID, model_id)


class _ByHand(SpanProcessor):
    """The same for entry spans."""

    def __init__(self) -> None:
        self._attributes = {attributes.ID: MODEL_ID, attributes.NAME: NAME}
        self._link_attributes = {attributes.ID: MODEL_ID}
        self._model_span = model_span_of(MODEL_ID)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if context_api.get_value(_KEY, parent_context) is not None:
            span.set_attributes(self._attributes)
            span.add_link(self._model_span, self._link_attributes)


def run() -> Report:
    """Measure."""
    children, children_timings = _children()
    entries, entries_timings = _entries()
    calls, notes = traced_calls()
    return Report(
        tables=[children, entries, calls],
        budgets=[
            *(
                Budget(f"{label[2:]}, of the floor", _over_floor(children_timings, label), 1.15)
                for label in (DEFAULT, SCOPED)
            ),
            Budget(f"{IDLE[2:]}, of the floor", _over_floor(children_timings, IDLE), 0.25),
            *(
                Budget(f"{label[2:]}, entry span, of the same by hand", _over_hand(entries_timings, label), 1.15)
                for label in (ENTRY_DEFAULT, ENTRY_SCOPED)
            ),
        ],
        notes=notes,
    )


def _over_floor(timings: Timings, label: str) -> Figure:
    return timings.figure(lambda took: (took[label] - took[BARE]) / (took[FLOOR] - took[BARE]))


def _over_hand(timings: Timings, label: str) -> Figure:
    return timings.figure(lambda took: (took[label] - took[ENTRY_BARE]) / (took[ENTRY_HAND] - took[ENTRY_BARE]))


# Child spans


def _children() -> tuple[Table, Timings]:
    parent = trace.set_span_in_context(_local_parent(), Context())
    # The scope lies around the parent: a span whose parent is outside of the scope is an entry span.
    scoped = trace.set_span_in_context(_local_parent(), _in_scope(Context()))
    with_id = context_api.set_value(_KEY, MODEL_ID, parent)
    one = baggage.set_baggage(attributes.ID, MODEL_ID, parent)
    three = baggage.set_baggage("user.id", "u-1234", baggage.set_baggage("session.id", "s-1234", one))
    contestants = [
        Contestant(NO_PROCESSOR, _spans_in(parent)),
        Contestant(BARE, _spans_in(parent, _Empty())),
        Contestant(EMPTY, _spans_in(parent, _Empty(), _Empty())),
        Contestant(FLOOR, _spans_in(with_id, _Empty(), _Floor())),
        Contestant(IDLE, _spans_in(parent, _Empty(), otel_loggedmodel.LoggedModelSpanProcessor())),
        _with_default(DEFAULT, _spans_in(parent, _Empty(), otel_loggedmodel.LoggedModelSpanProcessor())),
        Contestant(SCOPED, _spans_in(scoped, _Empty(), otel_loggedmodel.LoggedModelSpanProcessor())),
    ]
    skipped: list[Row] = []
    try:
        contestants += [
            Contestant(BAGGAGE_1, _spans_in(one, _Empty(), peers.baggage_processor())),
            Contestant(BAGGAGE_3, _spans_in(three, _Empty(), peers.baggage_processor())),
        ]
    except peers.Unavailable as error:
        skipped += [Row(label, skipped=str(error)) for label in (BAGGAGE_1, BAGGAGE_3)]
    batch: list[SpanProcessor] = [BatchSpanProcessor(NullExporter()) for _ in range(2)]
    contestants += [
        Contestant(BATCH, _spans_in(parent, batch[0])),
        _with_default(BATCH_OURS, _spans_in(parent, batch[1], otel_loggedmodel.LoggedModelSpanProcessor())),
    ]
    try:
        langfuse = peers.langfuse_processor()
        contestants += [
            Contestant(LANGFUSE, _spans_in(parent, langfuse)),
            Contestant(LANGFUSE_VERSION, _spans_in(peers.with_langfuse_version(parent, MODEL_ID), langfuse)),
        ]
        batch.append(langfuse)
    except peers.Unavailable as error:
        skipped += [Row(label, skipped=str(error)) for label in (LANGFUSE, LANGFUSE_VERSION)]
    timings = _measure(contestants)
    for processor in batch:
        processor.shutdown()
    against_batch = (BATCH_OURS, LANGFUSE, LANGFUSE_VERSION)
    rows = [
        _row(timings, contestant.label, BATCH if contestant.label in against_batch else BARE, FLOOR, BARE, "of floor")
        for contestant in contestants
    ]
    method = (
        f"CPU time of the calling thread for start_span and end of a child span without attributes; the least of "
        f"{ROUNDS_PER_BLOCK} slices of {SPANS_PER_SLICE}; median of {BLOCKS} such blocks, and quartiles; no collection"
    )
    columns = [Column("span", "us"), Column("added", "us"), Column("of floor", "x")]
    return Table("child spans", method, columns, [*rows, *skipped]), timings


# Entry spans


def _entries() -> tuple[Table, Timings]:
    root = Context()
    with_id = context_api.set_value(_KEY, MODEL_ID, root)
    sending = otel_loggedmodel.LoggedModelSpanProcessor(NullExporter())
    contestants = [
        Contestant(ENTRY_BARE, _spans_in(root, _Empty())),
        Contestant(ENTRY_HAND, _spans_in(with_id, _Empty(), _ByHand())),
        _with_default(ENTRY_DEFAULT, _spans_in(root, _Empty(), otel_loggedmodel.LoggedModelSpanProcessor())),
        Contestant(ENTRY_SCOPED, _spans_in(_in_scope(root), _Empty(), otel_loggedmodel.LoggedModelSpanProcessor())),
        _with_default(ENTRY_SENDING, _spans_in(root, _Empty(), sending)),
    ]
    timings = _measure(contestants)
    sending.shutdown()
    method = "as above, for spans without a parent; what is added is an id, a name and a link to the model's own span"
    columns = [Column("span", "us"), Column("added", "us"), Column("of by hand", "x")]
    rows = [
        _row(timings, contestant.label, ENTRY_BARE, ENTRY_HAND, ENTRY_BARE, "of by hand") for contestant in contestants
    ]
    return Table("entry spans", method, columns, rows), timings


def _row(timings: Timings, label: str, base: str, measure_of: str, measure_base: str, column: str) -> Row:
    figures = {"span": timings.each(label).times(1e-3)}
    if label not in (base, BATCH, NO_PROCESSOR):
        figures["added"] = timings.figure(lambda took: (took[label] - took[base]) / 1000)
        figures[column] = timings.figure(
            lambda took: (took[label] - took[base]) / (took[measure_of] - took[measure_base])
        )
    return Row(label, figures)


def _measure(contestants: Sequence[Contestant]) -> Timings:
    return measure(
        contestants, operations=SPANS_PER_SLICE, blocks=BLOCKS, rounds_per_block=ROUNDS_PER_BLOCK, warm_up=WARM_UP
    )


# Contestants


def _spans_in(context: Context, *processors: SpanProcessor) -> Callable[[int], None]:
    """Start and end spans in a context that is current, as spans of instrumentations are."""
    provider = TracerProvider(shutdown_on_exit=False)
    for processor in processors:
        provider.add_span_processor(processor)
    tracer = provider.get_tracer(SCOPE)

    def run(count: int) -> None:
        token = context_api.attach(context)
        start = tracer.start_span
        for _ in range(count):
            start("chat gpt-5-mini").end()
        context_api.detach(token)

    return run


def _with_default(label: str, run: Callable[[int], None]) -> Contestant:
    # With the name, as a version has that was made in this process.
    def activate() -> None:
        otel_loggedmodel.set_active_model(name=NAME, model_id=MODEL_ID)

    return Contestant(label, run, activate, otel_loggedmodel.clear_active_model)


def _in_scope(context: Context) -> Context:
    token = context_api.attach(context)
    try:
        with otel_loggedmodel.use_model(otel_loggedmodel.LoggedModel(model_id=MODEL_ID, name=NAME)):
            return context_api.get_current()
    finally:
        context_api.detach(token)


def _local_parent() -> NonRecordingSpan:
    return NonRecordingSpan(SpanContext(0x1234, 0x5678, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)))
