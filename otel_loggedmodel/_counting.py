# SPDX-License-Identifier: Apache-2.0
"""How far something long is, on standard error: a bar on a terminal, or a plain line where rich is not installed."""

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final

_SECONDS_BETWEEN_SHOWN: Final = 0.2
_SECONDS_BETWEEN_LINES: Final = 10.0


class Counting:
    """Shows how many of something are done.

    Args:
        doing: What goes on, such as "Importing".
        unit: What is counted.
        total: How many there are; None where that is not known.
        is_shown: Whether to show it as it changes; by default on a terminal.
        stays: Whether it is left on the terminal at the end.
        say: Writes a line now and then where it is not shown otherwise; None for no such lines.
    """

    def __init__(
        self,
        doing: str,
        unit: str,
        total: int | None = None,
        *,
        is_shown: bool | None = None,
        stays: bool = False,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._doing = doing
        self._unit = unit
        self._total = total
        self._is_shown = sys.stderr.isatty() if is_shown is None else is_shown
        self._stays = stays
        self._say = say
        self._done, self._remark = 0, ""
        self._bar: Any = None
        self._task: Any = None
        self._shown_at = time.monotonic()

    def __enter__(self) -> "Counting":
        if self._is_shown:
            self._bar = _bar(self._unit, stays=self._stays)
            if self._bar is not None:
                self._bar.start()
                self._task = self._bar.add_task(self._doing, total=self._total, remark="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._is_shown:
            return
        if self._stays:
            self._show()
        if self._bar is not None:
            self._bar.stop()
        else:
            sys.stderr.write("\n")

    def at(self, done: int, remark: str = "") -> None:
        """So many are done.

        Args:
            done: How many.
            remark: What to say beside it.
        """
        self._done, self._remark = done, f", {remark}" if remark else ""
        pause = _SECONDS_BETWEEN_SHOWN if self._is_shown else _SECONDS_BETWEEN_LINES
        if time.monotonic() - self._shown_at >= pause:
            self._show()

    def _show(self) -> None:
        self._shown_at = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, remark=self._remark)
            return
        of = "" if self._total is None else f" of {self._total:,}"
        line = f"{self._doing}: {self._done:,}{of} {self._unit}{self._remark}"
        if self._is_shown:
            sys.stderr.write(f"\r{line}")
            sys.stderr.flush()
        elif self._say is not None:
            self._say(line)


def _bar(unit: str, *, stays: bool) -> Any:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        return None
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit + "{task.fields[remark]}", markup=False),
        TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False, markup=False, emoji=False),
        transient=not stays,
    )
