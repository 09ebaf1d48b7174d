# SPDX-License-Identifier: Apache-2.0
"""Whether the backend bears a mixed load without growing: spans in, questions, pages and garbage, for an hour."""

import http.client
import itertools
import json
import pathlib
import random
import statistics
import sys
import tempfile
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Sequence
from typing import Final

from benchmarks.backends import Ours
from benchmarks.measuring import Figure
from benchmarks.payloads import Payloads
from benchmarks.reporting import Budget, Column, Report, Row, Table

_MINUTE = 60.0
# After it everything that is allocated once has been: pools, caches, the engine's tables of parts.
_WARM_UP = 0.25
_SPANS_A_SECOND = 2000
_LOOKS: Final = 60
_SAY_EVERY_SECONDS = 60.0
# The engine keeps some memory for each part of a table, and merges them when it likes.
BUDGET_GROWTH_MIB = 200.0
_PATHS = ("/", "/traces", "/api/v1/versions?limit=10", "/api/v1/traces", "/metrics", "/readyz", "/api/v1/store")
_MIB = 1024.0


def run(minutes: float = 60.0) -> Report:
    """Measure.

    Args:
        minutes: How long.
    """
    backend = Ours("http", 4)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        directory = pathlib.Path(folder) / "data"
        with backend.start(directory) as (server, target):
            netloc = urllib.parse.urlsplit(target.address).netloc
            stopping = threading.Event()
            threads = [
                threading.Thread(target=work, args=(netloc, stopping, counts))
                for work in (_send, _ask, _ask, _send_garbage)
            ]
            for thread in threads:
                thread.start()
            began = time.monotonic()
            seconds = minutes * _MINUTE
            stopping.wait(seconds * _WARM_UP)
            looks = [(time.monotonic() - began, server.resident_bytes() / _MIB / _MIB)]
            said = began
            # So many looks that the trend of a short run says something, too, and of a long one each minute.
            pause = min(_SAY_EVERY_SECONDS, seconds / _LOOKS)
            while (left := began + seconds - time.monotonic()) > 0 and not stopping.wait(min(left, pause)):
                passed, rss = time.monotonic() - began, server.resident_bytes() / _MIB / _MIB
                looks.append((passed, rss))
                if passed + began - said >= _SAY_EVERY_SECONDS:
                    said = passed + began
                    print(f"  {passed / _MINUTE:.0f} min: {rss:.0f} MiB, {dict(counts)}", file=sys.stderr, flush=True)
            start, end = looks[0][1], looks[-1][1]
            stopping.set()
            for thread in threads:
                thread.join()
            stored = _stored(netloc)
    growth = Figure.of([end - start])
    figures = {
        "start": Figure.of([start]),
        "end": Figure.of([end]),
        "most": Figure.of([max(rss for _, rss in looks)]),
        "trend": Figure.of([_trend(looks)]),
        "spans": Figure.of([float(counts["spans"])]),
        "missing": Figure.of([float(counts["spans"] - stored)]),
        "answers": Figure.of([float(counts["answers"])]),
        "garbage": Figure.of([float(counts["garbage"])]),
        "failures": Figure.of([float(counts["failures"])]),
    }
    columns = [
        Column("start", "MiB", 0),
        Column("end", "MiB", 0),
        Column("most", "MiB", 0),
        Column("trend", "MiB/h", 0),
        Column("spans", "", 0),
        Column("missing", "", 0),
        Column("answers", "", 0),
        Column("garbage", "", 0),
        Column("failures", "5xx", 0),
    ]
    method = (
        f"{minutes:g} min, {_SPANS_A_SECOND} spans/s; memory of the backend after a quarter of that, at the end, and at"
        " most between; the trend is a straight line through what is between, by least squares"
    )
    table = Table("a mixed load", method, columns, [Row("otel-loggedmodel serve", figures)])
    return Report(
        [table],
        [
            Budget("growth after the first quarter", growth, BUDGET_GROWTH_MIB, "MiB"),
            Budget("spans that were acknowledged and are not there", figures["missing"], 0.0, ""),
            Budget("answers that are failures", figures["failures"], 0.0, ""),
        ],
    )


def _trend(looks: Sequence[tuple[float, float]]) -> float:
    """How much more memory it takes each hour, from times in seconds and MiB."""
    return statistics.linear_regression([at for at, _ in looks], [rss for _, rss in looks]).slope * 60 * _MINUTE


def _send(netloc: str, stopping: threading.Event, counts: "Counter[str]") -> None:
    """Spans, a steady number each second."""
    payloads = Payloads(10)
    for number in itertools.count():
        began = time.monotonic()
        status = _ask_once(netloc, "POST", "/v1/traces", payloads[number])
        if status == 200:
            counts["spans"] += 512
        _count(counts, status)
        if stopping.wait(max(0.0, 512 / _SPANS_A_SECOND - (time.monotonic() - began))):
            return


def _ask(netloc: str, stopping: threading.Event, counts: "Counter[str]") -> None:
    """Pages and the API, as somebody does who watches."""
    for path in itertools.cycle(_PATHS):
        _count(counts, _ask_once(netloc, "GET", path))
        if stopping.wait(0.5):
            return


def _send_garbage(netloc: str, stopping: threading.Event, counts: "Counter[str]") -> None:
    """What is no request."""
    rng = random.Random(1)
    while not stopping.wait(0.1):
        _count(counts, _ask_once(netloc, "POST", "/v1/traces", rng.randbytes(rng.randrange(1, 50_000))))
        counts["garbage"] += 1


def _count(counts: "Counter[str]", status: int) -> None:
    counts["answers"] += 1
    counts["failures"] += status >= 500


def _ask_once(netloc: str, method: str, path: str, body: bytes | None = None) -> int:
    connection = http.client.HTTPConnection(netloc, timeout=120)
    try:
        headers = {"Content-Type": "application/x-protobuf", "Accept": "text/html, application/json"}
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def _stored(netloc: str) -> int:
    connection = http.client.HTTPConnection(netloc, timeout=120)
    try:
        connection.request("GET", "/api/v1/revision")
        return int(json.loads(connection.getresponse().read())["revision"])
    finally:
        connection.close()
