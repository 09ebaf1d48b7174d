# SPDX-License-Identifier: Apache-2.0
"""Tables that stay readable on a narrow terminal. Whole columns are left out before ids are cut, and a line says so."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rich import box
from rich.cells import cell_len
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
        clipped: If its cells are cut to the room that the other columns leave: the fewest characters; 0 if they wrap.
    """

    title: str
    cells: Sequence[str | Text]
    importance: int = 10
    whole: bool = False
    number: bool = False
    clipped: int = 0

    @property
    def widest(self) -> int:
        """The most room that a cell takes, in characters of the terminal."""
        return max(cell_len(str(cell)) for cell in (self.title, *self.cells))


def fitted(columns: Sequence[Column]) -> list[RenderableType]:
    """A table of the columns that fit on the terminal, and a line that names the others."""
    found = fitted_with(columns, 10)
    assert found is not None
    return found


def fitted_with(columns: Sequence[Column], least: int) -> list[RenderableType] | None:
    """The same, or None if a column that is as important as `least` does not fit."""
    console = console_for(sys.stdout)
    kept, dropped = list(columns), list[str]()
    while True:
        table = _table_of(kept)
        spare = spare_of(table, console)
        expendable = [column for column in kept if column.importance < 10]
        if not expendable or spare >= 0:
            break
        first = min(expendable, key=lambda column: column.importance)
        if first.importance >= least:
            return None
        kept.remove(first)
        dropped.append(first.title)
    if spare > 0:
        table = _table_of(kept, spare)
    if not dropped:
        return [table]
    return [table, Text(f"Not shown, for want of room: {', '.join(dropped)}. A pipe or --json has all.", "dim")]


def plain_table(*headers: str) -> Table:
    """An empty table in the style of all tables here."""
    return Table(*headers, box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")


def fits(table: Table, console: Console) -> bool:
    """Whether a table fits if the columns that do not wrap are whole and the others have their least width."""
    return spare_of(table, console) >= 0


def spare_of(table: Table, console: Console) -> int:
    """How many characters of the width such a table leaves; fewer than none if it does not fit."""
    # What is measured never exceeds the width that it is given.
    options = console.options.update(width=UNLIMITED)
    for column in table.columns:
        if column.no_wrap:
            cells = (column.header, *column.cells)
            column.min_width = max(Measurement.get(console, options, cell).maximum for cell in cells)
    return console.width - Measurement.get(console, options, table).minimum


def _table_of(columns: Sequence[Column], spare: int = 0) -> Table:
    """A table.

    Args:
        columns: Its columns.
        spare: How many characters the columns that are cut may have beyond the fewest.
    """
    table = plain_table()
    shown = [_clipped(column, width) for column, width in zip(columns, _widths(columns, spare), strict=True)]
    for column in shown:
        table.add_column(
            column.title,
            justify="right" if column.number else "left",
            no_wrap=column.whole or column.number or column.clipped > 0,
            overflow="ellipsis" if column.clipped else "fold",
            min_width=None if column.whole or column.number else min(column.widest, _FEWEST_CHARACTERS),
        )
    for row in zip(*(column.cells for column in shown), strict=True):
        table.add_row(*(cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row))
    return table


def _widths(columns: Sequence[Column], spare: int) -> list[int]:
    """How wide each column may be: those that are cut share what is spare, and none has more than it needs."""
    widths = [min(column.widest, column.clipped) if column.clipped else column.widest for column in columns]
    while spare > 0 and (wanting := [place for place, one in enumerate(columns) if one.widest > widths[place]]):
        each = max(1, spare // len(wanting))
        for place in wanting[:spare]:
            more = min(each, columns[place].widest - widths[place], spare)
            widths[place] += more
            spare -= more
    return widths


def _clipped(column: Column, width: int) -> Column:
    if not column.clipped:
        return column
    cells = [cell.copy() if isinstance(cell, Text) else Text(clean(cell)) for cell in column.cells]
    for cell in cells:
        cell.truncate(width, overflow="ellipsis")
    return replace(column, cells=cells)


def pairs(entries: Mapping[str, str]) -> RenderableType:
    """Keys with their values, a line each."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(overflow="fold", style="dim")
    grid.add_column(overflow="fold")
    for key, value in entries.items():
        grid.add_row(Text(f"  {clean(key)}"), Text(clean(value)))
    return grid
