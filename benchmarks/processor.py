# SPDX-License-Identifier: Apache-2.0
"""What stamping adds to a span, beside what others add.

The bare SDK is a tracer provider with one empty span processor, which stands for the processor that exports: no
application has a provider with none. Every contestant is a second processor beside that one, and what it adds is the
difference between the two. Langfuse's is itself the processor that exports, so it is compared with the SDK's batch
processor in its place.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from opentelemetry import baggage, trace
from opentelemetry import context as context_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import otel_loggedmodel
from benchmarks import peers
from benchmarks.decorators import traced_calls
from benchmarks.isolated import in_fresh_process
from benchmarks.measuring import Contestant, Timings, measure
from benchmarks.reporting import Budget, Column, Report, Row, Table
from benchmarks.spans import NullExporter
from otel_loggedmodel import attributes
from otel_loggedmodel.versions.active import model_span_of

MODEL_ID = "m-0123456789abcdef0123456789abcdef"
NAME = "support-agent"
# The scope of a well-known instrumentation: those processors that look at it then keep the spans, as they do in use.
SCOPE = "opentelemetry.instrumentation.openai_v2"

# Slices are shorter than a scheduler's turn, so that many of them are not disturbed at all.
SPANS_PER_SLICE = 100
WARM_UP = 20
ROUNDS_PER_BLOCK = 100
# Where objects and code happen to lie in memory makes a difference of some hundredths of a microsecond that lasts as
# long as a process, so several take part.
PROCESSES = 4
BLOCKS_PER_PROCESS = 4

NO_PROCESSOR = "no processor at all"
BARE = "bare SDK: one empty processor"
EMPTY = "+ another empty processor"
FLOOR = "+ floor: one get_value, one set_attribute"
IDLE = "+ ours, no version active"
IDLE_BESIDE_SCOPES = "+ ours, no version active, scopes elsewhere"
DEFAULT = "+ ours, stamped by process default"
SCOPED = "+ ours, stamped by scope"
BAGGAGE_1 = "+ BaggageSpanProcessor, 1 entry"
BAGGAGE_3 = "+ BaggageSpanProcessor, 3 entries"
BATCH = "bare SDK: one BatchSpanProcessor"
BATCH_OURS = "+ ours beside it, stamped by process default"
LANGFUSE = "Langfuse's in its place"
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
    children, idle, exporting, entries = _children_table(), _idle_table(), _exporting_table(), _entries_table()
    calls, notes = traced_calls()
    budgets = [
        _budget(children, DEFAULT, "of floor", 1.15),
        _budget(children, SCOPED, "of floor", 1.15),
        _budget(idle, IDLE, "of floor", 0.25),
        _budget(entries, ENTRY_DEFAULT, "of by hand", 1.15),
        _budget(entries, ENTRY_SCOPED, "of by hand", 1.15),
    ]
    return Report([children, idle, exporting, entries, calls], budgets, notes)


def _budget(table: Table, label: str, column: str, limit: float) -> Budget:
    row = next(row for row in table.rows if row.label == label)
    return Budget(f"{table.title}, {label[2:]}, {column}", row.figures[column], limit)


# Tables


def _children_table() -> Table:
    timings, skipped = _timed(_children)
    rows = [_row(timings, label, BARE, (FLOOR, BARE), "of floor") for label in timings.labels]
    method = (
        "CPU time of the calling thread for start_span and end of a child span without attributes, in a process that "
        f"has scopes, without garbage collection; least of {ROUNDS_PER_BLOCK} slices of {SPANS_PER_SLICE} spans, the "
        f"median of {PROCESSES * BLOCKS_PER_PROCESS} such blocks in {PROCESSES} processes, and quartiles"
    )
    return Table("child spans", method, _columns("of floor"), [*rows, *skipped])


def _idle_table() -> Table:
    timings, _ = _timed(_idle)
    rows = [_row(timings, label, BARE, (FLOOR, BARE), "of floor") for label in timings.labels]
    method = (
        "as above, in a process that has no version and never had one: the library is installed, and nobody uses it"
    )
    return Table("child spans without versions", method, _columns("of floor"), rows)


def _exporting_table() -> Table:
    timings, skipped = _timed(_exporting)
    rows = [
        _row(timings, label, BARE if label in (BARE, FLOOR) else BATCH, (FLOOR, BARE), "of floor")
        for label in timings.labels
    ]
    method = (
        "as above, with processors that hand spans to a thread of their own, which exports to nowhere; what is added "
        "is added to the SDK's batch processor"
    )
    title = "child spans, beside or in place of a processor that exports"
    return Table(title, method, _columns("of floor"), [*rows, *skipped])


def _entries_table() -> Table:
    timings, skipped = _timed(_entries)
    rows = [_row(timings, label, ENTRY_BARE, (ENTRY_HAND, ENTRY_BARE), "of by hand") for label in timings.labels]
    method = (
        "as the first, for spans without a parent; what is added is an id, a name and a link to the model's own span"
    )
    return Table("entry spans", method, _columns("of by hand"), [*rows, *skipped])


def _columns(ratio: str) -> list[Column]:
    return [Column("span", "us"), Column("added", "us"), Column(ratio, "x")]


def _row(timings: Timings, label: str, base: str, unit: tuple[str, str], column: str) -> Row:
    """What a contestant adds to a base, also as a multiple of what the first of `unit` adds to the second."""
    figures = {"span": timings.each(label).times(1e-3)}
    if label not in (base, NO_PROCESSOR):
        figures["added"] = timings.figure(lambda took: (took[label] - took[base]) / 1000)
        figures[column] = timings.figure(lambda took: (took[label] - took[base]) / (took[unit[0]] - took[unit[1]]))
    return Row(label, figures)


# Measuring


@dataclasses.dataclass(frozen=True)
class _Group:
    """Contestants that are measured together, with how many attributes their spans get, and who is missing and why."""

    contestants: Sequence[Contestant]
    expected: Mapping[str, int]
    skipped: Mapping[str, str] = dataclasses.field(default_factory=dict)


def _timed(group: Callable[[], _Group]) -> tuple[Timings, list[Row]]:
    measured = [in_fresh_process(_measured, group) for _ in range(PROCESSES)]
    skipped = [Row(label, skipped=reason) for label, reason in measured[0][1].items()]
    return Timings.joined(timings for timings, _ in measured), skipped


def _measured(make_group: Callable[[], _Group]) -> tuple[Timings, Mapping[str, str]]:
    group = make_group()
    for each in group.contestants:
        _check(each, group.expected.get(each.label))
    timings = measure(
        group.contestants,
        operations=SPANS_PER_SLICE,
        blocks=BLOCKS_PER_PROCESS,
        rounds_per_block=ROUNDS_PER_BLOCK,
        warm_up=WARM_UP,
    )
    return timings, group.skipped


def _check(contestant: Contestant, expected: int | None) -> None:
    """Make sure that a contestant does what it is measured for."""
    assert isinstance(contestant.run, _Spans)
    contestant.before()
    found = contestant.run.one().attributes or {}
    contestant.after()
    if expected is not None and len(found) != expected:
        raise RuntimeError(f"{contestant.label}: {expected} attributes expected, found {dict(found)}")


# Contestants


def _children() -> _Group:
    parent = trace.set_span_in_context(_local_parent(), Context())
    scoped = _Spans(trace.set_span_in_context(_local_parent(), _in_scope(Context())), _Empty(), _ours())
    scoped.one()  # the first of a scope is an entry span, where its version begins
    with_id = context_api.set_value(_KEY, MODEL_ID, parent)
    contestants = [
        Contestant(NO_PROCESSOR, _Spans(parent)),
        Contestant(BARE, _Spans(parent, _Empty())),
        Contestant(EMPTY, _Spans(parent, _Empty(), _Empty())),
        Contestant(FLOOR, _Spans(with_id, _Empty(), _Floor())),
        Contestant(IDLE_BESIDE_SCOPES, _Spans(parent, _Empty(), _ours())),
        _by_default(DEFAULT, _Spans(parent, _Empty(), _ours())),
        Contestant(SCOPED, scoped),
    ]
    expected = {FLOOR: 1, IDLE_BESIDE_SCOPES: 0, DEFAULT: 1, SCOPED: 1, BAGGAGE_1: 1, BAGGAGE_3: 3}
    try:
        one = baggage.set_baggage(attributes.ID, MODEL_ID, parent)
        three = baggage.set_baggage("user.id", "u-1234", baggage.set_baggage("tenant.id", "t-1234", one))
        contestants += [
            Contestant(BAGGAGE_1, _Spans(one, _Empty(), peers.baggage_processor())),
            Contestant(BAGGAGE_3, _Spans(three, _Empty(), peers.baggage_processor())),
        ]
    except peers.Unavailable as error:
        return _Group(contestants, expected, dict.fromkeys((BAGGAGE_1, BAGGAGE_3), str(error)))
    return _Group(contestants, expected)


def _idle() -> _Group:
    parent = trace.set_span_in_context(_local_parent(), Context())
    contestants = [
        Contestant(BARE, _Spans(parent, _Empty())),
        Contestant(FLOOR, _Spans(context_api.set_value(_KEY, MODEL_ID, parent), _Empty(), _Floor())),
        Contestant(IDLE, _Spans(parent, _Empty(), _ours())),
    ]
    return _Group(contestants, {FLOOR: 1, IDLE: 0})


def _exporting() -> _Group:
    parent = trace.set_span_in_context(_local_parent(), Context())
    batch = BatchSpanProcessor(NullExporter())
    contestants = [
        Contestant(BARE, _Spans(parent, _Empty())),
        Contestant(FLOOR, _Spans(context_api.set_value(_KEY, MODEL_ID, parent), _Empty(), _Floor())),
        _flushed(Contestant(BATCH, _Spans(parent, batch)), batch),
        _flushed(_by_default(BATCH_OURS, _Spans(parent, batch, _ours())), batch),
    ]
    expected = {FLOOR: 1, BATCH_OURS: 1}
    try:
        langfuse = peers.langfuse_processor()
        with_version = peers.with_langfuse_version(parent, MODEL_ID)
        contestants += [
            _flushed(Contestant(LANGFUSE, _Spans(parent, langfuse)), langfuse),
            _flushed(Contestant(LANGFUSE_VERSION, _Spans(with_version, langfuse)), langfuse),
        ]
    except peers.Unavailable as error:
        return _Group(contestants, expected, dict.fromkeys((LANGFUSE, LANGFUSE_VERSION), str(error)))
    return _Group(contestants, expected)


def _entries() -> _Group:
    root = Context()
    sending = otel_loggedmodel.LoggedModelSpanProcessor(NullExporter())
    contestants = [
        Contestant(ENTRY_BARE, _Spans(root, _Empty())),
        Contestant(ENTRY_HAND, _Spans(context_api.set_value(_KEY, MODEL_ID, root), _Empty(), _ByHand())),
        _by_default(ENTRY_DEFAULT, _Spans(root, _Empty(), _ours())),
        Contestant(ENTRY_SCOPED, _Spans(_in_scope(root), _Empty(), _ours())),
        _by_default(ENTRY_SENDING, _Spans(root, _Empty(), sending)),
    ]
    return _Group(contestants, dict.fromkeys((ENTRY_HAND, ENTRY_DEFAULT, ENTRY_SCOPED, ENTRY_SENDING), 2))


class _Spans:
    """Starts and ends spans in a context that is current, as instrumentations do."""

    def __init__(self, context: Context, *processors: SpanProcessor) -> None:
        provider = TracerProvider(shutdown_on_exit=False)
        for processor in processors:
            provider.add_span_processor(processor)
        self._tracer = provider.get_tracer(SCOPE)
        self._context = context

    def __call__(self, count: int) -> None:
        token = context_api.attach(self._context)
        start = self._tracer.start_span
        for _ in range(count):
            start("chat gpt-5-mini").end()
        context_api.detach(token)

    def one(self) -> Span:
        """One of these spans."""
        span = self._tracer.start_span("chat gpt-5-mini", self._context)
        span.end()
        assert isinstance(span, Span)
        return span


def _ours() -> SpanProcessor:
    return otel_loggedmodel.LoggedModelSpanProcessor()


def _by_default(label: str, run: _Spans) -> Contestant:
    # With the name, as a version has that was made in this process.
    def activate() -> None:
        otel_loggedmodel.set_active_model(name=NAME, model_id=MODEL_ID)

    return Contestant(label, run, activate, otel_loggedmodel.clear_active_model)


def _flushed(contestant: Contestant, exporting: SpanProcessor) -> Contestant:
    # A full queue would have it drop spans, which costs something else.
    def after() -> None:
        contestant.after()
        exporting.force_flush()

    return dataclasses.replace(contestant, after=after)


def _in_scope(context: Context) -> Context:
    token = context_api.attach(context)
    try:
        with otel_loggedmodel.use_model(otel_loggedmodel.LoggedModel(model_id=MODEL_ID, name=NAME)):
            return context_api.get_current()
    finally:
        context_api.detach(token)


def _local_parent() -> NonRecordingSpan:
    return NonRecordingSpan(SpanContext(0x1234, 0x5678, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED)))
