"""Avro schemas derived from a user's pydantic models."""

from __future__ import annotations

import types
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from headrace.schemas.codec import Schema
from headrace.schemas.errors import SchemaError

_SIMPLE: Mapping[Any, Any] = {
    str: "string",
    float: "double",
    int: "long",
    bool: "boolean",
    bytes: "bytes",
    datetime: {"type": "long", "logicalType": "timestamp-micros"},
}

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plain_type(annotation: Any) -> tuple[Any, bool]:
    """Return an annotation without constraints and without None, and whether None was in it.

    Examples
    --------
    >>> plain_type(float | None)
    (<class 'float'>, True)
    """
    if get_origin(annotation) is Annotated:
        return plain_type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        found = [arg for arg in get_args(annotation) if arg is not type(None)]
        optional = len(found) < len(get_args(annotation))
        if len(found) == 1:
            inner, nested = plain_type(found[0])
            return inner, optional or nested
        return Union[tuple(found)], optional  # noqa: UP007 - built at run time
    return annotation, False


def field_types(model: type[BaseModel]) -> dict[str, tuple[Any, bool]]:
    """Return each field's plain type, and whether it may be null."""
    return {name: plain_type(field.annotation) for name, field in model.model_fields.items()}


def literal_values(annotation: Any) -> tuple[str, ...]:
    """Return the values of a ``Literal`` of strings, nothing for any other type."""
    if get_origin(annotation) is not Literal:
        return ()
    values = get_args(annotation)
    return tuple(values) if all(isinstance(value, str) for value in values) else ()


def avro_schema_of(model: type[BaseModel], namespace: str = "headrace") -> Schema:
    """Return the Avro schema of a user's event or label.

    A ``Literal`` becomes a string, since Avro enums cannot grow; the model keeps the rule.
    Datetimes become ``timestamp-micros``.

    Raises
    ------
    SchemaError
        A field's type has no Avro counterpart.
    """
    fields = []
    for name, (plain, optional) in field_types(model).items():
        kind = "string" if literal_values(plain) else _SIMPLE.get(plain)
        if kind is None:
            raise SchemaError(
                f"{model.__name__}.{name}: {plain!r} has no Avro type."
                " Use str, float, int, bool, bytes, datetime or a Literal of strings."
            )
        if optional:
            fields.append({"name": name, "type": ["null", kind], "default": None})
        else:
            fields.append({"name": name, "type": kind})
    return {"type": "record", "name": model.__name__, "namespace": namespace, "fields": fields}


def datetime_fields(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the names of a model's datetime fields."""
    return tuple(name for name, (plain, _) in field_types(model).items() if plain is datetime)


def to_avro(event: BaseModel) -> dict[str, Any]:
    """Return an event's fields as the codec writes them: datetimes as microseconds."""
    return {
        name: to_micros(value) if isinstance(value, datetime) else value
        for name, value in event.__dict__.items()
    }


def to_micros(value: datetime) -> int:
    """Return a datetime as microseconds since the epoch, exactly."""
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def to_millis(value: datetime) -> int:
    """Return a datetime as whole milliseconds since the epoch, rounded down."""
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000
