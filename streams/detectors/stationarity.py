"""Whether a history that is about to become the reference has itself drifted.

What is learned while it changes is no reference: its thresholds are made of the change, and what
goes on changing looks as usual. So a history is held against two shapes before it is learned from:
a step at each of its days, and a straight line. Each day is one observation, its residual an event;
a shape's coefficient, divided by its standard error, follows Student's t with as many degrees of
freedom as days are left, as long as days are exchangeable. The error is

- at least what chance among so many events makes it;
- larger where neighbouring days are alike beyond the shape (first-order autocorrelation, corrected
  for what fitting takes away): days that follow one another are not as many as they look.

A loss that falls is no drift, as it is no alarm later. All shapes and scalars have equal parts of
the chance that a steady history is called a drifting one (Bonferroni). What is smaller than a tenth
of an event's standard deviation is no drift.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from headrace.streams.detectors.calibration import Ask
from headrace.streams.detectors.noise import Floats, learned
from headrace.streams.detectors.tails import deviate_of, t_of_normal

DAYS_MIN = 4
"""Fewer days cannot be told from days that differ."""

EDGE = 2
"""A step has so many days on each side at least: one day that is off is a storm."""

MATERIAL = 0.1
"""A drift moves the mean by at least so many of an event's standard deviations."""

CAUTION = 0.5
"""So much of the allowed rate is asked for: the watch has had its part, too."""

_PARAMETERS = 2
_AUTOCORRELATION_MAX = 0.8


class Drift(NamedTuple):
    """How a history has drifted.

    Attributes
    ----------
    day
        The first day of the later part.
    strength
        The strongest coefficient by its threshold: 1 or more.
    before, after
        Sums of both parts by scalar, and events as the last.
    """

    day: int
    strength: float
    before: tuple[float, ...]
    after: tuple[float, ...]


def drift_within(ask: Ask, days_new: int) -> Drift | None:
    """Return how a history has drifted, None if it has not.

    Parameters
    ----------
    ask
        The history, and how many false alarms are allowed in a day.
    days_new
        How many of its days were never looked at before.
    """
    series = ask.series
    n = series.n.sum(axis=1)
    present = np.flatnonzero(n > 0)
    if len(present) < DAYS_MIN:
        return None
    noise, residual = learned(series)
    variance = (noise.v * series.n[:, :, None]).sum(axis=1)[present]
    events = n[present][:, None]
    level = residual.sum(axis=1)[present] / events
    chance = np.sqrt(variance + 1.0) / events
    shapes = _shapes(len(present))
    found = np.stack([_deviates(level, chance, shape) for shape in shapes])
    counted = np.array(ask.looked_at)
    found = np.abs(found) if ask.side == 0 else found * ask.side
    found[:, ~counted] = 0.0
    spread = np.sqrt(variance.sum(axis=0) / events.sum())
    found[:, np.abs(_moved(level, events)).max(axis=0) < MATERIAL * spread] = 0.0
    allowed = CAUTION * ask.rate * days_new / (len(shapes) * max(int(counted.sum()), 1))
    limit = t_of_normal(deviate_of(allowed), len(present) - _PARAMETERS)
    shape, scalar = np.unravel_index(int(found.argmax()), found.shape)
    if found[shape, scalar] < limit:
        return None
    day = int(present[_step_of(found[:, scalar], len(present))])
    parts = [
        (*series.sums[days].sum(axis=(0, 1)).tolist(), float(series.n[days].sum()))
        for days in (slice(0, day), slice(day, None))
    ]
    return Drift(day, float(found[shape, scalar] / limit), parts[0], parts[1])


def _shapes(days: int) -> list[Floats]:
    """Return steps at each day, and a line."""
    at = np.arange(days, dtype=np.float64)
    edge = EDGE if days >= 2 * EDGE + 2 else 1
    return [*((at >= day).astype(np.float64) for day in range(edge, days - edge + 1)), at]


def _step_of(found: Floats, days: int) -> int:
    """Return the day of the strongest step."""
    edge = EDGE if days >= 2 * EDGE + 2 else 1
    return edge + int(found[:-1].argmax())


def _deviates(level: Floats, chance: Floats, shape: Floats) -> Floats:
    """Return by scalar how many standard errors the coefficient of a shape is."""
    weight = 1.0 / (chance * chance)
    total = weight.sum(axis=0)
    shape = shape[:, None] - (weight * shape[:, None]).sum(axis=0) / total
    centred = level - (weight * level).sum(axis=0) / total
    power = (weight * shape * shape).sum(axis=0)
    slope = (weight * shape * centred).sum(axis=0) / power
    rest = (centred - slope * shape) / chance
    free = len(level) - _PARAMETERS
    squares = (rest * rest).sum(axis=0)
    alike = (rest[1:] * rest[:-1]).sum(axis=0) / np.maximum(squares, 1e-12)
    alike = np.clip(alike + (1.0 + 4.0 * alike) / len(level), 0.0, _AUTOCORRELATION_MAX)
    error = np.maximum(squares / free * (1.0 + alike) / (1.0 - alike), 1.0)
    return np.asarray(slope * np.sqrt(power / error))


def _moved(level: Floats, events: Floats) -> Floats:
    """Return by how much the means of both parts differ, by where the history is parted."""
    sums, n = np.cumsum(level * events, axis=0), np.cumsum(events, axis=0)
    later = (sums[-1] - sums[:-1]) / (n[-1] - n[:-1])
    return np.asarray(later - sums[:-1] / n[:-1])
