"""River's detectors, one for each stream, tuned together to a rate of false alarms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from river import drift

from bench.drift.days import HOURS, Column, Day, World
from bench.drift.rungs import rungs_of

EDDM_LEVELS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)
CHANCES = tuple(10.0**-power for power in (2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 300))
FEW_CHANCES = (1e-4, 1e-8, 1e-12, 1e-20, 1e-64)
"""KSWIN takes 0.1 ms for a value: fewer rungs."""

KSWIN_WARM_DAYS = 7
"""Its window is 100 hours: more of the reference would be forgotten."""

HEIGHTS = tuple(5.0 * 1.5**rung for rung in range(22))


class Rival(NamedTuple):
    """A detector.

    Attributes
    ----------
    sort
        ``distribution``, ``loss`` (numbers) or ``error`` (zeros and ones).
    hourly
        Whether it is fed an hour's mean in place of each event.
    make
        A new one: ``(setting, a standard deviation)``.
    """

    name: str
    sort: str
    hourly: bool
    ladder: Sequence[float]
    make: Callable[[float, float], Any]


def name_of(rival: Rival) -> str:
    """Return what a detector is called in tables."""
    return f"{rival.name}{' (hourly means)' if rival.hourly else ''}"


def rivals() -> list[Rival]:
    """Return all that are tried."""
    found: list[Rival] = []
    for sort in ("distribution", "loss"):
        both = "both" if sort == "distribution" else "up"
        for hourly in (False, True):
            found += [
                Rival("ADWIN", sort, hourly, CHANCES, lambda delta, _: drift.ADWIN(delta)),
                Rival("PageHinkley", sort, hourly, HEIGHTS, _page_hinkley(both)),
            ]
    found.append(
        Rival("KSWIN", "distribution", True, FEW_CHANCES, lambda a, _: drift.KSWIN(a, seed=1))
    )
    binary = drift.binary
    found += [
        Rival("DDM", "error", False, HEIGHTS, lambda height, _: binary.DDM(30, 2.0, height / 2)),
        Rival("EDDM", "error", False, EDDM_LEVELS, lambda beta, _: binary.EDDM(30, 0.95, beta)),
        Rival("HDDM_A", "error", False, CHANCES[::2], lambda c, _: binary.HDDMA(c)),
        Rival("HDDM_W", "error", False, CHANCES[::2], lambda c, _: binary.HDDMW(c)),
    ]
    return found


def _page_hinkley(mode: str) -> Callable[[float, float], Any]:
    return lambda height, spread: drift.PageHinkley(
        delta=0.1 * spread, threshold=height * spread, mode=mode
    )


Parts = tuple[Any, Column]
"""A day's values, and the hour of each."""

Timed = tuple[Column, Column]
"""A day's values, and when each is known, in days after midnight."""

Series = dict[str, list[Timed]]
"""By stream, day by day."""


def series_of(world: World, days: Sequence[Day], rival: Rival) -> Series:
    """Return what a detector is fed: features, or losses of all and of each segment."""
    if rival.sort == "distribution":
        found = {
            name: [_known(day, day.columns[name]) for day in days] for name, _ in world.features
        }
    else:
        found = _losses(world, days, rival)
    timed = _means if rival.hourly else _events
    return {name: [timed(*each) for each in parts] for name, parts in found.items()}


def _known(day: Day, values: Column) -> Parts:
    known = ~np.isnan(values)
    return day.hour[known], values[known]


def _losses(world: World, days: Sequence[Day], rival: Rival) -> dict[str, list[Parts]]:
    found: dict[str, list[Parts]] = {"all": []}
    for day in days:
        loss = day.log_loss if rival.sort == "loss" else day.wrong
        found["all"].append(_known(day, loss))
        if world.segment is not None:
            codes = day.columns[world.segment]
            for code in range(3):
                part = np.where(codes == code, loss, np.nan)
                found.setdefault(f"{code}", []).append(_known(day, part))
    return found


def _events(hour: Any, values: Column) -> Timed:
    """Have each event known at its own time: those of an hour are spread over it evenly."""
    counts = np.bincount(hour, minlength=HOURS)
    before = np.cumsum(counts) - counts
    within = (np.arange(len(hour)) - before[hour] + 1.0) / counts[hour]
    return values, (hour + within) / HOURS


def _means(hour: Any, values: Column) -> Timed:
    """Have an hour's mean known at its end."""
    counts = np.bincount(hour, minlength=HOURS)
    sums = np.bincount(hour, values, HOURS)
    present = np.flatnonzero(counts)
    return sums[present] / counts[present], (present + 1.0) / HOURS


def first_alarm(detector: Any, days: Sequence[Timed], start: int) -> float | None:
    """Return when the first alarm from a day on comes, in days after its beginning."""
    update = detector.update
    first = max(0, start - KSWIN_WARM_DAYS) if isinstance(detector, drift.KSWIN) else 0
    for day, (values, known) in enumerate(days):
        if day < first:
            continue
        for place, value in enumerate(values.tolist()):
            update(value)
            if detector.drift_detected and day >= start:
                return day - start + float(known[place])
    return None


def spreads_of(series: Series, days: int) -> dict[str, float]:
    """Return each stream's standard deviation in the first days."""
    return {
        name: float(np.std(np.concatenate([values for values, _ in parts[:days]]))) or 1.0
        for name, parts in series.items()
    }


class Tuned(NamedTuple):
    """A detector at a rate.

    Attributes
    ----------
    settings
        By stream; None: no setting is deaf enough.
    reached
        The share of null replays with an alarm.
    """

    world: str
    rival: Rival
    settings: Mapping[str, float | None]
    reached: float


def tuned(
    rival: Rival, world: World, replays: Sequence[Sequence[Day]], reference: int, share: float
) -> Tuned:
    """Tune a detector, stream by stream, until so few null replays have an alarm of any."""
    # alarms[stream][replay]: on the first so many rungs there are alarms
    alarms: dict[str, list[list[bool]]] = {}
    for days in replays:
        series = series_of(world, days, rival)
        spreads = spreads_of(series, reference)
        for name, parts in series.items():
            alarms.setdefault(name, []).append(_rungs(rival, parts, reference, spreads[name]))
    table = {name: np.array(each) for name, each in alarms.items()}
    rungs, reached = rungs_of(table, len(rival.ladder), share)
    settings = {
        name: rival.ladder[rung] if rung < len(rival.ladder) else None
        for name, rung in rungs.items()
    }
    return Tuned(world.name, rival, settings, reached)


def _rungs(rival: Rival, parts: Sequence[Timed], reference: int, spread: float) -> list[bool]:
    """Return on which rungs there is an alarm; deafer ones are not asked once none is."""
    found: list[bool] = []
    for setting in rival.ladder:
        if found and not found[-1]:
            found.append(False)
        else:
            alarm = first_alarm(rival.make(setting, spread), parts, reference)
            found.append(alarm is not None)
    return found


def delay_of(tune: Tuned, world: World, days: Sequence[Day], reference: int, at: int) -> float:
    """Return how long the first alarm after a change takes, in days; infinity: it never comes."""
    series = series_of(world, days, tune.rival)
    spreads = spreads_of(series, reference)
    best = float("inf")
    for name, parts in series.items():
        setting = tune.settings[name]
        if setting is not None:
            found = first_alarm(tune.rival.make(setting, spreads[name]), parts, at)
            best = best if found is None else min(best, found)
    return best
