# SPDX-License-Identifier: Apache-2.0
"""How far something is: on a terminal, with rich and without, and elsewhere."""

import io
import sys

import pytest

from otel_loggedmodel import _counting
from otel_loggedmodel._counting import Counting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("total", [3, None])
@pytest.mark.parametrize("has_rich", [True, False])
def test_it_is_shown_on_a_terminal(monkeypatch, total, has_rich) -> None:
    if has_rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Counting("evaluating", "rows", total, stays=True) as counting:
        for number in range(1, 4):
            counting.at(number, "1 failed" if number > 1 else "")
    said = terminal.getvalue()
    assert "evaluating" in said
    assert "rows, 1 failed" in said
    assert ("3/3" if has_rich and total else "3") in said


def test_nothing_is_shown_elsewhere(monkeypatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(_counting, "_SECONDS_BETWEEN_LINES", 0.0)
    for is_shown in (None, False):
        with Counting("evaluating", "rows", 3, is_shown=is_shown, stays=True) as counting:
            counting.at(1)
    assert stream.getvalue() == ""


def test_lines_are_said_elsewhere_and_not_too_often(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    lines: list[str] = []
    with Counting("Pushing", "traces", 4000, say=lines.append) as counting:
        counting.at(1)
        assert lines == []
        monkeypatch.setattr(_counting, "_SECONDS_BETWEEN_LINES", 0.0)
        counting.at(2000, "5 absent")
    assert lines == ["Pushing: 2,000 of 4,000 traces, 5 absent"]
