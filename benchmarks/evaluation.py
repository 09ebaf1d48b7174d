# SPDX-License-Identifier: Apache-2.0
"""What the harness of `evaluate` adds to the function that it calls: time for each row, and memory.

The function returns its argument and the scorer compares it, so nearly all that is measured is the harness, the spans
and their export over OTLP to a receiver in another process.
"""

import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import otel_loggedmodel
from benchmarks.isolated import in_fresh_process
from benchmarks.measuring import Figure
from benchmarks.receivers import receiver
from benchmarks.reporting import Budget, Column, Report, Row, Table

ROWS = 100_000
WORKERS = 8
BUDGET_SECONDS = 60.0
BUDGET_MIB = 300.0
BUDGET_MS_PER_ROW = 1.0


def run() -> Report:
    """Measure."""
    rows: list[Row] = []
    budgets: list[Budget] = []
    with receiver("http") as port:
        for kind in ("list", "stream"):
            seconds, cpu, mib = in_fresh_process(_measured, kind, port)
            label = f"{ROWS:,} rows, {kind}"
            figures = {
                "time": Figure.of([seconds]),
                "CPU": Figure.of([cpu / ROWS * 1e6]),
                "a row": Figure.of([seconds / ROWS * 1e6]),
                "memory": Figure.of([mib]),
            }
            rows.append(Row(label, figures))
            budgets += [
                Budget(label, figures["time"], BUDGET_SECONDS, "s"),
                Budget(f"{label}, each", figures["a row"], BUDGET_MS_PER_ROW * 1000, "us"),
                Budget(f"{label}, memory", figures["memory"], BUDGET_MIB, "MiB"),
            ]
    columns = [
        Column("time", "s", 1),
        Column("a row", "us", 0),
        Column("CPU", "us a row", 0),
        Column("memory", "MiB", 0),
    ]
    method = f"{WORKERS} workers, one scorer, BatchSpanProcessor, OTLP over HTTP; memory: what the peak rose by"
    return Report([Table("evaluating with a function that does nothing", method, columns, rows)], budgets)


def _measured(kind: str, port: int) -> tuple[float, float, float]:
    """Seconds, CPU seconds and MiB that an evaluation takes."""
    with tempfile.TemporaryDirectory() as directory:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{port}"
        otel_loggedmodel.instrument()
        data: object = list(_rows()) if kind == "list" else _rows()
        otel_loggedmodel.genai.evaluate(list(_rows())[:100], [exact], _same, "warm-up", resume=False)
        before = _peak_mib()
        began, cpu_began = time.perf_counter(), time.process_time()
        result = otel_loggedmodel.genai.evaluate(
            data, [exact], _same, "measured", dataset="benchmark", max_workers=WORKERS, resume_dir=Path(directory)
        )
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu_began
        assert (result.count, result.metrics) == (ROWS, {"exact/mean": 1.0}), result
        return seconds, cpu, _peak_mib() - before


@otel_loggedmodel.genai.scorer
def exact(outputs: str, expectations: dict[str, str]) -> bool:
    """The scorer."""
    return outputs == expectations["answer"]


def _same(question: str) -> str:
    return question


def _rows() -> Iterator[dict[str, dict[str, str]]]:
    for number in range(ROWS):
        text = f"question number {number}"
        yield {"inputs": {"question": text}, "expectations": {"answer": text}}


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
