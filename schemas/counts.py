r"""What a ``count`` record holds: counts by name, of buckets packed, of segments in columns.

Most of what stages count are buckets: a batch fills a thousand of them. As a map of names they cost
a reader more than all that it does with them. So the counts of a family whose keys are numbers are
pairs of a key (16 bits) and a count (32 bits), little-endian; ``struct.iter_unpack("<hi", data)``
reads them. Two such byte strings, one behind the other, are counts again: their sum.

Examples
--------
>>> pack({-64: 2, 7: 1})
b'\xc0\xff\x02\x00\x00\x00\x07\x00\x01\x00\x00\x00'
>>> list(unpack(pack({-64: 2, 7: 1})))
[(-64, 2), (7, 1)]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import chain
from struct import Struct
from typing import Any

KEY_MAX, COUNT_MAX = (1 << 15) - 1, (1 << 31) - 1

_PAIR = Struct("<hi")


@lru_cache(maxsize=512)
def _pairs(n: int) -> Callable[..., bytes]:
    return Struct("<" + n * "hi").pack


def pack(counts: Mapping[int, int]) -> bytes:
    """Return counts by numbered key as bytes.

    Raises
    ------
    struct.error
        A key or a count does not fit (:func:`fits`).
    """
    return _pairs(len(counts))(*chain.from_iterable(counts.items()))


def fits(key: int, n: int) -> bool:
    """Return whether a count can be packed."""
    return abs(key) <= KEY_MAX and abs(n) <= COUNT_MAX


def unpack(data: bytes) -> Iterator[tuple[int, int]]:
    """Return keys and counts; of bytes that :func:`is_packed` takes."""
    return _PAIR.iter_unpack(data)


def is_packed(data: bytes) -> bool:
    """Return whether bytes can be packed counts."""
    return len(data) % _PAIR.size == 0


Counted = tuple[int, str, str, int]
"""Tile, segment, name, and how many more there are."""


def counted(record: Mapping[str, Any]) -> Iterator[Counted]:
    """Go through all that a ``count`` record adds; a name may come more than once.

    Examples
    --------
    >>> buckets = {"score": pack({-64: 2, 7: 1})}
    >>> cell = {"tile": 0, "segment": "all", "values": {"events": 3}, "buckets": buckets}
    >>> cell.update(segments=["kind=a", "kind=b"], columns={"events": [1, 2]})
    >>> for found in counted({"cells": [cell]}):
    ...     print(found)
    (0, 'all', 'events', 3)
    (0, 'all', 'score:-64', 2)
    (0, 'all', 'score:7', 1)
    (0, 'kind=a', 'events', 1)
    (0, 'kind=b', 'events', 2)
    """
    for cell in record["cells"]:
        tile, segment = cell["tile"], cell["segment"]
        for name, n in cell["values"].items():
            yield tile, segment, name, n
        for family, data in cell["buckets"].items():
            for key, n in unpack(data):
                yield tile, segment, f"{family}:{key}", n
        for name, column in cell["columns"].items():
            for part, n in zip(cell["segments"], column, strict=True):
                yield tile, part, name, n


def readable(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a ``count`` record for people: each cell's counts by family, or segment.

    Examples
    --------
    >>> cell = {"tile": 0, "segment": "all", "values": {"events": 3}}
    >>> cell.update(buckets={"score": pack({-64: 2, 7: 1})})
    >>> cell.update(segments=["kind=a", "kind=b"], columns={"events": [1, 0]})
    >>> readable({"stage": "score", "cells": [cell]})["cells"][0]["score"]
    {-64: 2, 7: 1}
    >>> readable({"cells": [cell]})["cells"][0]["kind=a"]
    {'events': 1}
    """
    return {**record, "cells": [_opened(cell) for cell in record["cells"]]}


def _opened(cell: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: cell[name] for name in ("tile", "segment")}
    found.update(cell["values"])
    for family, data in cell["buckets"].items():
        found[family] = dict(unpack(data)) if is_packed(data) else data
    for name, column in cell["columns"].items():
        for segment, n in zip(cell["segments"], column, strict=False):
            if n:
                found.setdefault(segment, {})[name] = n
    return found
