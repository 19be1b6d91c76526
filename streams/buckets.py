"""Buckets with fixed edges: what makes counts of real numbers exact and mergeable in any order.

Two kinds, both named by an integer whose order is the order of the values:

- a **number** falls into one of 32 buckets per octave (relative width 1.6 to 3.1 %), by
  ``math.frexp``; from 2**-40 in magnitude to 2**64, beyond which the last bucket takes all; 0
  takes what is nearer to zero. Whole numbers below 64 have buckets of their own.
- a **probability** falls into one of 64 buckets per octave of its distance to the nearer of 0 and
  1, down to 2**-17: fine where a rare class lives, and at most 1/256 wide in the middle.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from math import frexp, ldexp

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

NUMBER_SUBS = 32
NUMBER_EXPONENTS = (-40, 64)
"""Exponents, as ``frexp`` gives them, of the smallest and the largest number told apart."""

NUMBER_LAST = (NUMBER_EXPONENTS[1] - NUMBER_EXPONENTS[0] + 1) * NUMBER_SUBS
"""Number of the outermost bucket."""

PROBABILITY_SUBS = 64
PROBABILITY_EXPONENT_MIN = -16
PROBABILITY_LOWEST = PROBABILITY_EXPONENT_MIN * PROBABILITY_SUBS - 1
"""Number of the bucket next to 0; the one next to 1 is ``1 - PROBABILITY_LOWEST``."""

_MANY = 200  # below so many values, a Counter is faster than sorting them

_MANTISSA_BITS = 52
_SHIFT = _MANTISSA_BITS - 5  # keeps sign, exponent and five bits: 32 buckets per octave
_MAGNITUDE = 0xFFFF
_FIRST = (1022 + NUMBER_EXPONENTS[0]) * NUMBER_SUBS  # 1022: the bias, frexp's mantissa below 1


def number_bucket(value: float) -> int:
    """Return a finite number's bucket.

    Examples
    --------
    >>> [number_bucket(value) for value in (-1.0, 0.0, 1.0, 1.01, 2.0)]
    [-1313, 0, 1313, 1313, 1345]
    """
    mantissa, exponent = frexp(abs(value))
    within = int(mantissa * 2 * NUMBER_SUBS) - NUMBER_SUBS
    found = (exponent - NUMBER_EXPONENTS[0]) * NUMBER_SUBS + within + 1
    found = min(found, NUMBER_LAST) if value and found > 0 else 0
    return -found if value < 0 else found


def number_edges(bucket: int) -> tuple[float, float]:
    """Return the bounds of a number's bucket, the one nearer to zero first; it is part of it.

    Examples
    --------
    >>> number_edges(number_bucket(100.0))
    (100.0, 102.0)
    """
    if not bucket:
        return 0.0, ldexp(0.5, NUMBER_EXPONENTS[0])
    sign = -1.0 if bucket < 0 else 1.0
    return sign * _number_edge(abs(bucket)), sign * _number_edge(abs(bucket) + 1)


def _number_edge(magnitude: int) -> float:
    octave, within = divmod(magnitude - 1, NUMBER_SUBS)
    return ldexp(0.5 + within / (2 * NUMBER_SUBS), octave + NUMBER_EXPONENTS[0])


def raw_counts(values: Sequence[float]) -> Iterable[tuple[int, int]]:
    """Return the leading bits of many numbers and how many have them: those are of one bucket.

    An IEEE double holds sign, exponent and mantissa in this order, so its bits cut short are its
    bucket: 0.05 us a number, where ``frexp`` takes 0.3.

    Examples
    --------
    >>> list(raw_counts([1.0, 1.01, 64.0]))
    [(32736, 2), (32928, 1)]
    """
    return _counts(np.frombuffer(array("d", values), np.int64) >> _SHIFT)


def _counts(found: Integers) -> Iterable[tuple[int, int]]:
    if len(found) < _MANY:
        return Counter(found.tolist()).items()
    each, counts = np.unique(found, return_counts=True)
    return zip(each.tolist(), counts.tolist(), strict=True)


def bucket_of_raw(raw: int) -> int:
    """Return the bucket that leading bits name.

    Examples
    --------
    >>> [bucket_of_raw(raw) for raw, _ in raw_counts([-1.0, 0.0, 1.01])]
    [-1313, 0, 1313]
    """
    found = max(0, min((raw & _MAGNITUDE) - _FIRST + 1, NUMBER_LAST))
    return -found if raw < 0 else found


def probability_bucket(value: float) -> int:
    """Return the bucket of a probability; one outside of 0 to 1 is taken for the nearer end.

    Examples
    --------
    >>> [probability_bucket(value) for value in (0.0, 0.25, 0.5, 0.75, 1.0)]
    [-1025, -64, 0, 65, 1026]
    """
    return _below_half(value) if value <= 0.5 else 1 - _below_half(1.0 - value)


def _below_half(value: float) -> int:
    mantissa, exponent = frexp(max(value, 0.0))
    if exponent < PROBABILITY_EXPONENT_MIN or value <= 0:
        return PROBABILITY_LOWEST
    return exponent * PROBABILITY_SUBS + int(mantissa * 2 * PROBABILITY_SUBS) - PROBABILITY_SUBS


def probability_counts(values: Sequence[float]) -> Iterable[tuple[int, int]]:
    """Return the buckets of many probabilities, and how many are in each.

    Examples
    --------
    >>> list(probability_counts([0.75, 0.25, 0.75]))
    [(65, 2), (-64, 1)]
    """
    if len(values) < _MANY:
        return Counter(map(probability_bucket, values)).items()
    given = np.frombuffer(array("d", values))
    upper = given > 0.5
    near = np.where(upper, 1.0 - given, given)
    mantissa, exponent = np.frexp(near)
    within = (mantissa * (2 * PROBABILITY_SUBS)).astype(np.int64)
    found = exponent.astype(np.int64) * PROBABILITY_SUBS + within - PROBABILITY_SUBS
    found[(exponent < PROBABILITY_EXPONENT_MIN) | (near <= 0)] = PROBABILITY_LOWEST
    return _counts(np.where(upper, 1 - found, found))


def probability_edges(bucket: int) -> tuple[float, float]:
    """Return the bounds of a probability's bucket.

    Examples
    --------
    >>> [probability_edges(probability_bucket(value)) for value in (0.25, 0.75)]
    [(0.25, 0.25390625), (0.74609375, 0.75)]
    """
    if bucket > 0:
        low, high = probability_edges(1 - bucket)
        return 1.0 - high, 1.0 - low
    lowest = bucket <= PROBABILITY_LOWEST
    return 0.0 if lowest else half_edge(bucket), half_edge(max(bucket, PROBABILITY_LOWEST) + 1)


def half_edge(bucket: int) -> float:
    """Return the lower end of the bucket of a probability that is at most a half."""
    exponent, within = divmod(bucket, PROBABILITY_SUBS)
    return ldexp(0.5 + within / (2 * PROBABILITY_SUBS), exponent)
