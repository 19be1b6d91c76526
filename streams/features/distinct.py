"""Distinct values in one entity's window: each value with the newest tile that it was seen in."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from itertools import islice, takewhile
from operator import itemgetter
from typing import Any

from headrace.streams.features.windows import TILES

DISTINCT_MAX = 1_000
"""Distinct values that are remembered of an entity and window."""

_TEXT_MAX = 32

State = dict[str, int]
"""Newest tile by value, ascending by tile."""


class Distinct:
    """The distinct values of one field over windows of one width.

    Exact up to :data:`DISTINCT_MAX` values; beyond, the value that was not seen for longest is
    forgotten, so the count stays at the bound. An event that comes out of order sees the values up
    to the entity's newest event.

    Parameters
    ----------
    width_ms, lateness_ms
        As for :class:`headrace.streams.features.windows.Windows`.
    field
        Its place among the inputs.
    """

    def __init__(self, width_ms: int, lateness_ms: int, field: int) -> None:
        self.width_ms = width_ms
        self._kept = TILES - (-lateness_ms * TILES // width_ms)
        self._field = field
        self._before: list[int] = []
        self._after: list[int] = []

    def ask(self, column: int, current: bool) -> None:
        """Have the count put into a column of the row, with or without the event itself."""
        (self._after if current else self._before).append(column)

    def step(self, seen: State, row: list[Any], inputs: list[Any], time_ms: int) -> None:
        """Fill in the row's columns, and take in the value of an event that is not late."""
        tile = time_ms * TILES // self.width_ms
        for column in self._before:
            row[column] = _count(seen, tile - TILES)
        value = inputs[self._field]
        if value is not None:
            self._see(seen, name_of(value), tile)
        for column in self._after:
            row[column] = _count(seen, tile - TILES)

    def _see(self, seen: State, name: str, tile: int) -> None:
        newest = next(reversed(seen.values()), tile)
        if tile < newest:
            _see_older(seen, name, tile)
        else:
            seen.pop(name, None)
            seen[name] = tile
            newest = tile
        for old in list(_expired(seen, newest - self._kept)):
            del seen[old]


def name_of(value: Any) -> str:
    """Return what a value is remembered by: short text itself, long text by its digest."""
    text = str(value)
    if len(text) <= _TEXT_MAX:
        return text
    return "#" + blake2b(text.encode(), digest_size=16).hexdigest()


def _see_older(seen: State, name: str, tile: int) -> None:
    """Take in a value that is not the newest, keeping the order by tile."""
    if seen.get(name, tile - 1) >= tile:
        return
    seen[name] = tile
    ordered = sorted(seen.items(), key=itemgetter(1))
    seen.clear()
    seen.update(ordered)


def _expired(seen: State, oldest: int) -> Iterator[str]:
    """Yield the values, oldest first, that no window can reach or that are over the bound."""
    over = max(0, len(seen) - DISTINCT_MAX)
    yield from islice(seen, over)
    rest = islice(seen.items(), over, None)
    yield from (name for name, _ in takewhile(lambda item: item[1] <= oldest, rest))


def _count(seen: State, after: int) -> int:
    number = len(seen)
    for tile in seen.values():
        if tile > after:
            break
        number -= 1
    return number
