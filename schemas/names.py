"""By which names a class reads its fields: what is written is written by these."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel
from pydantic.fields import FieldInfo

Path = tuple[str | int, ...]
"""Where a field stands in a record: keys of objects and places in lists, from the outside in."""

INDEX_MAX = 1_000
"""Last place in a list at which a field may stand."""

_AVRO_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def reads_by_name(model: type[BaseModel]) -> bool:
    """Return whether a class reads its fields by their own names, besides aliases or alone."""
    config = model.model_config
    return bool(
        config.get("validate_by_name")
        or config.get("populate_by_name")
        or config.get("validate_by_alias") is False
    )


def paths_of(model: type[BaseModel]) -> dict[str, tuple[Path, ...]]:
    """Return the places at which a class looks for each field; what is written stands at the first.

    Examples
    --------
    >>> from pydantic import Field
    >>> class Trip(BaseModel):
    ...     trip: str = Field(alias="tripId")
    ...     at: str = Field(validation_alias=AliasPath("payload", "at"))
    ...     km: float
    >>> paths_of(Trip)
    {'trip': (('tripId',),), 'at': (('payload', 'at'),), 'km': (('km',),)}
    """
    by_alias = model.model_config.get("validate_by_alias") is not False
    by_name = reads_by_name(model)
    found = {}
    for name, field in model.model_fields.items():
        aliases = _aliases(field) if by_alias else ()
        own = ((name,),) if by_name or not aliases else ()
        found[name] = (*aliases, *own)
    return found


def _aliases(field: FieldInfo) -> tuple[Path, ...]:
    alias = field.validation_alias
    choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
    return tuple(_path(choice) for choice in choices if choice is not None)


def _path(alias: str | AliasPath) -> Path:
    return (alias,) if isinstance(alias, str) else tuple(alias.path)


def column_of(path: Path) -> str:
    """Return what a column of a table is called that holds what stands at a place.

    Examples
    --------
    >>> column_of(("payload", "at"))
    'payload.at'
    """
    return ".".join(str(part) for part in path)


def avro_names(model: type[BaseModel]) -> dict[str, str]:
    """Return what each field is called in Avro.

    It is the alias, unless that is no name in Avro, or the class reads by field names as well: then
    it is the field's own name.
    """
    if reads_by_name(model):
        return {name: name for name in model.model_fields}
    return {name: _avro_name(name, paths[0]) for name, paths in paths_of(model).items()}


def _avro_name(name: str, path: Path) -> str:
    alias = str(path[0])
    return alias if len(path) == 1 and _AVRO_NAME.fullmatch(alias) else name


def placed(fields: Mapping[str, Any], paths: Mapping[str, Path]) -> dict[str, Any]:
    """Return a record as a class reads it, of fields by name.

    Parameters
    ----------
    fields
        Values by field; those without a path stand where they are.
    paths
        Where each is to stand.

    Examples
    --------
    >>> placed({"id": 7, "km": 2.5}, {"id": ("payload", "id"), "km": ("values", 1)})
    {'payload': {'id': 7}, 'values': [None, 2.5]}
    """
    record: dict[str, Any] = {}
    for name, value in fields.items():
        _place(record, paths.get(name, (name,)), value)
    return record


def _place(inside: Any, path: Path, value: Any) -> None:
    first, *rest = path
    if isinstance(first, int):
        inside.extend([None] * (first + 1 - len(inside)))
    if not rest:
        inside[first] = value
        return
    within = inside[first] if isinstance(first, int) else inside.get(first)
    if within is None:
        within = inside[first] = [] if isinstance(rest[0], int) else {}
    _place(within, tuple(rest), value)


def name_faults(model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield the fields that cannot stand where a class reads them, and why, as a sentence's end."""
    taken: dict[Path, str] = {}
    for name, paths in paths_of(model).items():
        path = paths[0]
        shown = column_of(path)
        if any(isinstance(part, int) and not 0 <= part <= INDEX_MAX for part in path):
            yield name, f"is read at {shown}, which counts from the end or beyond {INDEX_MAX:,}"
        for before, other in taken.items():
            if _collide(before, path):
                yield name, f"is read at {shown}, and {other} at {column_of(before)}"
        taken[path] = name


def _collide(one: Sequence[str | int], other: Sequence[str | int]) -> bool:
    """Whether nothing can stand at both places: one is within the other, or is of another kind."""
    for first, second in zip(one, other, strict=False):
        if type(first) is not type(second):
            return True
        if first != second:
            return False
    return True
