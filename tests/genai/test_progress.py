# SPDX-License-Identifier: Apache-2.0
"""The progress bar: on a terminal, with rich and without."""

import io
import sys

import pytest

from otel_loggedmodel.genai.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("total", [3, None])
@pytest.mark.parametrize("has_rich", [True, False])
def test_progress_is_shown_on_a_terminal(monkeypatch, total, has_rich) -> None:
    if has_rich:
        pytest.importorskip("rich")
    else:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress(total) as progress:
        for number in range(3):
            progress.advance(failed=number == 1)
    said = terminal.getvalue()
    assert "evaluating" in said
    assert "1 failed" in said
    assert ("3/3" if has_rich and total else "3") in said


def test_nothing_is_shown_elsewhere(monkeypatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    for wanted in (None, False):
        with Progress(3, wanted) as progress:
            progress.advance(failed=False)
    assert stream.getvalue() == ""
