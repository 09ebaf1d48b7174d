# SPDX-License-Identifier: Apache-2.0
"""What became of the rules of a gate, and why."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from otel_loggedmodel.store.results import Reason, Verdict


class Outcome(str, enum.Enum):
    """What became of a rule, or of all of them.

    `unknown` passes, fails or waits as the caller chooses. `no_data` never passes.
    """

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NO_DATA = "no_data"

    def __str__(self) -> str:
        """In words."""
        return self.value.replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one condition found of one metric.

    Attributes:
        metric: Its name.
        outcome: `failed` if the condition holds, `passed` if it does not.
        text: What was found, in words.
        baseline: The baseline's value.
        candidate: The candidate's value.
        limit: What the candidate's value was held against, if anything.
        verdict: What the comparison says, if it was asked.
        reason: Why that is unknown.
        smallest: The smallest difference that would have been found in four of five cases.
        traces_needed: About how many traces of each version a decision takes; None if more would decide nothing.
        seconds_needed: How long they take to arrive at the present rate.
    """

    metric: str
    outcome: Outcome
    text: str
    baseline: float | None = None
    candidate: float | None = None
    limit: float | None = None
    verdict: Verdict | None = None
    reason: Reason | None = None
    smallest: float | None = None
    traces_needed: int | None = None
    seconds_needed: float | None = None


@dataclass(frozen=True, kw_only=True)
class RuleResult:
    """What became of one rule.

    Attributes:
        rule: The rule as it is written.
        outcome: What became of it.
        fails: Whether that fails the candidate.
        waits: Whether it is to be decided with more data.
        findings: Why.
    """

    rule: str
    outcome: Outcome
    fails: bool
    waits: bool = False
    findings: Sequence[Finding] = ()

    @property
    def texts(self) -> Sequence[str]:
        """Why it came out so, a clause for each metric."""
        decisive = [finding for finding in self.findings if finding.outcome is self.outcome]
        return [finding.text for finding in decisive or self.findings]

    @property
    def text(self) -> str:
        """Why it came out so, in a sentence."""
        return "; ".join(self.texts)
