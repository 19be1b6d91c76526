"""Thresholds in the tail: Student's t where spread was estimated from few days.

A statistic that is a mean divided by a spread estimated from ``days`` independent days follows
Student's t, not the normal distribution: at one in a hundred thousand 7 days ask for 15 times
the spread, 28 for 5. Wallace's approximation maps one to the other in closed form, both ways:
D. L. Wallace, *Bounds on normal approximations to Student's and the chi-square distributions*
(1959).
"""

from __future__ import annotations

from math import exp, expm1, log1p, sqrt
from statistics import NormalDist

_NORMAL = NormalDist()
_EXPONENT_MAX = 60.0


def normal_of_t(t: float, freedom: float) -> float:
    """Return the normal deviate with about the same tail as Student's t.

    Examples
    --------
    >>> round(normal_of_t(2.228, 10), 2)
    1.96
    """
    return (8 * freedom + 1) / (8 * freedom + 3) * sqrt(freedom * log1p(t * t / freedom))


def t_of_normal(deviate: float, freedom: float) -> float:
    """Return Student's t with about the same tail as a normal deviate.

    Examples
    --------
    >>> round(t_of_normal(1.96, 10), 2)
    2.23
    """
    scaled = deviate * (8 * freedom + 3) / (8 * freedom + 1)
    exponent = scaled * scaled / freedom
    if exponent > _EXPONENT_MAX:
        return sqrt(freedom) * exp(_EXPONENT_MAX / 2)
    return sqrt(freedom * expm1(exponent))


def two_sided(deviate: float) -> float:
    """Return how likely a normal deviate is at least so far from 0."""
    return 2.0 * _NORMAL.cdf(-abs(deviate))


def deviate_of(chance: float) -> float:
    """Return the deviate that is exceeded, on either side, with this chance.

    Examples
    --------
    >>> round(deviate_of(0.05), 2)
    1.96
    """
    return -_NORMAL.inv_cdf(min(max(chance, 1e-300), 0.999) / 2.0)
