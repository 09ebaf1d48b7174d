# SPDX-License-Identifier: Apache-2.0
"""What of two versions' evaluations is compared, where there is a choice or none."""

import random
import statistics
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.store.results import Difference, Reason, ScoreComparison
from otel_loggedmodel.store.score_comparison import Match, match
from otel_loggedmodel.store.score_groups import Group, score_of


def rows(values: Sequence[float], first: int = 0) -> Mapping[int, float]:
    return dict(enumerate(values, first))


def group(values: Mapping[int, float] | Sequence[float], **details: object) -> Group:
    """The values of rows, or those of production."""
    found = list(values.values()) if isinstance(values, Mapping) else list(values)
    return Group(
        rows=values if isinstance(values, Mapping) else {},
        count=len(found),
        mean=statistics.fmean(found),
        variance=statistics.variance(found) if len(found) > 1 else float("nan"),
        **{"source": "code", "scorer": "s1", "dataset": "d1" if isinstance(values, Mapping) else "", **details},  # type: ignore[arg-type]
    )


def evaluation(found: Match) -> ScoreComparison:
    difference = found.difference()
    assert difference.evaluation is not None
    return difference.evaluation


def evaluation_of(difference: Difference) -> ScoreComparison:
    assert difference.evaluation is not None
    return difference.evaluation


HIGH, LOW = [0.9, 0.8, 0.7] * 10, [0.5, 0.4, 0.3] * 10


def test_of_several_scorers_the_last_that_both_had_is_compared() -> None:
    base = [group(rows(HIGH), scorer="s2", at=20), group(rows(LOW), scorer="s1", at=10)]
    candidate = [
        group(rows(LOW), scorer="s3", at=40),
        group(rows(HIGH), scorer="s2", at=30),
        group(rows(HIGH), scorer="s1", at=5),
    ]
    found = match(base, candidate)
    assert (evaluation(found).scorer, found.difference().delta) == ("s2", 0.0)
    (note,) = found.notes("x", "v2")
    assert note == "Score x of v2: 90 values of other scorers, other data sets or production are not compared."


def test_a_scorer_with_enough_pairs_goes_before_a_later_one_with_few() -> None:
    base = [group(rows(HIGH[:5]), scorer="s2", at=20), group(rows(HIGH), scorer="s1", at=10)]
    candidate = [group(rows(LOW[:5]), scorer="s2", at=30), group(rows(LOW), scorer="s1", at=5)]
    assert evaluation(match(base, candidate)).scorer == "s1"


def test_a_person_and_a_program_are_not_one_scorer() -> None:
    found = match([group(HIGH, source="human", scorer="")], [group(LOW, source="llm", scorer="")])
    assert found.difference() == Difference(
        base=pytest.approx(0.8),
        candidate=pytest.approx(0.4),
        delta=pytest.approx(-0.4),
        ratio=pytest.approx(0.5),
        evaluation=ScoreComparison(),
        reason=Reason.NOT_COMPARABLE,
    )
    assert list(found.notes("x", "v2")) == [
        "Score x of v2: not compared, as the two versions have no scorer in common (human and llm)."
    ]


def test_keys_that_are_ids_of_a_data_set_mean_nothing_in_another() -> None:
    base, candidate = group(rows(HIGH), dataset="d1"), group(rows(LOW), dataset="d2")
    found = match([base], [candidate])
    assert (found.kind, found.difference().p_value) == (None, None)
    assert list(found.notes("x", "v2")) == ["Score x of v2: not compared, as it is of other rows (d1 and d2)."]
    digests = [
        group(values, dataset=name, is_portable=True) for values, name in ((rows(HIGH), "d1"), (rows(LOW), "d2"))
    ]
    across = match(digests[:1], digests[1:])
    assert across.is_across
    assert (evaluation(across).pairs, evaluation(across).lower, evaluation(across).datasets) == (30, 30, ("d1", "d2"))


def test_rows_of_one_data_set_go_before_rows_across_and_production() -> None:
    base = [
        group(HIGH * 10, at=5),
        group(rows(HIGH), is_portable=True),
        group(rows(LOW), dataset="d0", is_portable=True),
    ]
    candidate = [group(LOW * 10, at=9), group(rows(LOW[:12]), is_portable=True)]
    found = match(base, candidate)
    assert (evaluation(found).pairs, evaluation(found).datasets, found.is_across) == (12, ("d1",), False)


def test_rows_of_several_data_sets_are_compared_together() -> None:
    base = [group(rows(HIGH), dataset="d1"), group(rows(HIGH, 100), dataset="d2")]
    candidate = [group(rows(LOW), dataset="d1"), group(rows(LOW, 100), dataset="d2")]
    found = match(base, candidate)
    assert (evaluation(found).pairs, evaluation(found).datasets) == (60, ("d1", "d2"))
    assert list(found.notes("x", "v2")) == ["Score x of v2: rows of 2 data sets are compared together."]


def test_other_rows_of_one_data_set_are_compared_without_pairs() -> None:
    found = match([group(rows(HIGH))], [group(rows(LOW, 100))])
    assert (evaluation(found).test, evaluation(found).pairs, evaluation(found).datasets) == ("welch", 0, ("d1",))


def test_nine_pairs_are_too_few_and_ten_are_not() -> None:
    def of(count: int) -> Difference:
        return match([group(rows(HIGH[:count]))], [group(rows(LOW[:count]))]).difference()

    few, enough = of(9), of(10)
    assert few.evaluation == ScoreComparison(
        changes=(0,) * 6 + (9,) + (0,) * 14,
        change_range=1.0,
        pairs=9,
        lower=9,
        base_count=9,
        candidate_count=9,
        source="code",
        scorer="s1",
        datasets=("d1",),
    )
    assert (few.p_value, few.interval) == (None, None)
    assert few.delta == pytest.approx(-0.4)
    assert enough.p_value == pytest.approx(2 / 2**10)


def test_a_version_without_the_evaluation_has_no_difference() -> None:
    found = match([group(HIGH)], [])
    assert found.difference() == Difference(base=pytest.approx(0.8), reason=Reason.NOT_KNOWN)
    assert list(found.notes("x", "v2")) == []


def test_all_values_of_a_version_make_its_score() -> None:
    score = score_of(
        [group([1.0] * 30, dataset="d1", dataset_name="questions"), group([0.0] * 10, source="", scorer="")]
    )
    assert (score.mean, score.count) == (0.75, 40)
    assert [(one.source, one.scorer, one.dataset, one.dataset_name, one.mean, one.count) for one in score.groups] == [
        ("code", "s1", "d1", "questions", 1.0, 30),
        (None, None, None, None, 0.0, 10),
    ]


@given(st.integers(min_value=0, max_value=10**9), st.integers(20, 300), st.integers(20, 300))
def test_values_without_pairs_are_tested_by_the_more_careful_t_test(seed: int, count: int, other: int) -> None:
    rng = random.Random(seed)
    base, candidate = [rng.gauss(0.5, 0.3) for _ in range(count)], [rng.gauss(0.55, 0.1) for _ in range(other)]
    found = match([group(base)], [group(candidate)]).difference()
    # The smaller of the two: few values of a skewed quantity lack its tail.
    tests = [scipy.stats.ttest_ind(candidate, base, equal_var=equal) for equal in (False, True)]
    intervals = [test.confidence_interval() for test in tests]
    expected, interval = max(zip(tests, intervals, strict=True), key=lambda pair: pair[1].high - pair[1].low)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    assert found.interval == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)


def test_values_that_do_not_vary_are_the_same_or_not() -> None:
    same, other = (match([group([0.5] * 20)], [group([value] * 20)]).difference() for value in (0.5, 0.6))
    assert (same.p_value, same.interval) == (1.0, (0.0, 0.0))
    assert (other.p_value, other.interval) == (0.0, (pytest.approx(0.1), pytest.approx(0.1)))


def test_rows_that_belong_together_say_less_than_as_many_others() -> None:
    """Ten questions on each of twelve passages, of which some got worse: twelve things were looked at."""
    rng = random.Random(4)
    base, candidate = {}, {}
    for passage in range(12):
        shift = rng.gauss(0, 0.2)
        for question in range(10):
            base[passage * 10 + question] = rng.random()
            candidate[passage * 10 + question] = base[passage * 10 + question] + shift + rng.gauss(0, 0.02)
    together = {row: 1000 + row // 10 for row in base}
    single, grouped = (
        match([group(base, groups=groups)], [group(candidate, groups=groups)]).difference() for groups in ({}, together)
    )
    assert evaluation_of(single).test == "paired_t"
    assert evaluation_of(grouped).test == "grouped_t"
    assert (single.delta, single.base_units) == (pytest.approx(grouped.delta), 120)
    assert grouped.base_units == 12
    passages = [np.mean([candidate[row] - base[row] for row in base if row // 10 == one]) for one in range(12)]
    expected = scipy.stats.ttest_1samp(passages, 0)
    assert grouped.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert grouped.interval == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)


def test_nine_groups_are_too_few() -> None:
    values = {row: float(row % 2) for row in range(90)}
    together = {row: 1000 + row // 10 for row in values}
    found = match([group(values, groups=together)], [group(values, groups=together)]).difference()
    assert (found.p_value, evaluation_of(found).pairs) == (None, 90)


def test_passes_without_pairs_are_rates() -> None:
    few, many = ([1.0] * count for count in (20, 20))
    sure = match([group(few, is_binary=True)], [group(many, is_binary=True)]).difference()
    assert evaluation_of(sure).test == "rates"
    # Twenty of twenty is not all.
    assert sure.interval == (pytest.approx(-0.161, abs=1e-3), pytest.approx(0.161, abs=1e-3))
    better = match(
        [group([1.0] * 93 + [0.0] * 7, is_binary=True)], [group([1.0] * 98 + [0.0] * 2, is_binary=True)]
    ).difference()
    assert better.p_value == pytest.approx(scipy.stats.fisher_exact([[93, 7], [98, 2]]).pvalue, rel=1e-6)
