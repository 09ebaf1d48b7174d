# SPDX-License-Identifier: Apache-2.0
"""`compare`: versions side by side."""

from dataclasses import replace
from typing import Annotated, Final

import typer

from otel_loggedmodel.commands import drawing, narrowed, opening, options, printing
from otel_loggedmodel.store.reading import RowFilter
from otel_loggedmodel.store.results import Comparison
from otel_loggedmodel.store.statistics import Margins, judged

EXAMPLES: Final = """
otel-loggedmodel compare my-agent-v1 my-agent-v2
otel-loggedmodel compare m-3f2a m-91bc m-c07d --since 7d --service support --details
otel-loggedmodel compare my-agent-v1 my-agent-v2 --html comparison.html --svg comparison.svg
otel-loggedmodel compare my-agent-v1 my-agent-v2 --rows --score correctness
otel-loggedmodel compare before-the-fix after-the-fix

The last compares two runs, by their names or ids: see `otel-loggedmodel runs`.
"""


def compare(
    versions: Annotated[
        list[str], typer.Argument(metavar="VERSION...", help="The first is what the others are held against.")
    ],
    details: Annotated[
        bool, typer.Option("--details", help="With confidence intervals, effect sizes, p-values and what was paired.")
    ] = False,
    rows: Annotated[
        bool,
        typer.Option("--rows", help="With the rows of data sets that changed most: inputs, outputs, traces."),
    ] = False,
    score: Annotated[
        str | None, typer.Option("--score", metavar="NAME", help="Only the rows that changed under this evaluation.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1000, help="At most so many rows of each evaluation.")
    ] = RowFilter.limit,
    since: options.Since = None,
    until: options.Until = None,
    service: options.Service = None,
    attribute: options.Attributes = None,
    dataset: options.Dataset = None,
    production: options.Production = False,
    prompt: options.Prompt = None,
    agent: options.Agent = None,
    by: options.By = None,
    margin: options.Margins = None,
    runs: options.Runs = "latest",
    failed_rows: options.FailedRows = "skip",
    pass_at: options.PassAt = None,
    store: options.Store = None,
    prices: options.Prices = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
    html: options.Html = None,
    svg: options.Svg = None,
) -> None:
    """Compare versions, or evaluation runs: latency, errors, tokens, cost, scores, and which differences are real."""
    selection = options.read_selection(
        since,
        until,
        service,
        attribute,
        dataset=dataset,
        production=production,
        prompt=prompt,
        agent=agent,
        by=by,
        runs=runs,
        failed_rows=failed_rows,
        pass_at=pass_at,
    )
    margins = options.read_margins(margin)
    with_rows = rows or score is not None
    if with_rows and len(versions) < 2:
        raise typer.BadParameter("rows are held against those of the first version: name at least two")
    with opening.reader(store, token_file, "Comparing versions", prices) as reader:
        comparison = narrowed.explained(reader.compare(versions, selection), reader, selection)
        comparison = _with_margins(comparison, margins)
        changes = reader.rows(versions, RowFilter(score=score, limit=limit), selection) if with_rows else []
        if html is not None:
            found = changes if with_rows else None
            drawing.write_html(html, reader, comparison, selection, found, limit, since=since, until=until)
    if svg is not None:
        drawing.write_svg(svg, comparison)
    if json:
        printing.show_json({**printing.as_document(comparison), "rows": changes} if with_rows else comparison)
        return
    from otel_loggedmodel.commands.comparison_tables import rendered

    parts = rendered(comparison, details=details)
    if with_rows:
        from otel_loggedmodel.commands.row_changes import rendered as rendered_rows

        parts += rendered_rows(comparison, changes)
    printing.show(*parts)


def _with_margins(comparison: Comparison, margins: Margins) -> Comparison:
    """The comparison with verdicts by other margins than usual."""
    if not margins:
        return comparison
    found = judged([differences.metrics for differences in comparison.differences], margins)
    return replace(
        comparison,
        differences=tuple(
            replace(differences, metrics=metrics)
            for differences, metrics in zip(comparison.differences, found, strict=True)
        ),
    )
