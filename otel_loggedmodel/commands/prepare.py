# SPDX-License-Identifier: Apache-2.0
"""`store prepare`: what a store needs beside the Collector's tables."""

from typing import Annotated, Final

import typer

from otel_loggedmodel.commands import options, printing

EXAMPLES: Final = """
otel-loggedmodel store prepare --store clickhouse://otel@db:8123/otel --dry-run
"""


def prepare(
    store: Annotated[
        str,
        typer.Option(
            "--store",
            metavar="URL",
            envvar=options.STORE_VARIABLE,
            help="clickhouse://user:password@host:port/database, clickhouses://..., or chdb:///path.",
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the statements, and change nothing.")] = False,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="Compute the columns for the spans that are there already, too.")
    ] = False,
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="NAME", help="Run them ON CLUSTER NAME.")] = None,
    json: options.Json = False,
) -> None:
    """Add to a ClickHouse what makes questions fast: columns that are computed once, and a narrow table of what counts.

    The table is filled in day by day. Questions are answered meanwhile, more slowly. If it is stopped, run it again: it
    goes on with the day that it was at. Otherwise repeating it changes nothing.
    """
    from otel_loggedmodel.store import prepare as prepare_store

    def on_day(day: str, place: int, days: int) -> None:
        if not dry_run:
            printing.complain(f"Filling in {day[:4]}-{day[4:6]}-{day[6:]}, {place} of {days} days ...")

    with printing.progress("Preparing the store"):
        statements = prepare_store(store, cluster=cluster, backfill=backfill, dry_run=dry_run, on_day=on_day)
    if json:
        printing.show_json({"dry_run": dry_run, "statements": statements})
    elif dry_run:
        printing.write("".join(f"{statement.rstrip().rstrip(';')};\n\n" for statement in statements))
    else:
        number = len(statements)
        printing.complain(f"{number} statement{'' if number == 1 else 's'} run. The store is ready.")
