"""How far a source partition has come in event time.

The watermark is the running maximum of the lower median of the last five event times: one bad
clock, or two in five, do not move it. Three times suffice to begin; before that there is none. A
watermark that is too low costs memory and nothing else, so an even count takes the lower middle.

The state is plain data, ``[watermark or None, newest times]``, and is changed in place.
"""

from __future__ import annotations

from typing import Any

TIMES = 5
"""How many event times are looked at."""

TIMES_TO_BEGIN = 3
"""How many there must be for a first watermark."""

Clock = list[Any]
"""``[watermark in ms or None, the newest event times, oldest first]``."""


def fresh_clock() -> Clock:
    """Return the clock of a source partition that has not spoken."""
    return [None, []]


def advance(clock: Clock, time_ms: int) -> int | None:
    """Take in one event time; return the watermark *before* it, None if there was none.

    Examples
    --------
    >>> clock = fresh_clock()
    >>> [advance(clock, time) for time in (10, 20, 30, 9_999_999, 40)]
    [None, None, None, 20, 20]
    >>> clock[0]
    30
    """
    before: int | None = clock[0]
    times: list[int] = clock[1]
    times.append(time_ms)
    if len(times) > TIMES:
        del times[0]
    if len(times) >= TIMES_TO_BEGIN:
        median = sorted(times)[(len(times) - 1) // 2]
        if before is None or median > before:
            clock[0] = median
    return before
