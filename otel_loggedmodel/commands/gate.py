# SPDX-License-Identifier: Apache-2.0
"""`gate`: fail a build whose version is worse than the last."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import typer

from otel_loggedmodel.commands import drawing, narrowed, opening, options, printing
from otel_loggedmodel.commands.bar import read_bar
from otel_loggedmodel.commands.gating import GateResult, OnUnknown, Outcome
from otel_loggedmodel.pages.evidence import Decision, decisions_of
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.naming import titles_of

if TYPE_CHECKING:
    from otel_loggedmodel.pages.report import Held

EXAMPLES: Final = """
A rule is one condition, or several joined with `and`:
  error_rate > 0.05                 the value; for rates also 5%
  latency_ms.p95 > +10%             against the baseline; also 1.1x
  error_rate > +1pp                 against it, in percentage points
  latency_ms.p95 > +200             against it, absolute
  scores.correctness < 0.8          a score; scores."my score"
  worse(cost_usd_per_trace)         worse, and chance does not explain it
  worse(error_rate, 0.2pp)          worse by more than this margin
  latency_ms.p95 > +10% and worse   both, of the same metric
  worse                             any metric is worse: the default

A limit is held against the 95 % interval: all of it beyond the limit fails,
none of it passes, and else it is unknown. Verdicts are corrected for the
metrics that rules name. What --require names has to be shown:
  not_worse(scores.correctness, 2%) worse by no more than that

Metrics: error_rate, latency_ms.p50 .p90 .p95 .p99 .mean, first_chunk_ms.p50
(and so on), tokens.input_per_trace, tokens.output_per_trace,
cost_usd_per_trace, failed_calls (for each trace), scores.NAME,
and for limits also traces, errors, tokens.input, tokens.output, cost_usd,
calls_per_trace, tool_calls_per_trace, tokens.cache_read, tokens.cache_write,
tokens.reasoning.
A metric that was not measured never passes: that is exit code 2. Nor does a
score of fewer values than --min-scores, or of which none can be compared.

otel-loggedmodel gate my-agent-v1 my-agent-v2 --fail-if 'error_rate > +1pp'
"""


def gate(
    baseline: options.Baseline,
    candidate: options.Candidate,
    fail_if: options.FailIf = None,
    require: options.Require = None,
    margin: options.Margins = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            "--rules",
            metavar="FILE",
            help="TOML file with fail_if = [RULE, ...], require, margins, min_traces, min_scores and unknown.",
        ),
    ] = None,
    min_traces: Annotated[
        int | None,
        typer.Option(
            "--min-traces",
            min=0,
            help="With fewer traces of either version, judge only rules that are on scores alone. Default: 20",
        ),
    ] = None,
    min_scores: Annotated[
        int | None,
        typer.Option(
            "--min-scores", min=0, help="With fewer values of either version, judge no score that is named. Default: 10"
        ),
    ] = None,
    unknown: Annotated[
        OnUnknown | None,
        typer.Option(
            "--unknown",
            help="What becomes of a rule that cannot be decided yet; `wait` is exit code 2. Default: pass, and wait for"
            " what is required.",
        ),
    ] = None,
    repeated: Annotated[
        bool,
        typer.Option(
            "--repeated",
            help="For asking again and again while traffic arrives: intervals and p-values hold however often they are"
            " looked at. They take some four times the traces.",
        ),
    ] = False,
    junit: options.Junit = None,
    html: options.Html = None,
    svg: options.Svg = None,
    github: options.Github = False,
    since: options.Since = None,
    until: options.Until = None,
    service: options.Service = None,
    attribute: options.Attributes = None,
    dataset: options.Dataset = None,
    production: options.Production = False,
    prompt: options.Prompt = None,
    agent: options.Agent = None,
    by: options.By = None,
    runs: options.Runs = "latest",
    failed_rows: options.FailedRows = "skip",
    pass_at: options.PassAt = None,
    store: options.Store = None,
    prices: options.Prices = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Fail a build on a regression: exit code 0 passes, 1 fails, 2 says that there is not enough data."""
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
    bar = read_bar(
        fail_if,
        require,
        rules,
        margin,
        min_traces=min_traces,
        min_scores=min_scores,
        unknown=unknown,
    )
    with opening.reader(store, token_file, "Comparing versions", prices) as reader:
        comparison = narrowed.explained(reader.compare([baseline, candidate], selection), reader, selection)
        result = bar.judged(comparison, repeated=repeated)
        if html is not None:
            held = _held(result)
            drawing.write_html(html, reader, comparison, selection, held=held, since=since, until=until)
    if svg is not None:
        drawing.write_svg(svg, comparison)
    decisions = decisions_of(comparison, titles_of(comparison).calls)
    end_with(result, junit, github, json, decisions[0])


def _held(result: GateResult) -> "Held":
    """What the page of a comparison says of the gate."""
    from otel_loggedmodel.pages.report import Held

    rules = [(rule.rule, str(rule.outcome), "; ".join(rule.texts or ())) for rule in result.rules]
    if result.outcome is Outcome.PASSED:
        return Held("better", "passes", result.reason, rules)
    if result.outcome is Outcome.FAILED:
        return Held("worse", "fails", result.reason, rules)
    return Held("unknown", "cannot tell", result.reason, rules)


def end_with(
    result: GateResult, junit: Path | None, github: bool, json: bool, decision: Decision | None = None
) -> NoReturn:
    """Print what became of a candidate, write it for other programs, and end with its exit code.

    Args:
        result: What became of it.
        junit: The file that gets JUnit XML.
        github: Whether GitHub's annotations are printed.
        json: Whether JSON is printed.
        decision: How it compares, for people.
    """
    if json:
        printing.show_json(result)
    else:
        _show_table(result)
    _report(result, junit, github, json, decision)
    raise typer.Exit(result.exit_code)


def _report(result: GateResult, junit: Path | None, github: bool, json: bool, decision: Decision | None) -> None:
    """Write what became of a candidate for other programs: JUnit XML, and what GitHub reads."""
    from otel_loggedmodel.commands import reports

    if junit is not None:
        try:
            reports.write_junit(result, junit)
        except OSError as error:
            raise typer.BadParameter(f"{junit} cannot be written: {error.strerror}", param_hint="--junit") from None
    if github:
        # GitHub reads annotations from both streams, and JSON has to be alone on its stream.
        printing.write(reports.github_annotations(result), sys.stderr if json else sys.stdout)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        try:
            with Path(summary).open("a", encoding="utf-8") as file:
                file.write(reports.markdown(result, decision))
        except OSError as error:
            printing.complain(f"GITHUB_STEP_SUMMARY cannot be written: {error}")


def _show_table(result: GateResult) -> None:
    """Print what became of a candidate."""
    from rich.text import Text

    from otel_loggedmodel.commands.tables import Column, fitted
    from otel_loggedmodel.presenting.texts import clean

    styles = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.UNKNOWN: "yellow", Outcome.NO_DATA: "yellow"}
    rows: list[tuple[Text, str, str]] = []
    for rule in result.rules:
        word = f"{rule.outcome}{', fails' if rule.fails and rule.outcome is Outcome.UNKNOWN else ''}"
        first, *others = rule.texts or [""]
        # A line each, as a rule on any metric may find a lot.
        rows += [(Text(word, styles[rule.outcome]), rule.rule, first), *((Text(), "", text) for text in others)]
    columns = [
        Column("", [word for word, _, _ in rows]),
        Column("fail if", [rule for _, rule, _ in rows]),
        Column("found", [text for _, _, text in rows]),
    ]
    versions = [
        Text.assemble(
            (role, "bold"),
            f"  {clean(version.name or '-')}  {clean(version.model_id)}  {formatting.traces(version.traces)}",
        )
        for role, version in (("baseline ", result.baseline), ("candidate", result.candidate))
    ]
    end = Text(f"{str(result.outcome).upper()}: {clean(result.reason)}", f"bold {styles[result.outcome]}")
    notes = [Text(f"Note: {clean(note)}", "yellow") for note in result.notes]
    printing.show(*versions, *fitted(columns), end, *notes)
