# SPDX-License-Identifier: Apache-2.0
"""Spans a second that backends take and store, from a client on the same machine, and how long they let it wait."""

import itertools
import math
import os
import pathlib
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.backends import Backend, Ours
from benchmarks.isolated import in_fresh_process
from benchmarks.load import Load, Step, send
from benchmarks.measuring import Figure
from benchmarks.payloads import SPANS
from benchmarks.peers import Unavailable
from benchmarks.reporting import Budget, Column, Report, Row, Table
from benchmarks.rivals import RIVALS, MLflow, Rival
from benchmarks.servers import machine_cpu_seconds

CONNECTIONS = 32
SHAPES = {1: "1 span a trace", 10: "10 spans a trace"}

BUDGET_SPANS_PER_SECOND = 25_000.0
BUDGET_TIMES_MLFLOW = 10.0
BUDGET_MILLISECONDS = 1000.0

_MILLION = 1_000_000
_WAITING = [
    Column("throughput", "spans/s", 0),
    Column("p50", "ms", 0),
    Column("p99", "ms", 0),
    Column("p50 at half", "ms", 0),
    Column("p99 at half", "ms", 0),
    Column("missing", "spans", 0),
    Column("refused", "requests", 0),
]
_TAKING = [
    Column("server", "CPU s/100k spans", 2),
    Column("client", "CPU s/100k spans", 2),
    Column("memory", "MB", 0),
    Column("disk", "MB/1M spans", 0),
    Column("others", "% of all CPU", 0),
]


@dataclass(frozen=True)
class Effort:
    """How much to measure.

    Attributes:
        rounds: How often, each time on a fresh directory.
        full: As much as the server takes, sustained.
        half: After that.
        drain_seconds: What a server that acknowledges first has then to store what it acknowledged.
    """

    rounds: int
    full: Step
    half: Step
    drain_seconds: float


FULL = Effort(rounds=3, full=Step(20.0), half=Step(10.0, part=0.5), drain_seconds=20.0)
QUICK = Effort(rounds=1, full=Step(4.0), half=Step(3.0, part=0.5), drain_seconds=8.0)
_BRIEFLY = Step(1.0)

Runs = Mapping[Backend, Sequence[Mapping[str, float]]]


def run(quick: bool = False) -> Report:
    """Measure."""
    effort = QUICK if quick else FULL
    ours = [Ours("http", CONNECTIONS), Ours("grpc", CONNECTIONS)]
    rivals: list[Rival] = []
    skipped: list[Row] = []
    for rival in RIVALS:
        try:
            rivals.append(rival())
        except Unavailable as error:
            skipped.append(Row(rival.name, skipped=str(error)))
    tables: list[Table] = []
    budgets: list[Budget] = []
    for shape, text in SHAPES.items():
        runs, failed = _runs([*ours, *rivals], shape, effort)
        skipped.extend(failed)
        rivals = [rival for rival in rivals if rival in runs]
        rows = [Row(backend.label, _best(several)) for backend, several in runs.items()]
        tables.append(Table(f"receiving, {text}", _method(effort), _WAITING, [*rows, *skipped]))
        tables.append(Table(f"what that takes, {text}", _METHOD_OF_TAKING, _TAKING, rows))
        if rivals:
            tables.append(_ratios(runs, ours, rivals, text))
        budgets.extend(_budgets(runs, ours, rivals, text))
    return Report(tables, budgets)


def _runs(backends: Sequence[Backend], shape: int, effort: Effort) -> tuple[Runs, list[Row]]:
    """Backends take turns, so that whatever slows the machine down for a while hits all of them.

    Returns:
        What was measured, and why not of others: rivals that do not start, or take nothing.
    """
    found: dict[Backend, list[dict[str, float]]] = {backend: [] for backend in backends}
    failed: list[Row] = []
    for number, backend in itertools.product(range(1, effort.rounds + 1), backends):
        if backend not in found:
            continue
        try:
            figures = _figures(backend, shape, effort)
        except RuntimeError as error:
            if isinstance(backend, Ours):
                raise
            del found[backend]
            failed.append(Row(backend.label, skipped=str(error)))
            continue
        found[backend].append(figures)
        shown = ", ".join(f"{name} {value:,.4g}" for name, value in figures.items())
        print(f"  {backend.label}, {SHAPES[shape]}, {number} of {effort.rounds}: {shown}", file=sys.stderr, flush=True)
    return found, failed


def _figures(backend: Backend, shape: int, effort: Effort) -> dict[str, float]:
    """What one run on a fresh directory comes to."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        directory = pathlib.Path(folder) / "data"
        with backend.start(directory) as (server, target):
            # One that is offered all it acknowledges has no time left for storing any of it.
            steps = [effort.full, effort.half] if backend.stores_first else [_BRIEFLY]
            cpu, children, machine = server.cpu_seconds(), _children_cpu_seconds(), machine_cpu_seconds()
            began = time.perf_counter()
            loads = in_fresh_process(send, target, shape, steps)
            acknowledged = sum(load.spans for load in loads)
            sent = time.perf_counter()
            in_time = acknowledged
            if not backend.stores_first:
                in_time = _wait_for(backend, directory, acknowledged, effort.drain_seconds)
            draining = time.perf_counter() - sent
            seconds = time.perf_counter() - began
            cpu, children = server.cpu_seconds() - cpu, _children_cpu_seconds() - children
            machine = machine_cpu_seconds() - machine
            memory = server.resident_bytes(peak=True)
        stored = backend.stored(directory)
        disk = backend.disk_bytes(directory)
    busy = sum(load.seconds for load in loads) + draining
    in_time = min(stored, in_time)
    return {
        "throughput": loads[1].spans_per_second if backend.stores_first else in_time / busy,
        **_waits(loads[1:]),
        "missing": float(acknowledged - in_time),
        "refused": float(sum(len(load.failures) for load in loads)),
        "server": 100_000 * cpu / max(1, in_time),
        "client": 100_000 * sum(load.client_cpu_seconds for load in loads) / acknowledged,
        "memory": memory / _MILLION,
        "disk": disk / max(1, stored),
        "others": 100 * (machine - cpu - children) / (seconds * (os.cpu_count() or 1)),
    }


def _waits(loads: Sequence[Load]) -> dict[str, float]:
    return {
        f"{name}{suffix}": load.milliseconds_at(level)
        for load, suffix in zip(loads, ("", " at half"), strict=False)
        for name, level in (("p50", 0.5), ("p99", 0.99))
    }


def _wait_for(backend: Backend, directory: pathlib.Path, count: int, seconds: float) -> int:
    """Wait until so many spans are stored, but only so long; how many there are."""
    deadline = time.monotonic() + seconds
    while (stored := backend.stored(directory)) < count and time.monotonic() < deadline:
        time.sleep(0.1)
    return stored


def _children_cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


# What that comes to


def _best(runs: Sequence[Mapping[str, float]]) -> dict[str, Figure]:
    found = {}
    for name in runs[0]:
        values = [run[name] for run in runs]
        best = max(values) if name in _MORE_IS_BETTER else min(values)
        # Nothing may be lost in any run.
        found[name] = Figure(max(values) if name in _ALL_COUNT else best, min(values), max(values))
    return found


def _ratios(runs: Runs, ours: Sequence[Backend], rivals: Sequence[Backend], text: str) -> Table:
    rows = [
        Row(backend.label, {rival.label: Figure.of(_times(runs, backend, rival)) for rival in rivals})
        for backend in ours
    ]
    method = "our throughput over theirs, in neighbouring runs; median and quartiles"
    return Table(f"against others, {text}", method, [Column(rival.label, "x", 1) for rival in rivals], rows)


def _times(runs: Runs, backend: Backend, rival: Backend) -> list[float]:
    pairs = zip(runs[backend], runs[rival], strict=True)
    return [own["throughput"] / other["throughput"] if other["throughput"] else math.inf for own, other in pairs]


def _budgets(runs: Runs, ours: Sequence[Ours], rivals: Sequence[Backend], text: str) -> Iterator[Budget]:
    for backend in ours:
        found = _best(runs[backend])
        name = f"{backend.label}, {text}"
        if backend.protocol == "http":
            yield Budget(f"{name}, throughput", found["throughput"], BUDGET_SPANS_PER_SECOND, "spans/s", at_least=True)
            for rival in rivals:
                if isinstance(rival, MLflow):
                    ratio = Figure.of(_times(runs, backend, rival))
                    yield Budget(f"{name}, of {rival.label}", ratio, BUDGET_TIMES_MLFLOW, at_least=True)
        yield Budget(f"{name}, p99 at half of the throughput", found["p99 at half"], BUDGET_MILLISECONDS, "ms")
        yield Budget(f"{name}, acknowledged but not stored", found["missing"], 0, "spans")


_MORE_IS_BETTER = {"throughput"}
_ALL_COUNT = {"missing", "refused"}


def _method(effort: Effort) -> str:
    return (
        f"requests of {SPANS} spans, made by the SDK before, of some 800 B with 12 attributes and the stamp;"
        f" {CONNECTIONS} at a time for ours, for others as many as suit them; as much as the server takes for"
        f" {effort.full.seconds:.0f} s, then half of that for {effort.half.seconds:.0f} s, each time on an empty"
        f" directory; best of {effort.rounds} runs, and their range; missing is what was acknowledged and not stored;"
        " a server that acknowledges first gets as much as it does in two seconds, and"
        f" {effort.drain_seconds:.0f} s more, and its throughput is what it stored by then"
    )


_METHOD_OF_TAKING = (
    "the same runs; memory is the peak of all processes of the server; disk is without parts of tables that were merged"
    " into others, and of spans that return every 64 requests with other ids, which real ones do not; others is what"
    " unrelated processes took of this machine's CPU meanwhile"
)
