# SPDX-License-Identifier: Apache-2.0
"""The page of the largest trace that senders get into the store, beside an earlier commit of this repository.

Both builds show the same trace, each from a store of its own, in turns. Memory is what the backend's process grows by
at most while it makes the page.
"""

import pathlib
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.backends import served
from benchmarks.earlier import compared, work_tree
from benchmarks.reporting import Budget, Column, Report, Row, Table
from benchmarks.servers import get

SPANS = 100_000
TURNS = 3
# Of what it took at the commit 79eb11f; what is left reads and orders the spans that the page has.
BUDGETS = {"time": 0.6, "CPU": 0.45, "memory": 0.4}

_TRACE_ID = bytes(15) + b"\1"
_AT_ONCE = 10_000
_CHILDREN = 5
_FIGURES = {"time": "s", "CPU": "s", "memory": "MiB", "page": "kB"}


def run(against: str = "HEAD^") -> Report:
    """Measure.

    Args:
        against: The earlier commit.
    """
    found: dict[str, list[Mapping[str, float]]] = {"then": [], "now": []}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, work_tree(against) as then:
        trees = {"then": then, "now": None}
        for name, tree in trees.items():
            _fill(pathlib.Path(folder) / name, tree)
        for turn in range(TURNS):
            for name, tree in trees.items():
                found[name].append(_shown(pathlib.Path(folder) / name, tree))
                print(f"  {turn + 1} of {TURNS}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    rows = [Row(f"{what}, {unit}", compared(what, found)) for what, unit in _FIGURES.items()]
    columns = [Column("then", ""), Column("now", ""), Column("ratio", "now / then", 3)]
    method = (
        f"one trace of {SPANS:,} spans with 8 attributes; a backend that has made no page before, in {TURNS} turns;"
        " medians, quartiles"
    )
    budgets = [
        Budget(f"{what}, of what it took at {against}", row.figures["ratio"], BUDGETS[what])
        for what, row in zip(_FIGURES, rows, strict=True)
        if what in BUDGETS
    ]
    return Report([Table(f"the page of a large trace, beside {against}", method, columns, rows)], budgets)


def _fill(directory: pathlib.Path, tree: pathlib.Path | None) -> None:
    with served(directory, tree) as ours:
        for first in range(1, SPANS + 1, _AT_ONCE):
            _post(ours.http, _request(first))


def _request(first: int) -> bytes:
    request = ExportTraceServiceRequest()
    of_resource = request.resource_spans.add()
    of_resource.resource.attributes.add(key="service.name").value.string_value = "agent"
    spans = of_resource.scope_spans.add().spans
    begin = time.time_ns() - 3600 * 10**9
    for number in range(first, first + _AT_ONCE):
        span = spans.add(
            trace_id=_TRACE_ID,
            span_id=number.to_bytes(8, "big"),
            parent_span_id=(number // _CHILDREN).to_bytes(8, "big") if number >= _CHILDREN else b"",
            name="step",
            start_time_unix_nano=begin + number * 10**6,
            end_time_unix_nano=begin + number * 10**6 + 10**7,
        )
        for place in range(8):
            span.attributes.add(key=f"attribute.{place}").value.string_value = f"value {number} of {place}"
    return request.SerializeToString()


def _post(http: str, body: bytes) -> None:
    request = urllib.request.Request(f"{http}/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    with urllib.request.urlopen(request, timeout=300):
        pass


def _shown(directory: pathlib.Path, tree: pathlib.Path | None) -> Mapping[str, float]:
    with served(directory, tree) as ours:
        get(f"{ours.http}/readyz")
        ours.server.reset_peak()
        before, used, began = ours.server.resident_bytes(), ours.server.cpu_seconds(), time.perf_counter()
        status, page = get(f"{ours.http}/trace?id={_TRACE_ID.hex()}", accept="text/html")
        took = time.perf_counter() - began
        if status != 200 or b"waterfall" not in page:
            raise RuntimeError(f"this is not the page that is meant: {status}, {page[:500]!r}")
        return {
            "time": took,
            "CPU": ours.server.cpu_seconds() - used,
            "memory": (ours.server.resident_bytes(peak=True) - before) / 2**20,
            "page": len(page) / 1000,
        }
