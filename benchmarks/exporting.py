# SPDX-License-Identifier: Apache-2.0
"""Exporting as Parquet, beside the engine's own `INTO OUTFILE` of the raw table, in turns on one store.

The whole export has spans, traces, scores, versions and resources; the raw table has all columns of the Collector's,
with the engine's defaults, and once more with the settings of the export: to compare like with like.
"""

import itertools
import pathlib
import resource
import shutil
import tempfile
import time
from collections.abc import Callable

from benchmarks import bulk
from benchmarks.isolated import in_fresh_process
from benchmarks.measuring import Figure
from benchmarks.reporting import Budget, Column, Report, Row, Table
from otel_loggedmodel.store import database as databases
from otel_loggedmodel.store import export_sql, exporting
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import EVERYTHING
from otel_loggedmodel.store.schema import SPANS as TABLE

SPANS = {False: 1_000_000, True: 200_000}
ROUNDS = {False: 3, True: 3}
# Half was the aim. A third is what attributes alone take, which the raw table has, too.
BUDGET_OF_RAW = 0.65

RAW, RAW_ALIKE = "SELECT * INTO OUTFILE", "the same, with the export's settings"
OURS_SPANS, OURS = "spans of the export", "the whole export"
_COLUMNS = [
    Column("wall", "s", 2),
    Column("cpu", "CPU s", 2),
    Column("size", "MB", 1),
    Column("of raw", "x, wall", 2),
    Column("of raw, cpu", "x", 2),
]


def run(quick: bool = False) -> Report:
    """Measure."""
    spans = SPANS[quick]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        bulk.fill(pathlib.Path(folder) / "store", spans)
        runs = in_fresh_process(_measure, pathlib.Path(folder), ROUNDS[quick])
    rows = [
        Row(label, {name: Figure.of([one[label][name] for one in runs]) for name in runs[0][label]})
        for label in runs[0]
    ]
    method = f"{spans:,} spans of a week, {len(runs)} rounds in turns; the ratio of each round, median with quartiles"
    budget = Budget(
        f"{OURS_SPANS}, of {RAW} in the same round", rows[2].figures["of raw, cpu"], BUDGET_OF_RAW, "x, CPU"
    )
    return Report([Table("exporting as Parquet", method, _COLUMNS, rows)], [budget])


def _measure(folder: pathlib.Path, rounds: int) -> list[dict[str, dict[str, float]]]:
    database = databases.open_database(f"chdb://{folder / 'store'}")
    try:
        reader = StoreReader(database)
        scope = reader.scope(None, EVERYTHING)
        days = [
            row["day"] for row in database.query(f"SELECT DISTINCT toString(toDate(Timestamp)) AS day FROM {TABLE}")
        ]

        def raw(path: pathlib.Path) -> None:
            database.command(f"SELECT * FROM {TABLE} INTO OUTFILE '{path}' FORMAT Parquet")

        def raw_alike(path: pathlib.Path) -> None:
            database.write(f"SELECT * FROM {TABLE}", {}, path, "Parquet", exporting.PARQUET)

        def own_spans(path: pathlib.Path) -> None:
            path.mkdir()
            for day in days:
                query = export_sql.spans(scope, day)
                database.write(query.sql, query.parameters, path / day, "Parquet", exporting.PARQUET)

        def everything(path: pathlib.Path) -> None:
            exporting.Exporter(database, reader).run(exporting.Wanted(path=str(path)))

        contestants = {RAW: raw, RAW_ALIKE: raw_alike, OURS_SPANS: own_spans, OURS: everything}
        names = (folder / f"out-{number}" for number in itertools.count())
        for run_one in contestants.values():
            _timed(run_one, next(names))
        found = []
        for _ in range(rounds):
            one = {label: _timed(run_one, next(names)) for label, run_one in contestants.items()}
            for figures in one.values():
                figures["of raw"] = figures["wall"] / one[RAW]["wall"]
                figures["of raw, cpu"] = figures["cpu"] / one[RAW]["cpu"]
            found.append(one)
        return found
    finally:
        database.close()


def _timed(run_one: Callable[[pathlib.Path], None], path: pathlib.Path) -> dict[str, float]:
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    run_one(path)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files) / 1e6
    if path.is_file():
        path.unlink()
    else:
        shutil.rmtree(path)
    return {"wall": wall, "cpu": cpu, "size": size}
