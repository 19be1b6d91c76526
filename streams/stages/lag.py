"""How far a served model lagged: what a system without any delay would have known in addition.

And how old the newest was that it did know.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

EXAMPLES_KEPT = 8_192
"""How many of the newest examples are looked back at: no lag is counted beyond."""

NO_TIME = 2**63 - 1
"""Label time of an example without a label: it is never known before another event."""

NO_LABEL = -1
"""Newest label time of examples that had none."""


class ModelLag:
    """The newest examples: their offsets and when their labels became true.

    Parameters
    ----------
    state
        What :meth:`state` returned; None remembers nothing. Of one from before model age was
        counted, ages are known of examples from then on.

    Examples
    --------
    >>> lag = ModelLag()
    >>> lag.add(0, 1_000)
    >>> lag.add(1, 5_000)
    >>> lag.of(learned_to=0, event_time_ms=3_000)
    1
    """

    def __init__(self, state: Sequence[bytes] | None = None) -> None:
        offsets, times, *newest = state or (b"", b"", b"")
        self._offsets = array("q", offsets)
        self._times = array("q", times)
        self._newest = array("q", newest[0] if newest else [NO_LABEL] * len(self._offsets))

    def add(self, offset: int, label_time_ms: int | None) -> None:
        """Take in the next example."""
        self._offsets.append(offset)
        self._times.append(NO_TIME if label_time_ms is None else label_time_ms)
        before = self._newest[-1] if self._newest else NO_LABEL
        self._newest.append(before if label_time_ms is None else max(before, label_time_ms))
        if len(self._offsets) >= 2 * EXAMPLES_KEPT:
            for kept in (self._offsets, self._times, self._newest):
                del kept[:-EXAMPLES_KEPT]

    def of(self, learned_to: int, event_time_ms: int) -> int:
        """Return how many examples from ``learned_to`` on were true by ``event_time_ms``."""
        oldest = max(0, len(self._offsets) - EXAMPLES_KEPT)
        first = bisect_left(self._offsets, learned_to, oldest)
        if first == len(self._offsets):
            return 0
        times = np.frombuffer(self._times, np.int64, offset=8 * first)
        return int(np.count_nonzero(times <= event_time_ms))

    def age_ms(self, learned_to: int, event_time_ms: int) -> int | None:
        """Return how much older than an event the newest label was that its model had learned.

        None if it had learned none, or none that is looked back at; 0 if there was a newer one.

        Examples
        --------
        >>> lag = ModelLag()
        >>> lag.add(0, 1_000)
        >>> lag.age_ms(learned_to=1, event_time_ms=3_000)
        2000
        """
        oldest = max(0, len(self._offsets) - EXAMPLES_KEPT)
        known = bisect_left(self._offsets, learned_to, oldest)
        newest = self._newest[known - 1] if known > oldest else NO_LABEL
        return None if newest == NO_LABEL else max(0, event_time_ms - newest)

    def knows_after(self, event_time_ms: int) -> bool:
        """Return whether any label that has come was true only after an event.

        Examples
        --------
        >>> lag = ModelLag()
        >>> lag.add(0, 1_000)
        >>> lag.knows_after(999), lag.knows_after(1_000)
        (True, False)
        """
        return bool(self._newest) and self._newest[-1] > event_time_ms

    def state(self) -> tuple[bytes, bytes, bytes]:
        """Return what is remembered, the same for the same examples."""
        kept = (self._offsets, self._times, self._newest)
        offsets, times, newest = (each[-EXAMPLES_KEPT:].tobytes() for each in kept)
        return offsets, times, newest
