# SPDX-License-Identifier: Apache-2.0
"""The command line: runs benchmarks, prints what they found, and can fail where a budget is exceeded."""

import argparse
import dataclasses
import json
import pathlib
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.isolated import in_fresh_process, run_benchmark
from benchmarks.reporting import Budget, Report, describe, machine, render

BENCHMARKS = {
    "processor": "what stamping adds to a span, beside other processors and MLflow's decorator",
    "logs": "what stamping adds to a log record, beside a processor that sets one attribute",
    "calls": "what the calls that make and switch versions take",
    "propagation": "what sending the version with requests takes",
    "exporter": "throughput of the exporter against the one that it wraps",
    "spool": "keeping spans on disk against encoding them, and finding ten thousand files that were left",
    "mlflow": "telling an MLflow server of versions and their traces, against only exporting to it",
    "draining": "delivering what was kept against exporting it in the first place",
    "importing": "what importing the library adds",
    "against": "importing and stamping beside an earlier commit: --against COMMIT",
    "evaluation": "what the harness of an evaluation adds to each row",
    "evaluating": "CPU time and memory of an evaluation, beside an earlier commit: --against COMMIT",
    "comparing_runs": "the CPU time of comparing two runs, beside an earlier commit: --against COMMIT",
    "memory": "whether memory stays flat over many spans and many versions",
    "ingest": "spans a second that the backend takes and stores, beside MLflow's server and Phoenix",
    "log_ingest": "log records a second that the backend takes and stores, beside spans",
    "receiving": "spans a second, and CPU time for each, beside an earlier commit: --against COMMIT",
    "questions": "the CPU time of answers, beside an earlier commit: --against COMMIT",
    "largest": "the page of the largest trace that is taken, beside an earlier commit: --against COMMIT",
    "queries": "how long the backend takes to answer with a million and ten million spans, and what room it takes",
    "endurance": "whether the backend grows under an hour of mixed load (--minutes); it runs where it is named",
    "verdicts": "how often verdicts are wrong, and find what there is, in traffic of which the truth is known",
    "painting": "first paint, CPU time, size and requests of the pages, beside an earlier commit: --against COMMIT",
    "importing_spans": "spans a second that `import` stores, and the memory that it takes of files ten times as large",
    "exporting": "exporting a million spans as Parquet, beside the engine's own INTO OUTFILE of the table",
    "pages": "how long a browser takes to show the pages of as many spans",
}
# These can be cut short with --quick.
BACKEND = {
    "ingest",
    "importing_spans",
    "exporting",
    "log_ingest",
    "comparing_runs",
    "evaluating",
    "receiving",
    "questions",
    "queries",
    "pages",
    "painting",
    "mlflow",
    "verdicts",
}
# These measure an earlier commit in the same run.
BESIDE_EARLIER = {"against", "comparing_runs", "evaluating", "receiving", "questions", "largest", "painting"}
# These run where they are named, as they take long or compare with a commit that is chosen.
NAMED = {"comparing_runs", "endurance", "evaluating", "receiving", "questions", "largest", "painting", "verdicts"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what the library costs and what the backend bears, side by side with others.",
        epilog="\n".join(f"  {name:<10} {text}" for name, text in BENCHMARKS.items())
        + "\n\nThose of the library take some six minutes together; ingest takes twenty with its peers, queries and"
        + " pages five each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="*", help="which to run; by default all")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write what was measured to a file")
    parser.add_argument("--quick", action="store_true", help="ingest and queries in two minutes, with less data")
    parser.add_argument("--peers", action="store_true", help="install the backends to compare with, where they are not")
    parser.add_argument(
        "--against", default="HEAD^", metavar="COMMIT", help="the earlier commit of what is measured beside one (HEAD^)"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="how long endurance takes (60)")
    parser.add_argument(
        "--spans",
        type=int,
        metavar="N",
        help="for questions: what it costs that there are more spans than are asked about; 100000000 takes a quarter of"
        " an hour and 11 GB for each build",
    )
    parser.add_argument("--check", action="store_true", help="exit with status 1 where a budget is exceeded")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.name if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
    if options.peers:
        _install_peers()
    found = machine()
    print(describe(found))
    reports: dict[str, Report] = {}
    for name in options.name or [name for name in BENCHMARKS if name not in NAMED]:
        print(f"\n== {name}: {BENCHMARKS[name]} ==", flush=True)
        chosen = {"quick": options.quick} if name in BACKEND else {}
        earlier = {"against": options.against} if name in BESIDE_EARLIER else {}
        growing = {"spans": options.spans} if name == "questions" and options.spans else {}
        lasting = {"minutes": options.minutes} if name == "endurance" else {}
        reports[name] = in_fresh_process(run_benchmark, name, **chosen, **earlier, **lasting, **growing)
        _show(reports[name])
    if options.json is not None:
        _write(options.json, found, reports)
    exceeded = [budget for report in reports.values() for budget in report.budgets if not budget.held]
    if exceeded:
        print("\nbudgets exceeded:\n" + "\n".join(f"  {budget}" for budget in exceeded))
    return 1 if exceeded and options.check else 0


def _install_peers() -> None:
    from benchmarks.rivals import RIVALS

    for rival in RIVALS:
        print(f"looking for {rival.name}, or installing it ...", flush=True)
        try:
            rival.install()
        except subprocess.CalledProcessError as error:
            print(f"  it cannot be installed: {error}", flush=True)


def _show(report: Report) -> None:
    for table in report.tables:
        print(f"\n{render(table)}")
    for note in report.notes:
        print(f"\n  {note}")
    if report.budgets:
        print()
    for budget in report.budgets:
        print(f"  {'held    ' if budget.held else 'EXCEEDED'}  {budget}", flush=True)


def _write(path: pathlib.Path, found: dict[str, object], reports: dict[str, Report]) -> None:
    written = {name: dataclasses.asdict(report) for name, report in reports.items()}
    for name, report in reports.items():
        written[name]["budgets"] = [_budget(budget) for budget in report.budgets]
    path.write_text(json.dumps({"machine": found, "benchmarks": written}, indent=2) + "\n")


def _budget(budget: Budget) -> dict[str, object]:
    return {**dataclasses.asdict(budget), "held": bool(budget.held)}


if __name__ == "__main__":
    sys.exit(main())
