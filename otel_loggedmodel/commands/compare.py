# SPDX-License-Identifier: Apache-2.0
"""`compare`: versions side by side."""

from typing import Annotated, Final

import typer

from otel_loggedmodel.commands import opening, options, printing

EXAMPLES: Final = """
otel-loggedmodel compare my-agent-v1 my-agent-v2
otel-loggedmodel compare m-3f2a m-91bc m-c07d --since 7d --service support --details
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
    dataset: options.Dataset = None,
    production: options.Production = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Compare versions: latency, errors, tokens, cost, scores, and which differences are real."""
    selection = options.read_selection(since, until, service, attribute, dataset=dataset, production=production)
    with opening.reader(store, token_file, "Comparing versions") as reader:
        comparison = reader.compare(versions, selection)
    if json:
        printing.show_json(comparison)
        return
    from otel_loggedmodel.commands.comparison_tables import rendered

    printing.show(*rendered(comparison, details=details))
