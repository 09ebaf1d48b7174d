# SPDX-License-Identifier: Apache-2.0
"""Times and attributes in options."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.presenting.selecting import parse_pair, parse_time, selection_of

NOW = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("7d", datetime(2026, 3, 3, 12, tzinfo=timezone.utc)),
        ("24h", datetime(2026, 3, 9, 12, tzinfo=timezone.utc)),
        ("30m", datetime(2026, 3, 10, 11, 30, tzinfo=timezone.utc)),
        ("1d12h", datetime(2026, 3, 9, tzinfo=timezone.utc)),
        ("1.5h", datetime(2026, 3, 10, 10, 30, tzinfo=timezone.utc)),
        ("2w", datetime(2026, 2, 24, 12, tzinfo=timezone.utc)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=timezone.utc)),
        ("2026-03-01T12:30:05Z", datetime(2026, 3, 1, 12, 30, 5, tzinfo=timezone.utc)),
        ("2026-03-01t12:30:05z", datetime(2026, 3, 1, 12, 30, 5, tzinfo=timezone.utc)),
        ("2026-03-01 12:30", datetime(2026, 3, 1, 12, 30, tzinfo=timezone.utc)),
        ("2026-03-01T12:30:05.123456789Z", datetime(2026, 3, 1, 12, 30, 5, 123456, tzinfo=timezone.utc)),
        ("2026-03-01T12:30:05-05:30", datetime(2026, 3, 1, 18, 0, 5, tzinfo=timezone.utc)),
    ],
)
def test_times(text: str, moment: datetime) -> None:
    assert parse_time(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "7", "d", "7y", "-7d", "2026-13-01", "2026-03-01T25:00:00Z", "99999999w", "12:00", "7d ago"],
)
def test_what_is_no_time_is_an_error_that_says_what_is(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no time: write 7d, 24h or 30m"):
        parse_time(text, NOW)


@given(st.text())
def test_no_text_surprises(text: str) -> None:
    problem = "is no time"
    try:
        assert parse_time(text, NOW).tzinfo is not None
    except ValueError as error:
        problem = str(error)
    assert "is no time" in problem


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1), timezones=st.just(timezone.utc)))
def test_rfc_3339_is_read_back(moment: datetime) -> None:
    assert parse_time(moment.isoformat(), NOW) == moment
    assert parse_time(moment.isoformat().replace("+00:00", "Z"), NOW) == moment


def test_pairs() -> None:
    assert parse_pair("deployment.environment.name=prod") == ("deployment.environment.name", "prod")
    assert parse_pair("query=a=b") == ("query", "a=b")
    assert parse_pair("empty=") == ("empty", "")
    for text in ("no-equals", "=value", ""):
        with pytest.raises(ValueError, match="write KEY=VALUE"):
            parse_pair(text)


def test_selection() -> None:
    selection = selection_of("2d", "1d", "support", ["a=1", "b=2"], NOW)
    assert selection.since == NOW - timedelta(days=2)
    assert selection.until == NOW - timedelta(days=1)
    assert selection.service == "support"
    assert selection.attributes == {"a": "1", "b": "2"}
    with pytest.raises(ValueError, match="--since 1d is not before --until 2d"):
        selection_of("1d", "2d", None, [], NOW)


def test_a_data_set_or_production_is_selected() -> None:
    assert selection_of(None, None, None, [], NOW, dataset="questions").dataset == "questions"
    assert selection_of(None, None, None, [], NOW, production=True).production
    with pytest.raises(ValueError, match="exclude each other"):
        selection_of(None, None, None, [], NOW, dataset="questions", production=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"runs": "newest"}, "--runs is 'newest': write latest or all"),
        ({"failed_rows": "0"}, "--failed-rows is '0': write skip to leave them out, or zero to count each as 0"),
        ({"pass_at": 0}, "--pass-at is 0: write of how many tries one has to pass, from 1 to 1000"),
    ],
)
def test_how_scores_count_has_few_words(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message + "$"):
        selection_of(None, None, None, (), NOW, **given)  # type: ignore[arg-type]
    assert selection_of(None, None, None, (), NOW, runs="all", failed_rows="zero", pass_at=3).pools_runs
