# SPDX-License-Identifier: Apache-2.0
"""The command `compare`."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from typer.testing import Result

from memory_reader import MemoryReader
from otel_loggedmodel.store.reading import (
    EVERYTHING,
    AmbiguousVersionError,
    RowFilter,
    Selection,
    StoreUnavailableError,
    UnknownVersionError,
)
from otel_loggedmodel.store.results import (
    Comparison,
    ConfigurationDifference,
    LatencyMs,
    Reason,
    Score,
    ScoreComparison,
    Verdict,
    VersionDifferences,
    VersionMetrics,
)
from otel_loggedmodel.store.row_results import RowChange, RowResult

from .conftest import unboxed
from .doubles import HOSTILE, V1, V2, V3, compared, difference, metrics
from .terminal import run_in_terminal, without_colours

Run = Callable[..., Result]

THREE = """
import dataclasses
two = compared(metrics(V1), metrics(V2), {"latency_ms.p95": Verdict.WORSE, "error_rate": Verdict.UNKNOWN})
third = dataclasses.replace(two.differences[0], model_id=V3)
reader.comparison = dataclasses.replace(
    two, versions=[*two.versions, metrics(V3)], differences=[two.differences[0], third], notes=["Two versions overlap."]
)
"""


@pytest.fixture
def rows(run: Run, reader: MemoryReader) -> Callable[..., dict[str, list[str]]]:
    """Run `compare`; the cells of each row by its label."""

    def cells(*arguments: str) -> dict[str, list[str]]:
        lines = run("compare", *arguments).stdout.splitlines()
        parts = [[cell for cell in line.split("  ") if cell.strip()] for line in lines]
        return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in parts if row}

    return cells


def test_two_versions_side_by_side(rows: Callable[..., dict[str, list[str]]], reader: MemoryReader) -> None:
    candidate = metrics(
        V2,
        error_rate=0.05,
        latency_ms=LatencyMs(p50=650.0, p90=1490.0, p95=2300.0, p99=12_345.0, mean=901.5),
        cost_usd=None,
        cost_usd_per_trace=None,
    )
    verdicts = {"latency_ms.p95": Verdict.WORSE, "latency_ms.p50": Verdict.BETTER, "error_rate": Verdict.UNKNOWN}
    reader.comparison = compared(metrics(V1), candidate, verdicts)
    found = rows("v1", "v2")
    assert found["traces"] == ["1,204", "1,204"]
    assert found["error rate"] == ["1.99 %", "5.00 %", "+3.01 pp", "? unknown"]
    assert found["latency p50"] == ["812 ms", "650 ms", "-20.0 %", "✓ better"]
    assert found["latency p95"] == ["2,000 ms", "2,300 ms", "+15.0 %", "✗ worse"]
    assert found["latency p99"] == ["12.3 s", "12.3 s", "+0.0 %", "= same"]
    assert found["tokens in per trace"] == ["1,000", "1,000", "+0.0 %", "= same"]
    assert found["cost per 1,000 traces"] == ["$12.00", "-", "-", "= same"]
    assert found["cost"] == ["$14.45", "-"]
    assert found["score correctness"] == ["0.91 (n=600)", "0.91 (n=600)", "+0", "= same"]
    assert found["B"] == ["support-agent", V2, "1,204 traces"]


def test_the_decision_comes_first_in_words_and_by_groups(run: Run, reader: MemoryReader) -> None:
    verdicts = {"latency_ms.p50": Verdict.WORSE, "latency_ms.p95": Verdict.WORSE, "error_rate": Verdict.BETTER}
    reader.comparison = compared(metrics(V1), metrics(V2, error_rate=0.001), verdicts)
    first, groups, *_ = run("compare", "v1", "v2").stdout.splitlines()
    assert (
        first == "22222222 is slower (+0.0 % median) but has far fewer errors (1.99 % to 0.1 %), compared with 11111111"
    )
    assert groups.split("   ")[:4] == ["Quality = same", "Errors ✓ better", "Speed ✗ worse", "Cost = same"]


def test_a_change_and_the_values_beside_it_are_of_the_same_traces(
    rows: Callable[..., dict[str, list[str]]], reader: MemoryReader
) -> None:
    two = compared(metrics(V1), metrics(V2))
    narrower = difference(0.0000736, 0.00103, Verdict.WORSE)
    differences = {**two.differences[0].metrics, "cost_usd_per_trace": narrower}
    reader.comparison = replace(two, differences=[VersionDifferences(model_id=V2, metrics=differences)])
    assert rows("v1", "v2")["cost per 1,000 traces"] == ["$0.07", "$1.03", "x 14", "✗ worse"]


def test_it_says_how_to_read_it(run: Run, reader: MemoryReader) -> None:
    reader.comparison = compared(metrics(V1), metrics(V2))
    assert "Each version is held against A. better, worse:" in run("compare", "v1", "v2").stdout


def test_one_version_is_shown_by_itself(run: Run, reader: MemoryReader) -> None:
    reader.comparison = Comparison(versions=[metrics(V1)])
    output = run("compare", "v1").stdout
    assert "2,000 ms" in output
    assert "verdict" not in output
    assert "better" not in output
    assert "nothing to compare it with" in output


def test_a_version_without_traces_has_no_numbers(
    rows: Callable[..., dict[str, list[str]]], reader: MemoryReader
) -> None:
    reader.comparison = compared(metrics(V1), VersionMetrics(model_id=V2), lambda key: Verdict.UNKNOWN)
    found = rows("v1", V2)
    assert found["error rate"] == ["1.99 %", "-", "-", "? unknown"]
    assert found["B"] == ["-", V2, "0 traces"]


def test_a_change_from_zero_or_below_is_a_difference(
    rows: Callable[..., dict[str, list[str]]], reader: MemoryReader
) -> None:
    base, candidate = metrics(V1, cost_usd_per_trace=0.0), metrics(V2, cost_usd_per_trace=0.5)
    reader.comparison = compared(base, candidate)
    assert rows("v1", "v2")["cost per 1,000 traces"] == ["$0.00", "$500.00", "+$500.00", "= same"]


def test_configuration_differences_and_notes(
    rows: Callable[..., dict[str, list[str]]], run: Run, reader: MemoryReader
) -> None:
    configuration = [
        ConfigurationDifference(kind="param", key="llm", values=["gpt-4o", "gpt-5"]),
        ConfigurationDifference(kind="tag", key="reviewed", values=[None, ""]),
    ]
    comparison = compared(metrics(V1), metrics(V2))
    reader.comparison = replace(comparison, configuration=configuration, notes=["Costs of v1 are estimated."])
    found = rows("v1", "v2")
    assert found["param llm"] == ["gpt-4o", "gpt-5"]
    assert found["tag reviewed"] == ["(none)"]
    assert "Note: Costs of v1 are estimated." in run("compare", "v1", "v2").stdout


def test_details(rows: Callable[..., dict[str, list[str]]], reader: MemoryReader) -> None:
    judged = difference(
        2000.0,
        2300.0,
        Verdict.WORSE,
        interval=(120.0, 480.0),
        effect_size=0.21,
        p_value=0.0004,
        p_value_adjusted=0.004,
        base_units=1200,
        candidate_units=300,
    )
    differences = [VersionDifferences(model_id=V2, metrics={"latency_ms.p95": judged})]
    reader.comparison = Comparison(versions=[metrics(V1), metrics(V2)], differences=differences)
    found = rows("v1", "v2", "--details")
    assert found["latency p95"] == ["1,200, 300", "120 ms to 480 ms", "+0.21", "<0.001", "0.004", "✗ worse"]


def test_json_is_the_comparison(run: Run, reader: MemoryReader) -> None:
    reader.comparison = compared(metrics(V1, HOSTILE), metrics(V2), {"error_rate": Verdict.WORSE})
    output = run("compare", "v1", "v2", "--json").stdout
    assert not {"\x1b", "\x9b", "\u202e", "\u2028"} & set(output)
    printed = json.loads(output)
    assert set(printed) == {"versions", "differences", "configuration", "labels", "notes", "unit"}
    assert printed["versions"][0]["name"] == HOSTILE
    assert printed["versions"][1]["latency_ms"] == {
        "p50": 812.4,
        "p90": 1490.0,
        "p95": 2000.0,
        "p99": 12345.0,
        "mean": 901.5,
    }
    assert printed["differences"][0]["metrics"]["error_rate"]["verdict"] == "worse"


def test_what_is_asked_for(run: Run, reader: MemoryReader) -> None:
    reader.comparison = compared(metrics(V1), metrics(V2))
    run("compare", "v1", "v2", "v3", "--service", "support", "--attribute", "tenant=a=b", "--since", "2026-03-01")
    _, (_, versions, selection) = reader.asked
    assert versions == ("v1", "v2", "v3")
    assert (selection.service, selection.attributes) == ("support", {"tenant": "a=b"})
    assert selection.since is not None
    assert selection.since.isoformat() == "2026-03-01T00:00:00+00:00"


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (UnknownVersionError("there is no version 'v9'", ["v1.0", V1]), 2, f"Did you mean v1.0 or {V1}?"),
        (AmbiguousVersionError("'m-1' is the beginning of two ids"), 2, "the beginning of two ids"),
        (StoreUnavailableError("nothing answers at http://x\nstart one"), 3, "nothing answers at http://x\nstart one"),
    ],
)
def test_errors_are_messages(run: Run, reader: MemoryReader, error: Exception, code: int, text: str) -> None:
    reader.error = error
    result = run("compare", "v9", code=code)
    assert text in result.stderr
    assert result.stdout == ""
    assert reader.is_closed


def test_a_hostile_error_is_printed_harmlessly(run: Run, reader: MemoryReader) -> None:
    reader.error = UnknownVersionError(f"there is no version {HOSTILE}", [HOSTILE])
    assert not {"\x1b", "\x9b", "\u202e"} & set(run("compare", "v9", code=2).stderr)


def test_hostile_names_stay_in_their_cells(run: Run, reader: MemoryReader) -> None:
    configuration = [ConfigurationDifference(kind="param", key=HOSTILE, values=[HOSTILE, None])]
    comparison = compared(metrics(V1, HOSTILE), metrics(V2, HOSTILE))
    reader.comparison = replace(comparison, configuration=configuration, notes=[HOSTILE])
    output = run("compare", "v1", "v2").stdout
    assert not {"\x1b", "\x9b", "\u202e", "\u2028"} & set(output)
    assert "[red]x[/red]" in output
    assert not [line for line in output.splitlines() if line.lstrip().startswith("FORGED")]


def test_a_narrow_terminal_gets_a_table_for_each_version() -> None:
    wide = without_colours(run_in_terminal(["compare", "a", "b", "c"], 160, THREE))
    assert wide.count("latency p95") == 1
    narrow = without_colours(run_in_terminal(["compare", "a", "b", "c"], 80, THREE))
    assert narrow.count("latency p95") == 2
    tiny = without_colours(run_in_terminal(["compare", "a", "b", "c"], 44, THREE))
    assert "latency p95\n  A  2,000 ms\n  B  2,000 ms  +0.0 %  ✗ worse\n" in tiny
    for output, columns in ((wide, 160), (narrow, 80), (tiny, 44)):
        assert max(map(len, output.splitlines())) <= columns
        # In the table, and in the line of groups below the decision.
        assert " ".join(output.split()).count("✗ worse") == 4
        assert V3[-8:] in output


def test_colours_on_a_terminal_unless_they_are_not_wanted() -> None:
    assert "\x1b[31m" in run_in_terminal(["compare", "a", "b", "c"], 160, THREE)
    assert "\x1b[31m" not in run_in_terminal(["compare", "a", "b", "c"], 160, THREE, NO_COLOR="1")


def test_a_terminal_without_unicode_gets_other_symbols() -> None:
    output = run_in_terminal(["compare", "a", "b", "c"], 160, THREE, PYTHONIOENCODING="ascii", NO_COLOR="1")
    assert "! worse" in output
    assert output.isascii() or output.replace("\x1b", "").isascii()


def change(model_id: str, row: str, delta: float, text: str = "Paris") -> RowChange:
    return RowChange(
        model_id=model_id,
        score="correct",
        dataset="0f3a94d1c27b58e6",
        row=row,
        delta=delta,
        input=f"What is {row}?",
        base=RowResult(trace_id="a" * 32, span_id="1" * 16, value=1.0, label="pass", output=text),
        candidate=RowResult(
            trace_id="b" * 32, span_id="2" * 16, value=1.0 + delta, label="fail", explanation="not the answer"
        ),
    )


def paired(**changes: object) -> Comparison:
    evaluation = ScoreComparison(
        test="mcnemar", pairs=30, higher=2, lower=9, equal=19, base_count=30, candidate_count=30
    )
    judged = difference(0.9, 0.6, Verdict.WORSE, evaluation=replace(evaluation, **changes))  # type: ignore[arg-type]
    scores = {"correct": Score(mean=0.9, count=30)}
    return Comparison(
        versions=[metrics(V1, scores=scores), metrics(V2, scores={"correct": Score(mean=0.6, count=30)})],
        differences=[VersionDifferences(model_id=V2, metrics={"scores.correct": judged})],
    )


def test_scores_are_those_of_what_was_compared(rows: Callable[..., dict[str, list[str]]], reader: MemoryReader) -> None:
    two = paired(candidate_count=28)
    mixed = [metrics(V1, scores={"correct": Score(mean=0.2, count=500)}), two.versions[1]]
    reader.comparison = replace(two, versions=mixed)
    assert rows("v1", "v2")["score correct"] == ["0.9 (n=30)", "0.6 (n=28)", "-0.3", "✗ worse"]
    # Held against two, on rows of each.
    other = difference(0.7, 0.8, Verdict.BETTER, evaluation=ScoreComparison(test="welch", base_count=50))
    third = VersionDifferences(model_id=V3, metrics={"scores.correct": other})
    reader.comparison = replace(two, versions=[*mixed, metrics(V3)], differences=[*two.differences, third])
    assert rows("v1", "v2", "v3")["score correct"][0] == "0.2 (n=500)"
    nothing = paired(test=None, pairs=0, base_count=0, candidate_count=0)
    reader.comparison = replace(nothing, versions=mixed)
    assert rows("v1", "v2")["score correct"][:2] == ["0.2 (n=500)", "0.6 (n=30)"]


def test_rows_are_shown_with_what_went_in_and_came_out(run: Run, reader: MemoryReader) -> None:
    reader.comparison = paired()
    reader.changed_rows = [change(V2, "row-1", -1.0), change(V2, "row-2", -0.5)]
    output = run("compare", "v1", "v2", "--rows").stdout
    assert reader.asked[-1] == ("rows", ("v1", "v2"), RowFilter(), EVERYTHING)
    lines = [line.rstrip() for line in output.splitlines()]
    start = lines.index("score correct, A to B: 2 of 30 rows higher, 9 lower, 19 the same")
    assert lines[start + 1 : start + 7] == [
        "  row row-1  1 to 0  -1",
        "    input  What is row-1?",
        "    A      Paris",
        f"           pass, trace {'a' * 32}",
        "    B      (not recorded)",
        "           not the answer",
    ]
    assert lines[start + 7] == f"           fail, trace {'b' * 32}"
    assert "  row row-2  1 to 0.5  -0.5" in lines


def test_rows_of_one_evaluation(run: Run, reader: MemoryReader) -> None:
    reader.comparison = paired()
    assert (
        "No row that these versions have in common changed."
        in run("compare", "v1", "v2", "--score", "correct", "--limit", "3", "--dataset", "questions").stdout
    )
    assert reader.asked[-1] == (
        "rows",
        ("v1", "v2"),
        RowFilter(score="correct", limit=3),
        Selection(dataset="questions"),
    )
    assert "name at least two" in unboxed(run("compare", "v1", "--rows", code=2).stderr)


def test_rows_in_json_are_beside_the_comparison(run: Run, reader: MemoryReader) -> None:
    reader.comparison = paired()
    reader.changed_rows = [change(V2, HOSTILE, -1.0, HOSTILE)]
    printed = json.loads(run("compare", "v1", "v2", "--rows", "--json").stdout)
    assert set(printed) == {"versions", "differences", "configuration", "labels", "notes", "unit", "rows"}
    assert printed["rows"][0]["base"]["output"] == HOSTILE
    assert printed["differences"][0]["metrics"]["scores.correct"]["evaluation"]["lower"] == 9


def test_hostile_rows_stay_on_their_lines(run: Run, reader: MemoryReader) -> None:
    reader.comparison = paired()
    reader.changed_rows = [replace(change(V2, HOSTILE, -1.0, HOSTILE), input=HOSTILE, score=HOSTILE)]
    output = run("compare", "v1", "v2", "--rows").stdout
    assert not {"\x1b", "\x9b", "\u202e", "\u2028"} & set(output)
    assert not [line for line in output.splitlines() if line.lstrip().startswith("FORGED")]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "30 rows, 2 higher, 9 lower (McNemar)"),
        ({"test": "paired_t"}, "30 rows, 2 higher, 9 lower (paired t)"),
        ({"test": None, "pairs": 8}, "8 rows, too few"),
        ({"test": "welch", "pairs": 0, "base_count": 1200}, "1,200 and 30 values (Welch)"),
        ({"test": None, "pairs": 0}, "30 and 30 values, too few"),
        ({"test": None, "pairs": 0, "base_count": 0, "candidate_count": 0}, "nothing"),
    ],
)
def test_details_say_what_was_compared(
    rows: Callable[..., dict[str, list[str]]], reader: MemoryReader, changes: dict[str, object], text: str
) -> None:
    reader.comparison = paired(**changes)
    assert rows("v1", "v2", "--details")["score correct"][-1] == text


def test_what_is_one_unit_can_be_said(run: Run, reader: MemoryReader) -> None:
    reader.comparison = compared(metrics(V1), metrics(V2))
    run("compare", "v1", "v2", "--by", "session")
    run("gate", "v1", "v2", "--by", "tenant")
    assert [question[2].by for question in reader.asked if question[0] == "compare"] == ["session", "tenant"]


def test_margins_can_be_said(run: Run, reader: MemoryReader) -> None:
    slower = difference(2000.0, 2300.0, Verdict.WORSE, interval=(250.0, 350.0), p_value=0.0001)
    reader.comparison = Comparison(
        versions=[metrics(V1), metrics(V2)],
        differences=[VersionDifferences(model_id=V2, metrics={"latency_ms.p95": slower})],
    )

    def verdict(*margins: str) -> str:
        printed = json.loads(run("compare", "v1", "v2", "--json", *margins).stdout)
        return printed["differences"][0]["metrics"]["latency_ms.p95"]["verdict"]

    assert verdict() == "worse"
    assert verdict("--margin", "latency_ms.p95=20%") == "same"
    assert verdict("--margin", "latency_ms.p95=320") == "unknown"
    assert verdict("--margin", "latency_ms.p95=10%") == "worse"
    for wrong in ("latency_ms.p95=-1%", "latency_ms.p95", "nothing=1%", "latency_ms.p95=1pp", "latency_ms.p95=much"):
        run("compare", "v1", "v2", "--margin", wrong, code=2)


def test_a_change_within_parts_of_the_traffic_is_marked(
    rows: Callable[..., dict[str, list[str]]], reader: MemoryReader
) -> None:
    within = difference(2000.0, 2040.0, Verdict.UNKNOWN, adjusted="route", reason=Reason.WITHIN_CHANCE)
    reader.comparison = Comparison(
        versions=[metrics(V1), metrics(V2)],
        differences=[VersionDifferences(model_id=V2, metrics={"latency_ms.p95": within})],
    )
    assert rows("v1", "v2")["latency p95"][-2:] == ["+2.0 %*", "? unknown: within chance"]
