"""The watch on days: its false alarms, and how soon it says that something has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.drift.days import DAY_MS, HOUR_MS, HOURS, Column, Day, World, tiles_of
from bench.drift.rungs import rungs_of
from headrace.streams.detectors.verdicts import Stream, Terms, Verdict
from headrace.streams.detectors.watch import Watch, strongest

RUN_LENGTH_DAYS = 90
INPUTS = ("input", "score")
OUTCOMES = ("outcome", "labels")
FACTORS = tuple(0.4 * 1.04**rung for rung in range(60))
"""What thresholds are multiplied by where the watch is tuned as River's detectors are."""


class Alarm(NamedTuple):
    """An alarm that begins, in days after the first; and when it says the change was."""

    at: float
    since: float
    stream: Stream


def terms_of(world: World, reference: int) -> Terms:
    """Return what a pipeline of a stream would declare, with so many days of reference."""
    return Terms(HOUR_MS, reference * DAY_MS, RUN_LENGTH_DAYS * DAY_MS, "binary", world.features)


def alarms(
    world: World, days: Sequence[Day], reference: int, kinds: tuple[str, ...]
) -> Iterator[Alarm]:
    """Yield alarms of one watch as they come.

    Parameters
    ----------
    reference
        Length of the reference period in days.
    """
    yield from _begun(Watch(terms_of(world, reference), kinds), world, days)


def _begun(watch: Watch, world: World, days: Sequence[Day]) -> Iterator[Alarm]:
    for verdict in _said(watch, world, days):
        if verdict.state == "begun":
            at, since = verdict.until_ms / DAY_MS, verdict.since_ms / DAY_MS
            yield Alarm(at, since, verdict.stream)


def _said(watch: Watch, world: World, days: Sequence[Day]) -> Iterator[Verdict]:
    state = watch.fresh()
    for day, events in enumerate(days):
        for hour, totals in enumerate(tiles_of(world, events)):
            yield from watch.observe(state, day * DAY_MS + hour * HOUR_MS, totals)


def first_false(world: World, days: Sequence[Day], reference: int) -> Alarm | None:
    """Return the first alarm of a null replay, whichever kind it is of."""
    found = [next(alarms(world, days, reference, kinds), None) for kinds in (INPUTS, OUTCOMES)]
    return min((each for each in found if each is not None), default=None)


# -- tuned as River's detectors are


class _Measured(Watch):
    """A watch that keeps how strong each stream was at the end of each hour.

    A silent one says nothing, so that nothing becomes the new normal.
    """

    def __init__(self, terms: Terms, kinds: tuple[str, ...], *, silent: bool) -> None:
        super().__init__(terms, kinds)
        self.strongest: dict[str, dict[int, float]] = {}
        self._silent = silent

    def _conclude(
        self, state: dict[str, Any], slot: int, strengths: Column, together: Column
    ) -> list[Verdict]:
        board = self._board_of(state)
        for name, each in zip(
            board.names, strongest(board, strengths, together).tolist(), strict=True
        ):
            self.strongest.setdefault(name, {})[slot] = each
        return [] if self._silent else super()._conclude(state, slot, strengths, together)

    def strengths(self, days: int) -> Strengths:
        """Return by stream how strong it was in each hour of so many days."""
        hours = range(days * HOURS)
        return {
            name: np.array([found.get(hour, 0.0) for hour in hours])
            for name, found in self.strongest.items()
        }


Factors = Mapping[str, float | None]
"""By stream; None: it may not alarm at all."""

Strengths = Mapping[str, Column]
"""By stream, how strong it was at the end of each hour, for its threshold."""


def tuned_factors(
    world: World,
    replays: Sequence[Sequence[Day]],
    reference: int,
    kinds: tuple[str, ...],
    share: float,
) -> Factors:
    """Tune the watch's thresholds, stream by stream, until so few null replays have an alarm."""
    highest: list[dict[str, float]] = []
    for days in replays:
        watch = _Measured(terms_of(world, reference), kinds, silent=True)
        assert not list(_said(watch, world, days))
        found = watch.strengths(len(days))
        highest.append({name: float(each.max()) for name, each in found.items()})
    table = {
        name: np.array([[each.get(name, 0.0) >= f for f in FACTORS] for each in highest])
        for name in sorted({name for each in highest for name in each})
    }
    rungs, _ = rungs_of(table, len(FACTORS), share)
    return {name: FACTORS[rung] if rung < len(FACTORS) else None for name, rung in rungs.items()}


def _first_above(found: Strengths, factors: Factors, at: int) -> float:
    """Return how long after a day a stream is first as strong as its tuned threshold, in days."""
    best = float("inf")
    for name, each in found.items():
        factor = factors.get(name)
        above = np.flatnonzero(each[at * HOURS :] >= (np.inf if factor is None else factor))
        if len(above):
            best = min(best, (int(above[0]) + 1) / HOURS)
    return best


class Noticed(NamedTuple):
    """How a change was noticed, in days after it; infinity: it was not.

    Attributes
    ----------
    delay
        Of the watch as users have it.
    off
        How long after the change it was dated to.
    alike
        Delay of the watch with tuned thresholds.
    """

    delay: float
    off: float
    alike: float


def noticed(
    world: World,
    days: Sequence[Day],
    reference: int,
    at: int,
    kinds: tuple[str, ...],
    factors: Factors,
) -> Noticed:
    """Return when the watch says that something has changed on a day."""
    watch = _Measured(terms_of(world, reference), kinds, silent=False)
    after = [alarm for alarm in _begun(watch, world, days) if alarm.at > at]
    alike = _first_above(watch.strengths(len(days)), factors, at)
    if not after:
        return Noticed(float("inf"), float("inf"), alike)
    return Noticed(after[0].at - at, after[0].since - at, alike)
