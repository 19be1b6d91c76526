"""A task's states in memory: what the store holds, and what is not yet written to it.

Rules, each of which the simulator breaks on purpose to show that it is needed:

- a batch reads the uncommitted states of the batches before it;
- an entry that is not yet written is never evicted;
- the whole cache goes when its task goes; nothing of it survives a revoke.

One thread processes a task's batches and calls everything here. Another one commits; it only
moves :attr:`Cache.written`, an integer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice

import msgpack

from headrace.streams.protocol.stage import State


class Cache:
    """States by key, as bytes at the last batch's end and as live data since.

    Parameters
    ----------
    limit
        How many entries may stay when none of them is waiting to be written.
    whole
        Whether the cache holds all of the task's states: then a key that is absent has none.
    """

    def __init__(self, limit: int, *, whole: bool) -> None:
        self.written = 0
        self._limit = limit
        self._whole = whole
        self._packed: dict[str, bytes | None] = {}  # least recently changed first
        self._live: dict[str, State] = {}
        self._dirty: dict[str, int] = {}
        self._used: set[str] = set()
        self._put: dict[str, None] = {}
        self._settled: dict[str, bytes | None] = {}

    def __len__(self) -> int:
        return len(self._packed)

    def pinned(self) -> int:
        """Return how many entries wait to be written; at a bound, a task fetches no more."""
        return len(self._dirty)

    def missing(self, keys: Collection[str]) -> list[str]:
        """Return those of ``keys`` that must be read from the store first, in their order."""
        if self._whole:
            return []
        return [key for key in keys if key not in self._packed]

    def fill(self, values: Mapping[str, bytes | None]) -> None:
        """Take up what the store answered."""
        self._packed.update(values)

    def get(self, key: str) -> State:
        """Return the live state of a key, None if it has none."""
        try:
            state = self._live[key]
        except KeyError:
            packed = self._packed.get(key)
            if packed is None:
                return None
            state = self._live[key] = msgpack.unpackb(packed, strict_map_key=False)
        self._used.add(key)
        return state

    def put(self, key: str, state: State) -> None:
        """Set the live state of a key; None deletes it."""
        self._used.add(key)
        self._live[key] = state
        self._put[key] = None

    def items(self) -> Iterable[tuple[str, State]]:
        """Go through all live states in key order."""
        for key in sorted(self._packed.keys() | self._live.keys()):
            state = self.get(key)
            if state is not None:
                yield key, state

    def settle(self) -> None:
        """Keep the changes so far: a later :meth:`rollback` comes back to here.

        A state that cannot be packed raises, and then nothing is kept.
        """
        changed = {key: _pack(self._live[key]) for key in self._put}
        for key, packed in changed.items():
            if packed != self._packed.pop(key, None):
                self._settled[key] = packed
            if packed is not None:
                self._packed[key] = packed
                continue
            del self._live[key]
            if not self._whole:  # in a whole cache, absence says the same
                self._packed[key] = None
        self._put.clear()
        self._used.clear()

    def seal(self, sequence: int) -> dict[str, bytes | None]:
        """End a batch: return what it changed, as bytes, and evict what may go.

        Parameters
        ----------
        sequence
            The batch's number in its task, rising.
        """
        self.settle()
        puts, self._settled = self._settled, {}
        self._dirty.update(dict.fromkeys(puts, sequence))
        self._evict()
        return puts

    def rollback(self) -> None:
        """Undo everything since the last :meth:`settle` or :meth:`seal`."""
        for key in self._used:
            self._live.pop(key, None)
        self._put.clear()
        self._used.clear()

    def _evict(self) -> None:
        written = self.written
        clean = [key for key, sequence in self._dirty.items() if sequence <= written]
        for key in clean:
            del self._dirty[key]
        excess = 0 if self._whole else max(0, len(self._packed) - self._limit)
        unpinned = (key for key in self._packed if key not in self._dirty)
        for key in list(islice(unpinned, excess)):
            del self._packed[key]
            self._live.pop(key, None)


def _pack(state: State) -> bytes | None:
    packed: bytes | None = None if state is None else msgpack.packb(state)
    return packed
