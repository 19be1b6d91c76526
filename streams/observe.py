"""What the stages count: integers alone, so that parts add up exactly, in any order.

A stage has one :class:`Tally` per batch and at its end emits it as one ``count`` record.
:class:`Observer` says what a prediction and an outcome amount to. All names are in
docs/metrics.md; ``metrics`` and ``drift`` turn their totals into figures.

A sum too big for 64 bits is split into limbs, which add up by themselves (:func:`limbs`). What is
counted by numbered keys, buckets above all, travels packed (``headrace.schemas.counts``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from struct import error as DoesNotFit
from typing import Any, TypeVar

from headrace.schemas.counts import fits, pack
from headrace.streams.buckets import number_bucket
from headrace.streams.columns import Cell, column_of, no_counts
from headrace.streams.outcomes import JUDGES, TEXT_CHARS_MAX, BaselineJudges, Names, Pairs
from headrace.streams.plan import Plan

ALL = "all"
"""The segment of everything."""

VERSION = "version:"
"""How the segment of a version's predictions begins."""

NO_TILE = -1
"""The tile of what has no event time."""

LIMB_BITS = 48
LIMBS_MAX = 8
"""Enough for fourth powers of numbers of at most 2e18 in millionths, of 2**40 events."""

LIMB_MAX = 1 << 62
"""A count beyond this in magnitude is split."""

_NAMES_KEPT = 50_000

T = TypeVar("T")


def tile_ms_of(plan: Plan) -> int:
    """Return the length of the tiles of event time in which a pipeline's counts are kept."""
    return min(plan.windows_ms)


def limbs(name: str, value: int) -> Pairs:
    """Return a count as 64-bit integers: ``name``, ``name^1``, ... are its digits to base 2**48.

    Examples
    --------
    >>> limbs("y", 12)
    [('y', 12)]
    >>> limbs("y", -(2**64 + 5))
    [('y', -5), ('y^1', -65536)]
    >>> limbs("y^1", 2**64 + 5)
    [('y^1', 5), ('y^2', 65536)]
    """
    if -LIMB_MAX < value < LIMB_MAX:
        return [(name, value)]
    stem, place = _place_of(name)
    sign, rest, found = (-1 if value < 0 else 1), abs(value), []
    while rest:
        rest, digit = divmod(rest, 1 << LIMB_BITS)
        if digit:
            found.append((f"{stem}^{place}" if place else stem, sign * digit))
        place += 1
    return found


def _place_of(name: str) -> tuple[str, int]:
    """Return whose digit a count is, and which: a digit's sum is split as well, one day."""
    stem, caret, place = name.rpartition("^")
    return (stem, int(place)) if caret and place.isdecimal() else (name, 0)


def whole(values: Mapping[str, int], name: str) -> int:
    """Return a count that may have been split into limbs; 0 if nothing was counted."""
    total = values.get(name, 0)
    names = _limb_names(name)
    if values.keys().isdisjoint(names):  # as nearly always
        return total
    return total + sum(values.get(limb, 0) << bits for limb, bits in names.items())


@lru_cache(maxsize=4_096)
def _limb_names(name: str) -> dict[str, int]:
    """Return how far to the left the digits of each limb of a count stand."""
    return {f"{name}^{place}": LIMB_BITS * place for place in range(1, LIMBS_MAX)}


class _Numbered(dict[str, tuple[str, int] | None]):
    """Family and number of a count's name, None if its key is no number; remembered, bounded."""

    def __missing__(self, name: str) -> tuple[str, int] | None:
        family, _, key = name.partition(":")
        digits = key.removeprefix("-")
        found = None
        if digits.isdecimal() and len(digits) < 6 and str(int(key)) == key:
            found = (family, int(key))
        if len(self) < _NAMES_KEPT:
            self[name] = found
        return found


_NUMBERED = _Numbered()


def _fields(cell: Cell) -> dict[str, Any]:
    """Return what was counted as a ``count`` record has it."""
    values: dict[str, int] = {}
    numbered = dict(cell.buckets)
    for name, n in cell.values.items():
        place = _NUMBERED[name]
        if place is not None:
            numbered.setdefault(place[0], no_counts())[place[1]] += n
        else:
            values[name] = n
    values = _split(values)
    packed = {family: _packed(family, counts, values) for family, counts in numbered.items()}
    rows = [_split(counts) for counts in cell.segments.values()]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name, 0) for row in rows] for name in names}
    return {
        "values": values,
        "buckets": packed,
        "segments": list(cell.segments),
        "columns": columns,
    }


def _split(values: dict[str, int]) -> dict[str, int]:
    """Return counts of which each has 64 bits at most."""
    if not values or (max(values.values()) < LIMB_MAX and min(values.values()) > -LIMB_MAX):
        return values
    return {limb: digit for name, n in values.items() for limb, digit in limbs(name, n)}


def _packed(family: str, counts: Mapping[int, int], values: dict[str, int]) -> bytes:
    """Return counts packed; those that do not fit are added to the values by name."""
    try:
        return pack(counts)
    except DoesNotFit:
        small = {key: n for key, n in counts.items() if fits(key, n)}
        for key in counts.keys() - small.keys():
            values.update(limbs(f"{family}:{key}", counts[key]))
        return pack(small)


class Tally:
    """What a batch has counted.

    Parameters
    ----------
    tile_ms
        Length of the tiles of event time.

    Examples
    --------
    >>> tally = Tally(3_600_000)
    >>> tally.count("routed", time_ms=3_600_005)
    >>> (cell,) = tally.record("route", 0, None, None)["cells"]
    >>> cell["tile"], cell["segment"], cell["values"]
    (3600000, 'all', {'routed': 1})
    """

    def __init__(self, tile_ms: int) -> None:
        self._tile_ms = tile_ms
        self._cells: dict[int, Cell] = {}
        self._deferred: dict[Callable[[Tally, list[Any]], None], list[Any]] = {}

    def count(self, name: str, n: int = 1, *, time_ms: int | None = None) -> None:
        """Add to one count; without a time it belongs to the whole run alone."""
        self.cell(time_ms).values[name] += n

    def cell(self, time_ms: int | None) -> Cell:
        """Return the counts in the tile of a time."""
        tile = NO_TILE if time_ms is None else time_ms - time_ms % self._tile_ms
        try:
            return self._cells[tile]
        except KeyError:
            found = self._cells[tile] = Cell()
            return found

    def defer(self, count_all: Callable[[Tally, list[Any]], None], item: Any) -> None:
        """Have an item counted at the batch's end, together with others like it."""
        try:
            self._deferred[count_all].append(item)
        except KeyError:
            self._deferred[count_all] = [item]

    def record(
        self, stage: str, partition: int, watermark: int | None, settled: int | None
    ) -> dict[str, Any] | None:
        """Return all that was counted as a ``count`` record; None if nothing was."""
        deferred, self._deferred = self._deferred, {}
        for count_all, items in deferred.items():
            count_all(self, items)
        cells = [
            {"tile": tile, "segment": segment, **_fields(part)}
            for tile, cell in self._cells.items()
            for segment, part in ((ALL, cell), *cell.parts.items())
        ]
        if not cells:
            return None
        return {
            "stage": stage,
            "partition": partition,
            "watermark": watermark,
            "settled": settled,
            "cells": cells,
        }


def by_tile(
    items: Sequence[T], times: Sequence[int], tile_ms: int
) -> Iterable[tuple[int, Sequence[T]]]:
    """Return items, one at least, by the tile of their times: those of a batch mostly have one.

    Examples
    --------
    >>> list(by_tile("abc", [0, 7, 3], 5))
    [(0, ['a', 'c']), (5, ['b'])]
    """
    numbers = [time // tile_ms for time in times]
    if numbers.count(numbers[0]) == len(numbers):
        return [(numbers[0] * tile_ms, items)]
    tiles: dict[int, list[T]] = {}
    for number, item in zip(numbers, items, strict=True):
        tiles.setdefault(number * tile_ms, []).append(item)
    return tiles.items()


class Observer:
    """Says what predictions and outcomes amount to.

    What is handed to it is counted by whole batches when the tally is asked for its record, column
    by column (bench: about 1 us per event with ten features in batches of hundreds).

    Parameters
    ----------
    plan
        The pipeline's plan.
    """

    def __init__(self, plan: Plan) -> None:
        self._tile_ms = tile_ms_of(plan)
        program = plan.features
        self._columns = [
            column_of(f"feature.{feature.name}", kind, vocabulary, dict(feature.options))
            for feature, kind, vocabulary in zip(
                program.features, program.kinds, program.vocabularies, strict=True
            )
        ]
        columns = dict(zip(program.names, self._columns, strict=True))
        self._by_segment = [(name, columns[name]) for name in plan.features_by_segment]
        kind = "number" if plan.task == "anomaly" else "probability"
        self._add_scores = column_of("score", kind, (), {})
        self._served = JUDGES[plan.task]("outcome")
        self._baselines = BaselineJudges(plan.task)
        self._lag_names = Names(lambda lag: f"lag:{number_bucket(lag)}")
        self._delay_names = Names(lambda delay_ms: f"delay:{number_bucket(delay_ms)}")
        self._count_scored = partial(Observer._scored_all, self)
        self._count_outcomes = partial(Observer._outcomes_all, self)

    # -- SCORE

    def scored(self, tally: Tally, prediction: Mapping[str, Any]) -> None:
        """Count a prediction: features, score, segments; scored or not, late or not."""
        tally.defer(self._count_scored, prediction)

    def _scored_all(self, tally: Tally, predictions: Sequence[Mapping[str, Any]]) -> None:
        times = [prediction["event_time"] for prediction in predictions]
        for tile, group in by_tile(predictions, times, self._tile_ms):
            self._scored_tile(tally, tile, group)
        versions = Counter([(p["version"], p["prediction"] is None) for p in predictions])
        for (version, unscored), n in versions.items():
            inner = tally.cell(None).segments[of_version(version)]
            inner["events"] += n
            inner["unscored" if unscored else "scored"] += n

    def _scored_tile(self, tally: Tally, tile: int, group: Sequence[Mapping[str, Any]]) -> None:
        cell = tally.cell(tile)
        cell.values["events"] += len(group)
        late = sum([prediction["late"] for prediction in group])
        if late:
            cell.values["late_for_features"] += late
        rows = [prediction["features"].values() for prediction in group]
        for add, column in zip(self._columns, zip(*rows, strict=True), strict=True):
            add(cell, column)
        scores = [p["score"] for p in group if p["score"] is not None]
        if scores:
            self._add_scores(cell, scores)
        answers = [
            ("unscored" if p["prediction"] is None else "scored", *p["segments"].items())
            for p in group
        ]
        for (answer, *segments), n in Counter(answers).items():
            cell.values[answer] += n
            for field, value in segments:
                inner = cell.segments[_segment(field, value)]
                inner["events"] += n
                inner[answer] += n
        if self._by_segment:
            self._features_by_segment(cell, group)

    def _features_by_segment(self, cell: Cell, group: Sequence[Mapping[str, Any]]) -> None:
        """Count the declared features of each segment: together, as those of all events are."""
        segments: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for prediction in group:
            for segment in prediction["segments"].items():
                segments.setdefault(segment, []).append(prediction["features"])
        for (field, value), rows in segments.items():
            part = cell.parts[_segment(field, value)]
            for name, add in self._by_segment:
                add(part, [row[name] for row in rows])

    # -- LEARN

    def outcome(self, tally: Tally, example: Mapping[str, Any], lag: int) -> None:
        """Count how a served prediction, and each baseline, did.

        Parameters
        ----------
        lag
            How many examples its model lacked that were true by its event time.
        """
        tally.defer(self._count_outcomes, (example, lag))

    def _outcomes_all(
        self, tally: Tally, outcomes: Sequence[tuple[Mapping[str, Any], int]]
    ) -> None:
        for example, lag in outcomes:
            time_ms, label = example["event_time"], example["label"]
            cell = tally.cell(time_ms)
            values = cell.values
            values["examples"] += 1
            values[self._lag_names[lag]] += 1
            if label is None:
                continue
            values[self._delay_names[example["label_time"] - time_ms]] += 1
            of_each, of_all = self._judged(example, label)
            for name, n in (*of_each, *of_all):
                values[name] += n
            parts = [cell.segments[segment] for segment in _segments(example)]
            parts.append(tally.cell(None).segments[of_version(example["version"])])
            for inner in parts:
                for name, n in of_each:
                    inner[name] += n

    def _judged(self, example: Mapping[str, Any], label: Any) -> tuple[Pairs, Pairs]:
        """Return what is counted of each segment, and what of the whole alone."""
        answer = (example["prediction"], example["score"], example["probabilities"])
        of_each, of_all = self._served(label, *answer)
        found = [("labelled", 1), *of_each]
        rest = of_all
        for name, said in example["baselines"].items():
            brief, further = self._baselines[name](label, said, None, None)
            found += brief
            rest = rest + further
        return found, rest


@lru_cache(maxsize=256)
def of_version(version: int) -> str:
    """Return the segment of what a version of the declaration has predicted: of the whole run.

    Examples
    --------
    >>> of_version(2)
    'version:2'
    """
    return f"{VERSION}{version}"


def _segment(field: str, value: str) -> str:
    return f"{field}={value[:TEXT_CHARS_MAX]}"


def _segments(record: Mapping[str, Any]) -> Iterable[str]:
    segments: Mapping[str, str] = record["segments"]
    return [_segment(field, value) for field, value in segments.items()]
