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
4. Besides each scalar alone, the length of all groups' deviates together is such a sum: a change of
   shape that moves many groups a little is soonest seen there.
5. The largest deviate of a block, over scalars, spans and slots, says how many independent looks
   a block is worth; the threshold is where so many looks exceed it as seldom as promised.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log, log1p
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.streams.detectors.noise import (
    WEEK,
    Floats,
    Noise,
    Series,
    bounds_of,
    learned,
    standardized,
)
from headrace.streams.detectors.replays import Shown, replayed
from headrace.streams.detectors.tails import deviate_of, t_of_normal, two_sided

SPREAD_MIN = 0.45
LENGTH_MIN = 0.1
"""The least spread of the length of deviates."""

REACH_MAX = 0.4
"""Sums over more than this share of a history's days are left out."""

NEVER = 1e30
"""The threshold of what is not looked at."""

FREEDOM_MAX = 300.0
_CHANCE_MIN = 1e-12
FREEDOM_OF_SHARES, FREEDOM_OF_MEANS = 4.0, 6.0
"""Degrees of freedom however heavy the tails are: sums of shares are many, and one is always the
heaviest."""

POWER_OF_SHARES, POWER_OF_MEANS = 1.5, 3.0
"""What power of a day's largest deviate is taken to have an exponential tail; the normal
distribution's is 2. Of means no hour counts for much: their sums' tails are lighter than that."""

HIGH = 0.95
"""The threshold is extrapolated from this quantile of the days' largest deviates."""

CAUTION_OF_SHARES, CAUTION_OF_MEANS = 0.7, 1.5
"""So much of the allowed rate is asked for: calibration itself errs, and errs to the wrong side
when a history happens to be calm. Statistics of outcomes err together, yet each has its own part
of the promise: more may be asked of them."""

FEW_DAYS = 5.0
"""Thresholds from few days are higher: twice for three, by a third for a week, by a sixteenth for
four weeks. Replays of the same few days cannot show how much others would differ."""

RARE = 5
"""What happened less often than so many times a day had no chance to show how it varies."""


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
    centers, wide
        By span: what the length of all groups' deviates usually is, and how much more is an alarm.
    """

    noise: Noise
    limits: Floats
    centers: Floats
    wide: Floats


def calibrated(asks: Sequence[Ask], spans: Sequence[int]) -> list[Fit]:
    """Return fits of streams whose histories have the same days."""
    noises, deviates, weights, purity, bounds = [], [], [], [], []
    for ask in asks:
        noise, residual = learned(ask.series)
        n = ask.series.n[:, :, None]
        deviate, weight = standardized(n, residual, noise.v, noise.tau2, noise.extra)
        noises.append(noise)
        deviates.append(deviate)
        weights.append(weight)
        present = np.maximum((n > 0).sum(), 1)
        slots, of_mean = ask.series.n.shape[1], not ask.series.groups
        bounds += [bounds_of(spans, slots, of_mean=of_mean)] * deviate.shape[2]
        purity.append((noise.v * n * (weight / np.maximum(n, 1.0)) ** 2).sum(axis=(0, 1)) / present)
    starts = np.cumsum([0, *(each.shape[2] for each in deviates)])
    members = np.concatenate([members_of(ask) for ask in asks])
    shown = replayed(
        np.concatenate(deviates, axis=2), np.concatenate(weights, axis=2), spans,
        np.array(bounds), members, starts[:-1],
    )  # fmt: skip
    return [
        _fit(ask, noises[i], purity[i], shown.of(i, slice(starts[i], starts[i + 1])), spans)
        for i, ask in enumerate(asks)
    ]


def members_of(ask: Ask) -> Floats:
    """Return 1 for the scalars that are groups, of which the length of deviates is made."""
    groups = np.arange(len(ask.looked_at)) < ask.series.groups
    return np.asarray(groups & np.array(ask.looked_at), dtype=np.float64)


def _fit(ask: Ask, noise: Noise, purity: Floats, shown: Shown, spans: Sequence[int]) -> Fit:
    """Make a stream's thresholds; the length of its deviates is the last row."""
    days, slots = ask.series.n.shape
    reach = np.maximum((2.0 * np.array(spans) - 1.0) / slots, 0.0) / days
    factor = np.where(reach * days > 1.0, (1.0 + reach) / np.maximum(1.0 - reach, 0.1), 1.0)
    # Chance among so many events is known: few days may have shown less of it than there is.
    chance = np.maximum(np.sqrt(purity), SPREAD_MIN)
    rare = _is_rare(ask.series)
    # The length of deviates none of which has varied has not varied either.
    never = bool(rare[members_of(ask) > 0].all())
    least = np.append(np.where(rare, 1.0, chance), 1.0 if never else LENGTH_MIN)[:, None]
    spread = np.maximum(np.sqrt(shown.squares * factor), least)
    centers = shown.centers * np.sqrt(factor)
    day = list(spans).index(slots)
    pure = np.minimum(purity / np.maximum(shown.squares[:-1, day], 1e-9), 1.0)
    looked_at = np.append(ask.looked_at, ask.series.groups > 0)[:, None] & (reach < REACH_MAX)
    peaks = shown.peaks * np.sqrt(factor)
    peaks[:, :, -1] = np.maximum(peaks[:, :, -1] - centers, 0.0)
    free = days - 1 - (WEEK - 1) * (noise.week != 0).any(axis=0)
    known = np.minimum(
        np.append(free, free.min()) / np.maximum(1.0 - np.append(pure, pure.mean()), 0.1) ** 2,
        FREEDOM_MAX,
    )
    limits = _limits(ask, peaks / spread, looked_at, known, shown.tails, day)
    found = np.where(looked_at, spread * limits * (1.0 + 1.5 / days + FEW_DAYS / days**2), NEVER)
    return Fit(noise, found[:-1], centers, found[-1])


def _limits(
    ask: Ask, peaks: Floats, looked_at: Floats, known: Floats, tails: Floats, day: int
) -> Floats:
    """Return thresholds in spreads: the highest that any of three models of the tail asks for."""
    shares = ask.series.groups > 0
    rate = ask.rate * (CAUTION_OF_SHARES if shares else CAUTION_OF_MEANS)
    plain = np.full(looked_at.shape, FREEDOM_MAX)
    least = FREEDOM_OF_SHARES if shares else FREEDOM_OF_MEANS
    deviates = _as_normal(peaks, plain, looked_at, ask.side)
    power = POWER_OF_SHARES if shares else POWER_OF_MEANS
    limits = np.full(looked_at.shape, _extrapolated(deviates, rate, power))
    for heavy in (tails, tails[:, day].mean()):
        freedom = np.minimum(known[:, None], least + 1.5 * least / np.maximum(heavy - 3.0, 0.02))
        freedom = np.broadcast_to(freedom, looked_at.shape)
        looks = _looks(_as_normal(peaks, freedom, looked_at, ask.side))
        height = deviate_of(rate / looks)
        scale = np.array([[t_of_normal(height, each) for each in row] for row in freedom.tolist()])
        limits = np.maximum(limits, scale)
    return limits


def _is_rare(series: Series) -> NDArray[np.bool_]:
    """Return which scalars count what hardly ever, or nearly always, happens."""
    total, sums = series.n.sum(), series.sums.sum(axis=(0, 1))
    least = RARE * len(series.n)
    counting = np.arange(len(sums)) < (series.groups or int(series.bounded))
    return np.asarray(counting & ((sums < least) | (total - sums < least)), dtype=np.bool_)


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
        found.append(log(tenths / 10) / log1p(-min(max(chance, _CHANCE_MIN), 0.999)))
    return max(found)


def _extrapolated(deviates: list[float], rate: float, power: float) -> float:
    """Return the threshold, if a power of a day's largest deviate has an exponential tail."""
    middle = deviates[len(deviates) // 2] ** power
    high = deviates[int(len(deviates) * HIGH)] ** power
    reach = log(0.5 / rate) / log(0.5 / (1.0 - HIGH))
    return float((middle + (high - middle) * reach) ** (1.0 / power))
