"""How records are written as lines: for people, and for programs."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from headrace.streams.records import Record

_BYTES_SHOWN = 40
_FLOAT_DIGITS = 6


def json_line(record: Record, fields: Mapping[str, Any]) -> str:
    """Return a record as one line of JSON: times in ISO 8601, bytes in base64.

    Where it lies stands under ``_partition`` and ``_offset``.
    """
    place = {"_partition": record.partition, "_offset": record.offset}
    return json.dumps({**fields, **place}, default=_as_json, ensure_ascii=False, allow_nan=False)


def plain_line(record: Record, fields: Mapping[str, Any]) -> str:
    """Return a record as one line that is easy to read: coordinates, then its fields."""
    said = " ".join(f"{name}={plain(value)}" for name, value in fields.items())
    return f"{record.partition}/{record.offset}  {said}"


def plain(value: Any) -> str:
    """Return a value as people read it.

    Examples
    --------
    >>> plain({"late": True, "score": 0.5, "wind": None})
    '{late: true, score: 0.5, wind: –}'
    """
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {plain(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(plain(inner) for inner in value) + "]"
    if isinstance(value, bytes):
        more = "…" if len(value) > _BYTES_SHOWN else ""
        return repr(value[:_BYTES_SHOWN])[1:] + more
    return _plain_scalar(value)


def _plain_scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.{_FLOAT_DIGITS}g}"
    if isinstance(value, datetime):
        return value.isoformat(timespec="auto").replace("+00:00", "Z")
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text.isprintable() or " " in text else text


def _as_json(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} has no form in JSON")
