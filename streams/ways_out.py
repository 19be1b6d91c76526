"""What to declare in place of a type that a feature, a label or Avro cannot take as it is."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, get_origin
from uuid import UUID

from pydantic import BaseModel

_BEFORE = 'a validator with mode="before"'
_OTHERWISE = (
    "Declare it as str, float, int, bool, bytes, datetime or a Literal of texts, and make it of"
    f" what comes in by {_BEFORE}."
)
_COLLECTION = (
    'Declare the item that matters, as Field(validation_alias=AliasPath("name", 0)), or a number'
    f" made of all of them by {_BEFORE}."
)
_WAYS: Mapping[Any, str] = {
    Decimal: "Declare it as float; Field(strict=False) reads numbers in text, too.",
    UUID: "Declare it as str.",
    date: f"Declare it as str, or as datetime with {_BEFORE} that adds the hour and the offset.",
    time: f"Declare it as float, and make seconds of it by {_BEFORE}.",
    timedelta: f"Declare it as float, and make seconds of it by {_BEFORE}.",
    list: _COLLECTION,
    tuple: _COLLECTION,
    set: _COLLECTION,
    frozenset: _COLLECTION,
    dict: 'Declare the values that matter, as Field(validation_alias=AliasPath("name", "key")).',
}


def way_out(plain: Any) -> str:
    """Return what to declare in place of a type.

    Examples
    --------
    >>> way_out(UUID)
    'Declare it as str.'
    """
    if inspect.isclass(plain) and issubclass(plain, Enum):
        values = ", ".join(repr(member.value) for member in plain)
        return f"Declare it as Literal[{values}]."
    if inspect.isclass(plain) and issubclass(plain, BaseModel):
        name = next(iter(plain.model_fields), "name")
        return (
            "Declare the fields that matter, as"
            f' Field(validation_alias=AliasPath("field", "{name}")).'
        )
    origin = get_origin(plain) or plain
    return next((way for kind, way in _WAYS.items() if origin is kind), _OTHERWISE)


def type_name(plain: Any) -> str:
    """Return a type as a person writes it.

    Examples
    --------
    >>> type_name(list[int]), type_name(Decimal)
    ('list[int]', 'Decimal')
    """
    if get_origin(plain) is None and inspect.isclass(plain):
        return plain.__name__
    return str(plain).replace("typing.", "")
