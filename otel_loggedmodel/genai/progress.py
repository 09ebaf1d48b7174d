# SPDX-License-Identifier: Apache-2.0
"""How far an evaluation is, on standard error where that is a terminal: with rich where there is rich, else plainly."""

import sys
import time
from types import TracebackType
from typing import Any, Final

_SECONDS_BETWEEN: Final = 0.2


class Progress:
    """A line that says how many rows are done.

    Args:
        total: How many there are, or None where that is not known.
        wanted: Whether to show it; by default on a terminal.
    """

    def __init__(self, total: int | None, wanted: bool | None = None) -> None:
        self._total = total
        self._is_shown = sys.stderr.isatty() if wanted is None else wanted
        self._done = self._errors = 0
        self._shown_at = 0.0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> "Progress":
        if self._is_shown:
            self._bar = _rich_bar()
            if self._bar is not None:
                self._bar.start()
                self._task = self._bar.add_task("evaluating", total=self._total, errors="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._is_shown:
            return
        self._show()
        if self._bar is not None:
            self._bar.stop()
        else:
            sys.stderr.write("\n")

    def advance(self, *, failed: bool) -> None:
        """One more row is done."""
        self._done += 1
        self._errors += failed
        if self._is_shown and time.monotonic() - self._shown_at >= _SECONDS_BETWEEN:
            self._show()

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        errors = f", {self._errors} failed" if self._errors else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, errors=errors)
            return
        of = "" if self._total is None else f" of {self._total}"
        sys.stderr.write(f"\revaluating: {self._done}{of} rows{errors}")
        sys.stderr.flush()


def _rich_bar() -> Any:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as RichProgress
    except ImportError:
        return None
    return RichProgress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows{task.fields[errors]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
