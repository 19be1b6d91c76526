"""One rule for what a time may look like, whatever door it comes by (docs/pipeline.md, Times).

A form is read only if it has one meaning. What lacks an offset from UTC, or could be of two units,
is refused with a sentence that says what to write.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from math import floor, isfinite
from typing import Any

from pydantic_core import SchemaValidator, ValidationError, core_schema

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SECONDS_MIN = 662_688_000
"""1991-01-01, in seconds since 1970: the earliest time that is read from a number."""

SECONDS_END = 7_258_118_400
"""2200-01-01: numbers are read up to here.

In no two units does a number lie within these years. Nor is a date in digits (20240501,
202405011200, 20240501120000), a count of .NET ticks or of Windows' file times, or a spreadsheet's
day one of them.
"""

UNITS: Mapping[str, int] = {
    "seconds": 1,
    "milliseconds": 1_000,
    "microseconds": 1_000_000,
    "nanoseconds": 1_000_000_000,
}
"""How many of each unit of epoch times make a second."""

ACCEPTED = (
    "RFC 3339 and its variants, RFC 2822, and seconds, milliseconds, microseconds or nanoseconds"
    " since 1970 in the years 1991 to 2199; without an offset from UTC none is read"
)
"""The rule in a sentence."""

REMEDY = (
    'Write RFC 3339, as "2024-05-01T12:00:00Z"; a validator with mode="before" reads other forms'
    " (docs/pipeline.md, Times)"
)

RFC_3339 = core_schema.chain_schema(
    [
        # Digits and a dash: pydantic reads "1700000000" and "1.7e9" as times, by a rule of its own.
        core_schema.str_schema(pattern="^[0-9]+-", strict=True),
        core_schema.datetime_schema(tz_constraint="aware", strict=False),
    ]
)
"""What reads the usual text, compiled: whatever it takes is right, what it refuses is read here."""

_rfc_3339: Callable[[Any], datetime] = SchemaValidator(RFC_3339).validate_python

_DIGITS = re.compile(r"\d{1,20}(?:\.\d{1,30})?", re.ASCII)
_OFFSET = r"[+\-\u2212](?:[01]\d|2[0-3])(?::?[0-5]\d(?::?[0-5]\d)?)?"
_NAME = r"[A-Z][A-Z0-9/_+-]{0,63}|\[[^\[\]]{1,64}\]"
_ZONE = rf"(?:(?P<zone>Z|UTC|GMT|{_OFFSET})(?: *(?:{_NAME})){{0,2}}| *(?P<name>{_NAME}))"
_FRACTION = r"(?:[.,](?P<fraction>\d{1,30}))?"
_FLAGS = re.ASCII | re.IGNORECASE
_EXTENDED = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)(?:[T_]| +)"
    rf"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d){_FRACTION})?(?: *{_ZONE})?",
    _FLAGS,
)
_BASIC = re.compile(
    r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)(?:T| +)"
    rf"(?P<hour>\d\d)(?P<minute>\d\d)(?:(?P<second>\d\d){_FRACTION})?(?: *{_ZONE})?",
    _FLAGS,
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS: Mapping[str, int] = {
    **dict.fromkeys(("Z", "UT", "UTC", "GMT"), 0),
    "EDT": -4,
    "EST": -5,
    "CDT": -5,
    "CST": -6,
    "MDT": -6,
    "MST": -7,
    "PDT": -7,
    "PST": -8,
}
"""Hours ahead of UTC of the zones that RFC 2822 names."""

_RFC_2822 = re.compile(
    rf"(?:(?P<weekday>{'|'.join(_DAYS)}), *)?"
    rf"(?P<day>\d{{1,2}}) (?P<month>{'|'.join(_MONTHS)}) (?P<year>\d{{4}})"
    r" (?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
    rf" (?P<zone>{'|'.join(_HOURS)}|[+\-]\d{{4}})(?: *\([^()]{{0,64}}\))?",
    _FLAGS,
)


class TimeFormatError(ValueError):
    """What was read as a time is none, or could be more than one; the text says what to write."""


def read_time(value: Any) -> datetime:
    """Return a value as an aware datetime.

    Parameters
    ----------
    value
        An aware datetime; text; or a number since 1970-01-01T00:00:00Z, whose unit follows from
        its magnitude. Digits beyond microseconds are cut; a float is rounded to the nearest one.

    Raises
    ------
    TimeFormatError
        It is no time, or none with one meaning.

    Examples
    --------
    >>> for value in ("2024-05-01 12:00:00+00", "20240501T120000Z", 1714564800, "1714564800000"):
    ...     print(read_time(value).isoformat())
    2024-05-01T12:00:00+00:00
    2024-05-01T12:00:00+00:00
    2024-05-01T12:00:00+00:00
    2024-05-01T12:00:00+00:00
    """
    if isinstance(value, datetime):
        if value.utcoffset() is not None:
            return value
        raise _naive(value)
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return _from_number(value)
    raise TimeFormatError(f"{_shown(value)} is no time. {REMEDY}")


def _shown(value: object) -> str:
    text = repr(str(value) if isinstance(value, datetime | Decimal) else value)
    return text if len(text) <= 80 else text[:77] + "..."


def _naive(value: object) -> TimeFormatError:
    return TimeFormatError(
        f"{_shown(value)} has no offset from UTC (timezone), and none is assumed. {REMEDY}"
    )


# -- numbers


def _from_number(value: float | Decimal) -> datetime:
    if isfinite(value):
        for per_second in UNITS.values():
            if SECONDS_MIN * per_second <= value < SECONDS_END * per_second:
                exact = Fraction(value) * 1_000_000 / per_second
                micros = round(exact) if isinstance(value, float) else floor(exact)
                return EPOCH + timedelta(microseconds=micros)
    raise TimeFormatError(
        f"{_shown(value)} is no time: a number is read as seconds, milliseconds, microseconds or"
        " nanoseconds since 1970, whichever puts it in the years 1991 to 2199; none does."
        f" {REMEDY}"
    )


# -- text


def _from_text(value: str) -> datetime:
    try:
        return _rfc_3339(value)
    except ValidationError:
        text = value.strip()
    if _DIGITS.fullmatch(text):
        return _from_number(Decimal(text))
    parts = _EXTENDED.fullmatch(text) or _BASIC.fullmatch(text) or _RFC_2822.fullmatch(text)
    if parts is None and not _DATE.fullmatch(text):
        raise TimeFormatError(f"{_shown(value)} is no time. {REMEDY}")
    if parts is None or parts["zone"] is None:
        raise _naive(value)
    try:
        return _built(parts.groupdict())
    except (ValueError, OverflowError) as error:
        said = str(error).rstrip(".")
        raise TimeFormatError(f"{_shown(value)} is no time ({said}). {REMEDY}") from error


def _built(parts: Mapping[str, str | None]) -> datetime:
    """Return the time that matched parts name; 24:00:00 is the next day's first moment.

    ``:60`` is a leap second, at the end of a month in UTC alone, and is the second after it: as
    POSIX clocks have it.
    """
    year, day, hour, minute = (int(parts[name] or 0) for name in ("year", "day", "hour", "minute"))
    second, month = int(parts.get("second") or 0), _month(str(parts["month"]))
    micros = int((parts.get("fraction") or "").ljust(6, "0")[:6])
    midnight = (hour, minute, second, micros) == (24, 0, 0, 0)
    leap = second == 60
    offset = _offset(str(parts["zone"]))
    clock = (0 if midnight else hour, minute, 59 if leap else second, micros)
    at = datetime(year, month, day, *clock, tzinfo=timezone(offset))
    weekday = parts.get("weekday")
    if weekday is not None and _DAYS.index(weekday.lower()) != at.weekday():
        raise ValueError(f"that day is a {_DAYS[at.weekday()].title()}")
    at += timedelta(days=midnight, seconds=leap)
    if leap and not _begins_month(at.astimezone(UTC)):
        raise ValueError("second 60 is at the end of a month in UTC alone")
    return at


def _month(text: str) -> int:
    return int(text) if text.isdecimal() else _MONTHS.index(text.lower()) + 1


def _begins_month(at: datetime) -> bool:
    return (at.day, at.hour, at.minute, at.second) == (1, 0, 0, 0)


def _offset(zone: str) -> timedelta:
    """Return how far ahead of UTC a zone is: a name, or ``+02``, ``+0200``, ``+02:00:00``."""
    named = _HOURS.get(zone.upper())
    if named is not None:
        return timedelta(hours=named)
    digits = zone[1:].replace(":", "").ljust(6, "0")
    ahead = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:]))
    return ahead if zone[0] == "+" else -ahead
