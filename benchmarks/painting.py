# SPDX-License-Identifier: Apache-2.0
"""When a browser begins to show the pages, and what it loads for that, beside an earlier commit of this repository.

Each build has a store of its own with the same traces, and serves its pages from it, in turns. Each page is opened in a
window that has nothing of the site yet, on a backend that has made no page before.
"""

import json
import pathlib
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Mapping
from typing import Any

from benchmarks.backends import served
from benchmarks.earlier import ROOT, compared, run_in, work_tree
from benchmarks.measuring import Figure
from benchmarks.pages import FIRST_PAINT, chromium
from benchmarks.questions import FILL
from benchmarks.reporting import Budget, Column, Report, Row, Table

SPANS = 1_000_000
QUICK_SPANS = 100_000
TURNS = 5
BUDGET_PAINT = 1.1
BUDGET_KILOBYTES = 150.0

_PAINT, _CPU, _SIZE, _DOCUMENT, _REQUESTS = "first paint, ms", "CPU, ms", "loaded, kB", "the page alone, kB", "requests"


def run(quick: bool = False, against: str = "HEAD^") -> Report:
    """Measure.

    Args:
        quick: On a smaller store.
        against: The earlier commit.
    """
    spans = QUICK_SPANS if quick else SPANS
    with chromium() as browser:
        if browser is None:
            skipped = "playwright and Chromium are not installed"
            return Report([Table("pages", "", [], [Row("pages", skipped=skipped)])], [])
        with work_tree(against) as then:
            found = _measured(browser, spans, {"then": then, "now": ROOT})
    rows = []
    budgets = []
    for page in found["now"][0]:
        turns = {name: [turn[page] for turn in each] for name, each in found.items()}
        for what in (_PAINT, _CPU, _SIZE, _DOCUMENT, _REQUESTS):
            rows.append(Row(f"{page}: {what}", compared(what, turns)))
        paint = rows[-5].figures["ratio"]
        budgets.append(Budget(f"first paint of {page}, of what it took at {against}", paint, BUDGET_PAINT, "x"))
        size = Figure.of([statistics.median(turn[_SIZE] for turn in turns["now"])])
        budgets.append(Budget(f"what {page} loads", size, BUDGET_KILOBYTES, "kB"))
    columns = [Column("then", ""), Column("now", ""), Column("ratio", "now / then", 3)]
    method = f"{spans:,} spans, 20 versions; {TURNS} backends of each build, in turns; medians, quartiles"
    return Report([Table(f"showing pages, beside {against}", method, columns, rows)], budgets)


def _measured(
    browser: Any, spans: int, trees: Mapping[str, pathlib.Path]
) -> dict[str, list[dict[str, dict[str, float]]]]:
    found: dict[str, list[dict[str, dict[str, float]]]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        directories = {name: pathlib.Path(folder) / name for name in trees}
        for name, tree in trees.items():
            run_in(tree, FILL.format(directory=str(directories[name]), spans=spans))
        for turn in range(TURNS):
            for name, tree in trees.items():
                with served(directories[name], None if tree == ROOT else tree) as ours:
                    found[name].append({page: _opened(browser, ours, path) for page, path in _paths(ours.http).items()})
                print(f"  {turn + 1} of {TURNS}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    return found


def _paths(http: str) -> Mapping[str, str]:
    def asked(path: str) -> Any:
        with urllib.request.urlopen(http + path) as answer:
            return json.load(answer)

    first, second = (one["model_id"] for one in asked("/api/v1/versions?limit=2")["versions"])
    (trace,) = asked(f"/api/v1/traces?version={first}&limit=1")["traces"]
    return {
        "versions": "/",
        "compare two": f"/compare?version={first}&version={second}",
        "one version": f"/version?id={first}",
        "slowest traces": f"/traces?version={first}&order=slowest",
        "one trace": f"/trace?id={trace['trace_id']}",
    }


def _opened(browser: Any, ours: Any, path: str) -> dict[str, float]:
    """What one page took: as the browser counts it."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.goto("data:text/html,<p>ready")
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        kinds: dict[str, str] = {}
        loaded: dict[str, float] = {}
        session.on("Network.responseReceived", lambda event: kinds.update({event["requestId"]: event["type"]}))
        session.on(
            "Network.loadingFinished", lambda event: loaded.update({event["requestId"]: event["encodedDataLength"]})
        )
        used = ours.server.cpu_seconds()
        page.goto(ours.http + path, wait_until="networkidle", timeout=120_000)
        used = ours.server.cpu_seconds() - used
        if not page.locator("main").count():
            raise RuntimeError(f"{path} is not the page that is meant: {page.content()[:500]}")
        paint: float = page.evaluate(FIRST_PAINT)
        return {
            _PAINT: paint,
            _CPU: 1000 * used,
            _SIZE: sum(loaded.values()) / 1000,
            _DOCUMENT: sum(loaded.get(one, 0.0) for one, kind in kinds.items() if kind == "Document") / 1000,
            _REQUESTS: float(len(loaded)),
        }
    finally:
        context.close()
