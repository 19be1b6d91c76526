"""Many counts at once: what has come in a second is added up column by column.

One by one, a thousand buckets of a batch cost more than all else that MONITOR does with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from headrace.streams.totals import Family, Totals, add, add_values

PAIR = np.dtype([("key", "<i2"), ("count", "<i4")])
"""As ``headrace.schemas.counts`` packs them."""

_TEXTS = {key: str(key) for key in range(-(1 << 12), 1 << 12)}
"""Texts of the keys that buckets have."""


class Placed(NamedTuple):
    """A cell of a ``count`` record, and where it is added to.

    Attributes
    ----------
    place
        A tile, or the whole run.
    segment
        Of what ``values`` and ``buckets`` are.
    """

    place: int
    segment: str
    values: Mapping[str, int]
    buckets: Mapping[str, bytes]
    segments: list[str]
    columns: Mapping[str, list[int]]


Where = tuple[int, str]
"""Place and segment."""


def summed(cells: Iterable[Placed]) -> dict[Where, Totals]:
    """Return what cells add up to.

    Examples
    --------
    >>> from headrace.schemas.counts import pack
    >>> buckets = {"score": pack({-64: 2, 7: 1})}
    >>> cell = Placed(0, "all", {"events": 3}, buckets, ["by=a", "by=b"], {"events": [3, 0]})
    >>> for where, totals in summed([cell, cell]).items():
    ...     print(where, totals)
    (0, 'all') {'': {'events': 6}, 'score': {'-64': 4, '7': 2}}
    (0, 'by=a') {'': {'events': 6}}
    """
    found: dict[Where, Totals] = {}
    packed: dict[Where, dict[str, list[bytes]]] = {}
    columns: dict[Where, Family] = {}  # by place and name, not segment
    for cell in cells:
        where = (cell.place, cell.segment)
        add_values(found.setdefault(where, {}), cell.values)
        families = packed.setdefault(where, {})
        for family, data in cell.buckets.items():
            families.setdefault(family, []).append(data)
        for name, column in cell.columns.items():
            _add_column(columns.setdefault((cell.place, name), {}), cell.segments, column)
    for where, families in packed.items():
        add(found[where], {name: sums_of(b"".join(parts)) for name, parts in families.items()})
    for (place, name), counts in columns.items():
        for segment, n in counts.items():
            add_values(found.setdefault((place, segment), {}), {name: n} if n else {})
    return {where: totals for where, totals in found.items() if totals}


def _add_column(counts: Family, segments: list[str], column: list[int]) -> None:
    get = counts.get
    for segment, n in zip(segments, column, strict=True):
        counts[segment] = get(segment, 0) + n


def sums_of(data: bytes) -> Family:
    """Return the sums of packed counts by the texts of their keys; one that is 0 is none."""
    pairs = np.frombuffer(data, PAIR)
    if not len(pairs):
        return {}
    keys = pairs["key"].astype(np.int64)
    lowest = int(keys.min())
    sums = np.zeros(int(keys.max()) - lowest + 1, np.int64)
    np.add.at(sums, keys - lowest, pairs["count"].astype(np.int64))
    places = np.flatnonzero(sums)
    texts = [_TEXTS.get(key) or str(key) for key in (places + lowest).tolist()]
    return dict(zip(texts, sums[places].tolist(), strict=True))
