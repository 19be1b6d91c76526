"""Durations as people write them: "10m", "3h", "7d"."""

from __future__ import annotations

import re

DAY_MS = 86_400_000

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS}
_FORM = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$")


def duration_ms(text: str) -> int:
    """Return a duration in milliseconds.

    Raises
    ------
    ValueError
        The text is not a number with one of the units ms, s, m, h, d, or is not positive.

    Examples
    --------
    >>> duration_ms("90m")
    5400000
    """
    match = _FORM.match(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f'{text!r} is not a duration; write a number and ms, s, m, h or d: "90m"')
    found = round(float(match[1]) * _UNITS_MS[match[2]])
    if found <= 0:
        raise ValueError(f'{text!r} is not a positive duration; write "1s" or more')
    return found


def duration_text(duration: int) -> str:
    """Return milliseconds in the largest unit that divides them.

    Examples
    --------
    >>> duration_text(5400000)
    '90m'
    """
    for unit in ("d", "h", "m", "s"):
        if duration % _UNITS_MS[unit] == 0:
            return f"{duration // _UNITS_MS[unit]}{unit}"
    return f"{duration}ms"
