# SPDX-License-Identifier: Apache-2.0
"""How long the backend takes to answer, over its JSON API and from the shell, and how that grows with its spans."""

import contextlib
import functools
import http.client
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.backends import Ours, Served, our_command, served
from benchmarks.bulk import SPANS_PER_TRACE, VERSIONS, fill
from benchmarks.measuring import Figure
from benchmarks.reporting import Budget, Column, Report, Row, Table

SIZES = (1_000_000, 10_000_000)
QUICK_SIZES = (100_000, 1_000_000)
TIMES = 15
STARTS = 3

BUDGET_COMPARE_MILLISECONDS = 300.0
BUDGET_MEMORY_MB = 1000.0
BUDGET_READY_MILLISECONDS = 3000.0
BUDGET_SHELL_MILLISECONDS = 700.0

_MEGA = 1_000_000
_DAY_NS = 86400 * 10**9
_COMPARE, _SHELL, _READY = "compare two versions", "compare two, from the shell", "serve, until ready"
_PEAK = "memory, most while comparing"
_IDLE_SECONDS = 60.0
_MOST_SECONDS = 20.0


@dataclass
class _Measured:
    """What was measured at one size.

    Attributes:
        milliseconds: The times of each question, without the first time it was asked.
        first: The first time, with nothing in memory yet.
        megabytes: Megabytes of memory and of disk.
    """

    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    megabytes: dict[str, float] = field(default_factory=dict)


def run(quick: bool = False) -> Report:
    """Measure."""
    measured: dict[int, _Measured] = {}
    for spans in QUICK_SIZES if quick else SIZES:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            directory = pathlib.Path(folder) / "data"
            fill(directory, spans)
            measured[spans] = _at_size(directory, spans)
    tables = [_times_table(measured), _room_table(measured)]
    return Report(tables, list(_budgets(measured)))


def _at_size(directory: pathlib.Path, spans: int) -> _Measured:
    found = _Measured()
    found.milliseconds[_READY] = []
    for _ in range(STARTS):
        with served(directory) as ours:
            found.milliseconds[_READY].append(1000 * ours.ready_seconds)
    with served(directory) as ours:
        found.milliseconds[_READY].append(1000 * ours.ready_seconds)
        _wait_until_idle(ours)
        found.megabytes["memory, at the start"] = ours.server.resident_bytes() / _MEGA
        with _asking(ours) as ask:
            _check(ask, spans)
            for name, path in _questions(ask).items():
                ours.server.reset_peak()
                _repeat(found, name, functools.partial(ask, path))
                if name == _COMPARE:
                    found.megabytes[_PEAK] = ours.server.resident_bytes(peak=True) / _MEGA
        _repeat(found, _SHELL, functools.partial(_compare_from_shell, ours))
        found.megabytes["memory, at the end"] = ours.server.resident_bytes() / _MEGA
    found.megabytes["disk"] = Ours("http", 1).disk_bytes(directory) / _MEGA
    return found


def _wait_until_idle(ours: Served) -> None:
    """ClickHouse goes on merging parts of tables for a while."""
    deadline = time.monotonic() + _IDLE_SECONDS
    while time.monotonic() < deadline:
        used = ours.server.cpu_seconds()
        time.sleep(1)
        if ours.server.cpu_seconds() - used < 0.05:
            return


def _repeat(found: _Measured, name: str, do: Callable[[], object]) -> None:
    times: list[float] = []
    deadline = time.monotonic() + _MOST_SECONDS
    while len(times) < 4 or (len(times) <= TIMES and time.monotonic() < deadline):
        began = time.perf_counter()
        do()
        times.append(1000 * (time.perf_counter() - began))
    found.first[name], *found.milliseconds[name] = times
    best = min(found.milliseconds[name])
    print(f"  {name}: best {best:,.0f} ms of {len(times)}", file=sys.stderr, flush=True)


# Questions

Ask = Callable[[str], Any]


@contextlib.contextmanager
def _asking(ours: Served) -> Iterator[Ask]:
    """Asks the API over one connection."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(ours.http).netloc, timeout=120)

    def ask(path: str) -> Any:
        connection.request("GET", f"/api/v1/{path}")
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{path}: {response.status} {body[:500]!r}")
        return json.loads(body)

    with contextlib.closing(connection):
        yield ask


def _check(ask: Ask, spans: int) -> None:
    """See that what is measured are right answers."""
    compared = ask(_compare(VERSIONS[:2]))
    expected = spans // SPANS_PER_TRACE // len(VERSIONS)
    if not all(abs(version["traces"] / expected - 1) < 0.2 for version in compared["versions"]):
        raise RuntimeError(f"expected about {expected} traces of each version: {compared['versions']}")
    if compared["versions"][0]["cost_usd"] is None:
        raise RuntimeError("expected that calls have prices")


def _questions(ask: Ask) -> Mapping[str, str]:
    """The path of each question."""
    version, other = VERSIONS[:2]
    (newest,) = ask(f"traces?version={version}&limit=1")["traces"]
    day = urllib.parse.urlencode({"since": _time(newest["start_ns"] - _DAY_NS)})
    return {
        "list versions": "versions",
        "one version": f"versions/{version}",
        _COMPARE: _compare([version, other]),
        "compare two, the last day": f"{_compare([version, other])}&{day}",
        "compare twenty": _compare(VERSIONS),
        **{f"{order} traces of a version": f"traces?version={version}&order={order}" for order in _ORDERS},
        "newest traces of all": "traces",
        "one trace": f"traces/{newest['trace_id']}",
    }


_ORDERS = ("newest", "slowest", "costliest")


def _compare(versions: Sequence[str]) -> str:
    return "compare?" + urllib.parse.urlencode([("version", version) for version in versions])


def _time(nanoseconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(nanoseconds // 10**9))


def _compare_from_shell(ours: Served) -> None:
    command = [*our_command(), "compare", *VERSIONS[:2], "--store", ours.http, "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    if len(json.loads(ended.stdout)["versions"]) != 2:
        raise RuntimeError(f"expected two versions: {ended.stdout}")


# Tables


def _times_table(measured: Mapping[int, _Measured]) -> Table:
    small, large = measured
    columns = [
        column
        for spans in measured
        for column in (
            Column(f"{_short(spans)} first", "ms", 0),
            Column(f"{_short(spans)} best", "ms", 0),
            Column(f"{_short(spans)} median", "ms", 0),
        )
    ]
    rows = []
    for name in measured[small].milliseconds:
        figures = {}
        for spans, found in measured.items():
            times = found.milliseconds[name]
            if name in found.first:
                figures[f"{_short(spans)} first"] = Figure.of([found.first[name]])
            figures[f"{_short(spans)} best"] = Figure.of([min(times)])
            figures[f"{_short(spans)} median"] = Figure.of([statistics.median(times)])
        figures["growth"] = Figure.of(
            [min(measured[large].milliseconds[name]) / min(measured[small].milliseconds[name])]
        )
        rows.append(Row(name, figures))
    method = (
        f"a week of traces of {SPANS_PER_TRACE} spans, of {len(VERSIONS)} versions; over the JSON API,"
        f" up to {TIMES} times after the first; growth is that of the best"
    )
    return Table("answering", method, [*columns, Column("growth", "x", 1)], rows)


def _room_table(measured: Mapping[int, _Measured]) -> Table:
    small, large = measured
    rows = []
    for name in measured[small].megabytes:
        figures = {_short(spans): Figure.of([found.megabytes[name]]) for spans, found in measured.items()}
        figures["growth"] = Figure.of([measured[large].megabytes[name] / measured[small].megabytes[name]])
        rows.append(Row(name, figures))
    columns = [*(Column(_short(spans), "MB", 0) for spans in measured), Column("growth", "x", 1)]
    return Table(
        "room that it takes", "resident memory of the server; disk without parts that were merged", columns, rows
    )


def _short(spans: int) -> str:
    return f"{spans // _MEGA}M" if spans >= _MEGA else f"{spans // 1000}k"


def _budgets(measured: Mapping[int, _Measured]) -> Iterator[Budget]:
    spans = max(measured)
    found = measured[spans]
    for name, limit in (
        (_COMPARE, BUDGET_COMPARE_MILLISECONDS),
        (_SHELL, BUDGET_SHELL_MILLISECONDS),
        (_READY, BUDGET_READY_MILLISECONDS),
    ):
        times = found.milliseconds[name]
        yield Budget(f"{name}, {_short(spans)} spans, best (to median)", _best_to_median(times), limit, "ms")
    memory = Figure.of([found.megabytes[_PEAK]])
    yield Budget(f"{_PEAK}, {_short(spans)} spans", memory, BUDGET_MEMORY_MB, "MB")


def _best_to_median(times: Sequence[float]) -> Figure:
    return Figure(min(times), min(times), statistics.median(times))
