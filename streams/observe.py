"""What the stages count: integers alone, so that parts add up exactly, in any order.

A stage has one :class:`Tally` per batch and at its end emits it as one ``count`` record.
:class:`Observer` says what a prediction and an outcome amount to. All names are in
docs/metrics.md; ``metrics`` and ``drift`` turn their totals into figures.

A sum too big for 64 bits is split into limbs, which add up by themselves (:func:`limbs`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any
from zlib import crc32

from headrace.streams.buckets import (
    bucket_of_raw,
    number_bucket,
    probability_bucket,
    raw_buckets,
)
from headrace.streams.outcomes import JUDGES, TEXT_CHARS_MAX, BaselineJudges, Names, Pairs
from headrace.streams.plan import Plan

ALL = "all"
"""The segment of everything."""

NO_TILE = -1
"""The tile of what has no event time."""

LIMB_BITS = 48
LIMBS_MAX = 5
LIMB_MAX = 1 << 62
"""A count beyond this in magnitude is split."""

_FEW = 16  # below so many values, a loop is faster than a Counter

Values = dict[str, int]


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
    """
    if -LIMB_MAX < value < LIMB_MAX:
        return [(name, value)]
    sign, rest, found, place = (-1 if value < 0 else 1), abs(value), [], 0
    while rest:
        rest, digit = divmod(rest, 1 << LIMB_BITS)
        if digit:
            found.append((f"{name}^{place}" if place else name, sign * digit))
        place += 1
    return found


def whole(values: Mapping[str, int], name: str) -> int:
    """Return a count that may have been split into limbs; 0 if nothing was counted."""
    total = values.get(name, 0)
    for limb, bits in _limb_names(name):
        if limb in values:
            total += values[limb] << bits
    return total


@lru_cache(maxsize=4_096)
def _limb_names(name: str) -> list[tuple[str, int]]:
    return [(f"{name}^{place}", LIMB_BITS * place) for place in range(1, LIMBS_MAX)]


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
    >>> tally.record("route", 0, None, None)["cells"]
    [{'tile': 3600000, 'segment': 'all', 'values': {'routed': 1}}]
    """

    def __init__(self, tile_ms: int) -> None:
        self._tile_ms = tile_ms
        self._cells: dict[tuple[int, str], defaultdict[str, int]] = {}
        self._deferred: dict[Callable[[Tally, list[Any]], None], list[Any]] = {}

    def count(
        self, name: str, n: int = 1, *, time_ms: int | None = None, segment: str = ALL
    ) -> None:
        """Add to one count; without a time it belongs to the whole run alone."""
        self.cell(time_ms, segment)[name] += n

    def cell(self, time_ms: int | None, segment: str = ALL) -> defaultdict[str, int]:
        """Return the counts of a segment in the tile of a time."""
        tile = NO_TILE if time_ms is None else time_ms - time_ms % self._tile_ms
        try:
            return self._cells[tile, segment]
        except KeyError:
            found = self._cells[tile, segment] = defaultdict(int)
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
            {"tile": tile, "segment": segment, "values": _split(values)}
            for (tile, segment), values in self._cells.items()
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


def _split(values: Values) -> Values:
    found = dict(values)
    for name, value in values.items():
        if not -LIMB_MAX < value < LIMB_MAX:
            del found[name]
            found.update(limbs(name, value))
    return found


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
            _column(f"feature.{feature.name}:", kind, vocabulary, dict(feature.options))
            for feature, kind, vocabulary in zip(
                program.features, program.kinds, program.vocabularies, strict=True
            )
        ]
        anomaly = plan.task == "anomaly"
        self._bucket_of = number_bucket if anomaly else probability_bucket
        self._score_names = Names(lambda bucket: f"score:{bucket}")
        self._threshold = plan.threshold
        judge_of = JUDGES[plan.task]
        self._served = judge_of("outcome")
        self._fresh = judge_of("fresh") if plan.task == "binary" else None
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
        tile_ms = self._tile_ms
        tiles: dict[int, list[Mapping[str, Any]]] = {}
        for prediction in predictions:
            tiles.setdefault(prediction["event_time"] // tile_ms, []).append(prediction)
        for tile, group in tiles.items():
            self._scored_tile(tally, tile * tile_ms, group)

    def _scored_tile(self, tally: Tally, tile: int, group: Sequence[Mapping[str, Any]]) -> None:
        cell, names, bucket_of = tally.cell(tile), self._score_names, self._bucket_of
        cell["events"] += len(group)
        late = sum([prediction["late"] for prediction in group])
        if late:
            cell["late_for_features"] += late
        rows = [prediction["features"].values() for prediction in group]
        for add, column in zip(self._columns, zip(*rows, strict=True), strict=True):
            add(cell, column)
        for prediction in group:
            score = prediction["score"]
            if score is not None:
                cell[names[bucket_of(score)]] += 1
            unscored = prediction["prediction"] is None
            cell["unscored" if unscored else "scored"] += 1
            for segment in _segments(prediction):
                inner = tally.cell(tile, segment)
                inner["events"] += 1
                inner["unscored" if unscored else "scored"] += 1

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
            cell["examples"] += 1
            cell[self._lag_names[lag]] += 1
            if label is None:
                continue
            cell[self._delay_names[example["label_time"] - time_ms]] += 1
            of_each, of_all = self._judged(example, label)
            for name, n in of_all:
                cell[name] += n
            for segment in (ALL, *_segments(example)):
                inner = tally.cell(time_ms, segment)
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

    def learned(self, tally: Tally, example: Mapping[str, Any], fresh_score: float | None) -> None:
        """Count how the newest model would have done, just before it learns the example.

        Only where a score alone says it: in pipelines whose answers are true or false.
        """
        label = example["label"]
        if label is None or fresh_score is None or self._fresh is None:
            return
        cell = tally.cell(example["event_time"])
        brief, further = self._fresh(label, fresh_score >= self._threshold, fresh_score, None)
        for name, n in brief + further:
            cell[name] += n


# -- columns of features

_Add = Callable[[Values, Sequence[Any]], None]


def _column(prefix: str, kind: str, vocabulary: Sequence[str], options: Mapping[str, Any]) -> _Add:
    """Return what counts the values of one feature."""
    if kind in ("number", "integer"):
        names = Names(lambda raw: f"{prefix}{bucket_of_raw(raw)}")
        return partial(_add_numbers, names, f"{prefix}null")
    if kind == "boolean":
        return partial(_add_values, Names(lambda value: prefix + _flag(value)))
    if vocabulary:
        known = frozenset(vocabulary)
        return partial(_add_values, Names(lambda value: prefix + _declared(value, known)))
    count = options.get("top", 50)
    return partial(_add_values, Names(lambda value: prefix + _hashed(value, count)))


def _add_numbers(names: Names, null: str, cell: Values, column: Sequence[float | None]) -> None:
    nulls = column.count(None)
    if nulls:
        cell[null] += nulls
        column = [value for value in column if value is not None]
    raws = raw_buckets(column)  # type: ignore[arg-type]  # mypy cannot see that nulls are gone
    if len(raws) < _FEW:
        for raw in raws:
            cell[names[raw]] += 1
        return
    for raw, n in Counter(raws).items():
        cell[names[raw]] += n


def _add_values(names: Names, cell: Values, column: Sequence[Any]) -> None:
    for value, n in Counter(column).items():
        cell[names[value]] += n


def _flag(value: bool | None) -> str:
    return "null" if value is None else "true" if value else "false"


def _declared(value: str | None, known: frozenset[str]) -> str:
    if value is None:
        return "null"
    return f"={value[:TEXT_CHARS_MAX]}" if value in known else "other"


def _hashed(value: str | None, count: int) -> str:
    return "null" if value is None else f"#{crc32(value.encode()) % count}"


def _segments(record: Mapping[str, Any]) -> Iterable[str]:
    segments: Mapping[str, str] = record["segments"]
    return [f"{field}={value[:TEXT_CHARS_MAX]}" for field, value in segments.items()]
