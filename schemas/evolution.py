"""How a schema may change: it only grows.

Records stay in their logs for weeks and are folded again after every change, and readers are
updated at another time than writers. So whatever was once written must be readable by the new
schema, and whatever is written now by the old one:

- a new field carries a default;
- a field goes only if it had a default, and its name never comes back with another type;
- a type never changes, not even to a wider one: an older reader would not take it.

Anything else is another record: give it, or its field, another name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace.schemas.codec import Schema

_NAMES = {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}


def growth_faults(old: Schema, new: Schema) -> list[str]:
    """Return what forbids that ``new`` follows ``old``, one sentence each; nothing if it may.

    Examples
    --------
    >>> old = {"type": "record", "name": "N", "fields": [{"name": "n", "type": "long"}]}
    >>> growth_faults(old, {**old, "fields": [{"name": "n", "type": "double"}]})
    ['n: its type was long and is double. Give the new one another name.']
    """
    return list(_type_faults(old, new, ""))


def _type_faults(old: Any, new: Any, path: str) -> list[str]:
    old, new = _plain(old), _plain(new)
    if _kind(old) != _kind(new):
        return [_changed(path, old, new)]
    if isinstance(old, list):
        return _union_faults(old, new, path)
    if not isinstance(old, dict):
        return []
    if old["type"] == "record":
        return _record_faults(old, new, path)
    inner = {"array": "items", "map": "values"}.get(old["type"])
    return _type_faults(old[inner], new[inner], f"{path}[]") if inner else []


def _record_faults(old: Schema, new: Schema, path: str) -> list[str]:
    before = {field["name"]: field for field in old["fields"]}
    after = {field["name"]: field for field in new["fields"]}
    faults = list(_name_faults(old, new, path))
    for name, field in before.items():
        place = f"{path}.{name}" if path else name
        if name in after:
            faults += _type_faults(field["type"], after[name]["type"], place)
            if "default" in field and "default" not in after[name]:
                faults.append(f"{place}: it had a default. Keep one: records without it exist.")
        elif "default" not in field:
            faults.append(f"{place}: it is gone and had no default. Older readers need it.")
    for name in after.keys() - before.keys():
        if "default" not in after[name]:
            place = f"{path}.{name}" if path else name
            faults.append(f"{place}: it is new and has no default. Older records lack it.")
    return sorted(faults)


def _name_faults(old: Schema, new: Schema, path: str) -> Iterator[str]:
    if path and _full_name(old) != _full_name(new):
        yield _changed(path, old, new)
    elif old["name"] != new["name"]:
        yield (
            f"The topic's records are {_full_name(old)}, and would be {_full_name(new)}. Name the"
            f" class {old['name']}, or use another topic: the namespace may differ, the name not."
        )


def _union_faults(old: list[Any], new: list[Any], path: str) -> list[str]:
    if [_kind(_plain(item)) for item in old] != [_kind(_plain(item)) for item in new]:
        return [_changed(path, old, new)]
    return [
        fault
        for one, other in zip(old, new, strict=True)
        for fault in _type_faults(one, other, path)
    ]


def _plain(schema: Any) -> Any:
    """Return ``{"type": "long"}`` as ``"long"``, and a logical type as a pair with its base."""
    if isinstance(schema, dict) and schema["type"] in _NAMES and "logicalType" not in schema:
        return schema["type"]
    return schema


def _kind(schema: Any) -> str:
    if isinstance(schema, list):
        return "union"
    if isinstance(schema, dict):
        logical = schema.get("logicalType")
        return f"{schema['type']} ({logical})" if logical else str(schema["type"])
    return str(schema)


def _full_name(schema: Schema) -> str:
    return ".".join(filter(None, [schema.get("namespace"), schema["name"]]))


def _changed(path: str, old: Any, new: Any) -> str:
    place = path or "The record"
    return f"{place}: its type was {_said(old)} and is {_said(new)}. Give the new one another name."


def _said(schema: Any) -> str:
    if isinstance(schema, list):
        return " or ".join(_said(_plain(item)) for item in schema)
    if isinstance(schema, dict) and schema["type"] == "record":
        return f"record {_full_name(schema)}"
    return _kind(schema)
