# SPDX-License-Identifier: Apache-2.0
"""`dataset`: data sets that are kept in the store: which there are, what is in them, adding to them, JSON Lines out."""

import json as json_module
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from otel_loggedmodel.commands import opening, options, printing
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.texts import clean, cut
from otel_loggedmodel.store.reading import TraceFilter

LIST_EXAMPLES: Final = """
otel-loggedmodel dataset list
otel-loggedmodel dataset list --json
"""
SHOW_EXAMPLES: Final = """
otel-loggedmodel dataset show refunds
"""
ADD_EXAMPLES: Final = """
otel-loggedmodel dataset add refunds questions.jsonl
otel-loggedmodel dataset add refunds --traces-of my-agent-v2 --errors --limit 50 --since 7d
cat more.jsonl | otel-loggedmodel dataset add refunds -

The second makes the newest 50 failures of production rows: each has the inputs of
its trace, and what people expected of it where somebody said so. A row that is
there already, with the same inputs or id, is replaced.

Rows go where the exporter sends spans (OTEL_EXPORTER_OTLP_ENDPOINT).
"""
EXPORT_EXAMPLES: Final = """
otel-loggedmodel dataset export refunds > refunds.jsonl
otel-loggedmodel dataset export refunds --output refunds.jsonl
"""

_Name = Annotated[str, typer.Argument(metavar="NAME", help="What the data set is called.")]
_MOST_SHOWN: Final = 20
_LONGEST: Final = 60


def list_(
    store: options.Store = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """List the data sets: those that something was evaluated on, and those that are kept in the store."""
    with opening.reader(store, token_file, "Reading data sets") as reader:
        found = reader.datasets()
    if json:
        printing.show_json({"datasets": found})
        return
    if not found:
        printing.complain("There is no data set. `otel-loggedmodel dataset add NAME FILE` keeps one in the store.")
        return
    from otel_loggedmodel.commands.tables import Column, fitted

    columns = [
        Column("data set", [one.name or formatting.ABSENT for one in found]),
        Column("digest", [one.digest or formatting.ABSENT for one in found], importance=8, whole=True),
        Column("kept rows", [formatting.count(one.kept_rows) for one in found], importance=9, number=True),
    ]
    printing.show(*fitted(columns))


def show(
    name: _Name,
    store: options.Store = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Show a data set that is kept in the store: its rows, and the digest that results on it have."""
    found = _kept(name, store, token_file)
    if json:
        described = {"name": found.name, "dataset_id": found.dataset_id, "digest": found.digest}
        printing.show_json({**described, "tags": dict(found.tags), "rows": found.records})
        return
    from rich.text import Text

    from otel_loggedmodel.commands.tables import Column, fitted

    rows = found.records
    head = Text.assemble((clean(found.name), "bold"), f"  {found.digest}  {formatting.count(len(rows))} rows")
    columns = [
        Column("row", [str(row["id"]) for row in rows[:_MOST_SHOWN]]),
        Column("inputs", [_short(row.get("conversation", row.get("inputs"))) for row in rows[:_MOST_SHOWN]]),
        Column("expectations", [_short(row.get("expectations")) for row in rows[:_MOST_SHOWN]], importance=8),
    ]
    more = len(rows) - _MOST_SHOWN
    rest = (
        [Text(f"{formatting.count(more)} more: `otel-loggedmodel dataset export` has all.", "dim")] if more > 0 else []
    )
    printing.show(head, *fitted(columns), *rest)


def add(
    name: _Name,
    file: Annotated[
        str | None,
        typer.Argument(metavar="[FILE]", help="A .jsonl, .json, .csv or .tsv file, or - for JSON Lines to read."),
    ] = None,
    traces_of: Annotated[
        str | None, typer.Option("--traces-of", metavar="VERSION", help="Or make rows of traces of this version.")
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Of traces, those that failed.")] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1000, help="Of traces, at most so many, newest first.")
    ] = 50,
    score: Annotated[
        str | None, typer.Option("--score", metavar="BOUND", help="Of traces, those with a score so: correct<0.5")
    ] = None,
    since: options.Since = None,
    until: options.Until = None,
    service: options.Service = None,
    attribute: options.Attributes = None,
    store: options.Store = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Add rows to a data set that is kept in the store, and make it if there is none of that name."""
    if (file is None) == (traces_of is None):
        raise typer.BadParameter("name a file of rows, or a version with --traces-of: one of the two")
    import otel_loggedmodel
    from otel_loggedmodel.genai import datasets, sources
    from otel_loggedmodel.genai.found_traces import trace_of_stored
    from otel_loggedmodel.genai.rows import RowReader

    try:
        if traces_of is not None:
            # What was evaluated on a data set is a row already.
            selection = options.read_selection(since, until, service, attribute, production=True)
            which = TraceFilter(errors_only=errors, score=score, limit=limit)
            with opening.reader(store, token_file, "Reading traces") as reader:
                found = reader.traces(traces_of, which, selection)
                traces = [trace_of_stored(reader.trace(one.trace_id)) for one in found]
            records: Any = [trace for trace in traces if trace.inputs is not None]
            if not records:
                raise ValueError("no trace that says its inputs matches: see `otel-loggedmodel traces`")
        else:
            records = list(_lines()) if file == "-" else list(sources.records_of_file(Path(str(file))))
            # Before anything is set up to send them.
            list(RowReader().read(iter(records)))
        try:
            kept = datasets.get_dataset(
                name, store=store or opening.default_store(), token=opening.read_token(token_file)
            )
        except LookupError:
            kept = datasets.create_dataset(name)
        otel_loggedmodel.instrument()
        before = {row["id"]: row for row in kept.records}
        kept.merge_records(records)
    except (OSError, TypeError, ValueError) as error:
        raise typer.BadParameter(clean(str(error))) from None
    added = sum(row["id"] not in before for row in kept.records)
    changed = sum(row["id"] in before and before[row["id"]] != row for row in kept.records)
    result = {"name": name, "digest": kept.digest, "rows": len(kept), "added": added, "changed": changed}
    if json:
        printing.show_json(result)
    else:
        printing.write(f"{clean(name)}: {added} rows added, {changed} changed, {len(kept)} in all ({kept.digest})\n")


def export(
    name: _Name,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Where to; by default standard output.")
    ] = None,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Write the rows of a data set that is kept in the store as JSON Lines, which `add` and `evaluate` read."""
    found = _kept(name, store, token_file)
    text = "".join(f"{json_module.dumps(row, ensure_ascii=False)}\n" for row in found.records)
    if output is None:
        printing.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{output} cannot be written: {error.strerror}", param_hint="--output") from None


def _kept(name: str, store: str | None, token_file: Path | None) -> Any:
    from otel_loggedmodel.genai import datasets

    try:
        return datasets.get_dataset(name, store=store or opening.default_store(), token=opening.read_token(token_file))
    except (LookupError, ValueError) as error:
        raise typer.BadParameter(f"{clean(str(error.args[0]))}; `otel-loggedmodel dataset list` lists them") from None


def _lines() -> Iterator[Any]:
    for number, line in enumerate(sys.stdin, 1):
        if line.strip():
            try:
                yield json_module.loads(line)
            except ValueError as error:
                raise ValueError(f"line {number} is not JSON: {error}") from None


def _short(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json_module.dumps(value, ensure_ascii=False)
    return cut(text, _LONGEST)
