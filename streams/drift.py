"""Drift: how far a window's distribution is from that of the reference period.

The population stability index (PSI) of a feature: its values are put into at most ten groups by
the quantiles of the reference, and ``PSI = sum((p - q) * ln(p / q))`` over the groups, where q and
p are the shares of reference and window. Each group gets half a count more in both, so that an
empty one is no infinity. Values below all of the reference's are a group of their own, as are those
above, lest a feature that was constant then could never be seen to change; so are nulls. Of a
category the nine most frequent values are groups, and one group takes all others. Usual reading:
below 0.1 nothing to speak of, above 0.25 a large change.

A window of the same distribution still has a PSI of about ``(groups - 1) * (1/n + 1/m)`` by chance
(n and m being what window and reference count); it is said as ``detail["chance"]``. Below
:data:`SUPPORT_MIN` in either there is no PSI.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from math import log

from headrace.streams.figures import Figure
from headrace.streams.totals import Family, Totals

GROUPS_MAX = 10
SUPPORT_MIN = 100
SMOOTHING = 0.5

NULL = "null"


def is_watched(family: str) -> bool:
    """Return whether a family of counts is compared with its reference."""
    return family == "score" or family.startswith("feature.")


class Groups:
    """How the keys of one feature's counts are put into groups, by its reference.

    Parameters
    ----------
    reference
        The reference's counts by bucket.

    Attributes
    ----------
    reference
        The reference's counts by group.

    Examples
    --------
    >>> groups = Groups({"true": 60, "false": 40})
    >>> round(groups.psi({"true": 60, "false": 140}).value, 2)
    0.37
    """

    def __init__(self, reference: Family) -> None:
        numbers = sorted(int(key) for key in reference if _is_number(key))
        self._uppers = _quantiles(numbers, reference)
        names = sorted(
            (key for key in reference if key != NULL and not _is_number(key)),
            key=lambda key: (-reference[key], key),
        )
        self._lowest = numbers[0] if numbers else 0
        first = len(self._uppers) + 2  # below all of the reference's numbers, and above
        self._named = {key: first + place for place, key in enumerate(names[: GROUPS_MAX - 1])}
        self._other = first + len(self._named)
        self._places: dict[str, int] = {}
        null = self._other + 1
        self._named[NULL] = null
        self._groups = null + 1
        self.reference = self._counts(reference)

    def _place(self, key: str) -> int:
        """Return a key's group; numbers beyond the reference's are of groups of their own."""
        if self._uppers and _is_number(key):
            number = int(key)
            return 0 if number < self._lowest else 1 + bisect_left(self._uppers, number)
        return self._named.get(key, self._other)

    def _counts(self, family: Mapping[str, int]) -> list[int]:
        counts, places = [0] * self._groups, self._places
        for key, n in family.items():
            place = places.get(key)
            if place is None:
                place = places[key] = self._place(key)
            counts[place] += n
        return counts

    def psi(self, family: Mapping[str, int]) -> Figure:
        """Return the PSI of a window's counts; no value below the least support."""
        found = self._counts(family)
        n, m = sum(found), sum(self.reference)
        if min(n, m) < SUPPORT_MIN:
            return Figure(None, n)
        # A group that is empty in both is none: it would only dilute the others.
        pairs = [pair for pair in zip(found, self.reference, strict=True) if any(pair)]
        extra = SMOOTHING * len(pairs)
        total = 0.0
        for here, there in pairs:
            p, q = (here + SMOOTHING) / (n + extra), (there + SMOOTHING) / (m + extra)
            total += (p - q) * log(p / q)
        chance = (len(pairs) - 1) * (1 / n + 1 / m)
        return Figure(total, n, {"groups": float(len(pairs)), "chance": chance})


def _is_number(key: str) -> bool:
    return key.lstrip("-").isdigit()


def _quantiles(numbers: list[int], reference: Family) -> list[int]:
    """Return the last bucket of each group; groups hold about equal shares of the reference."""
    total = sum(reference[str(number)] for number in numbers)
    uppers: list[int] = []
    before = filled = 0
    for number in numbers:
        before += reference[str(number)]
        shares = before * GROUPS_MAX // total
        if shares > filled:  # one bucket may fill several shares
            uppers.append(number)
            filled = shares
    return uppers


class Reference:
    """What windows are compared with: the counts of the reference period, grouped.

    Parameters
    ----------
    totals
        The reference period's counts; only watched families are looked at.
    """

    def __init__(self, totals: Totals) -> None:
        self._groups = {name: Groups(family) for name, family in totals.items() if is_watched(name)}

    def figures(self, totals: Totals) -> dict[str, Figure]:
        """Return the PSI of each feature and of the score, as ``psi.feature.<name>`` and so on."""
        return {
            f"psi.{name}": groups.psi(totals.get(name, {})) for name, groups in self._groups.items()
        }
