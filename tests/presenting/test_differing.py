# SPDX-License-Identifier: Apache-2.0
"""The words that differ are marked, and nothing of either text is lost."""

from hypothesis import given
from hypothesis import strategies as st

from otel_loggedmodel.presenting.differing import Piece, only, words_that_differ

_TEXTS = st.text(st.sampled_from("ab .,\n"), max_size=40)


@given(_TEXTS, _TEXTS)
def test_both_texts_can_be_read_from_the_pieces(first: str, second: str) -> None:
    pieces = words_that_differ(first, second)
    assert "".join(piece.text for piece in only(pieces, "first")) == first
    assert "".join(piece.text for piece in only(pieces, "second")) == second


def test_a_phrase_is_marked_as_one() -> None:
    pieces = words_that_differ(
        "Answer in one sentence, from these articles.", "Answer in three long lines, from these articles."
    )
    assert pieces == [
        Piece("both", "Answer in "),
        Piece("first", "one sentence"),
        Piece("second", "three long lines"),
        Piece("both", ", from these articles."),
    ]


def test_texts_with_little_in_common_are_not_cut_into_confetti() -> None:
    first, second = "It is in Graz, on its way to you now.", "We never saw that parcel before; sorry!"
    assert words_that_differ(first, second) == [Piece("first", first), Piece("second", second)]


def test_long_texts_do_not_take_long() -> None:
    first, second = "a b " * 5_000, "b a " * 5_000
    assert words_that_differ(first, second) == [Piece("first", first), Piece("second", second)]
