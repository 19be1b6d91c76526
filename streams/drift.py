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
from headrace.streams.groups import Groups, grouping_of, paired, psi
from headrace.streams.totals import Family, Totals

SUPPORT_MIN = 100


def is_watched(family: str) -> bool:
    """Return whether a family of counts is compared with its reference."""
    return family == "score" or family.startswith("feature.")


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
        """Return the PSI of each feature and of the score, as ``psi.feature.<name>`` and so on."""
        return {
            f"psi.{name}": compared.psi(totals.get(name, {}))
            for name, compared in self._compared.items()
        }
