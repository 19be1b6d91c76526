"""Thresholds that keep the promise: what a history's days show when their order is shuffled.

Scalars are added up with memories of several lengths (*spans*), each sum divided by what it is
spread by under the null. Then, of each stream:

1. Days are blocks: the history is replayed with its days in several random orders, so hours keep
   their dependence and their rhythm. That gives each sum's spread, its own order being one more.
2. Sums over ``k`` days are drawn from a history of ``D`` days that also gave the mean: what they
   are spread by is corrected by ``(1 + k/D) / (1 - k/D)``, and left out where that is no longer
   sound.
3. Spread that was estimated from days has Student's t for a tail, with ``D - 1`` degrees of
   freedom, less if the days' sums have heavy tails, more if days differ by chance alone.
4. The largest deviate of a block, over scalars, spans and slots, says how many independent looks
   a block is worth; the threshold is where so many looks exceed it as seldom as promised.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log1p
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.streams.detectors.noise import Floats, Noise, Series, learned, standardized
from headrace.streams.detectors.tails import deviate_of, t_of_normal, two_sided

ORDERS = 10
"""Replays of a history, its own order among them."""

SPREAD_MIN = 0.45
REACH_MAX = 0.4
"""Sums over more than this share of a history's days are left out."""

NEVER = 1e30
"""The threshold of what is not looked at."""

FREEDOM_MAX = 300.0
HIGH = 0.95
"""The threshold is extrapolated from this quantile of the days' largest deviates."""

RARE = 5
"""What happened less often than so many times a day had no chance to show how it varies."""

_SEED = 20_131


class Ask(NamedTuple):
    """One stream's history, and how seldom it may alarm.

    Attributes
    ----------
    rate
        False alarms allowed in a block.
    side
        1, -1 or 0: which way is an alarm.
    looked_at
        By scalar: whether it may alarm.
    """

    series: Series
    rate: float
    side: int
    looked_at: tuple[bool, ...]


class Fit(NamedTuple):
    """What a stream is held against.

    Attributes
    ----------
    noise
        What slots usually have.
    limits
        Thresholds by scalar and span.
    """

    noise: Noise
    limits: Floats


def calibrated(asks: Sequence[Ask], spans: Sequence[int]) -> list[Fit]:
    """Return fits of streams whose histories have the same days."""
    noises, deviates, weights, purity = [], [], [], []
    for ask in asks:
        noise, residual = learned(ask.series)
        n = ask.series.n[:, :, None]
        deviate, weight = standardized(n, residual, noise.v, noise.tau2, noise.extra)
        noises.append(noise)
        deviates.append(deviate)
        weights.append(weight)
        present = np.maximum((n > 0).sum(), 1)
        purity.append((noise.v * n * (weight / np.maximum(n, 1.0)) ** 2).sum(axis=(0, 1)) / present)
    squares, peaks, tails = _replayed(
        np.concatenate(deviates, axis=2), np.concatenate(weights, axis=2), spans
    )
    ends = np.cumsum([each.shape[2] for each in deviates])[:-1]
    parts = zip(
        *(np.split(each, ends, axis=axis) for each, axis in ((squares, 0), (peaks, 2), (tails, 0))),
        strict=True,
    )
    return [
        Fit(noise, _limits(ask, pure, part, spans))
        for ask, noise, pure, part in zip(asks, noises, purity, parts, strict=True)
    ]


def _orders(days: int) -> Floats:
    rng = np.random.Generator(np.random.PCG64(_SEED))
    return np.array([np.arange(days), *(rng.permutation(days) for _ in range(ORDERS - 1))])


def _replayed(
    deviates: Floats, weights: Floats, spans: Sequence[int]
) -> tuple[Floats, Floats, Floats]:
    """Return what sums do over shuffled days.

    Returns
    -------
    tuple
        Mean squares by scalar and span: the larger of the history's own order and of all others;
        the largest and smallest sums of each day, shaped (2, days, scalars, spans); sums with the
        memory of a day at the ends of days in the history's own order.
    """
    days, slots, scalars = deviates.shape
    orders = _orders(days)
    keep = 1.0 - 1.0 / np.array(spans)
    shape = (len(orders), scalars, len(spans))
    sums, scale, squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    counted = np.zeros(shape[:2])
    peaks = np.zeros((2, days, *shape))
    fourths = np.zeros(shape)
    moved, squared = deviates * weights, weights * weights
    for day in range(days):
        for slot in range(slots):
            here = orders[:, day]
            sums *= keep
            sums += moved[here, slot][:, :, None]
            scale *= keep * keep
            weight = squared[here, slot]
            scale += weight[:, :, None]
            found = sums / np.sqrt(np.maximum(scale, 1e-300))
            present = weight > 0
            counted += present
            found *= present[:, :, None]
            square = found * found
            squares += square
            square *= square
            fourths += square
            np.maximum(peaks[0, day], found, out=peaks[0, day])
            np.minimum(peaks[1, day], found, out=peaks[1, day])
    mean = squares / np.maximum(counted, 1.0)[:, :, None]
    largest = np.maximum(mean[0], mean[1:].mean(axis=0))
    total = np.maximum(counted.sum(axis=0), 1.0)[:, None]
    tails = total * fourths.sum(axis=0) / np.maximum(squares.sum(axis=0), 1e-12) ** 2
    return largest, peaks.swapaxes(1, 2).reshape(2, -1, scalars, len(spans)), tails


def _limits(
    ask: Ask, purity: Floats, part: tuple[Floats, Floats, Floats], spans: Sequence[int]
) -> Floats:
    squares, peaks, tails = part
    days, slots = ask.series.n.shape
    reach = np.maximum((2.0 * np.array(spans) - 1.0) / slots, 0.0) / days
    long = reach * days > 1.0
    factor = np.where(long, (1.0 + reach) / np.maximum(1.0 - reach, 0.1), 1.0)
    least = np.where(_is_rare(ask.series), 1.0, SPREAD_MIN)[:, None]
    spread = np.maximum(np.sqrt(squares * factor), least)
    day = list(spans).index(slots)
    pure = np.minimum(purity / np.maximum(squares[:, day], 1e-9), 1.0)
    looked_at = np.array(ask.looked_at)[:, None] & (reach < REACH_MAX)
    known = np.minimum((days - 1) / np.maximum(1.0 - pure, 0.1) ** 2, FREEDOM_MAX)[:, None]
    limits = np.zeros(squares.shape)
    for heavy in (tails, tails[:, day].mean()):
        freedom = np.minimum(known, 4.0 + 6.0 / np.maximum(heavy - 3.0, 0.02))
        freedom = np.broadcast_to(freedom, squares.shape)
        deviates = _as_normal(peaks / spread, freedom, looked_at, ask.side)
        height = max(deviate_of(ask.rate / _looks(deviates)), _extrapolated(deviates, ask.rate))
        scale = np.array([[t_of_normal(height, each) for each in row] for row in freedom.tolist()])
        limits = np.maximum(limits, spread * scale)
    return np.where(looked_at, limits, NEVER)


def _is_rare(series: Series) -> NDArray[np.bool_]:
    """Return which scalars count what hardly ever, or nearly always, happens."""
    total, sums = series.n.sum(), series.sums.sum(axis=(0, 1))
    least = RARE * len(series.n)
    counting = np.arange(len(sums)) < (series.groups or int(series.bounded))
    return counting & ((sums < least) | (total - sums < least))


def _as_normal(peaks: Floats, freedom: Floats, looked_at: Floats, side: int) -> list[float]:
    """Return the largest deviate of each replayed day, as a normal one."""
    ups, downs = peaks[0], -peaks[1]
    reach = ups if side > 0 else downs if side < 0 else np.maximum(ups, downs)
    reach = np.where(looked_at, reach, 0.0)
    normal = np.sqrt(freedom * np.log1p(reach * reach / freedom))
    normal *= (8 * freedom + 1) / (8 * freedom + 3)
    return sorted(normal.max(axis=(1, 2)).tolist())


def _looks(deviates: list[float]) -> float:
    """Return how many independent looks a day is worth: by its median, or its ninth tenth."""
    found = [1.0]
    for tenths in (5, 9):
        chance = two_sided(deviates[len(deviates) * tenths // 10])
        if chance > 1e-12:
            found.append(log(tenths / 10) / log1p(-min(chance, 0.999)))
        else:
            found.append(1e9)
    return max(found)


def _extrapolated(deviates: list[float], rate: float) -> float:
    """Return the threshold, if the largest deviate of a day has an exponential tail."""
    middle = deviates[len(deviates) // 2]
    high = deviates[int(len(deviates) * HIGH)]
    return middle + (high - middle) * log(0.5 / rate) / log(0.5 / (1.0 - HIGH))
