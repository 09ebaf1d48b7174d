# SPDX-License-Identifier: Apache-2.0
"""`evaluate`: run a version over a data set and score it, in a build for instance."""

import importlib
import inspect
import math
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from otel_loggedmodel.commands import exits, options, printing

EXAMPLES: Final = """
otel-loggedmodel evaluate app:answer --data questions.jsonl --scorers quality --name my-agent-v2
otel-loggedmodel evaluate app:answer --data questions.csv --scorers otel_loggedmodel.genai.scorers:ExactMatch

A row of the data has `inputs` and `expectations`; in a table, `inputs.question` and `expectations.answer`.
Scorers are the @scorer functions and scorer objects of a module, or those named after a colon.
Spans and scores go where OTEL_EXPORTER_OTLP_ENDPOINT says, by default to the backend on this machine.
"""


def evaluate(
    function: Annotated[str, typer.Argument(metavar="MODULE:FUNCTION", help="What is evaluated.")],
    data: Annotated[
        str, typer.Option("--data", metavar="FILE", help="The rows: .jsonl, .json, .csv or .tsv, or MODULE:NAME.")
    ],
    scorers: Annotated[
        list[str], typer.Option("--scorers", metavar="MODULE[:NAME,...]", help="Who judges. Repeatable.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the version. Default: the active one.")
    ] = None,
    model_id: Annotated[str | None, typer.Option("--model-id", metavar="ID", help="Id of the version.")] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="KEY=VALUE", help="What the version is made of. Repeatable; with --name."),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="A tag of it. Repeatable; with --name.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="What the data set is called. Default: the file.")
    ] = None,
    run_name: Annotated[
        str | None, typer.Option("--run-name", metavar="NAME", help="What this run is called. Default: a random name.")
    ] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Rows at once. Default: 8.")] = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="For each call. Default: none.")
    ] = None,
    retries: Annotated[int, typer.Option("--retries", min=0, help="How often to call again after an error.")] = 0,
    resume: Annotated[bool, typer.Option("--resume/--no-resume", help="Go on where an evaluation was killed.")] = True,
    json: options.Json = False,
) -> None:
    """Run a version over a data set and score it. Exit code 1 says that no row could be evaluated."""
    import otel_loggedmodel

    if model_id is not None and (name is not None or param or tag):
        raise typer.BadParameter("pass --model-id, or --name with --param and --tag, not both")
    if (param or tag) and name is None:
        raise typer.BadParameter("--param and --tag make a version: give it a --name")
    # `python -m` does this, but an installed command does not.
    sys.path.insert(0, str(Path.cwd()))
    predict_fn = _named(function, "MODULE:FUNCTION")
    judges = [judge for place in scorers for judge in _scorers(place)]
    rows = data if Path(data).suffix else _named(data, "--data")
    otel_loggedmodel.instrument()
    version: Any = model_id
    if name is not None:
        params, tags = options.read_pairs(param, "--param"), options.read_pairs(tag, "--tag")
        try:
            version = otel_loggedmodel.create_external_model(name, params=params, tags=tags) if params or tags else name
        except (TypeError, ValueError) as error:
            # Variables that a build does not have are empty names.
            raise typer.BadParameter(str(error)) from None
    try:
        result = otel_loggedmodel.genai.evaluate(
            rows() if inspect.isfunction(rows) else rows,
            judges,
            predict_fn,
            version,
            dataset=dataset,
            run_name=run_name,
            max_workers=workers,
            timeout=timeout,
            retries=retries,
            resume=resume,
        )
    except OSError as error:
        raise typer.BadParameter(f"{error.filename or data} cannot be read: {error.strerror or error}") from None
    except (TypeError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    if json:
        _show_json(result)
    else:
        _show_table(result)
    raise typer.Exit(exits.BROKEN if result.count and result.error_count == result.count else exits.OK)


def _named(place: str, what: str) -> Any:
    """What a text of the form `module:name` names."""
    from otel_loggedmodel.presenting.texts import did_you_mean

    module, colon, name = place.partition(":")
    if not (module and colon and name):
        raise typer.BadParameter(f"{place!r} is not of the form module:name", param_hint=what)
    found: Any = _module(module, what)
    for part in name.split("."):
        if not hasattr(found, part):
            hint = did_you_mean(part, (one for one in dir(found) if not one.startswith("_")))
            raise typer.BadParameter(f"{module} has no {name}.{hint}", param_hint=what)
        found = getattr(found, part)
    return found


def _module(name: str, what: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.split(".", maxsplit=1)[0] == error.name.split(".")[0]:
            raise typer.BadParameter(f"there is no module {name}", param_hint=what) from None
        raise


def _scorers(place: str) -> list[Any]:
    from otel_loggedmodel.genai import Scorer

    module, _, names = place.partition(":")
    if names:
        found = [_named(f"{module}:{name.strip()}", "--scorers") for name in names.split(",")]
        return [judge() if inspect.isclass(judge) and issubclass(judge, Scorer) else judge for judge in found]
    found = [value for value in vars(_module(module, "--scorers")).values() if isinstance(value, Scorer)]
    if not found:
        raise typer.BadParameter(
            f"{module} has no scorers: decorate them with @scorer, or name functions, {module}:NAME",
            param_hint="--scorers",
        )
    return list(dict.fromkeys(found))


def _show_json(result: Any) -> None:
    printing.show_json(
        {
            "run_id": result.run_id,
            "run_name": result.run_name,
            "model_id": result.model_id,
            "dataset": result.dataset,
            "dataset_name": result.dataset_name,
            "rows": result.count,
            "errors": result.error_count,
            "resumed": result.resumed_count,
            "metrics": {name: value if math.isfinite(value) else None for name, value in result.metrics.items()},
            "scorer_errors": result.scorer_errors,
        }
    )


def _show_table(result: Any) -> None:
    from rich.text import Text

    from otel_loggedmodel.commands.tables import Column, fitted
    from otel_loggedmodel.presenting import formatting
    from otel_loggedmodel.presenting.texts import clean

    resumed = f", {result.resumed_count} of them before" if result.resumed_count else ""
    head = Text.assemble(
        (clean(result.model_id), "bold"),
        f"  {result.count} rows of {clean(result.dataset_name or result.dataset)}{resumed}",
        f", {result.error_count} failed",
        f"\nrun {clean(result.run_name or '')} {result.run_id}",
    )
    names = list(result.metrics)
    table = fitted(
        [
            Column("score", [clean(name) for name in names]),
            Column("", [formatting.score(result.metrics[name]) for name in names]),
        ]
    )
    errors = [Text(f"{clean(name)} failed {count} times") for name, count in result.scorer_errors.items()]
    first = next((row.error for row in result.rows if row.error), None)
    problem = [] if first is None else [Text(f"the first row that failed: {clean(first)}")]
    printing.show(head, *(table if names else ()), *errors, *problem)
