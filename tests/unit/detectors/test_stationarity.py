"""Whether a history has drifted: what is told, what is not, and how seldom falsely."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from headrace.streams.detectors.calibration import Ask
from headrace.streams.detectors.noise import Series
from headrace.streams.detectors.stationarity import CAUTION, drift_within

HOURS = 24
RATE = 0.001
"""False alarms allowed in a day."""


def history(
    share: Callable[[float], float], days: int, seed: int, per_hour: float = 10.0
) -> Series:
    """Return a history of zeros and ones, by the share of ones at each day and part of it."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(per_hour, (days, HOURS)).astype(np.float64)
    at = np.arange(days * HOURS).reshape(days, HOURS) / HOURS
    shares = np.vectorize(share)(at)
    ones = rng.binomial(n.astype(np.int64), shares).astype(np.float64)
    return Series(n, np.stack((ones, n - ones), axis=2), 2, None, bounded=True)


def judged(series: Series, side: int = 0, rate: float = RATE) -> object:
    return drift_within(Ask(series, rate, side, (True, True)), len(series.n))


@pytest.mark.parametrize(("days", "later"), [(7, 0.3), (14, 0.7), (28, 0.7)])
def test_a_step_is_dated_to_its_day(days: int, later: float) -> None:
    at = days // 2 + 1
    for seed in range(5):
        found = drift_within(
            Ask(history(lambda day: 0.9 if day < at else later, days, seed), RATE, 0, (True, True)),
            days,
        )
        assert found is not None
        assert abs(found.day - at) <= 1
        assert found.strength >= 1.0
        (ones, zeros, n), (ones_then, zeros_then, n_then) = found.before, found.after
        assert (ones + zeros, ones_then + zeros_then) == (n, n_then)
        assert ones / n == pytest.approx(0.9, abs=0.03)
        assert ones_then / n_then == pytest.approx(later, abs=0.1)


@pytest.mark.parametrize("days", [14, 28])
def test_a_slow_change_is_told_from_none(days: int) -> None:
    slow = [judged(history(lambda day: 0.9 - 0.02 * day, days, seed)) for seed in range(10)]
    none = [judged(history(lambda _: 0.9, days, seed)) for seed in range(10)]
    assert None not in slow
    assert none == [None] * 10


def test_what_is_too_small_to_matter_is_no_drift_however_sure() -> None:
    def found(step: float) -> object:
        return judged(history(lambda day: 0.5 + step * (day >= 7), 14, 3, per_hour=2_000))

    assert found(0.02) is None  # twelve of its standard errors, a 25th of an event's deviation
    assert found(0.1) is not None


def test_a_change_to_the_better_is_none_where_it_is_no_alarm() -> None:
    rises = history(lambda day: 0.5 + 0.3 * (day >= 7), 14, 4)
    ones = rises._replace(sums=rises.sums[:, :, :1], groups=0)
    for side, told in ((1, True), (-1, False), (0, True)):
        assert (drift_within(Ask(ones, RATE, side, (True,)), 14) is not None) is told


def test_few_days_and_days_without_events_say_nothing() -> None:
    assert judged(history(lambda day: 0.9 - 0.3 * (day >= 1), 3, 5)) is None
    series = history(lambda day: 0.9 - 0.6 * (day >= 12), 14, 6)
    series.n[2:], series.sums[2:] = 0.0, 0.0
    assert judged(series) is None
    gap = history(lambda day: 0.9 - 0.6 * (day >= 8), 14, 6)
    gap.n[3:6], gap.sums[3:6] = 0.0, 0.0
    found = drift_within(Ask(gap, RATE, 0, (True, True)), 14)
    assert found is not None
    assert found.day == 8


def test_one_wild_day_is_no_drift() -> None:
    for day_off in (0, 6, 13):
        wild = history(lambda day, off=day_off: 0.2 if int(day) == off else 0.9, 14, 7)  # type: ignore[misc]
        assert judged(wild) is None


@pytest.mark.parametrize("days", [6, 14, 28])
def test_steady_histories_are_called_drifting_as_seldom_as_allowed(days: int) -> None:
    """Days that differ by more than chance: 400 of them, each allowed a chance of 4 %."""
    rng = np.random.default_rng(days)
    allowed = 0.04
    drifted = 0
    for seed in range(400):
        levels = rng.normal(0.7, 0.05, days)
        series = history(lambda day, by=levels: float(by[int(day)]), days, seed)  # type: ignore[misc]
        drifted += judged(series, rate=allowed / CAUTION / days) is not None
    # 28 is what a binomial of 400 at 4 % exceeds once in a hundred
    assert drifted <= 28


def test_days_that_follow_one_another_are_not_as_many_as_they_look() -> None:
    rng, drifted = np.random.default_rng(11), 0
    for seed in range(200):
        level = np.zeros(28)
        for day in range(1, 28):
            level[day] = 0.5 * level[day - 1] + rng.normal(0.0, 0.04)
        series = history(lambda day, by=level: 0.7 + float(by[int(day)]), 28, seed)  # type: ignore[misc]
        drifted += judged(series, rate=0.04 / CAUTION / 28) is not None
    assert drifted <= 30
