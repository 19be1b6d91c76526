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

from collections.abc import Mapping

from headrace.streams.figures import Figure
from headrace.streams.groups import NULL, Groups, grouping_of, is_number, paired, psi
from headrace.streams.intervals import share
from headrace.streams.totals import KEYS_MAX, Family, Totals, family_sum

SUPPORT_MIN = 100


def is_watched(family: str) -> bool:
    """Return whether a family of counts is compared with its reference."""
    return family == "score" or family.startswith("feature.")


class _Inside(dict[str, bool]):
    """Whether keys are such as a reference has; remembered, since they come again and again.

    Numbers are, from its least to its greatest; of names, its own; nulls always.
    """

    def __init__(self, reference: Family) -> None:
        super().__init__()
        numbers = [int(key) for key in reference if is_number(key)]
        self._range = (min(numbers), max(numbers)) if numbers else None
        self._names = frozenset(reference)

    def __missing__(self, key: str) -> bool:
        found = self._is_inside(key)
        if len(self) < KEYS_MAX:
            self[key] = found
        return found

    def _is_inside(self, key: str) -> bool:
        if self._range is None:
            return key in self._names or key == NULL
        return not is_number(key) or self._range[0] <= int(key) <= self._range[1]


class Compared:
    """One feature's counts, as they are compared with its reference.

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
    >>> compared = Compared({"true": 60, "false": 40})
    >>> round(compared.psi({"true": 60, "false": 140}).value, 2)
    0.37
    """

    def __init__(self, reference: Family) -> None:
        self._groups = Groups(grouping_of(reference))
        self._inside = _Inside(reference)
        self.reference = self._groups.counts(reference)
        self._support = sum(self.reference)

    def psi(self, family: Mapping[str, int]) -> Figure:
        """Return the PSI of a window's counts; no value below the least support."""
        found = self._groups.counts(family)
        n, m = sum(found), self._support
        if min(n, m) < SUPPORT_MIN:
            return Figure(None, n)
        pairs = paired(found, self.reference)
        chance = (len(pairs) - 1) * (1 / n + 1 / m)
        return Figure(psi(pairs), n, {"groups": float(len(pairs)), "chance": chance})

    def outside(self, family: Mapping[str, int]) -> Figure:
        """Return the share of values outside of the reference's range, or of none of its names.

        Examples
        --------
        >>> Compared({"3": 60, "7": 40}).outside({"1": 1, "5": 2, "8": 1}).value
        0.5
        """
        inside = self._inside
        strange = sum([count for key, count in family.items() if not inside[key]])
        return share(strange, family_sum(family))


class Reference:
    """What windows are compared with: the counts of the reference period, grouped.

    Parameters
    ----------
    totals
        The reference period's counts; only watched families are looked at.
    """

    def __init__(self, totals: Totals) -> None:
        self._compared = {
            name: Compared(family) for name, family in totals.items() if is_watched(name)
        }

    def figures(self, totals: Totals) -> dict[str, Figure]:
        """Return what each feature and the score have become.

        Returns
        -------
        dict
            The PSI as ``psi.feature.<name>`` and ``psi.score``; and, where there are any, the share
            of values outside of the reference's range: ``outside.feature.<name>``.
        """
        found = {}
        for name, compared in self._compared.items():
            family = totals.get(name, {})
            found[f"psi.{name}"] = compared.psi(family)
            outside = compared.outside(family)
            if outside.value:
                found[f"outside.{name}"] = outside
        return found
