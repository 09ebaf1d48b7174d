# SPDX-License-Identifier: Apache-2.0
"""`compare`: versions side by side."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from otel_loggedmodel.commands import opening, options, printing
from otel_loggedmodel.pages.addresses import Chosen
from otel_loggedmodel.store.results import Activities, Behaviour, Comparison

EXAMPLES: Final = """
otel-loggedmodel compare my-agent-v1 my-agent-v2
otel-loggedmodel compare m-3f2a m-91bc m-c07d --since 7d --service support --details
otel-loggedmodel compare my-agent-v1 my-agent-v2 --html comparison.html
"""


def compare(
    versions: Annotated[
        list[str], typer.Argument(metavar="VERSION...", help="The first is what the others are held against.")
    ],
    details: Annotated[
        bool, typer.Option("--details", help="With confidence intervals, effect sizes and p-values.")
    ] = False,
    since: options.Since = None,
    until: options.Until = None,
    service: options.Service = None,
    attribute: options.Attributes = None,
    store: options.Store = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Also write it, with charts, as one HTML file that needs no other."
        ),
    ] = None,
) -> None:
    """Compare versions: latency, errors, tokens, cost, scores, and which differences are real."""
    selection = options.read_selection(since, until, service, attribute)
    with opening.reader(store, token_file, "Comparing versions") as reader:
        comparison = reader.compare(versions, selection)
        if html is not None:
            chosen = Chosen(since=since, until=until, service=service, attributes=tuple(attribute or ()))
            _write(
                html, comparison, reader.activities(versions, selection), reader.behaviour(versions, selection), chosen
            )
    if json:
        printing.show_json(comparison)
        return
    from otel_loggedmodel.commands.comparison_tables import rendered

    printing.show(*rendered(comparison, details=details))


def _write(path: Path, comparison: Comparison, activities: Activities, behaviour: Behaviour, chosen: Chosen) -> None:
    from otel_loggedmodel.pages.report import report

    text = report(comparison, activities, behaviour, chosen, time.time() * 1000)
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}", param_hint="--html") from None
