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
from collections.abc import Mapping, Sequence

from benchmarks.bulk import SPANS_PER_TRACE
from benchmarks.earlier import ROOT, compared, run_in, work_tree
from benchmarks.measuring import Figure
from benchmarks.reporting import Budget, Column, Report, Row, Table

SIZES = (20_000, 2_000_000, 10_000_000)
# So many traces, each of a version of its own.
IDS, QUICK_IDS = 100_000, 20_000
QUICK_SIZES = (20_000, 200_000)
# Of a store whose size is asked for by name, a tenth is of the twenty versions, and the rest of others.
SHARE = 10
TURNS = 5
COMPARE = "compare two versions"
BUDGET = 1.1
BUDGET_GROWTH = 1.5

_COLUMNS = [Column("then", "ms"), Column("now", "ms"), Column("ratio", "now / then", 3)]
_METHOD = (
    f"{TURNS} processes of each build, in turns; CPU time of the first time that something is asked, and the least"
    " of later times; medians, quartiles"
)

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
_FILL_AMONG = """
import pathlib
from benchmarks import bulk
insert = bulk._insert
of_one = f"{{bulk.VERSIONS}}[revision + 1] AS version"
place = f"intDiv(trace_noise, {{len(bulk.VERSIONS)}}) % {share}"
other = f"concat('m-', lower(hex(sipHash128(revision, {{place}}))))"
of_many = f"if({{place}} = 0, {{bulk.VERSIONS}}[revision + 1], {{other}}) AS version"
bulk._insert = lambda *arguments: insert(*arguments).replace(of_one, of_many)
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
from otel_loggedmodel.store import database, open_database
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
there = database.open_database("chdb://" + {directory!r})
ours = "active AND startsWith(table, 'otel_')"
(parts,) = there.query("SELECT sum(bytes_on_disk) AS size FROM system.parts WHERE " + ours)
took["room on disk, in MB"] = parts["size"] / 1e6
there.close()
print(json.dumps(took))
"""


def run(quick: bool = False, against: str = "HEAD^", spans: int | None = None) -> Report:
    """Measure.

    Args:
        quick: On smaller stores.
        against: The earlier commit.
        spans: Measure instead what it costs that there is more than what is asked about: on a tenth of so many spans,
            and on all of them, with as many traces of each version.
    """
    with work_tree(against) as then:
        trees = {"then": then, "now": ROOT}
        return _growth(trees, against, spans) if spans else _sizes(trees, against, quick)


def _sizes(trees: Mapping[str, pathlib.Path], against: str, quick: bool) -> Report:
    tables, budgets = [], []
    for spans in QUICK_SIZES if quick else SIZES:
        rows = _rows(f"{spans:,} spans", trees, FILL, spans, _ASK)
        tables.append(Table(f"{spans:,} spans, 20 versions, beside {against}", _METHOD, _COLUMNS, rows))
        ratio = _of(rows, COMPARE).figures["ratio"]
        budgets.append(Budget(f"{COMPARE}, {spans:,} spans, of {against}", ratio, BUDGET, "x"))
    ids = QUICK_IDS if quick else IDS
    rows = _rows(f"{ids:,} ids", trees, _FILL_IDS, ids * SPANS_PER_TRACE, _LIST_TEN)
    tables.append(Table(f"{ids:,} ids, a trace of ten spans each, beside {against}", _METHOD, _COLUMNS, rows))
    return Report(tables, budgets)


def _growth(trees: Mapping[str, pathlib.Path], against: str, spans: int) -> Report:
    alone, all_spans = spans // SHARE, spans
    few = _rows(f"{alone:,} spans", trees, FILL, alone, _ASK)
    many = _rows(f"{all_spans:,} spans", trees, _FILL_AMONG, all_spans, _ASK)
    tables = [
        Table(f"{alone:,} spans, 20 versions, beside {against}", _METHOD, _COLUMNS, few),
        Table(f"{all_spans:,} spans, {20 * SHARE} versions, beside {against}", _METHOD, _COLUMNS, many),
    ]
    grown = _of(many, COMPARE).figures["now"].value / _of(few, COMPARE).figures["now"].value
    name = f"{COMPARE} of {all_spans:,} spans, of the same with {alone:,}"
    return Report(tables, [Budget(name, Figure.of([grown]), BUDGET_GROWTH, "x")])


def _of(rows: Sequence[Row], question: str) -> Row:
    (found,) = (row for row in rows if row.label == question)
    return found


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
            run_in(tree, fill.format(directory=directories[name], spans=spans, share=SHARE))
        for turn in range(TURNS):
            for name, tree in trees.items():
                asked = run_in(tree, ask.format(directory=directories[name], compare=COMPARE))
                found[name].append(json.loads(asked))
                print(f"  {what}, {turn + 1} of {TURNS}, {name}: {asked.strip()}", file=sys.stderr, flush=True)
    return [Row(question, compared(question, found)) for question in found["now"][0]]
