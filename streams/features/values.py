"""Features that need no past: what reads each one off an event."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from math import isfinite, log1p
from operator import attrgetter
from typing import Any
from zoneinfo import ZoneInfo

from headrace.streams.features.declared import Feature
from headrace.streams.validators import told

Read = Callable[[Any], Any]


class FeatureError(Exception):
    """A user's function raised, or returned what it does not promise; names both."""


def reader_of(feature: Feature, kind: str, *, codes: bool = False) -> Read:
    """Return what reads a feature off an event; a user's function that fails raises FeatureError.

    Parameters
    ----------
    kind
        What the feature is in records.
    codes
        Whether the field is an integer, whose digits are the category.
    """
    if feature.kind == "apply":
        return _applied(feature, kind)
    read: Read = attrgetter(feature.fields[0])
    if feature.kind == "log1p":
        return lambda event: _log1p(read(event))
    if codes:
        return lambda event: _digits(read(event))
    if feature.kind == "hour":
        zone = ZoneInfo(dict(feature.options)["tz"])
        return lambda event: _hour(read(event), zone)
    return read


def number_reader(name: str) -> Read:
    """Return what reads a numeric field as a float, so that records give back the same type."""
    read = attrgetter(name)

    def number(event: Any) -> float | None:
        value = read(event)
        return None if value is None else float(value)

    return number


_AS: dict[str, tuple[type, Callable[[Any], Any]]] = {
    "number": (float, float),
    "integer": (int, int),
    "boolean": (bool, bool),
    "category": (str, str),
}


def _applied(feature: Feature, kind: str) -> Read:
    function = feature.function
    assert function is not None
    reads = [attrgetter(name) for name in feature.fields]
    wanted, convert = _AS[kind]
    finite: Callable[[Any], bool] = isfinite if wanted is float else _always
    shown = f"{feature.name}, function {getattr(function, '__qualname__', repr(function))}"

    def call(event: Any) -> Any:
        values = [read(event) for read in reads]
        for value in values:
            if value is None:
                return None
        try:
            found = function(*values)
            if found is None or (type(found) is wanted and finite(found)):
                return found
            return _converted(found, wanted, convert)
        except MemoryError:
            raise
        except Exception as error:
            raise FeatureError(f"feature {shown}: {told(error)}.") from error

    return call


def _always(_: Any) -> bool:
    return True


def _converted(found: Any, wanted: type, convert: Callable[[Any], Any]) -> Any:
    """Return a result as its declared type, if nothing is lost: an integer for a number, say."""
    fits = isinstance(found, str) == (wanted is str)
    made = convert(found) if fits else None
    if not fits or made != found:
        raise TypeError(f"it returned {found!r} and promises {wanted.__name__}")
    if wanted is float and not isfinite(made):
        raise ValueError(f"it returned {found!r}, which is no finite number")
    return made


def _digits(value: int | None) -> str | None:
    return None if value is None else str(value)


def _log1p(value: float | None) -> float | None:
    return None if value is None or value <= -1 else log1p(value)


def _hour(value: datetime | None, zone: ZoneInfo) -> int | None:
    return None if value is None else value.astimezone(zone).hour
