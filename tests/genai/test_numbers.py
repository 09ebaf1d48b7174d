# SPDX-License-Identifier: Apache-2.0
"""A score may be a number of any type: a decimal, a fraction, an array of one element."""

from decimal import Decimal
from fractions import Fraction

import pytest

import otel_loggedmodel

np = pytest.importorskip("numpy")


@pytest.fixture
def log(traced):
    def call(value):
        trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
        return otel_loggedmodel.log_feedback(trace_id=trace_id, value=value, tracer_provider=traced.provider)

    return call


@pytest.mark.parametrize(
    ("value", "score"),
    [
        (Decimal("0.25"), 0.25),
        (Fraction(1, 4), 0.25),
        (np.float32(0.25), 0.25),
        (np.array(0.25), 0.25),
        (np.array([0.25]), 0.25),
        (np.array([[3]]), 3.0),
        (np.bool_(True), 1.0),
    ],
)
def test_a_number_of_any_type_is_a_number(log, results, value, score) -> None:
    log(value=value)
    assert results()[0].attributes["gen_ai.evaluation.score.value"] == score


def test_several_numbers_are_no_number(log, results) -> None:
    log(value=np.array([0.25, 0.5]).tolist())
    assert "gen_ai.evaluation.score.value" not in results()[0].attributes
