# SPDX-License-Identifier: Apache-2.0
"""`store repair`, `store backup`, `store restore`: what keeps an embedded store whole."""

from pathlib import Path
from typing import Annotated, Final

import typer

from otel_loggedmodel.commands import opening, options, printing
from otel_loggedmodel.presenting.formatting import count

REPAIR_EXAMPLES: Final = """
otel-loggedmodel store repair
otel-loggedmodel store repair --store chdb:///var/lib/spans
"""
BACKUP_EXAMPLES: Final = """
otel-loggedmodel store backup /backups/2026-12-01.tar.gz
otel-loggedmodel store backup /backups/2026-12-01 --store chdb:///var/lib/spans
"""
RESTORE_EXAMPLES: Final = """
otel-loggedmodel store restore /backups/2026-12-01.tar.gz --store chdb:///var/lib/spans
"""

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        envvar=options.STORE_VARIABLE,
        help="chdb:///path, or http://host:4318 for a running backend that has a token. A backend that has the"
        " directory open is asked to do it. Default: the user's data directory.",
    ),
]


def repair(store: Store = None, token_file: options.TokenFile = None, json: options.Json = False) -> None:
    """Read all of a store, and set aside what is damaged, so that the rest can be read. Nothing is deleted.

    It also puts back what broke when the store was copied in a wrong way, and damaged definitions of tables. Stop the
    backend for that.
    """
    from otel_loggedmodel.store import keeping

    with printing.progress("Reading the store"):
        repaired = keeping.repair(_url(store), opening.read_token(token_file))
    if json:
        printing.show_json(repaired)
        return
    for line in repaired.done:
        printing.write(f"{line}\n")
    for warning in repaired.condition.warnings:
        printing.write(f"{warning}\n")
    printing.complain("What is left can be read." if repaired.done else "Nothing is damaged that was not set aside.")


def backup(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|DIR", help="A new file that ends with .tar, .tar.gz or .tar.zst; else a directory."
        ),
    ],
    store: Store = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Write a backup of all spans, while the store is in use or not. A backend writes it on its own machine."""
    from otel_loggedmodel.store import keeping

    with printing.progress("Backing up"):
        made = keeping.backup(_url(store), opening.read_token(token_file), path.expanduser().absolute())
    if json:
        printing.show_json(made)
    else:
        printing.complain(f"{count(made.spans)} spans are in {made.path}.")


def restore(
    path: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="What `store backup` made.")],
    store: Store = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Add the spans of a backup that a store does not have, or make a new store of the backup."""
    from otel_loggedmodel.store import keeping

    with printing.progress("Restoring"):
        restored = keeping.restore(_url(store), opening.read_token(token_file), path.expanduser().absolute())
    if json:
        printing.show_json(restored)
    else:
        printing.complain(f"{count(restored.spans)} spans of {restored.path} were added; the store has the others.")


def _url(store: str | None) -> str:
    if store is not None:
        return store
    from otel_loggedmodel.store import default_directory

    return str(default_directory())
