"""Which partition a key belongs to: Kafka's own murmur2, as its Java client computes it."""

from __future__ import annotations

from functools import lru_cache
from struct import Struct

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


@lru_cache(maxsize=1024)
def _words_of(count: int) -> Struct:
    return Struct(f"<{count}I")


def murmur2(data: bytes) -> int:
    """Return the 32-bit murmur2 hash of some bytes, unsigned.

    Examples
    --------
    >>> murmur2(b"foobar") - 2**32  # as Kafka's own test has it, signed
    -790332482
    """
    length = len(data)
    words, tail = divmod(length, 4)
    value = _SEED ^ length
    for word in _words_of(words).unpack_from(data):
        mixed = word * _M & _MASK
        value = (value * _M & _MASK) ^ ((mixed ^ mixed >> 24) * _M & _MASK)
    if tail:
        value = (value ^ int.from_bytes(data[-tail:], "little")) * _M & _MASK
    value = (value ^ value >> 13) * _M & _MASK
    return value ^ value >> 15


def partition_of(key: bytes, count: int) -> int:
    """Return the partition of a key among ``count``, as Kafka's default partitioner does.

    Examples
    --------
    >>> partition_of(b"JFK", 2)
    1
    """
    return 0 if count == 1 else (murmur2(key) & 0x7FFFFFFF) % count
