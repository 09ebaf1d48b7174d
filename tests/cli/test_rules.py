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
    NotWorse,
    Rule,
    RuleError,
    Threshold,
    Worse,
    check_together,
    parse_demand,
    parse_margin,
    parse_rule,
    written,
)
from otel_loggedmodel.presenting.metrics import BY_KEY
from otel_loggedmodel.presenting.texts import clean
from otel_loggedmodel.store.statistics import Margin

SCORES = st.text(min_size=1).map(lambda name: f"scores.{name}")
METRICS = st.one_of(st.sampled_from(sorted(BY_KEY)), SCORES)
JUDGED = st.one_of(st.sampled_from(sorted(key for key, metric in BY_KEY.items() if metric.has_verdict)), SCORES)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
LIMITS = st.one_of(
    st.builds(Limit, NUMBERS, st.sampled_from([Against.VALUE, Against.DIFFERENCE])),
    st.builds(Limit, st.integers(-10_000, 10_000).map(lambda tenths: tenths / 1000), st.just(Against.PART)),
)
MARGINS = st.one_of(
    st.none(),
    st.builds(Margin, relative=st.integers(1, 10_000).map(lambda tenths: tenths / 1000)),
    st.builds(Margin, least=st.integers(0, 10_000).map(lambda tenths: tenths / 1000)),
)
CONDITIONS = st.one_of(
    st.builds(Threshold, METRICS, st.sampled_from(sorted(COMPARISONS)), LIMITS), st.builds(Worse, JUDGED, MARGINS)
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
        ("error_rate > +1pp", [Threshold("error_rate", ">", Limit(0.01, Against.DIFFERENCE))]),
        ("scores.correctness < -2pp", [Threshold("scores.correctness", "<", Limit(-0.02, Against.DIFFERENCE))]),
        ("worse(error_rate, 0.2pp)", [Worse("error_rate", Margin(least=0.002))]),
        ("worse(latency_ms.p95, 10%)", [Worse("latency_ms.p95", Margin(relative=0.1))]),
        ("worse(latency_ms.p95, 250)", [Worse("latency_ms.p95", Margin(least=250))]),
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


@given(JUDGED, MARGINS.filter(bool))
def test_a_demand_is_read_back_as_it_was_written(metric: str, margin: Margin) -> None:
    demand = NotWorse(metric, margin)
    assert parse_demand(str(demand)) == demand


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("error_rate > 5%", "is written not_worse(METRIC, MARGIN)"),
        ("not_worse(scores.a)", "Write not_worse(scores.a, 2%)"),
        ("not_worse(scores.a, -2%)", "a margin has no sign: -2% says how much worse is too much, so write 2%"),
        ("not_worse(scores.a, 2x)", "a margin is a number"),
        ("not_worse(latency_ms.p95, 1pp)", "latency_ms.p95 is not a rate, and has no percentage points"),
        ("not_worse(traces, 2%)", "no comparison judges traces"),
        ("not_worse(scores.a, 2%) and worse", "A demand stands alone"),
    ],
)
def test_a_demand_that_is_none_says_what_to_write(text: str, advice: str) -> None:
    with pytest.raises(RuleError) as raised:
        parse_demand(text)
    assert advice in str(raised.value)


def test_margins_of_options() -> None:
    assert parse_margin("error_rate", "0.2pp") == Margin(least=0.002)
    assert parse_margin("latency_ms.p95", "10%") == Margin(relative=0.1)
    for metric, text in (
        ("error_rate", "-1%"),
        ("error_rate", "much"),
        ("error_rat", "1%"),
        ("error_rate", "1%) and worse"),
    ):
        with pytest.raises(RuleError):
            parse_margin(metric, text)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("not_worse(scores.a, 2%)", "give it to --require"),
        ("error_rate > 1pp", "1pp has no sign: write +1pp"),
        ("latency_ms.p95 > +1pp", "latency_ms.p95 is not a rate"),
        ("worse(error_rate, -1%)", "a margin has no sign"),
        ("worse(error_rate,)", "a margin is a number"),
    ],
)
def test_mistakes_in_points_and_margins(text: str, advice: str) -> None:
    with pytest.raises(RuleError) as raised:
        parse_rule(text)
    assert advice in str(raised.value)


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        (["error_rate > 5%", "error_rate < 10%"], "contradict each other"),
        (["error_rate >= 5%", "error_rate < 5%"], "contradict each other"),
        (["error_rate < 10%", "traces < 3", "error_rate > 5%"], "contradict each other"),
        (["error_rate > 5% and error_rate < 3%"], "never fails"),
        (["error_rate > 5% and error_rate < 5%"], "never fails"),
    ],
)
def test_rules_that_contradict_each_other(rules: list[str], problem: str) -> None:
    with pytest.raises(RuleError, match=problem):
        check_together([parse_rule(rule) for rule in rules])


@pytest.mark.parametrize(
    "rules",
    [
        ["error_rate > 5%", "error_rate < 1%"],
        ["error_rate > 5%", "error_rate < 5%"],
        ["error_rate > 5%", "latency_ms.p95 < 10"],
        ["error_rate > 5%", "error_rate < +10%"],
        ["error_rate > 3% and error_rate < 5%"],
        ["error_rate > 5% and worse", "error_rate < 10%"],
        ["error_rate > 5%", "error_rate > 6%"],
    ],
)
def test_rules_that_leave_something(rules: list[str]) -> None:
    check_together([parse_rule(rule) for rule in rules])
