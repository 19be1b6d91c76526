r"""Counts of numbered keys, packed: n keys as 16-bit integers, behind them n counts of 32 bits.

Most of what stages count are buckets: a batch fills a thousand of them. As a map of names they cost
a reader more than all that it does with them. Both columns are little-endian; in Python,
``struct.unpack(f"<{n}h{n}i", data)`` with ``n = len(data) // 6`` reads them.

Examples
--------
>>> pack({-64: 2, 7: 1})
b'\xc0\xff\x07\x00\x02\x00\x00\x00\x01\x00\x00\x00'
>>> dict(unpack(pack({-64: 2, 7: 1})))
{-64: 2, 7: 1}
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from struct import Struct
from typing import Any

PAIR_BYTES = 6
KEY_MAX, COUNT_MAX = (1 << 15) - 1, (1 << 31) - 1


@lru_cache(maxsize=2_048)
def _columns(n: int) -> tuple[Callable[..., bytes], Callable[[bytes], tuple[int, ...]]]:
    both = Struct(f"<{n}h{n}i")
    return both.pack, both.unpack


def pack(counts: Mapping[int, int]) -> bytes:
    """Return counts by numbered key as bytes.

    Raises
    ------
    struct.error
        A key or a count does not fit (:func:`fits`).
    """
    return _columns(len(counts))[0](*counts, *counts.values())


def fits(key: int, n: int) -> bool:
    """Return whether a count can be packed."""
    return abs(key) <= KEY_MAX and abs(n) <= COUNT_MAX


def unpack(data: bytes) -> Iterator[tuple[int, int]]:
    """Return keys and counts side by side; of bytes that :func:`is_packed` takes."""
    n = len(data) // PAIR_BYTES
    both = _columns(n)[1](data)
    return zip(both, both[n:])  # noqa: B905 - the longer one's rest is the shorter one


def is_packed(data: bytes) -> bool:
    """Return whether bytes can be packed counts."""
    return len(data) % PAIR_BYTES == 0


def values_of(cell: Mapping[str, Any]) -> dict[str, int]:
    """Return all that a cell of a ``count`` record adds, by name.

    Examples
    --------
    >>> values_of({"values": {"events": 3}, "buckets": {"score": pack({-64: 2, 7: 1})}})
    {'events': 3, 'score:-64': 2, 'score:7': 1}
    """
    found = dict(cell["values"])
    for family, data in cell["buckets"].items():
        for key, n in unpack(data):
            name = f"{family}:{key}"
            found[name] = found.get(name, 0) + n
    return found
