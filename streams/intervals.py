"""How sure a metric is: the interval in which the truth lies 95 times of a hundred.

All take the things for independent of each other. Events that follow on each other seldom are, so
the truth is outside more often than that: an interval says at least how little is known.
Where so few things, or things so alike, came that they do not tell how much they spread, there is
none.

E. B. Wilson, *Probable inference, the law of succession, and statistical inference* (1927), for
shares: it never leaves 0 to 1, and is right for few things too. J. Hanley, B. McNeil, *The meaning
and use of the area under a receiver operating characteristic (ROC) curve* (1982), for the AUC.
D. Bonett, *Approximate confidence interval for standard deviation of nonnormal distributions*
(2006), for the logarithm of a mean square; S. Hawinkel, W. Waegeman, S. Maere, *Out-of-sample R2:
estimation and inference* (2024), for the spread of a ratio of two of them. K. Takahashi,
K. Yamamoto, A. Kuchiba, T. Koyama, *Confidence interval for micro-averaged F1 and macro-averaged F1
scores* (2022), for the mean of F1s.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, inf, pi, sqrt
from typing import NamedTuple

from headrace.streams.figures import Figure

_Z = 1.959963984540054
"""Half of the two-sided 95 % interval of the standard normal distribution."""

SQUARES_MIN = 50
"""From fewer squares how much they spread is not to be told: the largest are yet to come."""

OF_CLASS_MIN = 10
"""Of each class so many must have been true, lest one answer more or less be half of its F1."""

GAPS_MIN = 100
"""From fewer answers how far probabilities are off by chance is not to be told, bin by bin."""


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
    return Figure(part / n, n, _wilson(part / n, n))


def _wilson(value: float, n: float) -> dict[str, float]:
    """Return Wilson's interval of a share of ``n`` things, or of what is worth as many."""
    weight = _Z * _Z / n
    centre = (value + weight / 2) / (1 + weight)
    half = _Z / (1 + weight) * sqrt(value * (1 - value) / n + weight / (4 * n))
    return {
        "low": min(max(0.0, centre - half), value),
        "high": max(min(1.0, centre + half), value),
    }


def mean(
    total: int, squared: int, n: int, unit: int, *, least: float = 0.0, most: float = inf
) -> Figure:
    """Return a mean with the normal interval, if the sum of squares can be one.

    Parameters
    ----------
    total, squared
        Sums of the values, and of their squares.
    unit
        How many of these values are 1.
    least, most
        Nothing is less, or more, than this.

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
    bounds = {"low": max(least, value - half), "high": min(most, value + half)}
    return Figure(value, n, bounds)


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


class Powers(NamedTuple):
    """Sums over answers to a question for a number, e being the error and y the label.

    Attributes
    ----------
    squared, fourth
        Of e**2 and e**4.
    label, label_squared, label_cubed, label_fourth
        Of y, y**2, y**3, y**4.
    squared_label, squared_label_squared
        Of e**2 * y and e**2 * y**2.
    """

    squared: int
    fourth: int
    label: int
    label_squared: int
    label_cubed: int
    label_fourth: int
    squared_label: int
    squared_label_squared: int


def root_mean_square(squared: int, fourth: int, n: int, unit: int) -> Figure:
    """Return the root of a mean square, with the interval that is normal in its logarithm.

    Of that of a mean square of n errors the variance is ``(k - 1) / n``, k being the kurtosis about
    zero, ``mean(e**4) / mean(e**2)**2`` (delta method). From less than :data:`SQUARES_MIN` errors
    there is none.

    Parameters
    ----------
    squared, fourth
        Sums of the errors' squares and fourth powers.
    unit
        How many of the errors are 1.

    Examples
    --------
    >>> figure = root_mean_square(50 * 4 + 50 * 16, 50 * 16 + 50 * 256, 100, 1)
    >>> round(figure.value, 3), round(figure.detail["low"], 3), round(figure.detail["high"], 3)
    (3.162, 2.981, 3.355)
    """
    value = sqrt(squared / (unit * unit * n))
    spread = n * fourth - squared * squared  # exact
    if n < SQUARES_MIN or not squared or spread < 0:  # the last: fourth powers were not counted
        return Figure(value, n)
    factor = exp(_Z * sqrt(spread / (squared * squared * (n - 1))) / 2)
    return Figure(value, n, {"low": value / factor, "high": value * factor})


def explained(sums: Powers, n: int) -> Figure:
    """Return R squared; no value if the labels are all equal.

    Its interval is normal in the logarithm of 1 - R squared, the ratio of the errors' mean square
    to the labels' variance. That has a spread of a mean's, of ``a / mean(a) - b / mean(b)`` with a
    being the squared error and b the squared distance of the label from the mean (delta method;
    that the mean is of the same labels makes no difference to the first order).

    Examples
    --------
    >>> explained(Powers(4, 4, 10, 30, 100, 354, 10, 30), 4).value  # labels 1, 2, 3, 4
    0.19999999999999996
    """
    squared, label = sums.squared, sums.label
    variance = n * sums.label_squared - label * label  # n**2 times it, exact; so is all below
    if not variance:
        return Figure(None, n)
    ratio = n * squared / variance
    uncounted = (
        n * sums.fourth < squared * squared
        or n * sums.label_fourth < sums.label_squared * sums.label_squared
    )
    if n < SQUARES_MIN or not squared or uncounted:
        return Figure(1 - ratio, n)
    both = (
        n * n * sums.squared_label_squared
        - 2 * n * label * sums.squared_label
        + label * label * squared
    )
    fourth = (
        n**3 * sums.label_fourth
        - 4 * n * n * label * sums.label_cubed
        + 6 * n * label * label * sums.label_squared
        - 3 * label**4
    )
    spread = (
        n * sums.fourth * variance * variance
        - 2 * both * squared * variance
        + fourth * squared * squared
    )
    part = sqrt(spread / (squared * squared * variance * variance * (n - 1)))
    factor = exp(_Z * part)
    return Figure(1 - ratio, n, {"low": 1 - ratio * factor, "high": 1 - ratio / factor})


class OfClass(NamedTuple):
    """How often a class was true, was said, and both."""

    actual: int
    said: int
    hit: int


def mean_f1(classes: Sequence[OfClass], n: int) -> Figure:
    """Return the mean of F1s of classes, with an interval that is rather too wide.

    An answer that is right moves the mean of K classes by ``2 (1 - F) / (K D)``, one that is wrong
    by ``-(v + w) / K``: D being how often a class is true or said per answer, and v and w the
    ``F / D`` of the class that was true and of the one that was said (delta method). Which class is
    said in place of which is not counted; by Cauchy's inequality the sum over the wrong ones of
    ``(v + w)**2`` is at most the square of the sum of the roots of those of ``v**2`` and ``w**2``.
    With the variance the mean is worth a share of so many answers, whose interval is Wilson's.

    There is none if a class was true less than :data:`OF_CLASS_MIN` times, nor of answers that are
    all right or all wrong, which do not say how much they spread.

    Parameters
    ----------
    classes
        Those that were true or said.
    n
        How many answers there are.

    Examples
    --------
    >>> figure = mean_f1([OfClass(60, 60, 50), OfClass(40, 40, 30)], 100)
    >>> round(figure.value, 3), round(figure.detail["low"], 3), round(figure.detail["high"], 3)
    (0.792, 0.699, 0.861)
    """
    detail = {"classes": float(len(classes))}
    if not classes:
        return Figure(None, n, detail)
    scores = [2 * each.hit / (each.actual + each.said) for each in classes]
    value = sum(scores) / len(scores)
    if min(each.actual for each in classes) < OF_CLASS_MIN:
        return Figure(value, n, detail)
    right = missed = strange = 0.0
    for each, score in zip(classes, scores, strict=True):
        often = each.actual + each.said
        right += each.hit * (2 * (1 - score) / often) ** 2
        missed += (each.actual - each.hit) * (score / often) ** 2
        strange += (each.said - each.hit) * (score / often) ** 2
    variance = (right + (sqrt(missed) + sqrt(strange)) ** 2) / len(classes) ** 2
    if not variance:
        return Figure(value, n, detail)
    return Figure(value, n, {**detail, **_wilson(value, value * (1 - value) / variance)})


def absolute_gaps(gaps: Sequence[float], spreads: Sequence[float]) -> tuple[float, float]:
    """Return an interval of a sum of absolute values that are each known with a normal error.

    The sum of what was measured is too great on average, as errors that cancel out in a gap do not
    in its absolute value: of gaps that are all 0 it is the sum of the errors' absolute values, with
    a mean of ``sqrt(2 / pi)`` times, and a variance of ``1 - 2 / pi`` times, what the errors have.
    No gaps have more of that, so it is taken off for the lower end. The upper end needs no such
    thing: the sum with the true signs has a normal error, and is no greater.

    Parameters
    ----------
    gaps
        What was measured.
    spreads
        The variances of the errors.

    Examples
    --------
    >>> low, high = absolute_gaps([0.2, -0.1], [0.0004, 0.0004])
    >>> round(low, 3), round(high, 3)
    (0.235, 0.355)
    """
    value, variance = sum(map(abs, gaps)), sum(spreads)
    cancelled = sqrt(2 / pi) * sum(map(sqrt, spreads)) + _Z * sqrt((1 - 2 / pi) * variance)
    return max(0.0, value - cancelled), value + _Z * sqrt(variance)
