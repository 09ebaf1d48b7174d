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

from benchmarks.bulk import SPANS_PER_TRACE
from benchmarks.earlier import ROOT, compared, run_in, work_tree
from benchmarks.reporting import Budget, Column, Report, Row, Table

SIZES = (20_000, 2_000_000, 10_000_000)
# So many traces, each of a version of its own.
IDS, QUICK_IDS = 100_000, 20_000
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
_FILL_IDS = """
import pathlib
from benchmarks import bulk
insert = bulk._insert
of_one = f"{{bulk.VERSIONS}}[revision + 1] AS version"
of_each = "concat('m-', lower(hex(sipHash128(trace, 'version')))) AS version"
bulk._insert = lambda *arguments: insert(*arguments).replace(of_one, of_each)
bulk._fill(pathlib.Path({directory!r}), {spans})
"""
_LIST_TEN = """
import json, time
from otel_loggedmodel.store import open_database
from otel_loggedmodel.store.reading import VersionFilter
store = open_database("chdb://" + {directory!r})
times = []
for _ in range(4):
    began = time.process_time()
    assert len(store.reader.versions(VersionFilter(limit=10))) == 10
    times.append(1000 * (time.process_time() - began))
store.close()
print(json.dumps({{"list ten, the first time": times[0], "list ten": min(times[1:])}}))
"""
_ASK = """
import json, time
from benchmarks.bulk import VERSIONS
from otel_loggedmodel.store import open_database
from otel_loggedmodel.store.reading import VersionFilter
store = open_database("chdb://" + {directory!r})
reader = store.reader

def show_first_page():
    # What both builds have of it.
    reader.versions(VersionFilter(limit=10_000, deleted=True, counted=False))
    reader.activities(VERSIONS)
    reader.datasets()

questions = {{
    {compare!r}: lambda: reader.compare(VERSIONS[:2]),
    "one version": lambda: reader.version(VERSIONS[0]),
    "list versions": lambda: reader.versions(),
    "first page": show_first_page,
    "newest traces of a version": lambda: reader.traces(VERSIONS[0]),
}}
took = {{}}
for name, ask in questions.items():
    began = time.process_time()
    ask()
    took[name + ", the first time"] = 1000 * (time.process_time() - began)
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
    method = (
        f"{TURNS} processes of each build, in turns; CPU time of the first time that something is asked, and the least"
        " of later times; medians, quartiles"
    )
    tables, budgets = [], []
    with work_tree(against) as then:
        trees = {"then": then, "now": ROOT}
        for spans in QUICK_SIZES if quick else SIZES:
            rows = _rows(f"{spans:,} spans", trees, FILL, spans, _ASK)
            tables.append(Table(f"{spans:,} spans, 20 versions, beside {against}", method, columns, rows))
            (compared_two,) = (row for row in rows if row.label == COMPARE)
            budgets.append(
                Budget(f"{COMPARE}, {spans:,} spans, of {against}", compared_two.figures["ratio"], BUDGET, "x"),
            )
        ids = QUICK_IDS if quick else IDS
        rows = _rows(f"{ids:,} ids", trees, _FILL_IDS, ids * SPANS_PER_TRACE, _LIST_TEN)
        tables.append(Table(f"{ids:,} ids, a trace of ten spans each, beside {against}", method, columns, rows))
    return Report(tables, budgets)


def _rows(what: str, trees: Mapping[str, pathlib.Path], fill: str, spans: int, ask: str) -> list[Row]:
    """The figures of both builds.

    Args:
        what: What the stores hold.
        trees: The work trees of the builds.
        fill: The program that fills a store, with places for its directory and the number of its spans.
        spans: That number.
        ask: The program that asks it; it prints milliseconds by question.
    """
    found: dict[str, list[dict[str, float]]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        directories = {name: str(pathlib.Path(folder) / name) for name in trees}
        for name, tree in trees.items():
            run_in(tree, fill.format(directory=directories[name], spans=spans))
        for turn in range(TURNS):
            for name, tree in trees.items():
                asked = run_in(tree, ask.format(directory=directories[name], compare=COMPARE))
                found[name].append(json.loads(asked))
                print(f"  {what}, {turn + 1} of {TURNS}, {name}: {asked.strip()}", file=sys.stderr, flush=True)
    return [Row(question, compared(question, found)) for question in found["now"][0]]
