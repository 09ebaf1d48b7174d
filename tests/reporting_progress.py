# SPDX-License-Identifier: Apache-2.0
"""A plugin for pytest: long tests first, and lines that tell how much of the run is left.

`1,240 of 2,890 (43 %), 2 failed, about 3 min left` comes every few seconds, on a terminal or in a log, instead of a dot
for each test. What is left is reckoned from how long each test took here before, or else from its mark `takes`. At the
end, one line says what the skipped tests need. With -q or -v, pytest shows what it always does.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

import needs
from effort import IS_FULL

LINE_SECONDS = 5.0
# Of a test that is not known from before and has no mark.
_USUAL_SECONDS = 0.1
# Tests from here on are begun first.
_LONG_SECONDS = 2.0
# How much the first guess, that the run is as fast as it was before, weighs against what is seen now.
_PRIOR_SECONDS = 30.0
_KIND = "full" if IS_FULL else "quick"
# Both are in pytest's cache: what tests took here, and what the tests of this run are expected to take.
_TAKEN = f"progress/taken-{_KIND}"
_EXPECTED = "progress/expected"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "takes(seconds): about how long a quick run takes for it; long ones start first")
    config.pluginmanager.register(LongestFirst(config), "longest-first")
    is_controller = not hasattr(config, "workerinput")
    if is_controller and config.option.verbose == 0 and config.pluginmanager.hasplugin("terminal"):
        config.pluginmanager.register(Progress(config), "progress-lines")


# Order


class LongestFirst:
    """Puts long tests first, so that no worker begins one when the others are done, and notes what is to be expected.

    Args:
        config: Of the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        worker = getattr(config, "workerinput", {})
        self._workers = int(worker.get("workercount", 0))
        self._key = f"{_EXPECTED}-{worker.get('workerid', '')}"
        self._cache = config.cache
        self._taken: Mapping[str, float] = self._cache.get(_TAKEN, {})

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        expected = {item.nodeid: self._seconds(item) for item in items}
        if self._workers > 1:
            items[:] = dealt(in_units(items), expected, self._workers)
        # The controller of several workers collects nothing itself, and sees no marks.
        self._cache.set(self._key, expected)

    def _seconds(self, item: pytest.Item) -> float:
        mark = item.get_closest_marker("takes")
        return self._taken.get(item.nodeid, float(mark.args[0]) if mark else _USUAL_SECONDS)


def in_units(items: Sequence[pytest.Item]) -> list[list[pytest.Item]]:
    """Tests that should stay together, as they share what is set up once for their module; others by themselves."""
    units: dict[object, list[pytest.Item]] = {}
    for item in items:
        fixtures = item._fixtureinfo.name2fixturedefs.values() if hasattr(item, "_fixtureinfo") else ()
        is_sharing = any(fixture.scope in ("module", "class") for each in fixtures for fixture in each)
        units.setdefault(item.path if is_sharing else item.nodeid, []).append(item)
    return list(units.values())


def dealt(units: Sequence[list[pytest.Item]], expected: Mapping[str, float], workers: int) -> list[pytest.Item]:
    """An order of which each worker gets an equal part to begin with, as `--dist worksteal` gives them.

    Each part begins with its share of the long units, the longest first.
    """
    seconds = {id(unit): sum(expected[item.nodeid] for item in unit) for unit in units}
    long_units = sorted((unit for unit in units if seconds[id(unit)] >= _LONG_SECONDS), key=lambda u: -seconds[id(u)])
    rest = [item for unit in units if seconds[id(unit)] < _LONG_SECONDS for item in unit]
    parts: list[list[pytest.Item]] = [[] for _ in range(workers)]
    loads = [0.0] * workers
    for unit in long_units:
        least = loads.index(min(loads))
        parts[least] += unit
        loads[least] += seconds[id(unit)]
    left = sum(map(len, units))
    ordered: list[pytest.Item] = []
    for number, part in enumerate(parts):
        size = left // (workers - number)
        fill = max(0, size - len(part))
        ordered += [*part, *rest[:fill]]
        del rest[:fill]
        left -= size
    return ordered + rest


# Lines


class Progress:
    """Writes the lines, and remembers how long each test took.

    Args:
        config: Of the run.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._cache = config.cache
        self._total = 0
        self._is_done: set[str] = set()
        self._failed: set[str] = set()
        self._skips: Counter[str] = Counter()
        self._running: dict[str, float] = {}
        self._taken: dict[str, float] = {}
        self._started = self._last_line = time.monotonic()
        self._over = threading.Event()
        self._heart = threading.Thread(target=self._beat, daemon=True)
        self._has_workers = bool(getattr(config.option, "tx", None))
        # What is skipped has a line of its own, see below.
        config.option.reportchars = config.option.reportchars.replace("s", "").replace("a", "fEXx")

    # What is to be done

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._config.pluginmanager.get_plugin("terminalreporter").showfspath = False
        if not self._has_workers:
            self._begin(len(session.items), "")

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        if not self._total:
            self._begin(len(ids), node.gateway.id)
            self._heart.start()

    def _begin(self, total: int, worker: str) -> None:
        self._total = total
        expected: Mapping[str, float] = self._cache.get(f"{_EXPECTED}-{worker}", {})
        self._expected = expected
        self._expected_total = sum(expected.values()) or 1.0
        self._expected_done = 0.0
        self._started = self._last_line = time.monotonic()

    # What was done

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._running[nodeid] = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._taken[report.nodeid] = self._taken.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self._failed.add(report.nodeid)
            self._say(f"failed: {report.nodeid}" + ("" if report.when == "call" else f" ({report.when})"))
        elif report.skipped and not hasattr(report, "wasxfail"):
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self._skips[reason] += 1

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._running.pop(nodeid, None)
        self._is_done.add(nodeid)
        self._expected_done += self._expected.get(nodeid, 0.0)
        if time.monotonic() - self._last_line >= LINE_SECONDS or len(self._is_done) == self._total:
            self._write_line()

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No dot, no letter; counted as always."""
        if hasattr(report, "wasxfail"):
            return None
        if report.when == "call" or not report.passed:
            outcome = "error" if report.failed and report.when != "call" else report.outcome
            return outcome, "", ""
        return "", "", ""

    # Lines

    def _beat(self) -> None:
        """While nothing ends; in the process that runs no tests itself."""
        while not self._over.wait(LINE_SECONDS):
            if time.monotonic() - self._last_line >= 2 * LINE_SECONDS:
                self._write_line()

    def _write_line(self) -> None:
        self._last_line = time.monotonic()
        parts = [f"{len(self._is_done):,} of {self._total:,} ({100 * len(self._is_done) // max(1, self._total)} %)"]
        if self._failed:
            parts.append(f"{len(self._failed)} failed")
        if len(self._is_done) < self._total:
            parts.append(f"about {in_words(self._seconds_left())} left")
        longest = min(self._running.items(), key=lambda item: item[1], default=None)
        if longest is not None and time.monotonic() - longest[1] > 2 * LINE_SECONDS:
            parts.append(f"for {time.monotonic() - longest[1]:.0f} s in {longest[0]}")
        self._say(", ".join(parts))

    def _seconds_left(self) -> float:
        before = self._cache.get(f"{_TAKEN}-wall-share", 0.5 if self._has_workers else 1.0)
        elapsed = time.monotonic() - self._started
        pace = (elapsed + before * _PRIOR_SECONDS) / (self._expected_done + _PRIOR_SECONDS)
        return pace * max(0.0, self._expected_total - self._expected_done)

    def _say(self, line: str) -> None:
        self._config.pluginmanager.get_plugin("terminalreporter").write_line(line)

    # The end

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        self._over.set()
        if self._heart.is_alive():
            self._heart.join()
        known = {**self._cache.get(_TAKEN, {}), **{name: round(seconds, 2) for name, seconds in self._taken.items()}}
        self._cache.set(_TAKEN, known)
        if self._expected_done > 2 * _PRIOR_SECONDS:
            self._cache.set(f"{_TAKEN}-wall-share", (time.monotonic() - self._started) / self._expected_done)

    def pytest_terminal_summary(self) -> None:
        if self._skips:
            self._say(skipped_line(self._skips))


def in_words(seconds: float) -> str:
    """A time that is a guess: `40 s`, `3 min`."""
    return f"{max(5, 5 * round(seconds / 5))} s" if seconds < 100 else f"{round(seconds / 60)} min"


def skipped_line(skips: Mapping[str, int]) -> str:
    """How many tests were skipped, for want of what, and what brings that."""
    wants: Counter[tuple[str, str]] = Counter()
    others: Counter[str] = Counter()
    for reason, count in skips.items():
        need = needs.needed(reason)
        if need is None:
            others[reason.removeprefix("Skipped: ")] += count
        else:
            wants[need] += count
    parts = [f"{count} need {what} (`{command}`)" for (what, command), count in wants.most_common()]
    parts += [f"{count}: {reason}" for reason, count in others.most_common()]
    return f"{sum(skips.values())} skipped: " + "; ".join(parts)
