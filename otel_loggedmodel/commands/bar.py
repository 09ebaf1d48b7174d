# SPDX-License-Identifier: Apache-2.0
"""What a candidate has to pass, from options and a file of rules: for `gate`, and for `watch`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from otel_loggedmodel.commands import gating, options
from otel_loggedmodel.commands.gating import GateResult, OnUnknown
from otel_loggedmodel.commands.rulefile import RuleFile, read_rule_file
from otel_loggedmodel.commands.rules import (
    ANY_METRIC_WORSE,
    NotWorse,
    Rule,
    RuleError,
    check_together,
    parse_demand,
    parse_rule,
)
from otel_loggedmodel.store.results import Comparison
from otel_loggedmodel.store.statistics import Margins


@dataclass(frozen=True)
class Bar:
    """What a candidate has to pass.

    Attributes:
        rules: Each fails it by itself.
        demands: What it has to show.
        margins: The largest difference that hardly matters, by metric; usual margins are not in it.
        min_traces: How many traces each version has to have.
        min_scores: How many values of a score.
        unknown: What happens to what cannot be decided yet.
    """

    rules: Sequence[Rule]
    demands: Sequence[NotWorse]
    margins: Margins
    min_traces: int
    min_scores: int
    unknown: OnUnknown | None

    def judged(self, comparison: Comparison, *, repeated: bool) -> GateResult:
        """What becomes of the second version of a comparison."""
        try:
            return gating.judged(
                comparison,
                self.rules,
                self.demands,
                min_traces=self.min_traces,
                min_scores=self.min_scores,
                unknown=self.unknown,
                margins=self.margins,
                repeated=repeated,
            )
        except RuleError as error:
            raise typer.BadParameter(str(error)) from None


def read_bar(
    fail_if: Sequence[str] | None,
    require: Sequence[str] | None,
    rules: Path | None,
    margins: Sequence[str] | None,
    *,
    min_traces: int | None = None,
    min_scores: int | None = None,
    unknown: OnUnknown | None = None,
) -> Bar:
    """What options and a file say that a candidate has to pass, or a usage error."""
    try:
        file = RuleFile() if rules is None else read_rule_file(rules)
        demands = [parse_demand(text) for text in (*file.require, *(require or ()))]
        parsed = [parse_rule(text) for text in (*file.fail_if, *(fail_if or ()))]
        check_together(parsed)
        from_file = [f"{metric}={text}" for metric, text in file.margins.items()]
        return Bar(
            rules=parsed or ([] if demands else [ANY_METRIC_WORSE]),
            demands=demands,
            margins={**options.read_margins(from_file), **options.read_margins(margins)},
            min_traces=_first_given(min_traces, file.min_traces, gating.DEFAULT_MIN_TRACES),
            min_scores=_first_given(min_scores, file.min_scores, gating.DEFAULT_MIN_SCORES),
            unknown=unknown or (None if file.unknown is None else OnUnknown(file.unknown)),
        )
    except RuleError as error:
        raise typer.BadParameter(str(error)) from None
    except ValueError:
        raise typer.BadParameter(f"--rules {rules}: unknown is `pass`, `fail` or `wait`") from None


def _first_given(*numbers: int | None) -> int:
    return next(number for number in numbers if number is not None)
