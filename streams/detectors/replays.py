"""A history played again with its days in other orders: what sums do when nothing has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.streams.detectors.noise import Floats

ORDERS = 10
"""Replays of a history, its own order among them."""

_SEED = 20_131
_TINY = 1e-300


class Shown(NamedTuple):
    """What the replays have shown.

    Rows are scalars, and then the lengths of streams' deviates, less their centers.

    Attributes
    ----------
    squares
        Mean squares by scalar and span: the larger of the history's own order and of all others.
    peaks
        Largest and smallest sums of each day, shaped (2, days, scalars, spans).
    tails
        Kurtosis by scalar and span.
    centers
        Mean lengths by stream and span.
    """

    squares: Floats
    peaks: Floats
    tails: Floats
    centers: Floats

    def of(self, stream: int, rows: slice) -> Shown:
        """Return what is of one stream: its rows, and the length of its deviates."""
        first = len(self.squares) - len(self.centers)
        chosen = [*range(rows.start, rows.stop), first + stream]
        return Shown(
            self.squares[chosen], self.peaks[:, :, chosen], self.tails[chosen], self.centers[stream]
        )


def replayed(
    deviates: Floats,
    weights: Floats,
    spans: Sequence[int],
    bounds: Floats,
    members: Floats,
    starts: NDArray[np.int64],
) -> Shown:
    """Add up a history's deviates over shuffled days.

    Parameters
    ----------
    deviates, weights
        By day, slot and scalar.
    bounds
        By scalar and span: for how many deviations a slot counts at most.
    members
        1 for scalars of which lengths are made.
    starts
        At which scalar each stream begins.
    """
    days, slots, scalars = deviates.shape
    orders = _orders(days)
    keep = 1.0 - 1.0 / np.array(spans)
    rows = scalars + len(starts)
    shape = (len(orders), rows, len(spans))
    sums, scale = np.zeros((2, len(orders), scalars, len(spans)))
    found, powers = np.zeros(shape), np.zeros((4, *shape))
    counted = np.zeros((len(orders), rows))
    peaks = np.zeros((2, days, *shape))
    squared = weights * weights
    for day in range(days):
        for slot in range(slots):
            here = orders[:, day]
            weight = squared[here, slot]
            sums *= keep
            sums += (
                np.clip(deviates[here, slot][:, :, None], -bounds, bounds)
                * weights[here, slot][:, :, None]
            )
            scale *= keep * keep
            scale += weight[:, :, None]
            present = (weight > 0).astype(np.float64)
            np.divide(sums, np.sqrt(np.maximum(scale, _TINY)), out=found[:, :scalars])
            found[:, :scalars] *= present[:, :, None]
            found[:, scalars:] = lengths(found[:, :scalars], members, starts)
            counted[:, :scalars] += present
            counted[:, scalars:] += present[:, starts]
            _gather(found, powers, peaks[:, day])
    return _shown(scalars, counted, powers, peaks)


def lengths(found: Floats, members: Floats, starts: NDArray[np.int64]) -> Floats:
    """Return the length of each stream's deviates, over those that are members."""
    return np.asarray(np.sqrt(np.add.reduceat(found * found * members[:, None], starts, axis=-2)))


def _gather(found: Floats, powers: Floats, peaks: Floats) -> None:
    powers[0] += found
    square = found * found
    powers[1] += square
    powers[2] += square * found
    powers[3] += square * square
    np.maximum(peaks[0], found, out=peaks[0])
    np.minimum(peaks[1], found, out=peaks[1])


def _shown(scalars: int, counted: Floats, powers: Floats, peaks: Floats) -> Shown:
    n = np.maximum(counted, 1.0)[:, :, None]
    one, two, three, four = powers / n
    center = np.zeros(one.shape[1:])
    center[scalars:] = one[1:, scalars:].mean(axis=0)  # deviates are about 0, lengths are not
    fourth = four - 4 * center * three + 6 * center**2 * two - 4 * center**3 * one + center**4
    two = two - 2 * center * one + center**2
    squares = np.maximum(two[0], two[1:].mean(axis=0))
    tails = fourth.mean(axis=0) / np.maximum(two.mean(axis=0), 1e-12) ** 2
    _, days, orders, rows, spans = peaks.shape
    reached = peaks.reshape(2, days * orders, rows, spans)
    return Shown(squares, reached, tails, center[scalars:])


def _orders(days: int) -> NDArray[np.int64]:
    rng = np.random.Generator(np.random.PCG64(_SEED))
    return np.array([np.arange(days), *(rng.permutation(days) for _ in range(ORDERS - 1))])
