# SPDX-License-Identifier: Apache-2.0
"""Whether memory stays flat over many spans and over many versions.

Everything that the library remembers is bounded. So there is growth while those bounds are reached, and none after:
what counts is the growth in the second half. Each case is measured twice, in processes of their own: the memory that
the system gave to the process, and the blocks that Python's allocator has handed out.
"""

import contextlib
import gc
import itertools
import logging
import os
import pathlib
import time
import tracemalloc
from collections.abc import Callable, Iterator

from opentelemetry import baggage
from opentelemetry import context as context_api

import otel_loggedmodel
from benchmarks.isolated import in_fresh_process
from benchmarks.measuring import Figure
from benchmarks.reporting import Budget, Column, Report, Row, Table
from benchmarks.spans import SPANS_PER_TRACE, InBatches, NullExporter, make_overfull_span, make_trace, tracer_with
from otel_loggedmodel import attributes

SPANS = 1_000_000
VERSIONS = 100_000
# Tracing every allocation takes four times as long, and a part of the way is enough to fill whatever has a bound.
PART_TRACED = 4
# One span in so many has more attributes than the SDK keeps.
OVERFULL_EVERY = 20

# The system takes freed memory back in large pieces only, whenever that suits the allocator, and dictionaries grow and
# shrink by doubling. Still this is but a few bytes a span, and less a version than remembering its id would take.
BUDGET_BYTES = {"resident": 8 * 1024 * 1024, "allocated": 1024 * 1024}
_MIB = 1024 * 1024


def run() -> Report:
    """Measure."""
    rows: list[Row] = []
    budgets: list[Budget] = []
    for case, (what, whole) in CASES.items():
        for kind, limit in BUDGET_BYTES.items():
            count = whole if kind == "resident" else whole // PART_TRACED
            start, half, end = in_fresh_process(_measured, case, count, kind)
            label = f"{count:,} {what}, {kind}"
            growth = Figure.of([float(end - half)])
            figures = {
                "start": Figure.of([start / _MIB]),
                "first half": Figure.of([float(half - start)]),
                "second half": growth,
            }
            rows.append(Row(label, figures))
            budgets.append(Budget(f"{label}, growth in the second half", growth, limit, "B"))
    method = "resident: what the system gave to the process; allocated: what tracemalloc sees; after a collection each"
    columns = [Column("start", "MiB", 1), Column("first half", "B", 0), Column("second half", "B", 0)]
    return Report([Table("growth of memory", method, columns, rows)], budgets)


def _measured(case: str, count: int, kind: str) -> tuple[int, int, int]:
    """Bytes in use at the beginning, half-way and at the end."""
    for noisy in ("opentelemetry.attributes", "otel_loggedmodel"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    do = _DOING[case]()
    do(min(count // 100, 1000))  # imports, caches and code objects
    if kind == "allocated":
        tracemalloc.start()
    used = _allocated_bytes if kind == "allocated" else _resident_bytes
    start = _at_rest(used)
    do(count // 2)
    half = _at_rest(used)
    do(count - count // 2)
    return start, half, _at_rest(used)


def _at_rest(used: Callable[[], int]) -> int:
    time.sleep(0.5)  # lets the thread that delivers records finish what it is at
    gc.collect()
    return used()


def _allocated_bytes() -> int:
    return tracemalloc.get_traced_memory()[0]


def _resident_bytes() -> int:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


# Cases: what each returns does it that many times.


def _spans() -> Callable[[int], None]:
    """Requests with calls in them, some of them overfull, of one version, exported in batches."""
    exporter = otel_loggedmodel.LoggedModelExporter(NullExporter())
    batches = InBatches(exporter.export)
    tracer = tracer_with(otel_loggedmodel.LoggedModelSpanProcessor(), batches)
    keys = [f"llm.input_messages.{number}.message.content" for number in range(130)]
    otel_loggedmodel.set_active_model(name="support-agent")

    def do(count: int) -> None:
        since_overfull = 0
        for number in range(0, count, SPANS_PER_TRACE):
            make_trace(tracer, number, attributes_of=lambda number: {})
            since_overfull += SPANS_PER_TRACE
            if since_overfull >= OVERFULL_EVERY:
                make_overfull_span(tracer, keys)
                since_overfull = 0
        batches.force_flush()  # what is just on its way is no growth

    return do


def _made_here() -> Callable[[int], None]:
    """Versions that are created, activated for a block and updated, with a span of each."""
    exporter = otel_loggedmodel.LoggedModelExporter(NullExporter())
    processor = otel_loggedmodel.LoggedModelSpanProcessor(NullExporter())
    batches = InBatches(exporter.export, 64)
    tracer = tracer_with(processor, batches)
    numbers = itertools.count()

    def do(count: int) -> None:
        for number in itertools.islice(numbers, count):
            model = otel_loggedmodel.create_external_model(f"agent-{number % 20_000}", params={"seed": str(number)})
            with otel_loggedmodel.set_active_model(model_id=model.model_id):
                tracer.start_span("chat").end()
            otel_loggedmodel.set_logged_model_tags(model.model_id, {"reviewed": "true"})
        batches.force_flush()
        processor.force_flush()

    return do


def _made_elsewhere() -> Callable[[int], None]:
    """Versions of which only the id comes by, in a scope and in baggage."""
    exporter = otel_loggedmodel.LoggedModelExporter(NullExporter())
    processor = otel_loggedmodel.LoggedModelSpanProcessor(NullExporter(), accept_baggage=True)
    batches = InBatches(exporter.export, 64)
    tracer = tracer_with(processor, batches)
    numbers = itertools.count(1)

    def do(count: int) -> None:
        for number in itertools.islice(numbers, count):
            with otel_loggedmodel.use_model(model_id=f"m-{number:032x}"):
                tracer.start_span("chat").end()
            with _attached(baggage.set_baggage(attributes.ID, f"m-f{number:031x}")):
                tracer.start_span("chat").end()
        batches.force_flush()
        processor.force_flush()

    return do


@contextlib.contextmanager
def _attached(context: context_api.Context) -> Iterator[None]:
    token = context_api.attach(context)
    try:
        yield
    finally:
        context_api.detach(token)


_DOING: dict[str, Callable[[], Callable[[int], None]]] = {
    "spans": _spans,
    "made here": _made_here,
    "made elsewhere": _made_elsewhere,
}
CASES = {
    "spans": ("spans", SPANS),
    "made here": ("versions made here", VERSIONS),
    "made elsewhere": ("versions made elsewhere in scopes, as many in baggage", VERSIONS),
}
