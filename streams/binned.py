"""Figures from counts by bucket: what stands between the edges is not known, and is said."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from itertools import accumulate
from math import ceil

from headrace.streams.buckets import number_edges
from headrace.streams.figures import Figure
from headrace.streams.totals import family_sum

OTHER_RANK = -(2**63)
"""Where a key ranks that is no bucket's number (of a family with too many keys): lowest."""


def rank_of(key: str) -> int:
    """Return a bucket's number, by which buckets are in order of their values."""
    try:
        return int(key)
    except ValueError:
        return OTHER_RANK


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
    for key in sorted(true.keys() | false.keys(), key=lambda key: (rank_of(key), key)):
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


def calibration_error(
    sure: Mapping[str, int], sums: Callable[[str], int], hits: Mapping[str, int], unit: int
) -> Figure:
    """Return the expected calibration error over bins of equal width.

    Parameters
    ----------
    sure
        How many answers each bin has.
    sums
        The sum of a bin's probabilities, in ``1 / unit``.
    hits
        How many of each bin came true.
    """
    n = family_sum(sure)
    if not n:
        return Figure(None, 0)
    gaps = sum(abs(sums(place) - unit * hits.get(place, 0)) for place in sure)
    return Figure(gaps / (unit * n), n, {"bins": float(len(sure))})


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
    n = family_sum(family)
    if not n or family is None:
        return Figure(None, 0)
    rank = max(1, -(-hundredths * n // 100))
    buckets = sorted((rank_of(key), count) for key, count in family.items())
    reached = list(accumulate(count for _, count in buckets))
    low, high = _whole_numbers(buckets[bisect_left(reached, rank)][0])
    return Figure((low + high) / 2, n, {"lower": float(low), "upper": float(high)})


def _whole_numbers(bucket: int) -> tuple[int, int]:
    """Return the least and the greatest whole number, from 0 on, in a bucket."""
    low, high = number_edges(max(bucket, 0))
    return ceil(low), max(ceil(low), ceil(high) - 1)
