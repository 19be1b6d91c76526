"""Tables whose numbers are never cut off: where there is no room for a column it is left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

GAP = 2
"""Columns of the terminal between two columns of a table."""


class Column(NamedTuple):
    """A column of a table.

    Attributes
    ----------
    title
        What stands above it; empty in a table that has no heads.
    cells
        From top to bottom.
    rank
        Where there is no room for all, the column of the greatest rank goes first; one of rank 0
        stays.
    least
        A column of bars gets what room the others leave, its newest bars; with less than so many
        it goes. None: any other column.
    """

    title: str
    cells: Sequence[Text]
    rank: int = 0
    right: bool = True
    style: str = ""
    least: int | None = None

    @property
    def width(self) -> int:
        """The least width in which nothing of it is cut off."""
        if self.least is not None:
            return max(self.least, len(self.title))
        return max([len(self.title), *(cell.cell_len for cell in self.cells)])


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Return the columns for which there is room."""
    left = list(columns)
    while _width_of(left) > width and any(column.rank for column in left):
        left.remove(max(left, key=lambda column: column.rank))
    free = width - _width_of(left)
    return [_filled(column, free) for column in left]


def _width_of(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)


def _filled(column: Column, free: int) -> Column:
    """Return a column of bars with as many as there is room for."""
    if column.least is None:
        return column
    room = column.width + free
    return column._replace(cells=[cell[max(0, len(cell) - room) :] for cell in column.cells])


def table_of(columns: Iterable[Column], width: int, *, heads: bool = True) -> Table:
    """Return a table of the columns for which there is room in so many of the terminal's.

    Parameters
    ----------
    heads
        Whether titles stand above the columns.
    """
    shown = fitting(list(columns), width)
    table = Table(box=None, pad_edge=False, expand=True, padding=(0, 1), show_header=heads)
    for column in shown:
        table.add_column(
            column.title,
            justify="right" if column.right else "left",
            no_wrap=True,
            style=column.style,
        )
    for row in zip(*(column.cells for column in shown), strict=True):
        table.add_row(*row)
    return table
