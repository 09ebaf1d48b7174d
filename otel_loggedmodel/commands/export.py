# SPDX-License-Identifier: Apache-2.0
"""`export`: what a store has, as files for other tools."""

import enum
from pathlib import Path
from typing import Annotated, Final

import typer

from otel_loggedmodel.commands import opening, options, printing
from otel_loggedmodel.presenting import formatting

EXAMPLES: Final = """
otel-loggedmodel export /data/traces --since 30d
otel-loggedmodel export /data/moving --format otlp --version my-agent-v2

duckdb -c "SELECT name, avg(duration_ns) / 1e6 FROM '/data/traces/spans/*.parquet' GROUP BY name"
"""


Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        envvar=options.STORE_VARIABLE,
        help="chdb:///path, clickhouse://user:password@host:port/database, or http://host:4318 for a running backend"
        " that has a token. A backend that has the directory open is asked to do it. Default: the user's data"
        " directory.",
    ),
]


class Format(str, enum.Enum):
    """What is written."""

    PARQUET = "parquet"
    OTLP = "otlp"


def export(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A directory that is not there yet.")],
    file_format: Annotated[
        Format,
        typer.Option("--format", help="Tables for DuckDB and the like, or OTLP in JSON, a request a line."),
    ] = Format.PARQUET,
    version: Annotated[
        list[str] | None,
        typer.Option("--version", metavar="VERSION", help="The traces of this version. Repeatable. Default: all."),
    ] = None,
    since: options.Since = None,
    until: options.Until = None,
    store: Store = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Write spans, traces, scores and versions as Parquet, or spans and log records as OTLP, into a new directory.

    The directory has another name, which begins with .partial-, until it is whole. A backend that runs writes it on its
    own machine.
    """
    from otel_loggedmodel._counting import Counting
    from otel_loggedmodel.store import default_directory, keeping
    from otel_loggedmodel.store.exporting import Wanted

    selection = options.read_selection(since, until, None, None)
    wanted = Wanted(
        path=str(directory.expanduser().absolute()),
        format=file_format.value,
        versions=version or (),
        since=selection.since,
        until=selection.until,
    )
    # As for `store backup`: what a backend has open is exported by it, if its directory can be read from here.
    url = store or str(default_directory())
    with printing.progress("Exporting"), Counting("Exporting", "spans", say=printing.complain) as counting:
        done = keeping.export(url, opening.read_token(token_file), wanted, lambda so_far, of: counting.at(so_far))
    if json:
        printing.show_json(done)
        return
    names = {kind: kind.removesuffix("s").replace("_", " ") for kind in done.rows}
    kinds = ", ".join(formatting.number_of(rows, names[kind]) for kind, rows in done.rows.items())
    printing.complain(f"{kinds} are in {done.path}.")
