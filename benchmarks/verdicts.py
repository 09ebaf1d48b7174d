# SPDX-License-Identifier: Apache-2.0
"""How often verdicts are wrong, and how often they find what there is, in traffic of which the truth is known.

Each situation is drawn again and again with a fixed seed, and goes through the project's own code from the rows on that
a store gives (`replica`); beside it, the last commit that took every trace for independent and of equal weight.
"""

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import looks, paired_rows, replica, situations, tallies
from benchmarks.earlier import work_tree
from benchmarks.measuring import Figure
from benchmarks.reporting import Budget, Column, Report, Row, Table
from benchmarks.sample import Sample
from otel_loggedmodel.commands import gating
from otel_loggedmodel.commands.gating import Outcome
from otel_loggedmodel.commands.rules import Rule, parse_demand, parse_rule
from otel_loggedmodel.store import paired, statistics
from otel_loggedmodel.store.results import Comparison, Score, ScoreComparison, VersionDifferences, VersionMetrics

RUNS = 200
QUICK_RUNS = 60
# The last whose verdicts took every trace for independent and of equal weight.
BEFORE = "4579f3a8e831"
BUDGET_FALSE = 6.0
BUDGET_FALSE_UNDER_LOAD = 10.0
BUDGET_FALSE_OF_FEW = 10.0
BUDGET_COVERED = 92.0
BUDGET_COVERED_AT_MOST = 98.0
BUDGET_POWER_LOST = 5.0
CLEAN = ("10 % slower, 1,000 each", "25 % slower, 200 each")
# A small sample of a heavy tail lacks the tail: the interval is wide on purpose.
CAREFUL = ("canary of 50, heavy tail",)
BUDGET_SAME = 3.0
LOOKS = 144


def run(quick: bool = False) -> Report:
    """Measure."""
    runs = QUICK_RUNS if quick else RUNS
    now = []
    for situation in situations.ALL:
        now.append(tallies.tallied(situation, _metrics, runs))
        print(f"  {situation.name}", file=sys.stderr, flush=True)
    then = _before(runs)
    watched = list(looks.decided(few := max(runs // 2, QUICK_RUNS)))
    rows = list(paired_rows.tallied(runs))
    tables = [_table(now, then, runs), _rows_table(rows, runs), _gates(runs), _looks_table(watched, few)]
    notes = [] if then else [f"The commit {BEFORE} is not here, so that there is nothing beside it."]
    budgets = [*_budgets(now, then, runs), *_row_budgets(rows, runs), *_look_budgets(watched, few)]
    return Report(tables, budgets, notes)


def _metrics(base: Sample, candidate: Sample) -> Mapping[str, object]:
    return replica.metrics(replica.compared(base, candidate))


def _before(runs: int) -> list[dict[str, float | None]]:
    try:
        with work_tree(BEFORE) as folder:
            program = Path(__file__).with_name("replica_before.py")
            ended = subprocess.run(
                [sys.executable, program, str(folder), str(runs)], check=True, capture_output=True, text=True
            )
    except ValueError:
        return []
    return [json.loads(line) for line in ended.stdout.splitlines()]


_SHOWN = {"false": "false verdict", "found": "found", "same": "wrongly the same", "covered": "mean covered"}


def _table(now: Sequence[Mapping[str, float | None]], then: Sequence[Mapping[str, float | None]], runs: int) -> Table:
    columns = [
        Column(f"{name}{suffix}", "%", 1)
        for name in _SHOWN.values()
        for suffix in ((", before", ", now") if then else ("",))
    ]
    rows = []
    for place, situation in enumerate(situations.ALL):
        figures = {}
        for key, name in _SHOWN.items():
            sides = {", before": then[place], ", now": now[place]} if then else {"": now[place]}
            for suffix, side in sides.items():
                value = side[key]
                if value is not None:
                    figures[f"{name}{suffix}"] = _share(value, runs)
        rows.append(Row(situation.name, figures))
    method = (
        f"{runs} comparisons each, with the seed {tallies.SEED}; a false verdict is any better or worse that is not, of"
        " all metrics that are shown; the spread is what chance leaves"
    )
    return Table("verdicts on traffic of which the truth is known", method, columns, rows)


def _share(part: float, runs: int) -> Figure:
    spread = 100 * math.sqrt(max(part * (1 - part), 0.25 / runs) / runs)
    return Figure(100 * part, max(100 * part - spread, 0.0), min(100 * part + spread, 100.0))


def _gates(runs: int) -> Table:
    columns = [Column(name, "%", 1) for name in ("fails", "passes", "undecided")]
    rows = [Row(label, _outcomes(found, len(found))) for label, found in _gated(runs)]
    method = "what becomes of the candidate, as for the table above; demands wait where they are not shown"
    return Table("gates", method, columns, rows)


def _outcomes(found: Sequence[Outcome], runs: int) -> dict[str, Figure]:
    names = {Outcome.FAILED: "fails", Outcome.PASSED: "passes", Outcome.NO_DATA: "undecided"}
    return {name: _share(found.count(outcome) / runs, runs) for outcome, name in names.items()}


def _gated(runs: int) -> Iterator[tuple[str, list[Outcome]]]:
    wait = gating.OnUnknown.WAIT
    limit = [parse_rule("latency_ms.p95 > +20%")]
    worse = [parse_rule("worse")]
    errors = [parse_rule("worse(error_rate)")]

    def ended(draw: situations.Draw, rules: Sequence[Rule]) -> list[Outcome]:
        rng = np.random.default_rng(tallies.SEED)
        return [gating.judged(replica.compared(*draw(rng)), rules, unknown=wait).outcome for _ in range(runs)]

    for count in (20, 200, 2000):
        yield f"latency_ms.p95 > +20%, nothing changed, {count:,} each", ended(situations.same(count), limit)
    yield "latency_ms.p95 > +20%, 50 % slower, 200 each", ended(situations.slower(200, 1.5), limit)
    for count in (20, 50, 200):
        yield f"worse, 25 % slower, {count} each", ended(situations.slower(count, 1.25), worse)
    yield "worse(error_rate), 2 to 4.2 %, 1,000 each", ended(situations.more_errors(1000, 0.02, 0.042), errors)
    for count in (200, 1000, 5000):
        yield f"not_worse(scores.s, 2%), nothing changed, {count:,} rows", _required(count, min(runs, 100))
    few = max(runs // 8, 10)
    for repeated in (False, True):
        how = "--repeated" if repeated else "as if once"
        yield f"worse, asked {LOOKS} times, nothing changed, {how}", _watched(1.0, few, repeated=repeated)
    yield f"worse, asked {LOOKS} times, 25 % slower, --repeated", _watched(1.25, few, repeated=True)


def _required(rows: int, runs: int) -> list[Outcome]:
    """Scores of rows, with the noise of a language model that is asked twice."""
    rng = np.random.default_rng(tallies.SEED)
    demand = parse_demand("not_worse(scores.s, 2%)")
    found = []
    for _ in range(runs):
        base = np.clip(rng.normal(0.7, 0.2, rows), 0, 1)
        again = np.clip(base + rng.normal(0, 0.25, rows), 0, 1)
        first = np.clip(base + rng.normal(0, 0.25, rows), 0, 1)
        test = paired.tested(list(first), list(again))
        difference = statistics.difference(test.base, test.candidate, interval=test.interval, p_value=test.p_value)
        evaluation = ScoreComparison(test=test.test, pairs=rows, base_count=rows, candidate_count=rows)
        difference = statistics.judged([{"scores.s": difference}])[0]["scores.s"]
        versions = tuple(
            VersionMetrics(model_id=name, traces=rows, scores={"s": Score(mean=mean, count=rows)})
            for name, mean in (("a", test.base), ("b", test.candidate))
        )
        metrics = {"scores.s": replace(difference, evaluation=evaluation)}
        comparison = Comparison(versions=versions, differences=(VersionDifferences(model_id="b", metrics=metrics),))
        found.append(gating.judged(comparison, [], [demand]).outcome)
    return found


def _watched(factor: float, runs: int, *, repeated: bool) -> list[Outcome]:
    """Asked while traffic arrives, until it fails or the last look."""
    rng = np.random.default_rng(tallies.SEED)
    rules = [parse_rule("worse")]
    found = []
    for _ in range(runs):
        base, candidate = situations.traces(rng, 40 * LOOKS), situations.traces(rng, 40 * LOOKS, slower=factor)
        outcome = Outcome.NO_DATA
        for look in range(1, LOOKS + 1):
            seen = [_first(sample, 40 * look) for sample in (base, candidate)]
            outcome = gating.judged(
                replica.compared(*seen), rules, unknown=gating.OnUnknown.WAIT, repeated=repeated
            ).outcome
            if outcome is Outcome.FAILED:
                break
        found.append(outcome)
    return found


def _first(sample: Sample, count: int) -> Sample:
    return Sample(sample.latency[:count], sample.failed[:count], sample.tokens[:count])


def _rows_table(found: Sequence[tuple[paired_rows.Rows, paired_rows.Found]], runs: int) -> Table:
    columns = [Column(name, "%", 1) for name in ("false verdict", "each row for itself", "difference covered")]
    rows = []
    for one, tallied in found:
        figures = {"false verdict": tallied.false, "difference covered": tallied.covered}
        if tallied.naive is not None:
            figures["each row for itself"] = tallied.naive
        rows.append(Row(one.name, {name: _share(part, runs) for name, part in figures.items()}))
    method = f"{runs} comparisons each, in which nothing changed; beside it, as if each row were independent"
    return Table("rows of data sets", method, columns, rows)


def _looks_table(found: Sequence[tuple[looks.Watched, Mapping[Outcome, int]]], runs: int) -> Table:
    columns = [Column(name, "%", 1) for name in ("false", "fails", "passes", "undecided")]
    rows = []
    for one, ends in found:
        parts = {
            "false": sum(ends.get(outcome, 0) for outcome in one.false),
            "fails": ends.get(Outcome.FAILED, 0),
            "passes": ends.get(Outcome.PASSED, 0),
            "undecided": ends.get(Outcome.NO_DATA, 0),
        }
        rows.append(Row(one.name, {name: _share(count / runs, runs) for name, count in parts.items()}))
    method = (
        f"{runs} rollouts each, asked {len(looks.COUNTS)} times from 20 to {looks.COUNTS[-1]:,} traces of each version"
        " until it is decided; at the limit of a rule, both decisions are false"
    )
    return Table("asked again and again, --repeated", method, columns, rows)


def _row_budgets(found: Sequence[tuple[paired_rows.Rows, paired_rows.Found]], runs: int) -> Iterator[Budget]:
    for one, tallied in found:
        limit = BUDGET_FALSE_OF_FEW if "10 rows" in one.name else BUDGET_FALSE
        yield Budget(f"false verdicts, {one.name}", _share(tallied.false, runs), limit, "%")
        yield from _coverage(one.name, tallied.covered, runs)


def _look_budgets(found: Sequence[tuple[looks.Watched, Mapping[Outcome, int]]], runs: int) -> Iterator[Budget]:
    for one, ends in found:
        false = sum(ends.get(outcome, 0) for outcome in one.false)
        yield Budget(f"false decisions, {one.name}", _share(false / runs, runs), BUDGET_FALSE, "%")


def _coverage(name: str, part: float, runs: int) -> Iterator[Budget]:
    yield Budget(f"covered, {name}", _share(part, runs), BUDGET_COVERED, "%", at_least=True)
    if name not in CAREFUL:
        yield Budget(f"covered at most, {name}", _share(part, runs), BUDGET_COVERED_AT_MOST, "%")


def _budgets(
    now: Sequence[Mapping[str, float | None]], then: Sequence[Mapping[str, float | None]], runs: int
) -> Iterator[Budget]:
    for place, (situation, found) in enumerate(zip(situations.ALL, now, strict=True)):
        limit = BUDGET_FALSE_UNDER_LOAD if "load" in situation.name else BUDGET_FALSE
        yield Budget(f"false verdicts, {situation.name}", _share(found["false"] or 0.0, runs), limit, "%")
        if found["covered"] is not None:
            yield from _coverage(situation.name, found["covered"], runs)
        if found["same"] is not None:
            yield Budget(f"wrongly the same, {situation.name}", _share(found["same"], runs), BUDGET_SAME, "%")
        if then and situation.name in CLEAN:
            lost = max((then[place]["found"] or 0.0) - (found["found"] or 0.0), 0.0)
            yield Budget(f"power lost, {situation.name}", _share(lost, runs), BUDGET_POWER_LOST, "%")
