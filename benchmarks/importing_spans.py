# SPDX-License-Identifier: Apache-2.0
"""Spans a second that `import` stores, and whether memory stays flat: of files, and of Jaeger's JSON.

Each import is a process of its own that fills an embedded store: `otel-loggedmodel import otlp FILE`, of a file and of
one ten times as large, in the forms that differ most; and `import jaeger` from a server in this process. Starting takes
a second of its own, so that budgets are of the larger file.
"""

import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from benchmarks.measuring import Figure
from benchmarks.payloads import SPANS, Payloads
from benchmarks.reporting import Budget, Column, Report, Row, Table
from otel_loggedmodel.commands.otlp_lines import line_of

REQUESTS = {False: 100, True: 30}
TIMES = 10
BUDGET_SPANS_PER_SECOND = 5000.0
BUDGET_MEMORY = 1.3

_TRACES_A_SECOND = 2
_SPANS_OF_A_TRACE = 10
_COLUMNS = [
    Column("throughput", "spans/s", 0),
    Column("cpu", "CPU s/100k spans", 2),
    Column("of a CPU", "spans/CPU s", 0),
    Column("memory", "MB", 0),
]
_FORMS: dict[str, Callable[[bytes], bytes]] = {
    "JSON lines": lambda request: line_of(request).encode() + b"\n",
    "protobuf with lengths": lambda request: struct.pack(">I", len(request)) + request,
}


def run(quick: bool = False) -> Report:
    """Measure."""
    requests = REQUESTS[quick]
    rows, budgets = [], []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        directory = pathlib.Path(folder)
        payloads = Payloads(_SPANS_OF_A_TRACE, 16)
        for form, encode in _FORMS.items():
            memory = {}
            for times in (1, TIMES):
                path = directory / "spans"
                with path.open("wb") as file:
                    file.writelines(encode(payloads[number]) for number in range(times * requests))
                spans = times * requests * SPANS
                figures = _import(directory / "store", spans, "otlp", str(path))
                rows.append(Row(f"{form}, {spans:,} spans", {name: Figure.of([one]) for name, one in figures.items()}))
                memory[times] = figures["memory"]
            budgets.append(_throughput(f"{form}, {spans:,} spans", figures))
            ratio = Figure.of([memory[TIMES] / memory[1]])
            budgets.append(Budget(f"memory of {TIMES} times as much, {form}", ratio, BUDGET_MEMORY))
        traces = 2 * requests * SPANS // _SPANS_OF_A_TRACE
        with _Jaeger(traces) as jaeger:
            figures = _import(
                directory / "store", traces * _SPANS_OF_A_TRACE, "jaeger", jaeger.url, "--since", jaeger.since
            )
        label = f"Jaeger's JSON, {traces * _SPANS_OF_A_TRACE:,} spans"
        rows.append(Row(label, {name: Figure.of([one]) for name, one in figures.items()}))
        budgets.append(_throughput(label, figures))
    method = (
        f"spans with twelve attributes, {_SPANS_OF_A_TRACE} a trace, requests of {SPANS}; one process each, its start"
        " included; memory is the most that it had"
    )
    return Report([Table("importing", method, _COLUMNS, rows)], budgets)


def _throughput(label: str, figures: dict[str, float]) -> Budget:
    measured = Figure.of([figures["of a CPU"]])
    return Budget(label, measured, BUDGET_SPANS_PER_SECOND, "spans/CPU s", at_least=True)


def _import(store: pathlib.Path, spans: int, *arguments: str) -> dict[str, float]:
    """Run an import into a new store, and see that all is in it."""
    command = [sys.executable, "-m", "otel_loggedmodel", "import", *arguments, "--store", f"chdb://{store}", "--json"]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    told = json.loads(process.stdout.read())
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    process.stdout.close()
    stored = told["files"][0]["spans"] if arguments[0] == "otlp" else told["carried"]["spans"]
    assert stored == spans, told
    subprocess.run(["rm", "-rf", str(store)], check=True)
    cpu = used.ru_utime + used.ru_stime
    return {
        "throughput": spans / wall,
        "cpu": cpu / spans * 100_000,
        "of a CPU": spans / cpu,
        "memory": used.ru_maxrss / 1024,
    }


class _Jaeger:
    """Answers `/api/traces` with traces at even distances, as Jaeger's pages get them."""

    def __init__(self, traces: int) -> None:
        self._step_us = 1_000_000 // _TRACES_A_SECOND
        self._end_us = time.time_ns() // 1000 - 60_000_000
        self._start_us = self._end_us - traces * self._step_us
        self._traces = traces
        ours = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                body = ours._answer(url.path, {key: value[0] for key, value in parse_qs(url.query).items()})
                self.send_response(200 if body else 404)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def since(self) -> str:
        """Before the first trace."""
        return f"{(time.time() - self._start_us / 1e6) / 3600 + 1:.0f}h"

    def __enter__(self) -> "_Jaeger":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str, question: dict[str, str]) -> bytes:
        if path == "/api/services":
            return b'{"data": ["shop"]}'
        if path != "/api/traces":
            return b""
        first = max(0, -(-(int(question["start"]) - self._start_us) // self._step_us))
        last = min(self._traces - 1, (int(question["end"]) - self._start_us) // self._step_us)
        chosen: Sequence[int] = range(first, last + 1)[-int(question["limit"]) :]
        return json.dumps({"data": [self._trace(number) for number in chosen]}).encode()

    def _trace(self, number: int) -> dict[str, object]:
        start = self._start_us + number * self._step_us
        tags = [{"key": f"app.attribute.{place}", "type": "string", "value": f"value {number}"} for place in range(10)]
        tags += [
            {"key": "logged_model.id", "type": "string", "value": "imported"},
            {"key": "n", "type": "int64", "value": 3},
        ]
        spans = [
            {
                "traceID": f"{number + 1:032x}",
                "spanID": f"{number * _SPANS_OF_A_TRACE + place + 1:016x}",
                "operationName": "call",
                "references": [],
                "startTime": start + place,
                "duration": 1000,
                "tags": tags,
                "logs": [],
                "processID": "p1",
            }
            for place in range(_SPANS_OF_A_TRACE)
        ]
        return {
            "traceID": spans[0]["traceID"],
            "spans": spans,
            "processes": {"p1": {"serviceName": "shop", "tags": []}},
        }
