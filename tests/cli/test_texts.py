# SPDX-License-Identifier: Apache-2.0
"""Text from outside, made safe to print."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.presenting.texts import clean, clean_lines, did_you_mean, where_they_differ, without_secrets

from .doubles import HOSTILE


@given(st.text(st.characters(exclude_categories=())))
def test_nothing_that_is_left_controls_a_terminal(text: str) -> None:
    cleaned = clean(text)
    assert not [character for character in cleaned if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")]
    assert not set(cleaned) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
    assert len(cleaned.splitlines()) <= 1
    cleaned.encode()


@given(st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters="\uffff\ufffe")))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert clean(text) == text


def test_what_was_there_can_still_be_seen() -> None:
    assert clean("a\x1b[31mb\nc\x9bd\u202ee") == r"a\x1b[31mb\nc\x9bd\u202ee"
    assert clean("👩‍💻 naïve 名前") == "👩‍💻 naïve 名前"
    assert "\x1b" not in clean(HOSTILE)
    assert "\n" not in clean(HOSTILE)
    assert clean_lines("one\x1b\ntwo") == "one\\x1b\ntwo"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("clickhouse://me:hunter2@db:8123/otel", "clickhouse://***@db:8123/otel"),
        ("clickhouse://me:p@ss@db:8123/otel", "clickhouse://***@db:8123/otel"),
        ("https://api.example/v1?api_key=hunter2&region=eu", "https://api.example/v1?api_key=***&region=eu"),
        ("http://collector:4318", "http://collector:4318"),
    ],
)
def test_secrets_are_not_shown(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


def test_long_values_are_shown_where_they_begin_to_differ() -> None:
    common = "x" * 5000
    shown = where_they_differ([common + "left" * 500, common + "right"])
    assert shown[0] is not None
    assert len(shown[0]) <= 601
    assert shown == ["…" + "x" * 60 + ("left" * 500)[:539] + "…", "…" + "x" * 60 + "right"]
    assert where_they_differ(["short", None]) == ["short", None]
    assert where_they_differ([common, None]) == ["x" * 599 + "…", None]
    assert where_they_differ([common, common + "more"]) == ["…" + "x" * 60, "…" + "x" * 60 + "more"]


def test_suggestions_are_close_words_or_last_parts() -> None:
    known = ["error_rate", "latency_ms.p95", "latency_ms.p99"]
    assert did_you_mean("eror_rate", known) == " Did you mean 'error_rate'?"
    assert did_you_mean("p95", known) == " Did you mean 'latency_ms.p95'?"
    assert did_you_mean("nothing alike", known) == ""
