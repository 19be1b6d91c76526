"""``python -m bench.drift --days-alone``: what may be promised of days whose levels have any tails.

Detectors that see one number a day of each of three streams, and keep the inputs' part of the
promise: one false alarm in 225 days (40 % of one in 90). They differ in what they assume of days:

- *t*: days are normal; the threshold is Student's t by mean and deviation of the reference;
- *robust t*: the same by median and median absolute deviation;
- *t, twice*: the chance is asked for two days in a row, on the same side, and 0.4 of it, since both
  days are held against the same estimates;
- *conformal*: days are exchangeable, and nothing else. The p-value of a day is its rank among all
  before it, on each side; Shiryaev-Roberts' sum of power bets, mixed over all powers (Vovk and
  others, 2021; Shin, Ramdas, Rinaldo, 2022): the mean run length is at least its threshold;
- *e-detector*: days are symmetric about the reference's median. Bets ``1 + k u`` on the deviation
  ``u``, bounded to 2 robust deviations, mixed over ``k``, in the same sum.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp, inf
from statistics import median

import numpy as np
from numpy.typing import NDArray

from bench.drift.trial import interval
from headrace.streams.detectors.tails import deviate_of, t_of_normal

STREAMS, REFERENCE, WATCHED, AFTER = 3, 28, 45, 20
RUN_LENGTH = 90 / 0.4
SHIFTS = (1.0, 2.0, 4.0, 8.0)
_BOUND = 2.0
_BETS = np.array([-0.95, -0.5, 0.5, 0.95])
_CAUTION_OF_TWICE = 0.4
_NORMAL_OF_MAD = 1.4826

Levels = NDArray[np.float64]
"""By stream and day; the first :data:`REFERENCE` days are the reference."""

Detector = Callable[[Levels], NDArray[np.bool_]]
"""Returns on which of the days after the reference there is an alarm."""

_DAYS: dict[str, Callable[[np.random.Generator, tuple[int, int]], Levels]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "Student's t, 5 degrees": lambda rng, shape: rng.standard_t(5, shape) / np.sqrt(5 / 3),
    "Student's t, 3 degrees": lambda rng, shape: rng.standard_t(3, shape) / np.sqrt(3),
}


def _deviates(levels: Levels, *, robust: bool) -> Levels:
    known = levels[:, :REFERENCE]
    if robust:
        center = np.median(known, axis=1, keepdims=True)
        spread = _NORMAL_OF_MAD * np.median(np.abs(known - center), axis=1, keepdims=True)
    else:
        center = known.mean(axis=1, keepdims=True)
        spread = known.std(axis=1, ddof=1, keepdims=True) * np.sqrt(1 + 1 / REFERENCE)
    return np.asarray((levels[:, REFERENCE:] - center) / spread)


def _above(levels: Levels, *, robust: bool = False, twice: bool = False) -> NDArray[np.bool_]:
    chance = 1.0 / (RUN_LENGTH * len(levels))
    if twice:  # on the same side: half of the square of one day's two-sided chance
        chance = (2.0 * _CAUTION_OF_TWICE * chance) ** 0.5
    limit = t_of_normal(deviate_of(chance), REFERENCE - 1)
    found = _deviates(levels, robust=robust)
    high, low = found > limit, found < -limit
    if twice:
        for side in (high, low):
            side[:, 1:] &= side[:, :-1].copy()
            side[:, 0] = False
    return np.asarray((high | low).any(axis=0))


def _sum_of_bets(bets: Levels) -> NDArray[np.bool_]:
    """Return when Shiryaev and Roberts' sum, in the mean of all bettors, reaches the run length."""
    total, found = np.zeros(bets.shape[0]), []
    for day in range(bets.shape[1]):
        total = (1.0 + total) * bets[:, day]
        found.append(total.mean() >= RUN_LENGTH)
    return np.array(found)


def _conformal(levels: Levels) -> NDArray[np.bool_]:
    rows = []
    for values in (*levels, *-levels):
        ranks = [
            (1.0 + (values[:day] >= values[day]).sum()) / (day + 1.0)
            for day in range(REFERENCE, len(values))
        ]
        p = np.minimum(np.array(ranks), 1.0 - 1e-9)
        rows.append((1.0 - p + p * np.log(p)) / (p * np.log(p) ** 2))
    return _sum_of_bets(np.array(rows))


def _e_detector(levels: Levels) -> NDArray[np.bool_]:
    u = np.clip(_deviates(levels, robust=True) / _BOUND, -1.0, 1.0)
    bets = 1.0 + _BETS[:, None, None] * u[None]
    return _sum_of_bets(bets.reshape(-1, u.shape[1]))


DETECTORS: dict[str, Detector] = {
    "t": _above,
    "robust t": lambda levels: _above(levels, robust=True),
    "t, twice": lambda levels: _above(levels, twice=True),
    "conformal": _conformal,
    "e-detector": _e_detector,
}


def print_days_alone(replays: int, trials: int) -> None:
    """Measure, and print a table for each kind of days."""
    allowed = 1.0 - exp(-WATCHED / RUN_LENGTH)
    print(f"\nFalse alarms in {WATCHED} days, of which {allowed:.1%} are allowed; median days to an"
          " alarm after one stream has moved by so many deviations of its days.\n")  # fmt: skip
    print(f"| days | detector | false | 95 % interval | {' | '.join(map(str, SHIFTS))} |")
    print(f"|{'---|' * (4 + len(SHIFTS))}")
    for name, make in _DAYS.items():
        for detector, alarms in DETECTORS.items():
            rng = np.random.default_rng(1)
            shape = (STREAMS, REFERENCE + WATCHED)
            false = sum(bool(alarms(make(rng, shape)).any()) for _ in range(replays))
            low, high = interval(false, replays)
            cells = [_text(_delay(make, alarms, shift, trials)) for shift in SHIFTS]
            print(f"| {name} | {detector} | {false / replays:.1%} | {low:.1%} to {high:.1%} "
                  f"| {' | '.join(cells)} |", flush=True)  # fmt: skip


def _delay(
    make: Callable[[np.random.Generator, tuple[int, int]], Levels],
    alarms: Detector,
    shift: float,
    trials: int,
) -> float:
    rng, delays = np.random.default_rng(2), []
    for _ in range(trials):
        levels = make(rng, (STREAMS, REFERENCE + AFTER))
        levels[0, REFERENCE:] += shift
        days = np.flatnonzero(alarms(levels))
        delays.append(float(days[0]) + 1.0 if len(days) else inf)
    return median(delays)


def _text(days: float) -> str:
    return "never" if days == inf else f"{days:.0f}"
