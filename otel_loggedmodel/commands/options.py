# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from otel_loggedmodel import environment
from otel_loggedmodel.presenting.selecting import TIME_HELP, parse_pair, selection_of
from otel_loggedmodel.store.reading import EVERYTHING, Selection
from otel_loggedmodel.store.statistics import Margin

STORE_VARIABLE: Final = environment.OTEL_LOGGEDMODEL_STORE
_STORE: Final = "Where the spans are"
_SELECTION: Final = "Which traces count"

Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        envvar=STORE_VARIABLE,
        help="chdb:///path, clickhouse://user:password@host:port/database, clickhouses://..., or http://host:4318 for "
        "a running backend. Default: the backend that runs on this machine, else its data directory.",
        rich_help_panel=_STORE,
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="File with the token of the backend; else the environment variable OTEL_LOGGEDMODEL_TOKEN.",
        rich_help_panel=_STORE,
    ),
]
Prices = Annotated[
    Path | None,
    typer.Option(
        "--prices",
        metavar="FILE",
        help="File of prices in TOML, for models without a list price and for contracts; else that of the environment "
        "variable OTEL_LOGGEDMODEL_PRICES. A running backend has its own: `serve --prices`.",
        rich_help_panel=_STORE,
    ),
]
Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Also write it, with charts, as one HTML file that needs no other."),
]
Svg = Annotated[
    Path | None, typer.Option("--svg", metavar="FILE", help="Also write the decision as a picture that stands alone.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="TIME", help=f"Begun then or later: {TIME_HELP}.", rich_help_panel=_SELECTION),
]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Begun before.", rich_help_panel=_SELECTION)]
Service = Annotated[
    str | None, typer.Option("--service", metavar="NAME", help="Of this service.name.", rich_help_panel=_SELECTION)
]
Attributes = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        metavar="KEY=VALUE",
        help="Whose entry span, or its resource, has this attribute. Repeatable.",
        rich_help_panel=_SELECTION,
    ),
]
Dataset = Annotated[
    str | None,
    typer.Option(
        "--dataset",
        metavar="NAME",
        help="Rows of this data set, by its name or digest, and their scores.",
        rich_help_panel=_SELECTION,
    ),
]
Production = Annotated[
    bool, typer.Option("--production", help="Leave out evaluations of data sets.", rich_help_panel=_SELECTION)
]

Prompt = Annotated[
    str | None,
    typer.Option(
        "--prompt",
        metavar="NAME[@VERSION]",
        help="That use this prompt, by its name on spans.",
        rich_help_panel=_SELECTION,
    ),
]
Agent = Annotated[
    str | None,
    typer.Option("--agent", metavar="NAME", help="In which this agent takes part.", rich_help_panel=_SELECTION),
]
Runs = Annotated[
    str,
    typer.Option(
        "--runs",
        metavar="latest|all",
        help="Of several evaluations on a data set, the scores of the latest that is whole, or of all.",
        rich_help_panel=_SELECTION,
    ),
]
FailedRows = Annotated[
    str,
    typer.Option(
        "--failed-rows",
        metavar="skip|zero",
        help="Rows of a data set that failed are left out of scores, or count as 0.",
        rich_help_panel=_SELECTION,
    ),
]
PassAt = Annotated[
    int | None,
    typer.Option(
        "--pass-at",
        metavar="K",
        help="Scores that pass or fail are pass@K: how likely one of K tries of a row passes, over all runs.",
        rich_help_panel=_SELECTION,
    ),
]

By = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="WHAT",
        help="Which traces are one unit for intervals and tests: `session` (those of one gen_ai.conversation.id,"
        " session.id or user.id), `trace` (each by itself), or an attribute. Default: those of one conversation, where"
        " they say it.",
        rich_help_panel=_SELECTION,
    ),
]
Margins = Annotated[
    list[str] | None,
    typer.Option(
        "--margin",
        metavar="METRIC=MARGIN",
        help="Up to where a difference hardly matters: 5% of the first version's value, 0.2pp of a rate, or a number."
        " Repeatable.",
    ),
]

# Of the commands that judge a candidate.
Baseline = Annotated[str, typer.Argument(metavar="BASELINE", help="The version to be as good as.")]
Candidate = Annotated[str, typer.Argument(metavar="CANDIDATE", help="The version to be judged.")]
FailIf = Annotated[
    list[str] | None,
    typer.Option("--fail-if", metavar="RULE", help="Fail if this holds of the candidate. Repeatable. Default: worse"),
]
Require = Annotated[
    list[str] | None,
    typer.Option("--require", metavar="DEMAND", help="Pass only if this is shown: not_worse(METRIC, MARGIN)."),
]
Junit = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, a test case a rule.")]
Github = Annotated[bool, typer.Option("--github", envvar="GITHUB_ACTIONS", help="Print GitHub annotations.")]


def read_margins(texts: Sequence[str] | None) -> dict[str, Margin]:
    """The margins that METRIC=MARGIN options describe, or a usage error."""
    from otel_loggedmodel.commands.rules import RuleError, parse_margin

    found: dict[str, Margin] = {}
    for metric, text in read_pairs(texts, "--margin").items():
        try:
            found[metric] = parse_margin(metric, text)
        except RuleError as error:
            raise typer.BadParameter(str(error), param_hint="--margin") from None
    return found


def read_selection(
    since: str | None,
    until: str | None,
    service: str | None,
    attributes: Sequence[str] | None,
    *,
    dataset: str | None = None,
    production: bool = False,
    prompt: str | None = None,
    agent: str | None = None,
    by: str | None = None,
    runs: str = EVERYTHING.runs,
    failed_rows: str = EVERYTHING.failed_rows,
    pass_at: int | None = None,
) -> Selection:
    """The selection that the options describe, or a usage error."""
    try:
        return selection_of(
            since,
            until,
            service,
            attributes or (),
            dataset=dataset,
            production=production,
            prompt=prompt,
            agent=agent,
            by=by,
            runs=runs,
            failed_rows=failed_rows,
            pass_at=pass_at,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def read_pairs(pairs: Sequence[str] | None, option: str) -> dict[str, str]:
    """What a repeatable KEY=VALUE option says, or a usage error."""
    try:
        return dict(map(parse_pair, pairs or ()))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
