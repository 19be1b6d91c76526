"""What is measured: false alarms of null replays, and delays after changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import exp, lgamma, log
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from bench.drift.changes import Scenario
from bench.drift.conformal import delay_days
from bench.drift.days import Day, World
from bench.drift.rivals import Tuned, delay_of, name_of
from bench.drift.watching import (
    INPUTS,
    OUTCOMES,
    RUN_LENGTH_DAYS,
    Factors,
    Noticed,
    first_false,
    noticed,
)

REFERENCE = 28
NULL_DAYS = 45
BEFORE = 3
AFTER = 20


class Nulls(NamedTuple):
    """What null replays of a stream have shown.

    Attributes
    ----------
    alarms
        Replays with a false alarm in :data:`NULL_DAYS`.
    days
        Event time watched until the first alarm or the end.
    """

    replays: int
    alarms: int
    days: float
    streams: dict[str, int]


def expected() -> float:
    """Return the share of null replays with an alarm, of an exponential with the promised mean."""
    return 1.0 - exp(-NULL_DAYS / RUN_LENGTH_DAYS)


def interval(alarms: int, replays: int) -> tuple[float, float]:
    """Return the exact binomial interval (Clopper and Pearson, 95 %), by bisection."""
    lower = 0.0 if alarms == 0 else _solve(lambda p: 1.0 - _below(alarms - 1, replays, p), 0.025)
    upper = 1.0 if alarms == replays else 1.0 - _solve(
        lambda p: _below(alarms, replays, 1.0 - p), 0.025
    )  # fmt: skip
    return lower, upper


def _below(most: int, n: int, p: float) -> float:
    """Return the chance of at most so many of n."""
    if p in (0.0, 1.0):
        return 1.0 if p == 0.0 or most >= n else 0.0
    terms = (
        lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1) + k * log(p) + (n - k) * log(1 - p)
        for k in range(most + 1)
    )
    return sum(map(exp, terms))


def _solve(rising: Any, target: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < target else (low, middle)
    return low


def nulls(replays: Sequence[tuple[World, Sequence[Day]]]) -> Nulls:
    """Watch null replays, each until its first alarm."""
    alarms, days = 0, 0.0
    streams: dict[str, int] = {}
    for world, each in replays:
        alarm = first_false(world, each, REFERENCE)
        if alarm is None:
            days += NULL_DAYS
        else:
            alarms += 1
            days += alarm.at - REFERENCE
            name = f"{alarm.stream.name} ({alarm.stream.segment})"
            streams[name] = streams.get(name, 0) + 1
    return Nulls(len(replays), alarms, days, streams)


def merged(parts: Sequence[Nulls]) -> Nulls:
    """Return the sum of parts."""
    streams: Counter[str] = Counter()
    for part in parts:
        streams.update(part.streams)
    return Nulls(
        sum(part.replays for part in parts),
        sum(part.alarms for part in parts),
        sum(part.days for part in parts),
        dict(streams),
    )


def null_replays(world: World, seeds: Sequence[int]) -> list[list[Day]]:
    """Return shuffled days, one replay for each seed."""
    return [world.shuffled(np.random.default_rng(s), REFERENCE + NULL_DAYS) for s in seeds]


def share_of_rivals() -> float:
    """Return the share of null replays in which a half of the promise allows an alarm.

    The watch's inputs and scores have one half of it, outcomes and labels the other: so have
    River's detectors on features, and on losses.
    """
    return 1.0 - exp(-0.5 * NULL_DAYS / RUN_LENGTH_DAYS)


class Delays(NamedTuple):
    """Median delays after one change, in days; infinity: most replays had no alarm.

    Attributes
    ----------
    dated
        Median error of the watch's estimate of the change.
    alike
        Of the watch when its thresholds are tuned as River's detectors are.
    conformal
        Of the conformal detector, where it was tried.
    """

    world: str
    scenario: str
    sort: str
    watch: float
    dated: float
    alike: float
    conformal: float | None
    rivals: dict[str, float]


def delays(
    world: World,
    scenario: Scenario,
    tunes: Sequence[Tuned],
    factors: Mapping[tuple[str, ...], Factors],
    replays: int,
) -> Delays:
    """Try one change several times.

    Parameters
    ----------
    tunes
        River's detectors; may be none.
    factors
        By kinds of streams: what the watch's thresholds are multiplied by.
    """
    at = REFERENCE + BEFORE
    kinds = INPUTS if scenario.sort == "distribution" else OUTCOMES
    wanted = [t for t in tunes if (t.rival.sort == "distribution") == (kinds == INPUTS)]
    ours: list[Noticed] = []
    conformal: list[float] = []
    theirs: dict[str, list[float]] = {name_of(tune.rival): [] for tune in wanted}
    for seed in range(replays):
        rng = np.random.default_rng(seed)
        days = world.shuffled(rng, at + AFTER)
        days[at:] = [scenario.days_of(day, since, rng) for since, day in enumerate(days[at:])]
        ours.append(noticed(world, days, REFERENCE, at, kinds, factors[kinds]))
        if kinds == INPUTS and wanted:
            conformal.append(delay_days(world, days, REFERENCE, at, RUN_LENGTH_DAYS))
        for tune in wanted:
            theirs[name_of(tune.rival)].append(delay_of(tune, world, days, REFERENCE, at))
    return Delays(
        world.name, scenario.name, scenario.sort,
        median(each.delay for each in ours),
        median(abs(each.off) for each in ours),
        median(each.alike for each in ours),
        median(conformal) if conformal else None,
        {name: median(each) for name, each in theirs.items()},
    )  # fmt: skip
