"""What is equal for equal models: their parts in order, floats by their bits."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from functools import partial
from types import BuiltinFunctionType, FunctionType
from typing import Any


def digest(model: Any) -> str:
    """Return the SHA-256 of a model's parts, as pickle would take it apart."""
    found = hashlib.sha256()
    _walk(model, found, {}, [])
    return found.hexdigest()


def _walk(value: Any, found: Any, seen: dict[int, int], kept: list[Any]) -> None:
    say = found.update
    if value is None or isinstance(value, bool | int | str | bytes):
        say(f"{type(value).__name__} {value!r};".encode())
    elif isinstance(value, float):
        say(b"float " + struct.pack("<d", value))
    elif isinstance(value, type | FunctionType | BuiltinFunctionType):
        say(f"{value.__module__}.{value.__qualname__};".encode())
    elif id(value) in seen:
        say(f"again {seen[id(value)]};".encode())
    else:
        seen[id(value)] = len(seen)
        kept.append(value)  # so that no other object gets its id
        say(f"({type(value).__qualname__} ".encode())
        for part in _parts(value):
            _walk(part, found, seen, kept)
        say(b")")


def _parts(value: Any) -> list[Any]:
    if type(value) is list or type(value) is tuple:
        return list(value)
    if type(value) is dict:
        return [each for item in value.items() for each in item]
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    if isinstance(value, partial):
        return [value.func, *value.args, dict(value.keywords)]
    return [list(part) if isinstance(part, Iterator) else part for part in value.__reduce_ex__(4)]
