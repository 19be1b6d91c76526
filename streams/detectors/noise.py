"""What a stream does when nothing has changed: rhythm, noise, and residuals from them.

Each stream has *scalars*: sums over a slot's events, such as how many lie in a group. A scalar's
residual is the sum less what the slot's hour usually has. Its variance is ``v n + tau2 n**2 +
extra``: chance among n events, what whole hours differ by beyond that, and a constant that keeps
a lone stray event from being a wonder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CLIP = 6.0
"""A slot counts for no more than so many standard deviations: one wild hour is no change."""

CLIP_OF_MANY = 2.0
"""The same in sums with a memory of a quarter of a day and more, and in all sums of means: a storm
of some hours is less than a shift that lasts, so thresholds need not be above it."""

TAU_MIN = 0.02
"""Hours differ by at least this share of an event's standard deviation: what is smaller than that
is seen in large numbers alone, and is no news."""

SCORE_UNIT = 10_000

_NO_RHYTHM = 1e12

WEEK = 7
WEEKS_MIN = 2
"""A history of fewer weeks does not tell what is a weekday's."""

_WEEK_LEAST, _WEEK_FEW = 4.0, 80.0
"""Weekdays are told apart if they differ by so much more than their days do: the ratio of variances
must be above ``_WEEK_LEAST + _WEEK_FEW / degrees``, which chance exceeds once in a thousand."""


class Series(NamedTuple):
    """A stream's history on the calendar.

    Attributes
    ----------
    n
        Events by day and slot.
    sums
        Sums by day, slot and scalar.
    groups
        How many of the scalars are counts of groups; 0 of a mean.
    scores
        Scores of groups by which further scalars are their counts' sums, or None.
    bounded
        Whether a mean is of zeros and ones.
    dates
        Of all slots in order, the number of their calendar day; None where days are no blocks.
    """

    n: Floats
    sums: Floats
    groups: int
    scores: Floats | None
    bounded: bool
    dates: NDArray[np.int64] | None = None


class Noise(NamedTuple):
    """What is expected of a slot.

    Attributes
    ----------
    profile, v
        Mean and variance of an event's part, by slot of the day and scalar.
    week
        What is added to the mean, by weekday (number of the calendar day modulo 7) and scalar.
    tau2, extra
        By scalar.
    """

    profile: Floats
    week: Floats
    v: Floats
    tau2: Floats
    extra: Floats


_LEAST = 1e-6
"""The day's mean counts for so many events at least: a slot may have none of its own."""


def bounds_of(spans: Sequence[int], slots: int, *, of_mean: bool) -> list[float]:
    """Return for how much a slot may count in the sums of each span.

    Examples
    --------
    >>> bounds_of((1, 6, 72), 24, of_mean=False), bounds_of((1, 6, 72), 24, of_mean=True)
    ([6.0, 2.0, 2.0], [2.0, 2.0, 2.0])
    """
    return [CLIP_OF_MANY if of_mean or 4 * span >= slots else CLIP for span in spans]


def standardized(
    n: Floats, residual: Floats, v: Floats, tau2: Floats, extra: Floats
) -> tuple[Floats, Floats]:
    """Return residuals in standard deviations, and the weight of each.

    A shift of ``d`` in the mean moves a deviate by ``d`` times its weight.
    """
    deviation = np.sqrt(v * n + tau2 * (n * n) + extra)
    return residual / deviation, n / deviation


def learned(series: Series) -> tuple[Noise, Floats]:
    """Return a history's noise, and its residuals.

    Each day's residuals are from the profile of the *other* days, as those of later days will be.
    """
    n, sums = series.n[:, :, None], series.sums
    kappa = _shrinkage(n, sums)
    by_slot, n_slot = sums.sum(axis=0), n.sum(axis=0)
    profile = _profile(by_slot, n_slot, kappa)
    others = _profile(by_slot - sums, n_slot - n, kappa)
    week, moved = _week(series, sums - n * others)
    residual = sums - n * others - n * moved
    v, extra = _event_variance(series, profile, residual)
    mean_v = (v * n_slot).sum(axis=0) / n_slot.sum()
    excess = (residual * residual - v * n).sum(axis=(0, 1)) / (n * n).sum()
    tau2 = np.maximum(excess, TAU_MIN * TAU_MIN * mean_v)
    return Noise(profile, week, v, tau2, extra), residual


def _week(series: Series, residual: Floats) -> tuple[Floats, Floats]:
    """Return by how much weekdays are off, for each event, and what that is by day and slot.

    It is 0 of scalars in which weekdays do not differ. What it is of a day is taken from the other
    days of its name.
    """
    scalars = residual.shape[2]
    nothing = np.zeros((WEEK, scalars))
    if series.dates is None or len(series.n) < WEEKS_MIN * WEEK:
        return nothing, np.zeros_like(residual)
    dates, starts, lengths = np.unique(series.dates, return_index=True, return_counts=True)
    names = dates % WEEK
    by_date = np.add.reduceat(residual.reshape(-1, scalars), starts, axis=0)
    n = np.add.reduceat(series.n.ravel(), starts)[:, None]
    which = np.eye(WEEK)[names]
    sums, events = which.T @ by_date, which.T @ n
    week = sums / np.maximum(events, 1.0)
    week *= _tells(by_date, n, week, events, names)
    of_others = (sums[names] - by_date) / np.maximum(events[names] - n, 1.0)
    of_others *= (week != 0).any(axis=0)
    return week, np.repeat(of_others, lengths, axis=0).reshape(residual.shape)


def _tells(
    by_date: Floats, n: Floats, week: Floats, events: Floats, names: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return for which scalars weekdays differ by more than days of the same name do."""
    degrees = (n > 0).sum() - WEEK
    mean = by_date.sum(axis=0) / np.maximum(n.sum(), 1.0)
    between = (events * (week - mean) ** 2).sum(axis=0) / (WEEK - 1)
    within = (n * (by_date / np.maximum(n, 1.0) - week[names]) ** 2).sum(axis=0)
    if degrees < WEEK - 1:
        return np.zeros(len(mean), dtype=np.bool_)
    limit = _WEEK_LEAST + _WEEK_FEW / degrees
    return np.asarray(between > np.maximum(limit * within / degrees, 1e-300))


def _profile(by_slot: Floats, n_slot: Floats, kappa: Floats) -> Floats:
    """Return means by slot of the day, drawn to the day's mean where a slot has few events."""
    total = n_slot.sum(axis=-2, keepdims=True)
    mean = by_slot.sum(axis=-2, keepdims=True) / np.maximum(total, 1.0)
    return np.asarray((by_slot + kappa * mean) / (n_slot + kappa))


def _shrinkage(n: Floats, sums: Floats) -> Floats:
    """Return how many events the day's mean counts for in a slot's: empirical Bayes, by scalar."""
    by_slot, n_slot = sums.sum(axis=0), n.sum(axis=0)
    total, days = n_slot.sum(), len(n)
    means = by_slot / np.maximum(n_slot, 1.0)
    within = ((sums - n * means) ** 2).sum(axis=(0, 1)) / total * days / (days - 1)
    between = (n_slot * (means - by_slot.sum(axis=0) / total) ** 2).sum(axis=0)
    rhythm = (between - (len(n_slot) - 1) * within) / total
    kappa = np.maximum(within / np.maximum(rhythm, 1e-300), _LEAST)
    return np.where(rhythm > within / _NO_RHYTHM, kappa, _NO_RHYTHM)


def _event_variance(series: Series, profile: Floats, residual: Floats) -> tuple[Floats, Floats]:
    """Return the variance of one event's part by slot and scalar, and of the constant part."""
    total = series.n.sum()
    if not series.groups and not series.bounded:
        v = np.maximum((residual * residual).sum(axis=(0, 1)) / total, 1e-300)
        return np.broadcast_to(v, profile.shape).copy(), v
    shares = np.clip(profile[:, : max(series.groups, 1)], 0.0, 1.0)
    v = shares * (1.0 - shares)
    if series.scores is not None:
        scores = series.scores
        squares = shares @ (scores * scores) - (shares @ scores) ** 2
        v = np.concatenate((v, np.maximum(squares, 0.0)), axis=1)
    return v + 0.5 / total, np.ones(v.shape[1])


def rank_scores(counts: list[int], numbers: int) -> tuple[list[int], list[int]]:
    """Return the scores by which location and spread of numbers are seen.

    The middle rank of a group, from -1 to 1 in ``1 / SCORE_UNIT``, and its square. Names and nulls
    have none.
    """
    total = sum(counts[:numbers]) or 1
    location, spread = [0] * len(counts), [0] * len(counts)
    before = 0
    for place, n in enumerate(counts[:numbers]):
        rank = (2 * before + n) / total - 1.0
        location[place] = round(SCORE_UNIT * rank)
        spread[place] = round(SCORE_UNIT * rank * rank)
        before += n
    return location, spread
