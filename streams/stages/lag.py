"""How far a served model lagged: what a system without any delay would have known in addition."""

from __future__ import annotations

from array import array
from bisect import bisect_left

import numpy as np

EXAMPLES_KEPT = 8_192
"""How many of the newest examples are looked back at: no lag is counted beyond."""

NO_TIME = 2**63 - 1
"""Label time of an example without a label: it is never known before another event."""


class ModelLag:
    """The newest examples: their offsets and when their labels became true.

    Parameters
    ----------
    state
        What :meth:`state` returned; None remembers nothing.

    Examples
    --------
    >>> lag = ModelLag()
    >>> lag.add(0, 1_000)
    >>> lag.add(1, 5_000)
    >>> lag.of(learned_to=0, event_time_ms=3_000)
    1
    """

    def __init__(self, state: tuple[bytes, bytes] | None = None) -> None:
        offsets, times = state or (b"", b"")
        self._offsets = array("q", offsets)
        self._times = array("q", times)

    def add(self, offset: int, label_time_ms: int | None) -> None:
        """Take in the next example."""
        self._offsets.append(offset)
        self._times.append(NO_TIME if label_time_ms is None else label_time_ms)
        if len(self._offsets) >= 2 * EXAMPLES_KEPT:
            del self._offsets[:-EXAMPLES_KEPT]
            del self._times[:-EXAMPLES_KEPT]

    def of(self, learned_to: int, event_time_ms: int) -> int:
        """Return how many examples from ``learned_to`` on were true by ``event_time_ms``."""
        oldest = max(0, len(self._offsets) - EXAMPLES_KEPT)
        first = bisect_left(self._offsets, learned_to, oldest)
        if first == len(self._offsets):
            return 0
        times = np.frombuffer(self._times, np.int64, offset=8 * first)
        return int(np.count_nonzero(times <= event_time_ms))

    def state(self) -> tuple[bytes, bytes]:
        """Return what is remembered, the same for the same examples."""
        return (
            self._offsets[-EXAMPLES_KEPT:].tobytes(),
            self._times[-EXAMPLES_KEPT:].tobytes(),
        )
