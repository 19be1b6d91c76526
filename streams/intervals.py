"""How sure a metric is: the interval in which the truth lies 95 times of a hundred.

All take the things for independent of each other. Events that follow on each other seldom are, so
the truth is outside more often than that: an interval says at least how little is known.

E. B. Wilson, *Probable inference, the law of succession, and statistical inference* (1927), for
shares: it never leaves 0 to 1, and is right for few things too. J. Hanley, B. McNeil, *The meaning
and use of the area under a receiver operating characteristic (ROC) curve* (1982), for the AUC.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from headrace.streams.figures import Figure

_Z = 1.959963984540054
"""Half of the two-sided 95 % interval of the standard normal distribution."""


def share(part: int, n: int) -> Figure:
    """Return a share with Wilson's interval, as ``detail["low"]`` and ``detail["high"]``.

    Examples
    --------
    >>> figure = share(8, 10)
    >>> figure.value, round(figure.detail["low"], 3), round(figure.detail["high"], 3)
    (0.8, 0.49, 0.943)
    """
    if not n:
        return Figure(None, 0)
    value, weight = part / n, _Z * _Z / n
    centre = (value + weight / 2) / (1 + weight)
    half = _Z / (1 + weight) * sqrt(value * (1 - value) / n + weight / (4 * n))
    low, high = min(max(0.0, centre - half), value), max(min(1.0, centre + half), value)
    return Figure(value, n, {"low": low, "high": high})


def mean(total: int, squared: int, n: int, unit: int, *, least: float = 0.0) -> Figure:
    """Return a mean with the normal interval, if the sum of squares can be one.

    Parameters
    ----------
    total, squared
        Sums of the values, and of their squares.
    unit
        How many of these values are 1.
    least
        Nothing is less than this.

    Examples
    --------
    >>> figure = mean(6, 14, 3, 1)
    >>> figure.value, round(figure.detail["low"], 2), round(figure.detail["high"], 2)
    (2.0, 0.87, 3.13)
    """
    value = total / (unit * n)
    spread = n * squared - total * total  # n**2 times the variance, exact
    if n < 2 or spread < 0:  # one value, or squares that were not counted
        return Figure(value, n)
    half = _Z * sqrt(spread / (n * n * (n - 1))) / unit
    return Figure(value, n, {"low": max(least, value - half), "high": value + half})


def of_values(counts: Sequence[tuple[int, float]]) -> Figure:
    """Return the mean of a few values, none of them negative, each counted, with its interval.

    Examples
    --------
    >>> figure = of_values([(1, 10.0), (3, 0.0)])
    >>> figure.value, figure.support, round(figure.detail["high"], 2)
    (2.5, 4, 7.4)
    """
    n = sum(count for count, _ in counts)
    value = sum(count * each for count, each in counts) / n
    if n < 2:
        return Figure(value, n)
    spread = sum(count * (each - value) ** 2 for count, each in counts)
    half = _Z * sqrt(spread / (n * (n - 1)))
    return Figure(value, n, {"low": max(0.0, value - half), "high": value + half})


def of_ranks(figure: Figure) -> Figure:
    """Return an AUC with Hanley and McNeil's interval, and what its bins leave open beside it.

    Examples
    --------
    >>> known = {"positives": 50.0, "negatives": 50.0, "half_width": 0.01}
    >>> found = of_ranks(Figure(0.8, 100, known)).detail
    >>> round(found["low"], 2), round(found["high"], 2)
    (0.7, 0.9)
    """
    area = figure.value
    if area is None:
        return figure
    detail = dict(figure.detail)
    true, false = detail["positives"], detail["negatives"]
    spread = area * (1 - area)
    spread += (true - 1) * (area / (2 - area) - area * area)
    spread += (false - 1) * (2 * area * area / (1 + area) - area * area)
    half = _Z * sqrt(max(0.0, spread) / (true * false)) + detail["half_width"]
    bounds = {"low": max(0.0, area - half), "high": min(1.0, area + half)}
    return figure._replace(detail={**detail, **bounds})
