"""Avro's binary encoding, compiled from a schema: the same bytes as fastavro's, sooner.

A prediction has some forty fields, most of them nullable numbers. fastavro asks for each what
branch of its union a value fits; here the branch is known when the schema is. For such records it
takes about half the time (bench/stages.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any

Encode = Callable[[Any], bytes]

_FALSE, _TRUE = b"\x00", b"\x01"
_NULL = b"\x00"
_END = b"\x00"
_DOUBLE = Struct("<d").pack
_BRANCH_DOUBLE = Struct("<Bd").pack
_LONG_MIN, _LONG_MAX = -(1 << 63), (1 << 63) - 1


@lru_cache(maxsize=16_384)
def varint(value: int) -> bytes:
    r"""Return a long as Avro writes it: zigzag, seven bits to a byte.

    Examples
    --------
    >>> varint(-1), varint(300)
    (b'\x01', b'\xd8\x04')
    """
    if not _LONG_MIN <= value <= _LONG_MAX:
        raise ValueError(f"{value} is no 64-bit integer")
    rest = (value << 1) ^ (value >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def compiled(schema: Any) -> Encode:
    """Return what encodes a value of a schema without logical types; a misfit raises.

    Records, maps, arrays, unions and primitive types are known; names are not resolved.
    """
    if isinstance(schema, list):
        return _union(schema)
    kind = schema["type"] if isinstance(schema, dict) else schema
    if isinstance(kind, dict | list):
        return compiled(kind)
    if kind == "record":
        return _record(schema["fields"])
    if kind == "map":
        return _map(compiled(schema["values"]))
    if kind == "array":
        return _array(compiled(schema["items"]))
    return _PRIMITIVES[kind]


def _null(value: Any) -> bytes:
    if value is not None:
        raise TypeError(f"{value!r} is not null")
    return b""


def _boolean(value: Any) -> bytes:
    if value is True:
        return _TRUE
    if value is False:
        return _FALSE
    raise TypeError(f"{value!r} is no boolean")


def _int(value: Any) -> bytes:
    if not -(1 << 31) <= value < 1 << 31:
        raise ValueError(f"{value} is no 32-bit integer")
    return _long(value)


def _long(value: Any) -> bytes:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no integer")
    return varint(value)


def _bytes(value: Any) -> bytes:
    return varint(len(value)) + bytes(value)


def _string(value: Any) -> bytes:
    text: bytes = value.encode()
    return varint(len(text)) + text


_name = lru_cache(maxsize=16_384)(_string)
"""A key of a map, as a rule one of few."""

_PRIMITIVES: Mapping[str, Encode] = {
    "null": _null,
    "boolean": _boolean,
    "int": _int,
    "long": _long,
    "double": _DOUBLE,
    "bytes": _bytes,
    "string": _string,
}


def _union(branches: Sequence[Any]) -> Encode:
    if len(branches) == 2 and branches[0] == "null":
        return _double_or_null if branches[1] == "double" else _or_null(compiled(branches[1]))
    return _by_type(branches)


def _double_or_null(value: Any) -> bytes:
    return _NULL if value is None else _BRANCH_DOUBLE(2, value)


def _or_null(encode: Encode) -> Encode:
    def or_null(value: Any) -> bytes:
        return _NULL if value is None else b"\x02" + encode(value)

    return or_null


_TYPES: Mapping[str, type] = {
    "null": type(None),
    "boolean": bool,
    "int": int,
    "long": int,
    "double": float,
    "bytes": bytes,
    "string": str,
}


def _by_type(branches: Sequence[Any]) -> Encode:
    """Encode a union of primitive types by the value's own type."""
    known = {
        _TYPES[branch]: (varint(number), _PRIMITIVES[branch])
        for number, branch in enumerate(branches)
    }

    def by_type(value: Any) -> bytes:
        index, encode = known[type(value)]
        return index + encode(value)

    return by_type


def _map(encode: Encode) -> Encode:
    def entries(values: Mapping[str, Any]) -> bytes:
        count = len(values)
        if count == 0:
            return _END
        parts = [varint(count)]
        for name, value in values.items():
            parts += (_name(name), encode(value))
        parts.append(_END)
        return b"".join(parts)

    return entries


def _array(encode: Encode) -> Encode:
    def items(values: Sequence[Any]) -> bytes:
        count = len(values)
        return b"".join([varint(count), *map(encode, values), _END]) if count else _END

    return items


def _record(fields: Sequence[Mapping[str, Any]]) -> Encode:
    """Encode a record; a field that is missing has its default, if it declares one."""
    known = [(field["name"], field.get("default"), compiled(field["type"])) for field in fields]

    def record(values: Mapping[str, Any]) -> bytes:
        get = values.get
        return b"".join([encode(get(name, default)) for name, default, encode in known])

    return record
