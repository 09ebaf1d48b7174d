# SPDX-License-Identifier: Apache-2.0
"""`gate`: fail a build whose version is worse than the last."""

import enum
import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from otel_loggedmodel.commands import gating, opening, options, printing
from otel_loggedmodel.commands.gating import GateResult, Outcome
from otel_loggedmodel.commands.rulefile import RuleFile, read_rule_file
from otel_loggedmodel.commands.rules import ANY_METRIC_WORSE, Rule, RuleError, parse_rule
from otel_loggedmodel.presenting import formatting

EXAMPLES: Final = """
A rule is one condition, or several joined with `and`:
  error_rate > 0.05                  the value; for rates also 5%
  latency_ms.p95 > +10%              against the baseline; also 1.1x
  error_rate > +0.01                 against the baseline, absolute
  scores.correctness < 0.8           a score; scores."my score"
  worse(cost_usd_per_trace)          worse, and chance does not explain it
  latency_ms.p95 > +10% and worse    both, of the same metric
  worse                              any metric is worse: the default

Metrics: error_rate, latency_ms.p50 .p90 .p95 .p99 .mean, first_chunk_ms.p50 (and so on),
tokens.input_per_trace,
tokens.output_per_trace, cost_usd_per_trace, failed_calls (for each trace), scores.NAME,
and for limits also traces, errors, tokens.input, tokens.output, cost_usd,
calls_per_trace, tool_calls_per_trace, tokens.cache_read, tokens.cache_write, tokens.reasoning.
A metric that was not measured never passes: that is exit code 2. Nor does a
score of fewer values than --min-scores, or of which none can be compared.

otel-loggedmodel gate my-agent-v1 my-agent-v2 --fail-if 'error_rate > +1%' --junit gate.xml
"""


class OnUnknown(str, enum.Enum):
    """What happens to a rule that depends on a verdict of `unknown`."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"


def gate(
    baseline: Annotated[str, typer.Argument(metavar="BASELINE", help="The version to be as good as.")],
    candidate: Annotated[str, typer.Argument(metavar="CANDIDATE", help="The version to be judged.")],
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if", metavar="RULE", help="Fail if this holds of the candidate. Repeatable. Default: worse"
        ),
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            "--rules", metavar="FILE", help="TOML file with fail_if = [RULE, ...], min_traces, min_scores and unknown."
        ),
    ] = None,
    min_traces: Annotated[
        int | None,
        typer.Option(
            "--min-traces",
            min=0,
            help="Judge nothing but rules on scores alone with fewer traces of either version. Default: 20",
        ),
    ] = None,
    min_scores: Annotated[
        int | None,
        typer.Option(
            "--min-scores", min=0, help="Judge no score that is named with fewer values of either version. Default: 10"
        ),
    ] = None,
    unknown: Annotated[
        OnUnknown | None,
        typer.Option("--unknown", help="What a rule with `worse` does where the verdict is unknown. Default: pass"),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML, a test case a rule.")
    ] = None,
    github: Annotated[
        bool, typer.Option("--github", envvar="GITHUB_ACTIONS", help="Print GitHub annotations.")
    ] = False,
    since: options.Since = None,
    until: options.Until = None,
    service: options.Service = None,
    attribute: options.Attributes = None,
    dataset: options.Dataset = None,
    production: options.Production = False,
    prompt: options.Prompt = None,
    agent: options.Agent = None,
    store: options.Store = None,
    prices: options.Prices = None,
    token_file: options.TokenFile = None,
    json: options.Json = False,
) -> None:
    """Fail a build on a regression: exit code 0 passes, 1 fails, 2 says that there is not enough data."""
    selection = options.read_selection(
        since, until, service, attribute, dataset=dataset, production=production, prompt=prompt, agent=agent
    )
    try:
        file = RuleFile() if rules is None else read_rule_file(rules)
        parsed = _rules(fail_if or [], file)
        on_unknown = unknown or OnUnknown(file.unknown or OnUnknown.PASS)
    except RuleError as error:
        raise typer.BadParameter(str(error)) from None
    except ValueError:
        raise typer.BadParameter(f"--rules {rules}: unknown is `pass` or `fail`") from None
    needed = _first_given(min_traces, file.min_traces, gating.DEFAULT_MIN_TRACES)
    needed_scores = _first_given(min_scores, file.min_scores, gating.DEFAULT_MIN_SCORES)
    with opening.reader(store, token_file, "Comparing versions", prices) as reader:
        comparison = reader.compare([baseline, candidate], selection)
    result = gating.judged(
        comparison,
        parsed,
        min_traces=needed,
        min_scores=needed_scores,
        unknown_fails=on_unknown is OnUnknown.FAIL,
    )
    if json:
        printing.show_json(result)
    else:
        _show_table(result)
    _report(result, junit, github, json)
    raise typer.Exit(result.exit_code)


def _first_given(*numbers: int | None) -> int:
    return next(number for number in numbers if number is not None)


def _rules(texts: list[str], file: RuleFile) -> list[Rule]:
    return [parse_rule(text) for text in (*file.fail_if, *texts)] or [ANY_METRIC_WORSE]


def _report(result: GateResult, junit: Path | None, github: bool, json: bool) -> None:
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
                file.write(reports.markdown(result))
        except OSError as error:
            printing.complain(f"GITHUB_STEP_SUMMARY cannot be written: {error}")


def _show_table(result: GateResult) -> None:
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
    printing.show(*versions, *fitted(columns), end)
