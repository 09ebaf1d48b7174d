# SPDX-License-Identifier: Apache-2.0
"""Going on after an evaluation that did not come to its end."""

import json

import pytest

from otel_loggedmodel.genai import scorer

ROWS = [{"inputs": {"number": number}} for number in range(20)]


@scorer
def value(outputs):
    return outputs


class Application:
    """Counts its calls, and fails as a kill would after so many of them."""

    def __init__(self, calls: int | None = None) -> None:
        self.seen: list[int] = []
        self._left = calls

    def __call__(self, number: int) -> int:
        if self._left is not None and len(self.seen) >= self._left:
            raise KeyboardInterrupt
        self.seen.append(number)
        return number


def interrupted(evaluate, calls: int = 8, **more) -> Application:
    app = Application(calls)
    with pytest.raises(KeyboardInterrupt):
        evaluate(ROWS, [value], app, max_workers=1, **more)
    return app


def test_rows_that_were_done_are_not_run_again(evaluate, results, state) -> None:
    first = interrupted(evaluate)
    assert len(results()) == 8
    (journal,) = state.iterdir()
    assert len(journal.read_text().splitlines()) == 1 + 8  # the first says which run it is
    second = Application()
    result = evaluate(ROWS, [value], second)
    assert sorted(first.seen + second.seen) == list(range(20))
    assert (result.count, result.resumed_count) == (20, 8)
    assert result.metrics == {"value/mean": 9.5}
    assert [row.resumed for row in result.rows] == [True] * 8 + [False] * 12
    assert result.rows[3].feedback[0].value == 3
    assert len(results()) == len({span.attributes["logged_model.evaluation.row"] for span in results()}) == 20
    assert not list(state.iterdir())


def test_an_evaluation_that_came_to_its_end_is_run_anew(evaluate, results) -> None:
    for _ in range(2):
        app = Application()
        assert evaluate(ROWS, [value], app).resumed_count == 0
        assert len(app.seen) == 20
    assert len(results()) == 40


def test_another_version_data_set_or_scorer_has_not_been_done(evaluate) -> None:
    interrupted(evaluate)
    for arguments in ((ROWS, [value], "v2"), (ROWS[:19], [value], "v1")):
        app = Application()
        assert evaluate(arguments[0], arguments[1], app, arguments[2]).resumed_count == 0
    app = Application()

    @scorer
    def other(outputs):
        return -outputs

    result = evaluate(ROWS, [value, other], app)
    assert len(app.seen) == 20
    assert result.metrics == {"value/mean": 9.5, "other/mean": -9.5}


def test_a_row_that_failed_is_run_again(evaluate) -> None:
    def fails(number):
        if number == 2:
            raise ValueError
        if number == 5:
            raise KeyboardInterrupt
        return number

    with pytest.raises(KeyboardInterrupt):
        evaluate(ROWS, [value], fails, max_workers=1)
    app = Application()
    assert evaluate(ROWS, [value], app).resumed_count == 4
    assert 2 in app.seen


def test_half_a_line_at_the_end_is_no_line(evaluate, state) -> None:
    interrupted(evaluate)
    (journal,) = state.iterdir()
    text = journal.read_text()
    journal.write_text(text[:-10])
    assert interrupted(evaluate, calls=1).seen == [7]
    for line in journal.read_text().splitlines():
        json.loads(line)
    journal.write_text("not a journal\n" + text)
    assert evaluate(ROWS, [value], Application()).resumed_count == 0


def test_resuming_can_be_left_out_and_kept_elsewhere(evaluate, state, tmp_path) -> None:
    interrupted(evaluate, resume=False)
    assert not state.exists()
    interrupted(evaluate, resume_dir=tmp_path / "here")
    assert len(list((tmp_path / "here").iterdir())) == 1
    assert evaluate(ROWS, [value], Application(), resume_dir=tmp_path / "here").resumed_count == 8


def test_a_journal_that_cannot_be_written_stops_nothing(evaluate, tmp_path, caplog) -> None:
    (tmp_path / "file").write_text("")
    assert evaluate(ROWS, [value], Application(), resume_dir=tmp_path / "file").count == 20
    assert "would lose its place" in caplog.text


def test_two_evaluations_at_once_do_not_share_a_journal(evaluate, caplog) -> None:
    inner = []

    def app(number):
        if number == 0:
            inner.append(evaluate(ROWS, [value], Application()))
        return number

    assert evaluate(ROWS, [value], app).count == 20
    assert inner[0].count == 20
    assert "another evaluation of the same version" in caplog.text
