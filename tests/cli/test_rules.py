# SPDX-License-Identifier: Apache-2.0
"""The grammar of the gate's rules."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.commands.rules import (
    COMPARISONS,
    Against,
    Limit,
    Rule,
    RuleError,
    Threshold,
    Worse,
    parse_rule,
    written,
)
from otel_loggedmodel.presenting.metrics import BY_KEY
from otel_loggedmodel.presenting.texts import clean

SCORES = st.text(min_size=1).map(lambda name: f"scores.{name}")
METRICS = st.one_of(st.sampled_from(sorted(BY_KEY)), SCORES)
JUDGED = st.one_of(st.sampled_from(sorted(key for key, metric in BY_KEY.items() if metric.has_verdict)), SCORES)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
LIMITS = st.one_of(
    st.builds(Limit, NUMBERS, st.sampled_from([Against.VALUE, Against.DIFFERENCE])),
    st.builds(Limit, st.integers(-10_000, 10_000).map(lambda tenths: tenths / 1000), st.just(Against.PART)),
)
CONDITIONS = st.one_of(
    st.builds(Threshold, METRICS, st.sampled_from(sorted(COMPARISONS)), LIMITS), st.builds(Worse, JUDGED)
)
RULES = st.lists(CONDITIONS, min_size=1, max_size=4).map(lambda conditions: Rule(tuple(conditions)))


@given(RULES)
def test_a_rule_is_read_back_as_it_was_written(rule: Rule) -> None:
    assert parse_rule(str(rule)) == rule


@given(st.one_of(st.text(), st.text(alphabet='abworse.<>=()+-0159%x" \\scores_rate')))
def test_any_text_is_a_rule_or_an_error_with_advice(text: str) -> None:
    problem = ""
    try:
        assert parse_rule(text).conditions
    except RuleError as error:
        problem = str(error)
    assert problem.startswith("rule `") or not problem
    assert clean(problem) == problem


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        ("latency_ms.p95 > 2000", [Threshold("latency_ms.p95", ">", Limit(2000))]),
        ("error_rate>0.05", [Threshold("error_rate", ">", Limit(0.05))]),
        ("error_rate >= 5%", [Threshold("error_rate", ">=", Limit(0.05))]),
        ("scores.correctness < 0.8", [Threshold("scores.correctness", "<", Limit(0.8))]),
        ("scores.answer-quality.v2 < .8", [Threshold("scores.answer-quality.v2", "<", Limit(0.8))]),
        ('scores."answer quality" < 0.8', [Threshold("scores.answer quality", "<", Limit(0.8))]),
        (r'scores."a \"b\" \\c" < 1', [Threshold('scores.a "b" \\c', "<", Limit(1))]),
        ("scores.sentiment < (-0.5)", [Threshold("scores.sentiment", "<", Limit(-0.5))]),
        ("latency_ms.p95 > +10%", [Threshold("latency_ms.p95", ">", Limit(0.1, Against.PART))]),
        ("cost_usd_per_trace > 1.2x", [Threshold("cost_usd_per_trace", ">", Limit(0.2, Against.PART))]),
        ("scores.correctness < 0.95x", [Threshold("scores.correctness", "<", Limit(-0.05, Against.PART))]),
        ("scores.correctness < -5%", [Threshold("scores.correctness", "<", Limit(-0.05, Against.PART))]),
        ("error_rate > +0.01", [Threshold("error_rate", ">", Limit(0.01, Against.DIFFERENCE))]),
        ("traces < 1e3", [Threshold("traces", "<", Limit(1000))]),
        ("worse(latency_ms.p95)", [Worse("latency_ms.p95")]),
        ("worse", [Worse(None)]),
        (
            "latency_ms.p95 > +10% and worse",
            [Threshold("latency_ms.p95", ">", Limit(0.1, Against.PART)), Worse("latency_ms.p95")],
        ),
        (
            "error_rate > 1% and worse(error_rate) and traces >= 100",
            [Threshold("error_rate", ">", Limit(0.01)), Worse("error_rate"), Threshold("traces", ">=", Limit(100))],
        ),
    ],
)
def test_rules(text: str, conditions: list[object]) -> None:
    rule = parse_rule(text)
    assert list(rule.conditions) == conditions
    assert str(rule) == text


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("", "begins with a metric"),
        ("eror_rate > 0.05", "Did you mean 'error_rate'?"),
        ("p95 > 100", "Did you mean 'latency_ms.p95' or 'first_chunk_ms.p95'?"),
        ("latency.p95 > 100", "Did you mean 'latency_ms.p95'"),
        ("score.correctness < 0.8", "Did you mean 'scores.correctness'?"),
        ("scores < 0.8", "scores.NAME"),
        ("error_rate", "goes one of > >= < <="),
        ("error_rate = 5", "'=' is no metric, number or comparison"),
        ("error_rate > ", "a limit is a number"),
        ("error_rate > much", "a limit is a number"),
        ("latency_ms.p95 > 10%", "write +10% for that much more"),
        ("latency_ms.p95 > +1.1x", "write 1.2x for a fifth more"),
        ("latency_ms.p95 > 2000ms", "'ms'"),
        ("scores.a < (1%)", "in parentheses goes a plain number"),
        ("scores.a < (1", "a ) is missing"),
        ("worse(latency_ms.p95", "a ) is missing"),
        ("worse(traces)", "no comparison judges traces"),
        ("error_rate > 0.1 or worse", "Join conditions with `and`"),
        ("error_rate > 0.1 and", "begins with a metric"),
        ("traces < 1e999", "too large"),
        ("error_rate > 0.1\x1b[2J", r"\x1b"),
    ],
)
def test_mistakes_are_explained(text: str, advice: str) -> None:
    with pytest.raises(RuleError) as caught:
        parse_rule(text)
    assert advice in str(caught.value)


def test_limits_against_a_baseline() -> None:
    assert Limit(0.1, Against.PART).resolved(200.0) == pytest.approx(220.0)
    assert Limit(0.01, Against.DIFFERENCE).resolved(0.02) == pytest.approx(0.03)
    assert Limit(5.0).resolved(math.nan) == 5.0
    # Against zero any increase is one of more than 10 %; below zero, more is nearer to zero.
    assert Limit(0.1, Against.PART).resolved(0.0) == 0.0
    assert Limit(0.1, Against.PART).resolved(-2.0) == pytest.approx(-1.8)


def test_names_of_scores_are_quoted_where_they_have_to_be() -> None:
    assert written("scores.correctness") == "scores.correctness"
    assert written("scores.is it right?") == 'scores."is it right?"'
    assert written("latency_ms.p95") == "latency_ms.p95"
