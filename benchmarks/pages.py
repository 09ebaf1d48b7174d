# SPDX-License-Identifier: Apache-2.0
"""How long a browser takes to show the pages, and how that grows with the spans of the store."""

import contextlib
import json
import pathlib
import shutil
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.backends import served
from benchmarks.bulk import SPANS_PER_TRACE, VERSIONS, fill
from benchmarks.measuring import Figure
from benchmarks.reporting import Budget, Column, Report, Row, Table

SIZES = (1_000_000, 10_000_000)
QUICK_SIZES = (100_000, 1_000_000)
TIMES = 5

BUDGET_PAINT_MILLISECONDS = {100_000: 300.0, 1_000_000: 300.0, 10_000_000: 1000.0}

_MEGA = 1_000_000
_PAINT, _WHOLE, _AGAIN = "first paint", "whole", "whole, again"
FIRST_PAINT = """
new Promise((resolve) => new PerformanceObserver((list) => {
  const [paint] = list.getEntriesByName("first-contentful-paint");
  if (paint) resolve(paint.startTime);
}).observe({ type: "paint", buffered: true }))
"""
# Of one page, each opened in a window of its own.
_Times = dict[str, dict[str, float]]


def run(quick: bool = False) -> Report:
    """Measure."""
    measured: dict[int, _Times] = {}
    with chromium() as browser:
        if browser is None:
            skipped = "playwright and Chromium are not installed"
            return Report([Table("pages", "", [], [Row("pages", skipped=skipped)])], [])
        for spans in QUICK_SIZES if quick else SIZES:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                directory = pathlib.Path(folder) / "data"
                fill(directory, spans)
                measured[spans] = measure(directory, browser)
    return Report([_table(measured)], list(_budgets(measured)))


def measure(directory: pathlib.Path, browser: Any) -> _Times:
    """Open every page of a store: some times on a backend that has made none before, then on one that has."""
    firsts: dict[str, list[dict[str, float]]] = {}
    for _ in range(TIMES):
        with served(directory) as ours:
            for name, path in _paths(ours.http).items():
                paint, whole = _opened(browser, ours.http + path)
                _, again = _opened(browser, ours.http + path)
                firsts.setdefault(name, []).append({_PAINT: paint, _WHOLE: whole, _AGAIN: again})
                print(f"  {name}: {paint:,.0f} ms, whole {whole:,.0f} ms", file=sys.stderr, flush=True)
    return {
        name: {what: statistics.median(time[what] for time in times) for what in (_PAINT, _WHOLE, _AGAIN)}
        for name, times in firsts.items()
    }


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """The browser; None where there is none."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        path = None
    if path is None:
        yield None
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def _opened(browser: Any, address: str) -> tuple[float, float]:
    """Milliseconds until something is painted, and until the page is all there."""
    context = browser.new_context()
    try:
        page = context.new_page()
        # The first page of a window waits for a process that shows it; somebody's browser runs already.
        page.goto("data:text/html,<p>ready")
        page.goto(address, wait_until="load", timeout=120_000)
        if page.locator("main[data-revision]").count() != 1:
            raise RuntimeError(f"{address} is not the page that is meant: {page.content()[:500]}")
        paint: float = page.evaluate(FIRST_PAINT)
        whole: float = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
        return paint, whole
    finally:
        context.close()


def _paths(http: str) -> Mapping[str, str]:
    base, candidate = VERSIONS[:2]
    with urllib.request.urlopen(f"{http}/api/v1/traces?version={base}&limit=1") as answer:
        (trace,) = json.load(answer)["traces"]
    return {
        "versions": "/",
        "compare two": f"/compare?version={base}&version={candidate}",
        "one version": f"/version?id={base}",
        "slowest traces": f"/traces?version={base}&order=slowest",
        "one trace": f"/trace?id={trace['trace_id']}",
    }


def _table(measured: Mapping[int, _Times]) -> Table:
    columns = [Column(f"{_short(spans)} {what}", "ms", 0) for spans in measured for what in (_PAINT, _WHOLE, _AGAIN)]
    names = next(iter(measured.values()))
    rows = [
        Row(
            name,
            {
                f"{_short(spans)} {what}": Figure.of([times[name][what]])
                for spans, times in measured.items()
                for what in (_PAINT, _WHOLE, _AGAIN)
            },
        )
        for name in names
    ]
    method = (
        f"a week of traces of {SPANS_PER_TRACE} spans, of {len(VERSIONS)} versions; in headless Chromium, each page in"
        f" a window of its own; medians of {TIMES} backends that had made no page before"
    )
    return Table("showing pages", method, columns, rows)


def _budgets(measured: Mapping[int, _Times]) -> Iterator[Budget]:
    for spans, times in measured.items():
        for name, of_page in times.items():
            limit = BUDGET_PAINT_MILLISECONDS[spans]
            yield Budget(f"{_PAINT} of {name}, {_short(spans)} spans", Figure.of([of_page[_PAINT]]), limit, "ms")


def _short(spans: int) -> str:
    return f"{spans // _MEGA}M" if spans >= _MEGA else f"{spans // 1000}k"
