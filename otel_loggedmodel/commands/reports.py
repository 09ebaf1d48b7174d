# SPDX-License-Identifier: Apache-2.0
"""The result for a candidate in formats that other programs show: JUnit XML, GitHub annotations, a Markdown table.

All texts in it come from outside, rules as well as names of versions. Each format has its own way to escape them.
"""

import html
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_loggedmodel.commands.gating import GateResult, Outcome, RuleResult
from otel_loggedmodel.pages.evidence import Decision
from otel_loggedmodel.pages.templates import symbol_of
from otel_loggedmodel.presenting import formatting
from otel_loggedmodel.presenting.texts import clean
from otel_loggedmodel.store.results import VersionMetrics

if TYPE_CHECKING:
    from junitparser import Error, Failure

_SUITE: Final = "otel-loggedmodel gate"
# Any ASCII punctuation may be escaped in Markdown: https://github.github.com/gfm/#backslash-escapes
_PUNCTUATION: Final = re.compile(r"([!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~])")


def write_junit(result: GateResult, path: Path) -> None:
    """Write JUnit XML with one test case for each rule. A rule that lacks data is an error, not a failure.

    Raises:
        OSError: The file cannot be written.
    """
    from junitparser import JUnitXml, TestCase, TestSuite

    suite = TestSuite(_SUITE)
    suite.add_property("baseline", clean(result.baseline.model_id))
    suite.add_property("candidate", clean(result.candidate.model_id))
    for rule in result.rules:
        case = TestCase(name=clean(rule.rule), classname=_SUITE, time=0)
        problem = _junit_problem(rule)
        if problem is None:
            case.system_out = clean(f"{rule.outcome}: {rule.text}")
        else:
            case.result = [problem]
        suite.add_testcase(case)
    xml = JUnitXml()
    xml.add_testsuite(suite)
    xml.write(str(path))


def github_annotations(result: GateResult) -> str:
    """Lines that GitHub turns into annotations: errors for what fails, warnings for what lacks data.

    Source: https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    lines = []
    if result.outcome is Outcome.NO_DATA:
        lines.append(_annotation("error", "not enough data", result.reason))
    for rule in result.rules:
        if rule.fails:
            lines.append(_annotation("error", rule.rule, f"{rule.outcome}: {rule.text}"))
        elif rule.outcome is not Outcome.PASSED:
            lines.append(_annotation("warning", rule.rule, f"{rule.outcome}: {rule.text}"))
    if not lines:
        lines.append(_annotation("notice", "passed", result.reason))
    return "".join(lines)


def markdown(result: GateResult, decision: Decision | None = None) -> str:
    """A heading, how the versions compare, and a table of the rules.

    Args:
        result: What became of a candidate.
        decision: How it compares with the baseline.
    """
    rows = "".join(
        f"| {_escaped(str(rule.outcome))} | {_escaped(rule.rule)} | {_escaped(rule.text)} |\n" for rule in result.rules
    )
    versions = " against ".join(map(_described, (result.candidate, result.baseline)))
    compared = "" if decision is None else f"{_escaped(decision.sentence)}\\.\n\n{_groups(decision)}\n"
    return (
        f"### {_SUITE}: {result.outcome}\n\n{compared}{versions}\n\n{_escaped(result.reason)}\n\n"
        f"| | fail if | found |\n| --- | --- | --- |\n{rows}\n"
    )


def _groups(decision: Decision) -> str:
    """Quality, errors, speed and cost, one row each."""
    rows = []
    for one in decision.groups:
        verdict = f"{symbol_of(one.group.outcome)} {one.group.outcome}"
        cells = [one.what, " to ".join(one.values), one.change] if one.what else ["not measured", "", ""]
        rows.append(f"| {one.group.title} | {verdict} | {' | '.join(map(_escaped, cells))} |\n")
    return f"| | verdict | of | from, to | change |\n| --- | --- | --- | --- | --- |\n{''.join(rows)}"


def _described(version: VersionMetrics) -> str:
    name = _escaped(version.name or version.model_id)
    return f"{name} ({_escaped(version.model_id)}, {formatting.traces(version.traces)})"


def _junit_problem(rule: RuleResult) -> "Failure | Error | None":
    from junitparser import Error, Failure

    if rule.outcome is Outcome.NO_DATA:
        return Error(clean(rule.text), "no data")
    return Failure(clean(f"{rule.outcome}: {rule.text}"), "regression") if rule.fails else None


def _annotation(level: str, title: str, message: str) -> str:
    return f"::{level} title={_property(f'{_SUITE}: {title}')}::{_data(message)}\n"


def _data(text: str) -> str:
    return clean(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _escaped(text: str) -> str:
    return _PUNCTUATION.sub(_escaped_character, clean(text))


def _escaped_character(match: re.Match[str]) -> str:
    character = match.group()
    return html.escape(character) if character in "<>&" else f"\\{character}"
