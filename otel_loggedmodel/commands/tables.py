# SPDX-License-Identifier: Apache-2.0
"""Tables that stay readable on a narrow terminal. Whole columns are left out before ids are cut, and a line says so."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from otel_loggedmodel.commands.printing import UNLIMITED, console_for
from otel_loggedmodel.presenting.texts import clean

_FEWEST_CHARACTERS = 12


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its header.
        cells: Its texts. They come from outside.
        importance: If there is not enough room, the least important column goes first. A column with 10 always stays.
        whole: Whether its cells must not be wrapped. This goes for ids, for instance, which people copy.
        number: Whether its cells are aligned to the right.
    """

    title: str
    cells: Sequence[str | Text]
    importance: int = 10
    whole: bool = False
    number: bool = False


def fitted(columns: Sequence[Column]) -> list[RenderableType]:
    """A table of the columns that fit on the terminal, and a line that names the others."""
    console = console_for(sys.stdout)
    kept, dropped = list(columns), list[str]()
    while True:
        table = _table_of(kept)
        expendable = [column for column in kept if column.importance < 10]
        if not expendable or fits(table, console):
            break
        least = min(expendable, key=lambda column: column.importance)
        kept.remove(least)
        dropped.append(least.title)
    if not dropped:
        return [table]
    return [table, Text(f"Not shown, for want of room: {', '.join(dropped)}. A pipe or --json has all.", "dim")]


def plain_table(*headers: str) -> Table:
    """An empty table in the style of all tables here."""
    return Table(*headers, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")


def fits(table: Table, console: Console) -> bool:
    """Whether a table fits if the columns that do not wrap are whole and the others have their least width."""
    # What is measured never exceeds the width that it is given.
    options = console.options.update(width=UNLIMITED)
    for column in table.columns:
        if column.no_wrap:
            cells = (column.header, *column.cells)
            column.min_width = max(Measurement.get(console, options, cell).maximum for cell in cells)
    return Measurement.get(console, options, table).minimum <= console.width


def _table_of(columns: Sequence[Column]) -> Table:
    table = plain_table()
    for column in columns:
        widest = max(len(cell) for cell in (column.title, *column.cells))
        table.add_column(
            column.title,
            justify="right" if column.number else "left",
            no_wrap=column.whole or column.number,
            overflow="fold",
            min_width=None if column.whole or column.number else min(widest, _FEWEST_CHARACTERS),
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row))
    return table


def pairs(entries: Mapping[str, str]) -> RenderableType:
    """Keys with their values, a line each."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(overflow="fold", style="dim")
    grid.add_column(overflow="fold")
    for key, value in entries.items():
        grid.add_row(Text(f"  {clean(key)}"), Text(clean(value)))
    return grid
