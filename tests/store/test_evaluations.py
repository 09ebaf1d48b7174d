# SPDX-License-Identifier: Apache-2.0
"""Evaluations are compared as SciPy compares them: in pairs, by one scorer, and never by several in one."""

import dataclasses
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
import scipy

from clickhouse_server import ClickHouseServer
from otel_loggedmodel.store.queries import StoreReader
from otel_loggedmodel.store.reading import Selection
from otel_loggedmodel.store.results import Comparison, Difference, Score, Verdict
from planted_evaluations import (
    CORRECT,
    QUESTIONS,
    QUESTIONS_NAME,
    ROWS,
    SCORERS,
    SIMILAR,
    START_NS,
    Evaluations,
    make_evaluations,
)
from truth import scores_of

from .conftest import filled

QUESTIONED = ["twin", "lower", "higher", "failing", "rescored", "elsewhere", "partial", "most", "repeated", "grown"]


@pytest.fixture(scope="module")
def evaluations() -> Evaluations:
    return make_evaluations()


@pytest.fixture(scope="module")
def reader(clickhouse_server: ClickHouseServer, evaluations: Evaluations) -> Iterator[StoreReader]:
    with filled(clickhouse_server, [evaluations.request]) as reader:
        yield reader


@pytest.fixture(scope="module")
def comparison(reader: StoreReader) -> Comparison:
    return reader.compare(["base", *QUESTIONED])


@pytest.fixture(scope="module")
def large(reader: StoreReader) -> Comparison:
    return reader.compare(["many", "many_lower", "many_twin"])


def test_data_sets_are_known_with_their_names(reader: StoreReader, evaluations: Evaluations) -> None:
    found = reader.datasets()
    used = {result.kind[2] for result in evaluations.results} - {""}
    assert {dataset.digest for dataset in found} == used
    assert len(found) == len(used) > 2
    assert next(dataset.name for dataset in found if dataset.digest == QUESTIONS) == QUESTIONS_NAME
    assert {dataset.name for dataset in found if dataset.digest != QUESTIONS} == {None}


def difference(comparison: Comparison, version: str, name: str) -> Difference:
    (found,) = [one for one in comparison.differences if one.model_id == version]
    return found.metrics[f"scores.{name}"]


def called(comparison: Comparison, version: str) -> dict[str, Verdict]:
    return {
        name: difference(comparison, version, name).verdict
        for name in (SIMILAR, CORRECT)
        if difference(comparison, version, name).verdict is not Verdict.UNKNOWN
    }


@pytest.mark.parametrize("version", QUESTIONED)
def test_what_is_planted_is_found_and_nothing_else(reader: StoreReader, evaluations: Evaluations, version: str) -> None:
    # Each by itself: p-values are corrected for all that is looked at together.
    found = reader.compare(["base", version])
    assert called(found, version) == evaluations.versions[version].verdicts


@pytest.mark.parametrize("version", ["many_lower", "many_twin"])
def test_many_rows_tell_that_nothing_changed(large: Comparison, evaluations: Evaluations, version: str) -> None:
    assert called(large, version) == evaluations.versions[version].verdicts


def test_only_pairs_can_tell(comparison: Comparison, evaluations: Evaluations) -> None:
    pairs = evaluations.pairs("base", "lower", SIMILAR)
    assert len(pairs) == ROWS
    assert scipy.stats.ttest_ind(*zip(*pairs, strict=True), equal_var=False).pvalue > 0.2
    assert difference(comparison, "lower", SIMILAR).p_value_adjusted == pytest.approx(0.0, abs=0.001)


@pytest.mark.parametrize("version", ["twin", "lower", "higher", "failing", "most", "repeated"])
def test_numbers_are_tested_as_scipy_does(comparison: Comparison, evaluations: Evaluations, version: str) -> None:
    pairs = evaluations.pairs("base", version, SIMILAR)
    found = difference(comparison, version, SIMILAR)
    base, candidate = (np.array(values) for values in zip(*pairs, strict=True))
    changes = np.round(candidate - base, 12)
    assert (found.base, found.candidate) == (pytest.approx(base.mean()), pytest.approx(candidate.mean()))
    assert found.evaluation is not None
    said = dataclasses.asdict(found.evaluation)
    spread, middle = said.pop("changes"), len(found.evaluation.changes) // 2
    assert said.pop("change_range") >= np.abs(changes).max()
    assert said == {
        "test": "paired_t",
        "pairs": len(pairs),
        "higher": (changes > 0).sum(),
        "lower": (changes < 0).sum(),
        "equal": (changes == 0).sum(),
        "base_count": len(pairs),
        "candidate_count": len(pairs),
        "source": "code",
        "scorer": SCORERS[SIMILAR],
        "datasets": (QUESTIONS,),
    }
    assert (sum(spread[:middle]), spread[middle], sum(spread[middle + 1 :])) == (
        (changes < 0).sum(),
        (changes == 0).sum(),
        (changes > 0).sum(),
    )
    if not changes.any():
        assert found.p_value == 1.0
        return
    error = scipy.stats.sem(changes)
    drawn = np.random.default_rng(1).choice(changes, (20_000, len(changes)))
    ends = np.quantile((drawn.mean(1) - changes.mean()) / scipy.stats.sem(drawn, axis=1), [0.975, 0.025])
    close, least = 0.08 * (ends[0] - ends[1]) * error, scipy.stats.t.ppf(0.975, len(changes) - 1)
    assert found.interval == (
        pytest.approx(changes.mean() - max(ends[0], least) * error, abs=close),
        pytest.approx(changes.mean() - min(ends[1], -least) * error, abs=close),
    )


def test_many_numbers_are_tested_as_scipy_does(large: Comparison, evaluations: Evaluations) -> None:
    base, candidate = (
        np.array(values) for values in zip(*evaluations.pairs("many", "many_lower", SIMILAR), strict=True)
    )
    found = difference(large, "many_lower", SIMILAR)
    expected = scipy.stats.ttest_rel(candidate, base)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6)
    interval = expected.confidence_interval()
    assert found.interval == pytest.approx((interval.low, interval.high), rel=1e-6)


@pytest.mark.parametrize("version", ["twin", "lower", "failing", "most", "repeated"])
def test_passes_are_tested_by_those_that_changed(
    comparison: Comparison, evaluations: Evaluations, version: str
) -> None:
    pairs = evaluations.pairs("base", version, CORRECT)
    higher, lower = sum(b > a for a, b in pairs), sum(b < a for a, b in pairs)
    found = difference(comparison, version, CORRECT)
    assert found.evaluation is not None
    assert (found.evaluation.test, found.evaluation.pairs) == ("mcnemar", len(pairs))
    assert (found.evaluation.higher, found.evaluation.lower) == (higher, lower)
    expected = scipy.stats.binomtest(higher, higher + lower).pvalue if higher + lower else 1.0
    assert found.p_value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("version", ["base", "repeated", "grown", "many"])
def test_scores_are_those_of_rows(
    comparison: Comparison, large: Comparison, evaluations: Evaluations, version: str
) -> None:
    (found,) = [one for one in (*comparison.versions, *large.versions) if one.model_id == version]
    truth = scores_of(evaluations.of(version))
    assert set(found.scores) == set(truth)
    for name, score in found.scores.items():
        assert (score.mean, score.count) == (pytest.approx(truth[name].mean), truth[name].count)
        groups = sorted(score.groups, key=lambda group: (group.source or "", group.scorer or "", group.dataset or ""))
        assert len(groups) == len(truth[name].groups)
        for group, expected in zip(groups, truth[name].groups, strict=True):
            assert group.mean == pytest.approx(expected.mean)
            named = QUESTIONS_NAME if group.dataset == QUESTIONS else None
            assert dataclasses.replace(group, mean=None) == dataclasses.replace(expected, mean=None, dataset_name=named)


def test_evaluating_a_row_again_is_no_further_row(comparison: Comparison) -> None:
    (repeated,) = [one for one in comparison.versions if one.model_id == "repeated"]
    assert repeated.traces == 3 * ROWS
    assert repeated.scores[SIMILAR].count == ROWS


def note_on(comparison: Comparison, version: str, name: str) -> list[str]:
    start = f"Score {name} of {version}: "
    return [note.removeprefix(start) for note in comparison.notes if note.startswith(start)]


def test_different_scorers_are_never_compared(comparison: Comparison) -> None:
    for name in (SIMILAR, CORRECT):
        found = difference(comparison, "rescored", name)
        assert found.evaluation is not None
        assert (found.p_value, found.evaluation.test, found.evaluation.pairs) == (None, None, 0)
    assert note_on(comparison, "rescored", SIMILAR) == [
        "not compared, as the two versions have no scorer in common (1c0fe1a9 and a37c5e01)."
    ]


def test_rows_of_another_data_set_are_not_compared(comparison: Comparison) -> None:
    found = difference(comparison, "elsewhere", SIMILAR)
    assert found.p_value is None
    assert note_on(comparison, "elsewhere", SIMILAR) == [
        "not compared, as it is of other rows (questions and e81d5b02)."
    ]


def test_rows_that_ask_the_same_are_pairs_across_data_sets(comparison: Comparison) -> None:
    found = difference(comparison, "grown", SIMILAR)
    assert found.evaluation is not None
    assert (found.evaluation.pairs, found.evaluation.datasets) == (ROWS, (QUESTIONS, "f92e6c13a8d74b5b"))
    first, *_ = note_on(comparison, "grown", SIMILAR)
    assert first.startswith("the data sets differ (0f3a94d1, f92e6c13); compared are rows with the same inputs")


def test_rows_that_only_one_version_has_are_told(comparison: Comparison) -> None:
    assert note_on(comparison, "most", SIMILAR) == [
        "compared are the 24 rows that both versions have a value of; 6 have one in one version only."
    ]
    found = difference(comparison, "partial", SIMILAR)
    assert found.evaluation is not None
    assert (found.evaluation.pairs, found.evaluation.test, found.p_value) == (8, None, None)


def test_feedback_on_production_is_not_compared_with_rows(comparison: Comparison, reader: StoreReader) -> None:
    """People like the twin less, by a measure of the same name: that is another comparison."""
    assert difference(comparison, "twin", CORRECT).verdict is Verdict.UNKNOWN
    assert note_on(comparison, "twin", CORRECT) == [
        "100 values of other scorers, other data sets or production are not compared."
    ]
    production = reader.compare(["base", "twin"], Selection(production=True))
    found = difference(production, "twin", CORRECT)
    assert (found.base, found.candidate, found.verdict) == (0.9, 0.3, Verdict.WORSE)
    assert found.evaluation is not None
    assert (found.evaluation.test, found.evaluation.source, found.evaluation.datasets) == ("rates", "human", ())
    expected = scipy.stats.chi2_contingency([[15, 35], [45, 5]], correction=False)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert [(version.traces, version.scores[CORRECT].count) for version in production.versions] == [(50, 50), (50, 50)]
    assert not production.notes or all("not registered" in note for note in production.notes)


@pytest.mark.parametrize("dataset", [QUESTIONS, QUESTIONS_NAME])
def test_a_data_set_is_selected_by_digest_or_name(reader: StoreReader, dataset: str) -> None:
    found = reader.compare(["base", "twin", "many"], Selection(dataset=dataset))
    assert [version.traces for version in found.versions] == [ROWS, ROWS, 0]
    assert [version.scores.get(CORRECT, Score()).count for version in found.versions] == [ROWS, ROWS, 0]
    assert not note_on(found, "twin", CORRECT)


def test_a_data_set_and_a_time_are_selected_together(reader: StoreReader) -> None:
    middle = datetime.fromtimestamp(START_NS / 1e9, timezone.utc) + timedelta(seconds=10)
    (found,) = reader.compare(["base"], Selection(dataset=QUESTIONS, since=middle)).versions
    assert found.traces == ROWS - 10
    # Results come later than what they judge, here by a second: the row before is judged just then.
    assert ROWS - 10 <= found.scores[SIMILAR].count <= ROWS - 9


def test_latency_and_tokens_count_rows_of_data_sets_by_default(reader: StoreReader) -> None:
    (found,) = reader.compare(["base"]).versions
    assert found.traces == ROWS + 50
