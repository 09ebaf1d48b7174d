# SPDX-License-Identifier: Apache-2.0
"""What it costs to answer, in CPU time, beside an earlier commit of this repository.

Each build fills a store of its own with the same traces, and asks it in a process of its own; the two take turns. What
is compared of a pair of neighbours is a ratio. Small stores show what a question costs whatever there is, which is
mostly the analysis of its SQL; large ones what it costs for each span.
"""

import json
import pathlib
import sys
import tempfile
from collections.abc import Mapping

from benchmarks.earlier import ROOT, compared, run_in, work_tree
from benchmarks.reporting import Budget, Column, Report, Row, Table

SIZES = (20_000, 2_000_000)
QUICK_SIZES = (20_000, 200_000)
TURNS = 5
COMPARE = "compare two versions"
BUDGET = 1.1

# These use what every build has.
FILL = """
import pathlib
from benchmarks.bulk import fill
fill(pathlib.Path({directory!r}), {spans})
"""
_ASK = """
import json, time
from benchmarks.bulk import VERSIONS
from otel_loggedmodel.store import open_database
store = open_database("chdb://" + {directory!r})
reader = store.reader
questions = {{
    {compare!r}: lambda: reader.compare(VERSIONS[:2]),
    "one version": lambda: reader.version(VERSIONS[0]),
    "list versions": lambda: reader.versions(),
    "newest traces of a version": lambda: reader.traces(VERSIONS[0]),
}}
took = {{}}
for name, ask in questions.items():
    ask()
    times = []
    for _ in range(5):
        began = time.process_time()
        ask()
        times.append(1000 * (time.process_time() - began))
    took[name] = min(times)
store.close()
print(json.dumps(took))
"""


def run(quick: bool = False, against: str = "HEAD^") -> Report:
    """Measure.

    Args:
        quick: On smaller stores.
        against: The earlier commit.
    """
    columns = [Column("then", "ms"), Column("now", "ms"), Column("ratio", "now / then", 3)]
    method = f"{TURNS} processes of each build, in turns; the least CPU time of 5 questions each; medians, quartiles"
    tables, budgets = [], []
    with work_tree(against) as then:
        for spans in QUICK_SIZES if quick else SIZES:
            rows = _rows(spans, {"then": then, "now": ROOT})
            tables.append(Table(f"{spans:,} spans, 20 versions, beside {against}", method, columns, rows))
            budgets.append(
                Budget(f"{COMPARE}, {spans:,} spans, of {against}", rows[0].figures["ratio"], BUDGET, "x"),
            )
    return Report(tables, budgets)


def _rows(spans: int, trees: Mapping[str, pathlib.Path]) -> list[Row]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        directories = {name: str(pathlib.Path(folder) / name) for name in trees}
        for name, tree in trees.items():
            run_in(tree, FILL.format(directory=directories[name], spans=spans))
        for turn in range(TURNS):
            for name, tree in trees.items():
                asked = run_in(tree, _ASK.format(directory=directories[name], compare=COMPARE))
                found[name].append(json.loads(asked))
                print(f"  {spans:,} spans, {turn + 1} of {TURNS}, {name}: {asked.strip()}", file=sys.stderr, flush=True)
    return [Row(question, compared(question, found)) for question in found["now"][0]]
