# SPDX-License-Identifier: Apache-2.0
"""How far a long command is, on standard error: a bar on a terminal, else a line now and then."""

import sys
import time
from types import TracebackType
from typing import Any, Final

from otel_loggedmodel.commands.printing import complain, console_for

_SECONDS_BETWEEN_SHOWN: Final = 0.2
_SECONDS_BETWEEN_LINES: Final = 10.0


class Counting:
    """Shows how many of something are done.

    Args:
        doing: What goes on, such as "Importing".
        unit: What is counted.
        total: How many there are; None where that is not known.
    """

    def __init__(self, doing: str, unit: str, total: int | None = None) -> None:
        self._doing = doing
        self._unit = unit
        self._total = total
        self._bar: Any = None
        self._task: Any = None
        self._said_at = time.monotonic()

    def __enter__(self) -> "Counting":
        if sys.stderr.isatty():
            self._bar = _bar(self._unit)
            self._bar.start()
            self._task = self._bar.add_task(self._doing, total=self._total, remark="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def at(self, done: int, remark: str = "") -> None:
        """So many are done.

        Args:
            done: How many.
            remark: What to say beside it.
        """
        pause = _SECONDS_BETWEEN_LINES if self._bar is None else _SECONDS_BETWEEN_SHOWN
        if time.monotonic() - self._said_at < pause:
            return
        self._said_at = time.monotonic()
        remark = f", {remark}" if remark else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, remark=remark)
            return
        of = "" if self._total is None else f" of {self._total:,}"
        complain(f"{self._doing}: {done:,}{of} {self._unit}{remark}")


def _bar(unit: str) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit + "{task.fields[remark]}", markup=False),
        TimeRemainingColumn(),
        console=console_for(sys.stderr),
        transient=True,
    )
