"""How sure a metric is: the interval in which the truth lies 95 times of a hundred.

Both take the things for independent of each other. Events that follow on each other seldom are, so
the truth is outside more often than that: an interval says at least how little is known.

E. B. Wilson, *Probable inference, the law of succession, and statistical inference* (1927), for
shares: it never leaves 0 to 1, and is right for few things too.
"""

from __future__ import annotations

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


def mean(total: int, squared: int, n: int, unit: int) -> Figure:
    """Return a mean with the normal interval, if the sum of squares can be one.

    Parameters
    ----------
    total, squared
        Sums of the values, none of them negative, and of their squares.
    unit
        How many of these values are 1.

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
    return Figure(value, n, {"low": max(0.0, value - half), "high": value + half})
