# SPDX-License-Identifier: Apache-2.0
"""An evaluation of a hundred thousand rows beside an earlier commit: CPU time of a row, and memory.

The function returns its argument and the scorer compares it, so that what is measured is the harness, the spans and
their export over OTLP to a receiver in another process. The two builds take turns, a fresh process each time.
"""

import json
import os

from benchmarks.earlier import ROOT, compared, run_in, work_tree
from benchmarks.receivers import receiver
from benchmarks.reporting import Budget, Column, Report, Row, Table

TURNS = 3
QUICK_TURNS = 5
ROWS = 100_000
QUICK_ROWS = 20_000
# Runs say of each row and result which run it is of, which is five attributes more of a row.
BUDGET = 1.1
CPU, MEMORY = "CPU of a row, us", "memory, MiB"

# Uses the public API alone, so that it runs on every build.
_EVALUATE = """
import json, resource, tempfile, time
from pathlib import Path
import otel_loggedmodel

@otel_loggedmodel.genai.scorer
def exact(outputs, expectations):
    return outputs == expectations["answer"]

def same(question):
    return question

def rows(count):
    texts = (f"question number {number}" for number in range(count))
    return [{"inputs": {"question": text}, "expectations": {"answer": text}} for text in texts]

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

with tempfile.TemporaryDirectory() as directory:
    otel_loggedmodel.instrument()
    otel_loggedmodel.genai.evaluate(rows(100), [exact], same, "warm-up", resume_dir=Path(directory))
    data, before = rows(COUNT), peak()
    began = time.process_time()
    found = otel_loggedmodel.genai.evaluate(data, [exact], same, "measured", resume_dir=Path(directory))
    took = time.process_time() - began
    assert (found.count, found.metrics) == (COUNT, {"exact/mean": 1.0}), found
    print(json.dumps({CPU: took / COUNT * 1e6, MEMORY: peak() - before}))
"""


def run(against: str = "HEAD^", *, quick: bool = False) -> Report:
    """Measure.

    Args:
        against: The earlier commit.
        quick: Measure fewer rows.
    """
    count, turns = (QUICK_ROWS, QUICK_TURNS) if quick else (ROWS, TURNS)
    program = f"COUNT, CPU, MEMORY = {count}, {CPU!r}, {MEMORY!r}\n{_EVALUATE}"
    builds: dict[str, list[dict[str, float]]] = {"now": [], "then": []}
    with receiver("http") as port, work_tree(against) as then:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{port}"
        for _ in range(turns):
            for name, tree in {"now": ROOT, "then": then}.items():
                builds[name].append(json.loads(run_in(tree, program)))
    rows = [Row(what, compared(what, builds)) for what in (CPU, MEMORY)]
    budgets = [Budget(f"{row.label}, of {against}'s", row.figures["ratio"], BUDGET, "x") for row in rows]
    columns = [Column("then", ""), Column("now", ""), Column("ratio", "now / then", 3)]
    method = f"{count:,} rows, {turns} processes of each build, in turns; medians, quartiles"
    return Report([Table(f"an evaluation beside {against}", method, columns, rows)], budgets)
