# SPDX-License-Identifier: Apache-2.0
"""Comparing two runs of a hundred thousand rows each, beside an earlier commit that compares them as two versions.

Each build fills a store of its own with the same rows, and asks it in a process of its own; the two take turns. The
earlier one may know no runs, so it compares the versions that these are of.
"""

import json
import pathlib
import sys
import tempfile
from collections.abc import Mapping

from benchmarks.earlier import ROOT, compared, run_in, work_tree
from benchmarks.reporting import Budget, Column, Report, Row, Table

ROWS = 100_000
QUICK_ROWS = 20_000
TURNS = 5
RUNS, VERSIONS = "compare two runs, ms", "compare their versions, ms"
# Each row is read with its run, its group and its data set, and what a run of it has to be told of.
BUDGET = 1.1

_MAKE = """
import importlib.util, pathlib
spec = importlib.util.spec_from_file_location("run_rows", {module!r})
run_rows = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run_rows)
"""
_FILL = "run_rows.fill(pathlib.Path({directory!r}), {rows})"
_ASK = """
import json, time
from otel_loggedmodel.store import open_database
store = open_database("chdb://" + {directory!r})
reader = store.reader
took = {{}}
for name, ids in (({runs!r}, run_rows.RUNS if hasattr(reader, "runs") else run_rows.VERSIONS),
                  ({versions!r}, run_rows.VERSIONS)):
    times = []
    for _ in range(4):
        began = time.process_time()
        found = reader.compare(ids)
        times.append(1000 * (time.process_time() - began))
    took[name] = min(times)
    assert found.differences[0].metrics["scores.exact"].evaluation.pairs == {rows}
store.close()
print(json.dumps(took))
"""


def run(quick: bool = False, against: str = "HEAD^") -> Report:
    """Measure.

    Args:
        quick: Fewer rows.
        against: The earlier commit.
    """
    rows = QUICK_ROWS if quick else ROWS
    make = _MAKE.format(module=str(pathlib.Path(__file__).with_name("run_rows.py")))
    found: dict[str, list[Mapping[str, float]]] = {"then": [], "now": []}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, work_tree(against) as then:
        trees = {"then": then, "now": ROOT}
        said = {"rows": rows, "runs": RUNS, "versions": VERSIONS}
        for name, tree in trees.items():
            run_in(tree, make + _FILL.format(directory=f"{folder}/{name}", **said))
        for turn in range(TURNS):
            for name, tree in trees.items():
                asked = run_in(tree, make + _ASK.format(directory=f"{folder}/{name}", **said))
                found[name].append(json.loads(asked))
                print(f"  {turn + 1} of {TURNS}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    shown = [Row(what, compared(what, found)) for what in (RUNS, VERSIONS)]
    columns = [Column("then", "ms", 0), Column("now", "ms", 0), Column("ratio", "now / then", 3)]
    method = f"{rows:,} rows of each, CPU time, the best of four answers, in {TURNS} turns; medians, quartiles"
    budgets = [Budget(f"{row.label}, of {against}'s", row.figures["ratio"], BUDGET, "x") for row in shown]
    return Report([Table(f"runs side by side, beside {against}", method, columns, shown)], budgets)
