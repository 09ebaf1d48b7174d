# SPDX-License-Identifier: Apache-2.0
"""Log records a second that the backend takes and stores over HTTP, beside spans in the same run.

Both are sent in requests of as many, in turns, to one backend. What a record and a span cost is told as CPU time, too:
that depends less on what else the machine does.
"""

import pathlib
import tempfile

from benchmarks.backends import Target, number_in, served
from benchmarks.ingest import CONNECTIONS
from benchmarks.isolated import in_fresh_process
from benchmarks.load import Step, send
from benchmarks.measuring import Figure
from benchmarks.payloads import SPANS
from benchmarks.reporting import Budget, Column, Report, Row, Table
from otel_loggedmodel.store import log_schema

ROUNDS = {False: 3, True: 1}
SECONDS = {False: 10.0, True: 3.0}
BUDGET_TIMES_SPANS = 1.5

_COLUMNS = [
    Column("throughput", "items/s", 0),
    Column("server", "CPU s/100k", 2),
    Column("client", "CPU s/100k", 2),
    Column("of spans", "x", 2),
    Column("missing", "items", 0),
]
_SHAPES = {"spans, 10 a trace": ("/v1/traces", 10), "log records": ("/v1/logs", 0)}


def run(quick: bool = False) -> Report:
    """Measure."""
    found: dict[str, list[dict[str, float]]] = {label: [] for label in _SHAPES}
    for _ in range(ROUNDS[quick]):
        for label, figures in _round(SECONDS[quick]).items():
            found[label].append(figures)
    rows = [
        Row(label, {name: Figure.of([run[name] for run in runs]) for name in runs[0]}) for label, runs in found.items()
    ]
    ratio = rows[1].figures["of spans"]
    budgets = [
        Budget("log records, of spans in the same run", ratio, BUDGET_TIMES_SPANS, at_least=True),
        Budget("log records acknowledged but not stored", rows[1].figures["missing"], 0, "records"),
    ]
    method = (
        f"requests of {SPANS}, {CONNECTIONS} at a time, as much as the backend takes for {SECONDS[quick]:.0f} s each,"
        " in turns on one backend; a record has six attributes, the stamp and a body of 50 B, a span twelve and a stamp"
    )
    return Report(tables=[Table("receiving over HTTP", method, _COLUMNS, rows)], budgets=budgets)


def _round(seconds: float) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        directory = pathlib.Path(folder) / "data"
        with served(directory) as ours:
            for label, (path, shape) in _SHAPES.items():
                before = ours.server.cpu_seconds()
                loads = in_fresh_process(send, Target("http", ours.http + path, CONNECTIONS), shape, [Step(seconds)])
                acknowledged = sum(load.spans for load in loads)
                used = ours.server.cpu_seconds() - before
                client = sum(load.client_cpu_seconds for load in loads)
                found[label] = {
                    "throughput": loads[1].spans_per_second,
                    "server": 100_000 * used / acknowledged,
                    "client": 100_000 * client / acknowledged,
                    "missing": float(acknowledged),
                }
        for label, table in zip(_SHAPES, ("otel_traces", log_schema.LOGS), strict=True):
            found[label]["missing"] -= number_in(directory, f"SELECT count() AS number FROM {table}")
    spans = found["spans, 10 a trace"]["throughput"]
    for figures in found.values():
        figures["of spans"] = figures["throughput"] / spans
    return found
