# SPDX-License-Identifier: Apache-2.0
"""`runs`: which evaluations there were, and what came out of each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from otel_loggedmodel.commands import opening, options, printing
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.texts import clean
from otel_loggedmodel.store.reading import RunFilter
from otel_loggedmodel.store.run_results import Run

if TYPE_CHECKING:
    from rich.console import RenderableType

EXAMPLES: Final = """
otel-loggedmodel runs
otel-loggedmodel runs my-agent-v2 --dataset questions --json
otel-loggedmodel compare before-the-fix after-the-fix

Runs have ids and names. `show`, `compare` and `gate` take either where they take a version.
"""


def runs(
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Of this version. Default: all.")] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="On this data set, by its name or digest.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many, newest first.")] = 50,
    store: options.Store = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """List the evaluation runs, the newest first."""
    with opening.reader(store, token_file, "Reading runs") as reader:
        found = reader.runs(RunFilter(version=version, dataset=dataset, limit=limit))
    if json:
        printing.show_json({"runs": found})
    elif found:
        _show_table(found)
        if len(found) == limit:
            printing.complain(f"There may be more: these are the newest {limit} (--limit).")
    else:
        printing.complain("No run matches. `otel-loggedmodel evaluate` and genai.evaluate make runs.")


def _show_table(found: Sequence[Run]) -> None:
    from otel_loggedmodel.commands.tables import Column, fitted

    columns = [
        Column("run", [run.name or formatting.ABSENT for run in found]),
        Column("id", [run.run_id for run in found], importance=6, whole=True),
        Column("version", [_version(run) for run in found], importance=9),
        Column("data set", [run.dataset_name or run.dataset or "traces" for run in found], importance=8),
        Column("began", [formatting.instant(run.start_ms) for run in found], importance=5, whole=True),
        Column("state", [run.status.lower() for run in found], importance=9),
        Column("rows", [formatting.count(run.rows) for run in found], importance=7, number=True),
        Column("failed", [formatting.count(run.rows_failed) for run in found], importance=7, number=True),
        Column("scores", [_scores(run) for run in found], importance=8),
    ]
    printing.show(*fitted(columns))


def rendered(parts: Sequence[Run]) -> list["RenderableType"]:
    """One run, with an entry for each version and data set that it evaluated."""
    from rich.text import Text

    from otel_loggedmodel.commands.tables import pairs

    first = parts[0]
    shown: list[RenderableType] = [
        Text.assemble((clean(first.name or first.run_id), "bold"), "  an evaluation run"),
        pairs({"id": first.run_id, "experiment": first.experiment_id}),
    ]
    for run in parts:
        shown += ["", pairs(_told(run))]
        if run.metrics:
            shown += ["", Text("Scores", "bold"), pairs({key: formatting.score(v) for key, v in run.metrics.items()})]
    return [
        *shown,
        "",
        Text.assemble(
            ("Compare it", "bold"), f": otel-loggedmodel compare OTHER_RUN {clean(first.name or first.run_id)}"
        ),
    ]


def _told(run: Run) -> dict[str, str]:
    took = None if run.end_ms is None else float(run.end_ms - run.start_ms)
    failures = [f"{name} on {formatting.count(count)}" for name, count in run.scorer_errors.items() if count]
    entries = {
        "version": _version(run),
        "version id": run.model_id,
        "data set": f"{run.dataset_name or ''} {run.dataset or ''}".strip() or "traces",
        "state": run.status.lower(),
        "began": formatting.instant(run.start_ms),
        "took": formatting.milliseconds(took),
        "rows": f"{formatting.count(run.rows)} of {formatting.count(run.rows_total)}",
        "failed rows": formatting.count(run.rows_failed),
        "scorers": ", ".join(run.scorers),
        "failed scorers": ", ".join(failures),
    }
    return {title: text for title, text in entries.items() if text and text != formatting.ABSENT}


def _version(run: Run) -> str:
    return run.version_name or run.model_id or "those of the traces"


def _scores(run: Run) -> str:
    return ", ".join(f"{name} {formatting.score(value)}" for name, value in run.metrics.items())
