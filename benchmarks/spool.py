# SPDX-License-Identifier: Apache-2.0
"""What keeping spans on disk costs: writing beside the encoding that comes before it, and finding ten thousand files.

Writing is measured by the clock on the wall, on the disk with the temporary directory, and includes what it takes to
have everything written through once a second.
"""

import contextlib
import functools
import os
import pathlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan

from benchmarks.isolated import in_fresh_process
from benchmarks.measuring import Contestant, Figure, Timings, measure
from benchmarks.reporting import Budget, Column, Report, Row, Table
from benchmarks.spans import SPANS_PER_TRACE, InBatches, chat_attributes, make_trace, tracer_with
from otel_loggedmodel.delivery.spool import Kind, Spool

BATCHES = [512, 64, 8]
# The budgets are for spans of about a kilobyte.
MORE_TEXT = "the quick brown fox jumps over the lazy dog " * 5
OPERATIONS = 40
BLOCKS = 7
ROUNDS_PER_BLOCK = 5
SEGMENTS = 10_000
SUSTAINED_BYTES = 200 * 1024 * 1024
_MIB = 1024 * 1024


def run() -> Report:
    """Measure."""
    writing, budgets = _writing()
    starting, more_budgets = _starting()
    return Report([writing, starting], [*budgets, *more_budgets])


def _writing() -> tuple[Table, list[Budget]]:
    rows, budgets = [], []
    for size in BATCHES:
        batch = _batch(size)
        payload = encode_spans(batch).SerializeToString()
        timings = _in_turns(batch, payload)
        figures = {
            "encoding": timings.each("encoding"),
            "writing": timings.each("writing"),
            "reading": timings.each("reading"),
        }
        figures = {
            name: Figure(size * 1e9 / took.value, size * 1e9 / took.high, size * 1e9 / took.low)
            for name, took in figures.items()
        }
        figures["sustained"] = Figure.of([_sustained(payload, size) for _ in range(3)])
        figures["of encoding"] = timings.figure(lambda took: took["writing"] / took["encoding"])
        label = f"{size} spans a request, {len(payload) // size} B each"
        rows.append(Row(label, figures))
        if size == BATCHES[0]:
            budgets = [
                Budget(f"writing, {label}", figures["sustained"], 50_000, "spans/s", at_least=True),
                Budget(f"writing, {label}, of the time that encoding takes", figures["of encoding"], 1.5),
            ]
    columns = [
        *(Column(name, "spans/s", 0) for name in ("encoding", "writing", "sustained", "reading")),
        Column("of encoding", "x", 3),
    ]
    method = (
        f"in turns; median of {ROUNDS_PER_BLOCK}, median of {BLOCKS} such blocks, and quartiles; of encoding: the time "
        f"writing takes, in that of encoding; sustained: {SUSTAINED_BYTES // _MIB} MiB, until all of it is on the disk "
        "itself; reading includes noting what is done with"
    )
    return Table("keeping requests on disk", method, columns, rows), budgets


def _in_turns(batch: Sequence[ReadableSpan], payload: bytes) -> Timings:
    size = len(batch)
    with tempfile.TemporaryDirectory() as directory:
        spool = Spool(pathlib.Path(directory) / "spool" / "key")
        timings = measure(
            [
                Contestant("encoding", functools.partial(_encode, batch)),
                Contestant("writing", functools.partial(_write, spool, payload, size), after=lambda: _empty(spool)),
                Contestant("reading", functools.partial(_read, spool), before=lambda: _fill(spool, payload, size)),
            ],
            operations=_operations(size),
            blocks=BLOCKS,
            rounds_per_block=ROUNDS_PER_BLOCK,
            clock=time.perf_counter_ns,
            typical=statistics.median,
        )
        spool.close()
    return timings


def _sustained(payload: bytes, size: int) -> float:
    """Spans a second."""
    times = SUSTAINED_BYTES // len(payload)
    with tempfile.TemporaryDirectory() as directory:
        spool = Spool(pathlib.Path(directory) / "spool" / "key")
        began = time.perf_counter()
        _write(spool, payload, size, times)
        spool.close()
        return times * size / (time.perf_counter() - began)


def _operations(size: int) -> int:
    return max(OPERATIONS, OPERATIONS * 64 // size)


def _starting() -> tuple[Table, list[Budget]]:
    rows, budgets = [], []
    for owners in (1, 100):
        with tempfile.TemporaryDirectory() as above:
            directory = pathlib.Path(above) / "spool" / "key"
            for _ in range(owners):
                in_fresh_process(_leave, str(directory), SEGMENTS // owners)
            seconds, grown = in_fresh_process(_take_over, str(directory))
        label = f"{SEGMENTS:,} files that {owners} process{'es' if owners > 1 else ''} left"
        figures = {"time": Figure.of([seconds * 1000]), "memory": Figure.of([grown / _MIB])}
        rows.append(Row(label, figures))
        if owners == 1:  # letting go of the directories of the dead takes longer than what is in them
            budgets = [
                Budget(f"taking over {label}", figures["time"], 1000, "ms"),
                Budget(f"memory for {label}", figures["memory"], 50, "MiB"),
            ]
    method = "until the first request of them can be delivered; growth of what the system gave to the process"
    return Table("starting", method, [Column("time", "ms", 0), Column("memory", "MiB", 1)], rows), budgets


def _batch(size: int) -> Sequence[ReadableSpan]:
    batches: list[Sequence[ReadableSpan]] = []
    tracer = tracer_with(InBatches(batches.append, size))
    for number in range(0, size, SPANS_PER_TRACE):
        make_trace(tracer, number, lambda number: {**chat_attributes(number), "gen_ai.system_instructions": MORE_TEXT})
    return batches[0]


def _encode(batch: Sequence[ReadableSpan], times: int) -> None:
    for _ in range(times):
        encode_spans(batch).SerializeToString()


def _write(spool: Spool, payload: bytes, count: int, times: int) -> None:
    for _ in range(times):
        spool.append(Kind.SPANS, payload, count)


def _read(spool: Spool, times: int) -> None:
    for _ in range(times):
        stored = spool.next()
        if stored is None:
            raise RuntimeError("there is nothing to read: this would measure nothing")
        spool.done(stored)


def _fill(spool: Spool, payload: bytes, count: int) -> None:
    _empty(spool)
    _write(spool, payload, count, _operations(count))


def _empty(spool: Spool) -> None:
    while (stored := spool.next()) is not None:
        spool.done(stored)


def _leave(directory: str, files: int) -> None:
    spool = Spool(pathlib.Path(directory), segment_bytes=1000)
    for _ in range(files):
        spool.append(Kind.SPANS, b"x" * 900, 1)
    spool.close()


def _take_over(directory: str) -> tuple[float, int]:
    spool = Spool(pathlib.Path(directory))
    before = _resident_bytes()
    with _timed() as seconds:
        spool.adopt()
        stored = spool.next()
    grown = _resident_bytes() - before
    if stored is None or spool.pending.spans != SEGMENTS:
        raise RuntimeError(f"{spool.pending} was found, and not {SEGMENTS} files")
    spool.close()
    return seconds(), grown


@contextlib.contextmanager
def _timed() -> Iterator[Callable[[], float]]:
    began = time.perf_counter()
    took = 0.0
    yield lambda: took
    took = time.perf_counter() - began


def _resident_bytes() -> int:
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
