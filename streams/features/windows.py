"""Sliding windows of one entity, over tiles of event time.

A window of width ``w`` is made of tiles of ``w / 64``, aligned at the epoch: the tile of a time
``t`` is ``64 * t // w``, and the window that ends at ``t`` is that tile and the 63 before it. So a
window ``(t - w, t]`` never holds anything older than ``w``, and misses at most its oldest 64th.
An out-of-order event lands in its own tile; its windows end there.

Sums over tiles are exactly rounded (``math.fsum``), so they know no order; within a tile, values
are added in order of arrival. Equal logs give equal bits on every machine and Python.

State is plain data, one list per column: ``[tiles, events, column, column, ...]``, all of one
length, ascending by tile.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from math import fsum, inf, sqrt
from typing import Any

TILES = 64
"""Tiles in a window."""

State = list[list[Any]]
Value = float | int | None
Reader = Callable[[State, int, int], Value]

_EVENTS = 1
_EMPTY = {"count": 0, "sum": 0.0, "deviations": 0.0, "min": inf, "max": -inf}
_NEEDS = {
    "sum": ("count", "sum"),
    "mean": ("count", "sum"),
    "min": ("count", "min"),
    "max": ("count", "max"),
    "std": ("count", "sum", "deviations"),
}


def tile_of(time_ms: int, width_ms: int) -> int:
    """Return the tile in which a time lies.

    Examples
    --------
    >>> tile_of(3_600_000, 3_600_000), tile_of(3_599_999, 3_600_000)
    (64, 63)
    """
    return time_ms * TILES // width_ms


class Windows:
    """All windows of one width: they share their tiles.

    Parameters
    ----------
    width_ms
        Their width.
    lateness_ms
        How far behind the entity's newest event an event may come; tiles are kept for that long.

    Attributes
    ----------
    tiles_kept
        The most tiles that an entity's state holds.
    """

    def __init__(self, width_ms: int, lateness_ms: int) -> None:
        self.width_ms = width_ms
        # floor(a - b) >= floor(a) - ceil(b): a bound by tiles alone, so that which tiles are kept
        # depends on the newest tile and on nothing that came before it.
        self.tiles_kept = TILES - (-lateness_ms * TILES // width_ms)
        self._empty: list[Any] = [0, 0]
        self._at: dict[tuple[int, str], int] = {}
        self._adds: list[tuple[int, int, int, int, int, int]] = []
        self._before: list[tuple[int, Reader]] = []
        self._after: list[tuple[int, Reader]] = []

    def ask(self, column: int, aggregate: str, field: int | None, current: bool) -> None:
        """Have an aggregate put into a column of the row.

        Parameters
        ----------
        column
            Its place in the row.
        aggregate
            ``count``, ``sum``, ``mean``, ``min``, ``max`` or ``std``.
        field
            Place of what is aggregated among the inputs; None to count events.
        current
            Whether the event itself is in its window.
        """
        readers = self._after if current else self._before
        if field is None:
            readers.append((column, _count_of(_EVENTS)))
            return
        for part in _NEEDS[aggregate]:
            if (field, part) not in self._at:
                self._at[field, part] = len(self._empty)
                self._empty.append(_EMPTY[part])
        at = {part: self._at[field, part] for part in _NEEDS[aggregate]}
        readers.append((column, _READERS[aggregate](at)))
        self._adds = [self._add_of(each) for each in dict.fromkeys(f for f, _ in self._at)]

    def _add_of(self, field: int) -> tuple[int, int, int, int, int, int]:
        parts = ("count", "sum", "deviations", "min", "max")
        columns = [self._at.get((field, part), 0) for part in parts]
        return (field, *columns)  # type: ignore[return-value]

    def fresh(self) -> State:
        """Return the state of an entity that has had no event."""
        return [[] for _ in self._empty]

    def step(self, state: State, row: list[Any], inputs: Sequence[Any], time_ms: int) -> None:
        """Fill in the row's columns, and count an event that is not late.

        Parameters
        ----------
        state
            The entity's tiles, changed in place.
        row
            Feature values, completed in place.
        inputs
            What the event brings; None is null.
        time_ms
            Event time.
        """
        tile = time_ms * TILES // self.width_ms
        if self._before:
            self._read(self._before, state, row, tile)
        numbers = state[0]
        if numbers and tile <= numbers[-1]:
            at = self._find(state, tile) if tile != numbers[-1] else len(numbers) - 1
        else:
            at = len(numbers)
            for column, empty in zip(state, self._empty, strict=True):
                column.append(empty)
            numbers[at] = tile
            at -= self._forget(state, tile)
        state[_EVENTS][at] += 1
        for add in self._adds:
            value = inputs[add[0]]
            if value is not None:
                _add(state, at, value, add)
        if self._after:
            self._read(self._after, state, row, tile)

    def _find(self, state: State, tile: int) -> int:
        """Return the place of an older tile, which is made if it is not there."""
        at = bisect_left(state[0], tile)
        if state[0][at] != tile:
            for column, empty in zip(state, self._empty, strict=True):
                column.insert(at, empty)
            state[0][at] = tile
        return at

    def _forget(self, state: State, newest: int) -> int:
        """Drop the tiles that no event in time can reach; return how many."""
        oldest = newest - self.tiles_kept
        if state[0][0] > oldest:
            return 0
        gone = bisect_right(state[0], oldest)
        for column in state:
            del column[:gone]
        return gone

    @staticmethod
    def _read(
        readers: Sequence[tuple[int, Reader]], state: State, row: list[Any], tile: int
    ) -> None:
        numbers = state[0]
        end = len(numbers)
        if end and numbers[-1] > tile:
            end = bisect_right(numbers, tile)
        begin = 0
        if end and numbers[0] <= tile - TILES:
            begin = bisect_right(numbers, tile - TILES)
        for column, read in readers:
            row[column] = read(state, begin, end)


def _add(state: State, at: int, value: float, add: tuple[int, int, int, int, int, int]) -> None:
    """Add a value to one field's columns, at one tile; column 0 stands for one not kept."""
    _, count, total, deviations, least, greatest = add
    number = state[count][at]
    state[count][at] = number + 1
    if total:
        column = state[total]
        if deviations and number:
            # Youngs and Cramer (1971): stable, and needs no running mean.
            delta = value - column[at] / number
            state[deviations][at] += delta * delta * number / (number + 1)
        column[at] += value
    if least and value < state[least][at]:
        state[least][at] = value
    if greatest and value > state[greatest][at]:
        state[greatest][at] = value


def _count_of(events: int) -> Reader:
    def read(state: State, begin: int, end: int) -> Value:
        return sum(state[events][begin:end])

    return read


def _sum_of(at: dict[str, int]) -> Reader:
    count, total = at["count"], at["sum"]

    def read(state: State, begin: int, end: int) -> Value:
        return fsum(state[total][begin:end]) if any(state[count][begin:end]) else None

    return read


def _mean_of(at: dict[str, int]) -> Reader:
    count, total = at["count"], at["sum"]

    def read(state: State, begin: int, end: int) -> Value:
        number = sum(state[count][begin:end])
        return fsum(state[total][begin:end]) / number if number else None

    return read


def _min_of(at: dict[str, int]) -> Reader:
    least = at["min"]

    def read(state: State, begin: int, end: int) -> Value:
        found: float = min(state[least][begin:end], default=inf)
        return None if found == inf else found

    return read


def _max_of(at: dict[str, int]) -> Reader:
    greatest = at["max"]

    def read(state: State, begin: int, end: int) -> Value:
        found: float = max(state[greatest][begin:end], default=-inf)
        return None if found == -inf else found

    return read


def _std_of(at: dict[str, int]) -> Reader:
    """Return the reader of the sample standard deviation; null below two values.

    Deviations within tiles plus deviations of the tiles' means from the window's: no difference of
    large squares (Chan, Golub, LeVeque: *Updating formulae and a pairwise algorithm for computing
    sample variances*, 1979).
    """
    count, total, deviations = at["count"], at["sum"], at["deviations"]

    def read(state: State, begin: int, end: int) -> Value:
        counts, sums = state[count][begin:end], state[total][begin:end]
        number = sum(counts)
        if number < 2:
            return None
        mean = fsum(sums) / number
        between = [n * (d := s / n - mean) * d for n, s in zip(counts, sums, strict=True) if n]
        return sqrt((fsum(between) + fsum(state[deviations][begin:end])) / (number - 1))

    return read


_READERS: dict[str, Callable[[dict[str, int]], Reader]] = {
    "sum": _sum_of,
    "mean": _mean_of,
    "min": _min_of,
    "max": _max_of,
    "std": _std_of,
}
