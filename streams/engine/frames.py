"""The polars types of what our schemas declare; loads polars, which is optional."""

from __future__ import annotations

from typing import Any

import polars as pl

from headrace.schemas.codec import Schema

_TYPES: dict[str, Any] = {
    "boolean": pl.Boolean(),
    "int": pl.Int32(),
    "long": pl.Int64(),
    "float": pl.Float32(),
    "double": pl.Float64(),
    "string": pl.String(),
    "bytes": pl.Binary(),
}
_TIMES = {
    "timestamp-millis": pl.Datetime("ms", "UTC"),
    "timestamp-micros": pl.Datetime("us", "UTC"),
}


def column_types(schema: Schema) -> dict[str, Any]:
    """Return the type of each field of a record; None where the values must say it (maps)."""
    return {field["name"]: column_type(field["type"]) for field in schema["fields"]}


def column_type(schema: Any) -> Any:
    """Return the polars type of an Avro type, None where the values must say it."""
    if isinstance(schema, list):
        kinds = [item for item in schema if item != "null"]
        return column_type(kinds[0]) if len(kinds) == 1 else None
    if isinstance(schema, str):
        return _TYPES.get(schema)
    kind = schema["type"]
    if kind == "record":
        fields = column_types(schema)
        return None if None in fields.values() else pl.Struct(fields)
    if kind == "array":
        inner = column_type(schema["items"])
        return inner and pl.List(inner)
    return _TIMES.get(schema.get("logicalType")) or _TYPES.get(kind)
