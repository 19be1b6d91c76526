"""How a batch's values of one feature are counted: all at once, column by column."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from zlib import crc32

from headrace.streams.buckets import bucket_of_raw, probability_counts, raw_counts
from headrace.streams.outcomes import TEXT_CHARS_MAX, Names

_RAWS_KEPT = 20_000


def no_counts() -> defaultdict[int, int]:
    """Return counts by number of nothing."""
    return defaultdict(int)


def no_values() -> defaultdict[str, int]:
    """Return counts by name of nothing."""
    return defaultdict(int)


class Cell:
    """What was counted in a tile.

    Attributes
    ----------
    values
        Counts by name.
    buckets
        Counts by number, by family: of what ``family:number`` would be by name.
    segments
        Counts by name of each segment.
    parts
        What was counted of a segment with buckets of its own.
    """

    __slots__ = ("buckets", "parts", "segments", "values")

    def __init__(self) -> None:
        self.values = no_values()
        self.buckets: defaultdict[str, defaultdict[int, int]] = defaultdict(no_counts)
        self.segments: defaultdict[str, defaultdict[str, int]] = defaultdict(no_values)
        self.parts: defaultdict[str, Cell] = defaultdict(Cell)


Add = Callable[[Cell, Sequence[Any]], None]


class _BucketsOfRaw(dict[int, int]):
    """Buckets by leading bits; remembered, bounded."""

    def __missing__(self, raw: int) -> int:
        bucket = bucket_of_raw(raw)
        if len(self) < _RAWS_KEPT:
            self[raw] = bucket
        return bucket


_BUCKETS = _BucketsOfRaw()


def column_of(family: str, kind: str, vocabulary: Sequence[str], options: Mapping[str, Any]) -> Add:
    """Return what counts the values of one feature."""
    if kind in ("number", "integer"):
        return partial(_add_numbers, family, f"{family}:null")
    if kind == "probability":
        return partial(_add_probabilities, family)
    if kind == "boolean":
        return partial(_add_values, Names(lambda value: f"{family}:{_flag(value)}"))
    if vocabulary:
        known = frozenset(vocabulary)
        return partial(_add_values, Names(lambda value: f"{family}:{_declared(value, known)}"))
    count = options.get("top", 50)
    return partial(_add_values, Names(lambda value: f"{family}:{_hashed(value, count)}"))


def _add_numbers(family: str, null: str, cell: Cell, column: Sequence[float | None]) -> None:
    try:
        found = raw_counts(column)  # type: ignore[arg-type]  # as a rule there are no nulls
    except TypeError:
        known = [value for value in column if value is not None]
        cell.values[null] += len(column) - len(known)
        if not known:
            return
        found = raw_counts(known)
    counts, buckets = cell.buckets[family], _BUCKETS
    for raw, n in found:
        counts[buckets[raw]] += n


def _add_probabilities(family: str, cell: Cell, column: Sequence[float]) -> None:
    counts = cell.buckets[family]
    for bucket, n in probability_counts(column):
        counts[bucket] += n


def _add_values(names: Names, cell: Cell, column: Sequence[Any]) -> None:
    for value, n in Counter(column).items():
        cell.values[names[value]] += n


def _flag(value: bool | None) -> str:
    return "null" if value is None else "true" if value else "false"


def _declared(value: str | None, known: frozenset[str]) -> str:
    if value is None:
        return "null"
    return f"={value[:TEXT_CHARS_MAX]}" if value in known else "other"


def _hashed(value: str | None, count: int) -> str:
    return "null" if value is None else f"#{crc32(value.encode()) % count}"
