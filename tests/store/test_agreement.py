# SPDX-License-Identifier: Apache-2.0
"""Cohen's kappa is that of the literature, and its interval holds the truth as often as it says."""

import itertools

import numpy as np
import pytest

from otel_loggedmodel.store.agreement import agreement


def table(rows: list[list[int]]) -> dict[tuple[str, str], int]:
    return {(str(one), str(other)): count for one, row in enumerate(rows) for other, count in enumerate(row) if count}


def test_kappa_is_that_of_the_literature() -> None:
    # Fleiss, Cohen and Everitt, 1969: 200 subjects, three diagnoses.
    found = agreement(table([[106, 10, 4], [22, 28, 10], [2, 12, 6]]))
    assert (found.pairs, found.same, found.kappa) == (200, 140, pytest.approx(0.429, abs=0.0005))
    assert agreement(table([[20, 5], [10, 15]])).kappa == pytest.approx(0.4)


def test_full_agreement_and_none() -> None:
    assert agreement(table([[10, 0], [0, 5]])).kappa == pytest.approx(1)
    assert agreement(table([[0, 10], [10, 0]])).kappa == pytest.approx(-1)
    # Chance alone.
    assert agreement(table([[25, 25], [25, 25]])).kappa == pytest.approx(0)
    assert agreement(table([[10], [5]])).kappa is None


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_the_interval_holds_the_truth_as_often_as_it_says(share: float) -> None:
    rng = np.random.default_rng(4)
    categories = [0.6, 0.3, 0.1]
    # They agree on this share of what is not by chance alone, which is kappa then.
    joint = [
        share * one * (place == other) + (1 - share) * one * categories[other]
        for (place, one), other in itertools.product(enumerate(categories), range(3))
    ]
    held = 0
    for drawn in rng.multinomial(150, joint, 500):
        low, high = agreement(table(drawn.reshape(3, 3).tolist())).interval
        held += low <= share <= high
    assert 0.92 <= held / 500 <= 0.98
