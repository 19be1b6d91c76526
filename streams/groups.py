"""How the buckets of a distribution are put into few groups, by what its first stretch shows."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from math import log
from typing import Any

from headrace.streams.buckets import half_edge, number_edges

GROUPS_MAX = 10
"""Numbers are cut at the reference's tenths; of names the nine most frequent are groups."""

SMOOTHING = 0.5
"""What each group has more of, so that an empty one is no infinity."""

NULL = "null"

Grouping = dict[str, Any]
"""Plain data: ``lowest`` bucket, ``uppers`` of the groups of numbers, ``named`` keys."""


def is_number(key: str) -> bool:
    """Return whether a key names a bucket of numbers."""
    return key.lstrip("-").isdigit()


def grouping_of(family: Mapping[str, int]) -> Grouping:
    """Return how a distribution's keys are grouped.

    Examples
    --------
    >>> grouping_of({"1": 5, "3": 5, "null": 1})
    {'lowest': 1, 'uppers': [1, 3], 'named': []}
    """
    numbers = sorted(int(key) for key in family if is_number(key))
    names = sorted(
        (key for key in family if key != NULL and not is_number(key)),
        key=lambda key: (-family[key], key),
    )
    return {
        "lowest": numbers[0] if numbers else 0,
        "uppers": _uppers(numbers, family),
        "named": names[: GROUPS_MAX - 1],
    }


def _uppers(numbers: list[int], family: Mapping[str, int]) -> list[int]:
    """Return the last bucket of each group, each with about a tenth of all."""
    total = sum(family[str(number)] for number in numbers)
    uppers: list[int] = []
    before = filled = 0
    for number in numbers:
        before += family[str(number)]
        shares = before * GROUPS_MAX // total
        if shares > filled:  # one bucket may fill several shares
            uppers.append(number)
            filled = shares
    return uppers


class Groups:
    """Puts counts by bucket into groups.

    In this order: numbers below all of the first stretch, its tenths, numbers above, the names,
    other names, nulls. Of names alone there are no groups of numbers, and the other way round.

    Parameters
    ----------
    grouping
        Plain data from :func:`grouping_of`.

    Examples
    --------
    >>> groups = Groups(grouping_of({"1": 5, "3": 5}))
    >>> groups.counts({"0": 1, "2": 2, "9": 4, "null": 8})
    [1, 0, 2, 4, 0, 8]
    """

    def __init__(self, grouping: Grouping) -> None:
        self._lowest: int = grouping["lowest"]
        self._uppers: list[int] = grouping["uppers"]
        named: list[str] = grouping["named"]
        self.numbers = len(self._uppers) + 2 if self._uppers else 0
        self._named = {key: self.numbers + place for place, key in enumerate(named)}
        self._other = self.numbers + len(named)
        self._named[NULL] = self._other + 1
        self.size = self._other + 2
        self._places: dict[str, int] = {}

    def _place(self, key: str) -> int:
        if self._uppers and is_number(key):
            number = int(key)
            return 0 if number < self._lowest else 1 + bisect_left(self._uppers, number)
        return self._named.get(key, self._other)

    def counts(self, family: Mapping[str, int]) -> list[int]:
        """Return counts by group."""
        counts, places = [0] * self.size, self._places
        for key, n in family.items():
            place = places.get(key)
            if place is None:
                place = places[key] = self._place(key)
            counts[place] += n
        return counts

    def labels(self, *, probabilities: bool) -> list[str]:
        """Return what the groups are called; of numbers, by the end of their last bucket."""
        edge = _probability_edge if probabilities else _number_edge
        edges = [f"<= {edge(upper):.6g}" for upper in self._uppers]
        if edges:
            edges = [f"< {edge(self._lowest - 1):.6g}", *edges, f"> {edge(self._uppers[-1]):.6g}"]
        named = sorted((place, key) for key, place in self._named.items() if key != NULL)
        return [*edges, *(key for _, key in named), "other", NULL]


def _number_edge(bucket: int) -> float:
    """Return the upper end of a number's bucket."""
    return max(number_edges(bucket))


def _probability_edge(bucket: int) -> float:
    """Return the upper end of a probability's bucket."""
    if bucket > 0:
        return 1.0 - half_edge(1 - bucket)
    return half_edge(bucket + 1)


Pairs = list[tuple[float, float]]
"""What of each group was observed, and what the reference has; groups that neither has are none."""


def paired(observed: Sequence[float], reference: Sequence[float]) -> Pairs:
    """Return counts by group side by side; a group that is empty in both would dilute the others.

    Examples
    --------
    >>> paired([1, 0, 2], [0, 0, 3])
    [(1, 0), (2, 3)]
    """
    return [pair for pair in zip(observed, reference, strict=True) if any(pair)]


def psi(pairs: Pairs) -> float:
    """Return the population stability index of counts, with half a count more in each group.

    Examples
    --------
    >>> round(psi([(60, 60), (140, 40)]), 2)
    0.37
    """
    extra = SMOOTHING * len(pairs)
    n = sum([here for here, _ in pairs]) + extra
    m = sum([there for _, there in pairs]) + extra
    total = 0.0
    for here, there in pairs:
        p, q = (here + SMOOTHING) / n, (there + SMOOTHING) / m
        total += (p - q) * log(p / q)
    return total
