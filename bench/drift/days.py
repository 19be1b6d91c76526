"""Streams as days: what is shuffled, changed, counted for the watch and fed to River."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.streams.buckets import (
    NUMBER_EXPONENTS,
    NUMBER_LAST,
    NUMBER_SUBS,
    PROBABILITY_EXPONENT_MIN,
    PROBABILITY_LOWEST,
    PROBABILITY_SUBS,
)
from headrace.streams.detectors.noise import WEEK
from headrace.streams.outcomes import MILLION

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
HOURS = 24
PROBABILITY_MIN = 1e-15

Column = NDArray[np.float64]
Tiles = list[dict[str, dict[str, int]]]


@dataclass(frozen=True, eq=False)
class Day:
    """One day's events in order.

    Attributes
    ----------
    hour
        Of each event.
    columns
        Features: numbers (NaN: null), categories as codes.
    score, label
        Probability of true, and what turned out; NaN where it never did.
    delay_h
        How long the label took.
    """

    hour: NDArray[np.int64]
    columns: Mapping[str, Column]
    score: Column
    label: Column
    delay_h: Column
    kept: dict[str, Any] = field(default_factory=dict)

    def with_column(self, name: str, values: Column) -> Day:
        """Return the day with another column."""
        return replace(self, columns={**self.columns, name: values}, kept={})

    def with_label(self, label: Column) -> Day:
        """Return the day with other outcomes of the same events."""
        return replace(self, label=label, kept={})

    @property
    def log_loss(self) -> Column:
        """Loss of each event."""
        likely = np.where(self.label == 1.0, self.score, 1.0 - self.score)
        return np.where(np.isnan(self.label), np.nan, -np.log(np.maximum(likely, PROBABILITY_MIN)))

    @property
    def expected_loss(self) -> Column:
        """Loss that each score expects of itself."""
        chances = np.stack((self.score, 1.0 - self.score))
        expected: Column = -(chances * np.log(np.maximum(chances, PROBABILITY_MIN))).sum(axis=0)
        return expected

    @property
    def wrong(self) -> Column:
        """Whether each answer was wrong."""
        off = ((self.score >= 0.5) != (self.label == 1.0)).astype(np.float64)
        return np.where(np.isnan(self.label), np.nan, off)


@dataclass(frozen=True)
class World:
    """A stream of days.

    Attributes
    ----------
    features
        Names and kinds of the watched features.
    segment
        The feature whose codes are segments of outcomes, or None.
    days
        All there are; null replays draw from them.
    weekdays
        Which of seven each day is, where weeks have a rhythm.
    """

    name: str
    features: tuple[tuple[str, str], ...]
    segment: str | None
    days: Sequence[Day]
    weekdays: tuple[int, ...] | None = None

    def shuffled(self, rng: np.random.Generator, count: int) -> list[Day]:
        """Return days in random order: all exchangeable, so there is no drift.

        A Monday stays a Monday: where weeks have a rhythm, it is among days of its name that a day
        is exchangeable.
        """
        if self.weekdays is None:
            order = rng.permutation(len(self.days))
            return [self.days[place] for place in np.resize(order, count)]
        names = np.array(self.weekdays)
        drawn = [
            np.resize(rng.permutation(np.flatnonzero(names == name)), -(-count // WEEK))
            for name in range(WEEK)
        ]
        return [self.days[drawn[day % WEEK][day // WEEK]] for day in range(count)]


Change = Callable[[Day, np.random.Generator], Day]


def tiles_of(world: World, day: Day) -> Tiles:
    """Return what the stages would have counted of a day, by hour."""
    tiles: Tiles | None = day.kept.get("tiles")
    if tiles is None:
        tiles = [{"all": {}} for _ in range(HOURS)]
        for name, kind in world.features:
            _count_feature(tiles, day, name, kind)
        _count_family(tiles, "score:", day.hour, probability_buckets(day.score))
        _count_outcomes(tiles, "all", day, np.ones(len(day.hour), dtype=bool))
        if world.segment is not None:
            codes = day.columns[world.segment]
            for code in np.unique(codes):
                _count_outcomes(tiles, f"{world.segment}={code:g}", day, codes == code)
        day.kept["tiles"] = tiles
    return tiles


def _count_feature(tiles: Tiles, day: Day, name: str, kind: str) -> None:
    values, prefix = day.columns[name], f"feature.{name}:"
    null = np.isnan(values)
    for hour, n in zip(*np.unique(day.hour[null], return_counts=True), strict=True):
        tiles[hour]["all"][f"{prefix}null"] = int(n)
    hours, known = day.hour[~null], values[~null]
    if kind == "number":
        _count_family(tiles, prefix, hours, number_buckets(known))
    else:
        _count_family(tiles, f"{prefix}=", hours, known.astype(np.int64))


def _count_family(
    tiles: Tiles, prefix: str, hours: NDArray[np.int64], keys: NDArray[np.int64]
) -> None:
    pairs, counts = np.unique(np.stack((hours, keys)), axis=1, return_counts=True)
    for hour, key, n in zip(*pairs.tolist(), counts.tolist(), strict=True):
        tiles[hour]["all"][f"{prefix}{key}"] = n


def _count_outcomes(tiles: Tiles, segment: str, day: Day, which: NDArray[np.bool_]) -> None:
    known = which & ~np.isnan(day.label)
    said, true = day.score >= 0.5, day.label == 1.0
    _count_sums(tiles, segment, "events", day.hour[which])
    for name, cell in (
        ("labelled", known),
        ("outcome.scored", known),
        ("outcome.tp", known & said & true),
        ("outcome.fp", known & said & ~true),
        ("outcome.tn", known & ~said & ~true),
        ("outcome.fn", known & ~said & true),
    ):
        _count_sums(tiles, segment, name, day.hour[cell])
    for name, loss in (("log_loss", day.log_loss), ("expected", day.expected_loss)):
        parts = np.rint(MILLION * loss[known])
        _count_sums(tiles, segment, f"outcome.{name}", day.hour[known], parts)
    if segment == "all":
        delay = number_buckets(np.rint(day.delay_h[known] * HOUR_MS))
        _count_family(tiles, "delay:", day.hour[known], delay)


def _count_sums(
    tiles: Tiles, segment: str, name: str, hours: NDArray[np.int64], parts: Column | None = None
) -> None:
    for hour, total in enumerate(np.bincount(hours, parts, HOURS).tolist()):
        if total:
            tiles[hour].setdefault(segment, {})[name] = int(total)


def number_buckets(values: Column) -> NDArray[np.int64]:
    """Return buckets as ``headrace.streams.buckets.number_bucket`` has them."""
    mantissa, exponent = np.frexp(np.abs(values))
    within = (mantissa * 2 * NUMBER_SUBS).astype(np.int64) - NUMBER_SUBS
    found = (exponent.astype(np.int64) - NUMBER_EXPONENTS[0]) * NUMBER_SUBS + within + 1
    found = np.where((values != 0) & (found > 0), np.minimum(found, NUMBER_LAST), 0)
    return np.where(values < 0, -found, found)


def probability_buckets(values: Column) -> NDArray[np.int64]:
    """Return buckets as ``headrace.streams.buckets.probability_bucket`` has them."""
    below = values <= 0.5
    mantissa, exponent = np.frexp(np.where(below, values, 1.0 - values))
    found = exponent.astype(np.int64) * PROBABILITY_SUBS - PROBABILITY_SUBS
    found += (mantissa * 2 * PROBABILITY_SUBS).astype(np.int64)
    least = (exponent < PROBABILITY_EXPONENT_MIN) | (mantissa <= 0)
    found = np.where(least, PROBABILITY_LOWEST, found)
    return np.where(below, found, 1 - found)
