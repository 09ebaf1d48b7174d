# SPDX-License-Identifier: Apache-2.0
"""What it costs the backend to take and store spans, beside an earlier commit of this repository.

The two builds take turns, each time on an empty directory. What is compared of a pair of neighbours is a ratio.
"""

import pathlib
import sys
import tempfile
import time
from collections.abc import Mapping

from benchmarks.backends import Ours
from benchmarks.earlier import compared, work_tree
from benchmarks.isolated import in_fresh_process
from benchmarks.load import Step, send
from benchmarks.payloads import SPANS
from benchmarks.reporting import Column, Report, Row, Table
from benchmarks.servers import Server

CONNECTIONS = 32
SHAPES = {1: "1 span a trace", 10: "10 spans a trace"}
TURNS, SECONDS = 5, 15.0
QUICK_TURNS, QUICK_SECONDS = 3, 6.0

_BETWEEN_LOOKS, _MOST_LOOKS, _AT_REST = 0.5, 20, 0.05

_THROUGHPUT, _CPU = "spans/s", "CPU, us a span"


def run(quick: bool = False, against: str = "HEAD^") -> Report:
    """Measure.

    Args:
        quick: Less often, and for a shorter time.
        against: The earlier commit.
    """
    turns, seconds = (QUICK_TURNS, QUICK_SECONDS) if quick else (TURNS, SECONDS)
    columns = [Column("then", ""), Column("now", ""), Column("ratio", "now / then", 3)]
    method = (
        f"{turns} turns of {seconds:g} s over HTTP, {CONNECTIONS} connections, requests of {SPANS} spans of some 800 B"
        " as fast as they are taken, with the client on the same machine; medians, quartiles"
    )
    with work_tree(against) as then:
        tables = [
            Table(f"{text}, beside {against}", method, columns, _rows(shape, turns, seconds, then))
            for shape, text in SHAPES.items()
        ]
    return Report(tables, [])


def _rows(shape: int, turns: int, seconds: float, tree: pathlib.Path) -> list[Row]:
    builds = {"then": Ours("http", CONNECTIONS, tree), "now": Ours("http", CONNECTIONS)}
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in builds}
    for turn in range(turns):
        for name, backend in builds.items():
            found[name].append(_figures(backend, shape, seconds))
            print(f"  {SHAPES[shape]}, {turn + 1} of {turns}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    return [Row(what, compared(what, found)) for what in (_THROUGHPUT, _CPU)]


def _figures(backend: Ours, shape: int, seconds: float) -> Mapping[str, float]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        directory = pathlib.Path(folder) / "data"
        with backend.start(directory) as (server, target):
            cpu = _at_rest(server)
            loads = in_fresh_process(send, target, shape, [Step(seconds)])
            cpu = server.cpu_seconds() - cpu
        acknowledged = sum(load.spans for load in loads)
        if (stored := backend.stored(directory)) != acknowledged:
            raise RuntimeError(f"{acknowledged} spans were acknowledged, and {stored} are stored")
    return {_THROUGHPUT: loads[1].spans_per_second, _CPU: 1e6 * cpu / acknowledged}


def _at_rest(server: Server) -> float:
    """The CPU time so far, once what a start does after the first answer is over; it is no part of taking spans."""
    cpu = server.cpu_seconds()
    for _ in range(_MOST_LOOKS):
        time.sleep(_BETWEEN_LOOKS)
        before, cpu = cpu, server.cpu_seconds()
        if cpu - before <= _AT_REST * _BETWEEN_LOOKS:
            break
    return cpu
