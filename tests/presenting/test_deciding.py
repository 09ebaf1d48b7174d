# SPDX-License-Identifier: Apache-2.0
"""Metrics are read in the groups that people decide by, and the decision is a sentence."""

import pytest

from otel_loggedmodel.presenting import deciding
from otel_loggedmodel.presenting.deciding import Outcome
from otel_loggedmodel.store.results import Difference, Reason, Verdict, VersionDifferences

BETTER, WORSE, SAME, UNKNOWN = Verdict.BETTER, Verdict.WORSE, Verdict.SAME, Verdict.UNKNOWN


def difference(
    base: float | None, candidate: float | None, verdict: Verdict = UNKNOWN, reason: Reason | None = None
) -> Difference:
    delta = None if base is None or candidate is None else candidate - base
    ratio = candidate / base if base and candidate is not None else None
    return Difference(base=base, candidate=candidate, delta=delta, ratio=ratio, verdict=verdict, reason=reason)


def groups(**metrics: Difference) -> dict[str, deciding.Group]:
    named = {name.replace("__", "."): one for name, one in metrics.items()}
    return {one.key: one for one in deciding.groups_of(VersionDifferences(model_id="m", metrics=named))}


def said(**metrics: Difference) -> str:
    return deciding.sentence(list(groups(**metrics).values()), "v1", "v2")


SLOWER = {
    "latency_ms__p50": difference(69.6, 152, WORSE),
    "latency_ms__p90": difference(135, 230, WORSE),
    "latency_ms__p95": difference(162, 259, WORSE),
    "latency_ms__p99": difference(213, 308),
}


def test_four_quantiles_are_one_finding() -> None:
    found = groups(**SLOWER)
    assert list(found) == ["quality", "errors", "speed", "cost"]
    assert found["speed"].outcome is Outcome.WORSE
    assert found["speed"].head == "latency_ms.p50"
    assert len(found["speed"].metrics) == 4
    assert {found[key].outcome for key in ("quality", "errors", "cost")} == {Outcome.UNKNOWN}


@pytest.mark.parametrize(
    ("verdicts", "outcome"),
    [
        ([BETTER, UNKNOWN], Outcome.BETTER),
        ([WORSE, SAME], Outcome.WORSE),
        ([BETTER, WORSE], Outcome.MIXED),
        ([SAME, SAME], Outcome.SAME),
        ([SAME, UNKNOWN], Outcome.UNKNOWN),
        ([UNKNOWN], Outcome.UNKNOWN),
    ],
)
def test_a_group_has_one_verdict(verdicts: list[Verdict], outcome: Outcome) -> None:
    scores = {f"scores__{place}": difference(0.5, 0.6, verdict) for place, verdict in enumerate(verdicts)}
    assert groups(**scores)["quality"].outcome is outcome


def test_an_unknown_group_says_why_and_a_known_one_does_not() -> None:
    same, few = difference(1, 1, SAME), difference(1, 2, reason=Reason.TOO_FEW)
    assert groups(latency_ms__p50=same, latency_ms__p99=few)["speed"].reason is Reason.TOO_FEW
    assert groups(latency_ms__p50=difference(1, 2, WORSE), latency_ms__p99=few)["speed"].reason is None


def test_money_decides_about_tokens() -> None:
    """A version that takes more tokens of a cheaper model costs less."""
    found = groups(
        tokens__output_per_trace=difference(10, 20, WORSE), cost_usd_per_trace=difference(0.002, 0.001, BETTER)
    )["cost"]
    assert (found.outcome, found.head) == (Outcome.BETTER, "cost_usd_per_trace")
    assert groups(tokens__output_per_trace=difference(10, 20, WORSE))["cost"].outcome is Outcome.WORSE


def test_an_application_without_models_has_no_cost() -> None:
    assert groups(tokens__input_per_trace=difference(0, 0, SAME))["cost"].head is None


def test_the_head_of_a_group_is_what_makes_its_verdict() -> None:
    found = groups(latency_ms__p50=difference(100, 100, SAME), latency_ms__p95=difference(100, 200, WORSE))
    assert found["speed"].head == "latency_ms.p95"


def test_the_decision_says_the_worst_first() -> None:
    sentence = said(
        **SLOWER,
        cost_usd_per_trace=difference(0.0000736, 0.00103, WORSE),
        error_rate=difference(41 / 240, 4 / 240, BETTER),
        scores__names_sources=difference(0.42, 0.94, BETTER),
    )
    assert sentence == (
        "v2 is slower (+118 % median) and costs 14 times as much, but gives better answers (names_sources 0.42 to 0.94)"
        " and has far fewer errors (17.1 % to 1.67 %), compared with v1"
    )


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ({}, "v2 and v1 have nothing in common to compare yet"),
        ({"error_rate": difference(0.1, 0.2)}, "Too few traces to tell v2 from v1"),
        (
            {"error_rate": difference(0.1, 0.1, SAME), "latency_ms__p50": difference(5, 5, SAME)},
            "v2 is the same as v1 in errors and speed",
        ),
        (
            {"error_rate": difference(0.1, 0.1, SAME), "latency_ms__p50": difference(5, 5)},
            "v2 is the same as v1 in errors; for the rest there are too few traces to tell",
        ),
        (
            {"error_rate": difference(0.1, 0.2, reason=Reason.TOO_FEW)},
            "Too few traces to tell v2 from v1",
        ),
        (
            {
                "error_rate": difference(0.1, 0.2, reason=Reason.WITHIN_CHANCE),
                "latency_ms__p50": difference(5, 6, reason=Reason.TOO_FEW),
            },
            "Nothing tells v2 from v1: within chance, too few traces",
        ),
        (
            {"error_rate": difference(0.1, 0.2, reason=Reason.NOT_KNOWN)},
            "Nothing tells v2 from v1: values are missing",
        ),
        (
            {
                "error_rate": difference(0.1, 0.1, SAME),
                "latency_ms__p50": difference(5, 5, reason=Reason.WEIGHTS_MISSING),
            },
            "v2 is the same as v1 in errors; the rest is unknown: weights missing",
        ),
        (
            {"cost_usd_per_trace": difference(0.004, 0.003, BETTER)},
            "v2 costs 25 % less, compared with v1",
        ),
        (
            {"failed_calls": difference(0.5, 0.6, WORSE)},
            "v2 has more failed calls (0.5 to 0.6), compared with v1",
        ),
        (
            {"first_chunk_ms__p50": difference(100, 50, BETTER)},
            "v2 begins to answer sooner (-50.0 % median), compared with v1",
        ),
        (
            {"scores__short": difference(0.9, 0.1, WORSE), "scores__right": difference(0.1, 0.9, BETTER)},
            "v2 gives worse answers (short 0.9 to 0.1) but gives better answers (right 0.1 to 0.9), compared with v1",
        ),
    ],
)
def test_the_decision_in_words(metrics: dict[str, Difference], sentence: str) -> None:
    assert said(**metrics) == sentence
