"""What a supervisor decides of a worker that ended: pure, with time passed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Fate = Literal["restart", "refused", "fenced"]

REFUSED = 3
FENCED = 4


def fate_of(code: int) -> Fate:
    """Return what becomes of a worker that ended without having been asked to.

    Parameters
    ----------
    code
        Its exit code (``headrace.streams.engine.guard``); negative: the signal that ended it.
        One that stopped with 0 was asked to by somebody else, and is restarted as well: so can
        workers be renewed one by one.

    Examples
    --------
    >>> [fate_of(code) for code in (-9, 0, 1, 3, 4)]
    ['restart', 'restart', 'restart', 'refused', 'fenced']
    """
    if code == REFUSED:
        return "refused"
    return "fenced" if code == FENCED else "restart"


@dataclass(slots=True)
class Backoff:
    """When a slot's worker is started again: at once, then after 1, 2, 4, … 30 s.

    A worker that was well for a minute begins anew: its next restart is at once.

    Attributes
    ----------
    first_s, most_s
        The first pause that is one, and the longest.
    healthy_s
        How long a worker must have run for its past to be forgotten.
    restarts
        How often it was started again in all.

    Examples
    --------
    >>> backoff = Backoff()
    >>> [backoff.pause_s(ran_s=0.5) for _ in range(7)]
    [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0]
    >>> backoff.pause_s(ran_s=61)
    0.0
    """

    first_s: float = 1.0
    most_s: float = 30.0
    healthy_s: float = 60.0
    restarts: int = 0
    _failures: int = 0

    def pause_s(self, ran_s: float) -> float:
        """Return how long to wait before the next start, and count it.

        Parameters
        ----------
        ran_s
            For how long the worker had run when it ended.
        """
        if ran_s >= self.healthy_s:
            self._failures = 0
        self._failures += 1
        self.restarts += 1
        if self._failures == 1:
            return 0.0
        # A bounded exponent: two to the power of a week of restarts is no float.
        return min(self.most_s, self.first_s * 2.0 ** min(self._failures - 2, 30))
