"""Avro schemas derived from a user's pydantic models."""

from __future__ import annotations

import types
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin

from pydantic import AwareDatetime, BaseModel

from headrace.schemas.codec import Schema
from headrace.schemas.errors import SchemaError
from headrace.schemas.names import avro_names

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
    >>> plain_type(int | float)
    (<class 'float'>, False)
    """
    if get_origin(annotation) is Annotated:
        return plain_type(get_args(annotation)[0])
    if isinstance(annotation, NewType):
        return plain_type(annotation.__supertype__)
    if get_origin(annotation) not in (Union, types.UnionType):
        return datetime if annotation is AwareDatetime else annotation, False
    parts = [plain_type(arg) for arg in get_args(annotation) if arg is not type(None)]
    optional = len(parts) < len(get_args(annotation)) or any(nested for _, nested in parts)
    plain: list[Any] = []
    for part, _ in parts:
        if part not in plain:
            plain.append(part)
    if len(plain) == 1:
        return plain[0], optional
    numbers = len(plain) == 2 and int in plain and float in plain
    return float if numbers else annotation, optional


def field_types(model: type[BaseModel]) -> dict[str, tuple[Any, bool]]:
    """Return each field's plain type, and whether it may be null; a Literal of integers is int."""
    found = {}
    for name, field in model.model_fields.items():
        plain, optional = plain_type(field.annotation)
        found[name] = (int if literal_integers(plain) else plain), optional
    return found


def literal_integers(annotation: Any) -> tuple[int, ...]:
    """Return the values of a ``Literal`` of integers, nothing for any other type."""
    values = get_args(annotation) if get_origin(annotation) is Literal else ()
    return values if all(type(value) is int for value in values) else ()


def literal_values(annotation: Any) -> tuple[str, ...]:
    """Return the values of a ``Literal`` of strings, nothing for any other type."""
    if get_origin(annotation) is not Literal:
        return ()
    values = get_args(annotation)
    return tuple(values) if all(isinstance(value, str) for value in values) else ()


def avro_schema_of(model: type[BaseModel], namespace: str = "headrace") -> Schema:
    """Return the Avro schema of a user's event or label; its fields have their names in Avro.

    A ``Literal`` becomes a string, since Avro enums cannot grow; the model keeps the rule.
    Datetimes become ``timestamp-micros``.

    Raises
    ------
    SchemaError
        A field's type has no Avro counterpart.
    """
    names = avro_names(model)
    fields = [
        {**_typed(model, field), "name": names[field["name"]]} for field in declared_fields(model)
    ]
    return {"type": "record", "name": model.__name__, "namespace": namespace, "fields": fields}


def _typed(model: type[BaseModel], field: Schema) -> Schema:
    if field["type"] is None:
        plain, _ = field_types(model)[field["name"]]
        raise SchemaError(
            f"{model.__name__}.{field['name']}: {plain!r} has no Avro type."
            " Use str, float, int, bool, bytes, datetime or a Literal of strings."
        )
    return field


def declared_fields(model: type[BaseModel]) -> list[Schema]:
    """Return each field of a class with its Avro type, by its own name; a type of None is none."""
    fields: list[Schema] = []
    for name, (plain, optional) in field_types(model).items():
        kind = avro_type(plain)
        if optional and kind is not None:
            fields.append({"name": name, "type": ["null", kind], "default": None})
        else:
            fields.append({"name": name, "type": kind})
    return fields


def avro_type(plain: Any) -> Any:
    """Return the Avro type of a field's plain type, None if it has none."""
    if literal_values(plain):
        return "string"
    # Compared one by one: some annotations cannot be hashed.
    return next((kind for known, kind in _SIMPLE.items() if plain is known), None)


def datetime_fields(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the names of a model's datetime fields."""
    return tuple(name for name, (plain, _) in field_types(model).items() if plain is datetime)


def to_avro(event: BaseModel) -> dict[str, Any]:
    """Return an event's fields by their own names, as Avro has them: datetimes as microseconds."""
    fields = event.__dict__
    return {
        name: to_micros(value) if isinstance(value, datetime) else value
        for name, value in fields.items()
    }


def to_micros(value: datetime) -> int:
    """Return a datetime as microseconds since the epoch, exactly."""
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def to_millis(value: datetime) -> int:
    """Return a datetime as whole milliseconds since the epoch, rounded down."""
    since = value - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000
