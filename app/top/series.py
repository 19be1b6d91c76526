"""A total that rises, and how fast it rose."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from itertools import pairwise

STEP_S = 5.0
"""Length of one interval of :meth:`Series.rates`."""

STEPS = 24

RATE_S = 10.0
"""Over how long the present rate is taken."""

_POINTS_MAX = 1_000


class Series:
    """A total as it was at the times at which it was heard of.

    Examples
    --------
    >>> events = Series()
    >>> events.add(100.0, 0)
    >>> events.add(110.0, 50)
    >>> events.rate(110.0)
    5.0
    """

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque(maxlen=_POINTS_MAX)

    @property
    def total(self) -> float | None:
        """The newest total, None before the first."""
        return self._points[-1][1] if self._points else None

    def add(self, time_s: float, total: float) -> None:
        """Take the total of a time; one that is less begins anew.

        Parameters
        ----------
        time_s
            Seconds since the epoch, by the clock of whoever counted.
        """
        if self._points:
            then_s, before = self._points[-1]
            if total < before:
                self._points.clear()
            elif time_s <= then_s:  # said twice in a moment, or by a clock that was set back
                self._points[-1] = (then_s, total)
                return
        self._points.append((time_s, total))

    def rate(self, now_s: float) -> float | None:
        """Return how fast it rises now, per second; None while only one total is known."""
        if len(self._points) < 2:
            return None
        first_s = self._points[0][0]
        then_s = max(first_s, now_s - RATE_S)
        seconds = now_s - then_s
        return (self._at(now_s) - self._at(then_s)) / seconds if seconds > 0 else 0.0

    def rates(self, now_s: float) -> list[float]:
        """Return how fast it rose in each of the last intervals that are known, oldest first."""
        if len(self._points) < 2:
            return []
        times = [now_s - STEP_S * back for back in range(STEPS, -1, -1)]
        totals = [self._at(time_s) for time_s in times if time_s >= self._points[0][0]]
        return [(after - before) / STEP_S for before, after in pairwise(totals)]

    def _at(self, time_s: float) -> float:
        """Return the total at a time, on the line between its neighbours."""
        place = bisect_right(self._points, (time_s, float("inf")))
        if place == 0 or place == len(self._points):
            return self._points[min(place, len(self._points) - 1)][1]
        (before_s, before), (after_s, after) = self._points[place - 1], self._points[place]
        return before + (after - before) * (time_s - before_s) / (after_s - before_s)
