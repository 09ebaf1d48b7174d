# SPDX-License-Identifier: Apache-2.0
"""What importing the library adds for an application that imports the SDK's tracing anyway."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping

from benchmarks.measuring import Figure
from benchmarks.reporting import Budget, Column, Report, Row, Table

INTERPRETERS = 21
BUDGET_MILLISECONDS = 40.0
LISTED = 20

SDK = "import opentelemetry.sdk.trace"
BOTH = "import opentelemetry.sdk.trace; import otel_loggedmodel"

_TIMED = """
import json, resource, time
def now():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime + used.ru_stime
began = now()
{statements}
ended = now()
print(json.dumps({{"wall": ended[0] - began[0], "cpu": ended[1] - began[1]}}))
"""


def run() -> Report:
    """Measure."""
    took: dict[str, list[dict[str, float]]] = {SDK: [], BOTH: []}
    # Byte code is compiled once, in the first round, as it is for every installed package.
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for number in range(INTERPRETERS + 1):
            for statements, measured in took.items():
                timed = _timed(statements, environment)
                if number > 0:
                    measured.append(timed)
        imported = _listing(environment)
    added = {
        clock: Figure.of([1000 * (both[clock] - sdk[clock]) for sdk, both in zip(took[SDK], took[BOTH], strict=True)])
        for clock in ("cpu", "wall")
    }
    rows = [
        Row(statements, {clock: Figure.of([1000 * each[clock] for each in measured]) for clock in ("cpu", "wall")})
        for statements, measured in took.items()
    ]
    rows.append(Row("added by otel_loggedmodel", added))
    budget = Budget("import otel_loggedmodel, over the SDK's tracing", added["cpu"], BUDGET_MILLISECONDS, "ms CPU")
    method = (
        f"{INTERPRETERS} fresh interpreters each, in turns, with compiled byte code; what is added is the median "
        "difference between neighbours, with quartiles"
    )
    table = Table("import time", method, [Column("cpu", "ms", 1), Column("wall", "ms", 1)], rows)
    return Report([table], [budget], [] if budget.held else [imported])


def _timed(statements: str, environment: Mapping[str, str]) -> dict[str, float]:
    program = _TIMED.format(statements=statements.replace("; ", "\n"))
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    measured = json.loads(ended.stdout)
    assert isinstance(measured, dict)
    return measured


def _listing(environment: Mapping[str, str]) -> str:
    """What is imported beyond the SDK's tracing, the slowest first; times as `python -X importtime` sees them."""
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", BOTH], env=environment, capture_output=True, text=True, check=True
    )
    own: dict[str, int] = {}
    total: dict[str, int] = {}
    counting = False
    for line in ended.stderr.splitlines():
        fields = line.removeprefix("import time:").split("|")
        if len(fields) != 3 or not fields[0].strip().isdigit():
            continue
        module = fields[2].strip()
        if counting:
            own[module], total[module] = int(fields[0]), int(fields[1])
        counting = counting or module == "opentelemetry.sdk.trace"
    dearest = sorted(own, key=own.__getitem__, reverse=True)[:LISTED]
    lines = [f"{own[module]:>9,} {total[module]:>9,}  {module}" for module in dearest]
    heading = (
        f"{len(own)} modules are imported beyond the SDK's tracing; own and cumulated microseconds of the dearest:"
    )
    return "\n    ".join([heading, *lines])
