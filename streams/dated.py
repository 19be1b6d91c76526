"""Times of decoded records as people want them: aware datetimes, not integers since the epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from headrace.schemas.codec import Schema

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"timestamp-millis": "milliseconds", "timestamp-micros": "microseconds"}

Dated = list[tuple[str, Callable[[Any], Any]]]


def dated_fields(schema: Schema) -> Dated:
    """Return the fields of a record schema that are times, and what makes datetimes of them.

    Examples
    --------
    >>> millis = {"type": "long", "logicalType": "timestamp-millis"}
    >>> ((name, convert),) = dated_fields({"fields": [{"name": "at", "type": ["null", millis]}]})
    >>> name, convert(1_000).isoformat(), convert(None)
    ('at', '1970-01-01T00:00:01+00:00', None)
    """
    dated: Dated = []
    for field in schema["fields"]:
        kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
        units = [_UNITS.get(k.get("logicalType", "")) for k in kinds if isinstance(k, Mapping)]
        if units and units[0]:
            dated.append((field["name"], _to_datetime(units[0])))
    return dated


def _to_datetime(unit: str) -> Callable[[Any], Any]:
    def convert(value: Any) -> Any:
        try:
            return None if value is None else _EPOCH + timedelta(**{unit: value})
        except OverflowError:  # no date: shown as the number that it is
            return value

    return convert
