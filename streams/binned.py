"""Figures from counts by bucket: what stands between the edges is not known, and is said."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from math import ceil, sqrt
from typing import NamedTuple

from headrace.streams.buckets import number_edges
from headrace.streams.figures import Figure
from headrace.streams.intervals import GAPS_MIN, absolute_gaps, mean
from headrace.streams.totals import family_sum

OTHER_RANK = -(2**63)
"""Where a key ranks that is no bucket's number (of a family with too many keys): lowest."""

_ONE_OF_A_HUNDRED = 1.6276
"""Of Kolmogorov's distribution: what is exceeded in one case of a hundred."""


def rank_of(key: str) -> int:
    """Return a bucket's number, by which buckets are in order of their values."""
    try:
        return int(key)
    except ValueError:
        return OTHER_RANK


@lru_cache(maxsize=20_000)
def _order_of(key: str) -> tuple[int, str]:
    """Return what buckets are put in order by; the same ones come again and again."""
    return rank_of(key), key


def auc(true: Mapping[str, int] | None, false: Mapping[str, int] | None) -> Figure:
    """Return the area under the ROC curve of binned scores.

    Pairs of a true and a false one whose scores share a bucket count half. The exact area lies
    within ``detail["half_width"]`` of the value.

    Parameters
    ----------
    true, false
        Counts of scores by bucket, of those that turned out true, and false.

    Examples
    --------
    >>> auc({"1": 1, "3": 1}, {"0": 1, "1": 1}).value
    0.875
    """
    true, false = true or {}, false or {}
    positives, negatives = family_sum(true), family_sum(false)
    support = positives + negatives
    if not positives or not negatives:
        return Figure(None, support)
    halves = ties = below = 0
    for key in sorted(true.keys() | false.keys(), key=_order_of):
        here, there = true.get(key, 0), false.get(key, 0)
        halves += here * (2 * below + there)
        ties += here * there
        below += there
    pairs = 2 * positives * negatives
    detail = {
        "half_width": ties / pairs,
        "positives": float(positives),
        "negatives": float(negatives),
    }
    return Figure(halves / pairs, support, detail)


class Calibration(NamedTuple):
    """How far probabilities are from what comes true.

    Attributes
    ----------
    error
        The expected calibration error; ``detail`` has of each bin, by its number, the mean
        probability and the share that came true: ``said.3``, ``came.3``. From less than
        :data:`~headrace.streams.intervals.GAPS_MIN` answers it has no interval.
    bias
        The mean probability less the share that came true.
    """

    error: Figure
    bias: Figure


def calibration_error(
    sure: Mapping[str, int],
    sums: Callable[[str], int],
    squares: Callable[[str], int],
    hits: Mapping[str, int],
    unit: int,
) -> Calibration:
    """Return the expected calibration error over bins of equal width, and the bias.

    Parameters
    ----------
    sure
        How many answers each bin has.
    sums
        The sum of a bin's probabilities, in ``1 / unit``.
    squares
        The sum of the squares of how far a bin's probabilities are from what came, in ``1 / unit``.
    hits
        How many of each bin came true.
    """
    n = family_sum(sure)
    if not n:
        return Calibration(Figure(None, 0), Figure(None, 0))
    gaps, detail = [], {"bins": float(len(sure))}
    places = sorted(sure, key=rank_of)
    for place in places:
        gaps.append(sums(place) - unit * hits.get(place, 0))
        detail[f"said.{place}"] = sums(place) / (unit * sure[place])
        detail[f"came.{place}"] = hits.get(place, 0) / sure[place]
    off, squared = sum(map(abs, gaps)), [unit * squares(place) for place in places]
    if n >= GAPS_MIN and n * sum(squared) > off * off:  # else squares were not counted
        scale = unit * n
        spreads = [
            max(0, n * square - gap * gap) / (scale * scale * (n - 1))
            for square, gap in zip(squared, gaps, strict=True)
        ]
        bounds = absolute_gaps([gap / scale for gap in gaps], spreads)
        detail["low"], detail["high"] = bounds[0], min(1.0, bounds[1])
    bias = mean(sum(gaps), sum(squared), n, unit, least=-1.0, most=1.0)
    return Calibration(Figure(off / (unit * n), n, detail), bias)


def quantile(family: Mapping[str, int] | None, hundredths: int) -> Figure:
    """Return a quantile of whole numbers counted by bucket.

    The value is the middle of the bucket that holds the number of that rank: exact below 64, else
    within 1.6 %; ``detail`` has the bucket's least and greatest whole number.

    Parameters
    ----------
    hundredths
        50 for the median.

    Examples
    --------
    >>> quantile({"0": 9, "1313": 1}, 50).value
    0.0
    """
    return quantile_within(family, hundredths, _whole_numbers)


def quantile_within(
    family: Mapping[str, int] | None, hundredths: int, edges: Callable[[int], tuple[float, float]]
) -> Figure:
    """Return a quantile of numbers counted by bucket: the middle of its bucket.

    Parameters
    ----------
    hundredths
        50 for the median.
    edges
        Returns the ends of a bucket.

    Examples
    --------
    >>> quantile_within({"0": 1, "1313": 9}, 50, number_edges).value
    1.015625
    """
    return quantiles_within(family, (hundredths,), edges)[0]


def quantiles(family: Mapping[str, int] | None, hundredths: Sequence[int]) -> list[Figure]:
    """Return several quantiles at once, as :func:`quantile` does each."""
    return quantiles_within(family, hundredths, _whole_numbers)


def quantiles_within(
    family: Mapping[str, int] | None,
    hundredths: Sequence[int],
    edges: Callable[[int], tuple[float, float]],
) -> list[Figure]:
    """Return several quantiles at once, as :func:`quantile_within` does each."""
    n = family_sum(family)
    if not n or family is None:
        return [Figure(None, 0)] * len(hundredths)
    buckets = sorted(family, key=_order_of)
    reached = list(accumulate(map(family.__getitem__, buckets)))
    found = []
    for each in hundredths:
        rank = max(1, -(-each * n // 100))
        low, high = sorted(edges(rank_of(buckets[bisect_left(reached, rank)])))
        found.append(Figure((low + high) / 2, n, {"lower": float(low), "upper": float(high)}))
    return found


def gap(part: Mapping[str, int], whole: Mapping[str, int]) -> Figure:
    """Return how far the distribution of a part is from that of the rest (Kolmogorov, Smirnov).

    The greatest difference of the two cumulative shares, at the buckets' ends. By chance alone it
    exceeds ``detail["chance"]`` in one case of a hundred.

    Parameters
    ----------
    part, whole
        Counts by bucket, of the part and of all.

    Examples
    --------
    >>> gap({"1": 2}, {"1": 2, "9": 2}).value
    1.0
    """
    n, rest = family_sum(part), family_sum(whole) - family_sum(part)
    if n <= 0 or rest <= 0:
        return Figure(None, n + rest)
    ahead = farthest = 0
    for key in sorted(whole.keys() | part.keys(), key=_order_of):
        here = part.get(key, 0)
        ahead += here * rest - (whole.get(key, 0) - here) * n
        farthest = max(farthest, abs(ahead))
    chance = _ONE_OF_A_HUNDRED * sqrt(1 / n + 1 / rest)
    return Figure(farthest / (n * rest), n + rest, {"chance": chance})


def _whole_numbers(bucket: int) -> tuple[int, int]:
    """Return the least and the greatest whole number, from 0 on, in a bucket."""
    low, high = number_edges(max(bucket, 0))
    return ceil(low), max(ceil(low), ceil(high) - 1)
