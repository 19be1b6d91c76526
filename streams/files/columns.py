"""Which column of a table holds which field: by the names by which a class reads its fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from headrace.schemas.errors import InputError
from headrace.schemas.names import Path as Place
from headrace.schemas.names import column_of, paths_of, placed
from headrace.streams.event import Event
from headrace.streams.files.table import DELIMITERS, shown_delimiter
from headrace.streams.wire import first_paths

E = TypeVar("E", bound=Event)


def string_validator(
    model: type[E],
) -> tuple[Callable[..., E], Callable[[dict[str, str]], dict[str, Any]]]:
    """Return what validates cells, and what puts cells by field where it reads them."""
    moved = first_paths(model)
    # An empty cell has no place in a list, so such a class reads its cells by field.
    listed = any(isinstance(part, int) for path in moved.values() for part in path)
    validate = partial(
        model.__pydantic_validator__.validate_strings,
        strict=False,  # what a validator returns of a cell may be text still
        by_alias=False if listed else None,
        by_name=True if listed else None,
    )
    if moved and not listed:
        return validate, partial(placed, paths=moved)
    return validate, lambda fields: fields


def columns_of(
    names: Sequence[str], path: Path, model: type[Event], delimiter: str
) -> list[tuple[str, int]]:
    """Return the fields that have a column, and its place: the first of those that are read."""
    places = {name: at for at, name in enumerate(names)}
    columns, missing = [], {}
    for field, paths in paths_of(model).items():
        read = [column_of(each) for each in paths]
        known = next((name for name in read if name in places), None)
        if known is not None:
            columns.append((field, places[known]))
        elif model.model_fields[field].is_required():
            missing[field] = read[0]
    if missing:
        other = _other_delimiter(names, [*missing.values()], delimiter)
        if other is not None:
            shown, not_shown = shown_delimiter(other), shown_delimiter(delimiter)
            raise InputError(
                f"{path}, line 1: its cells seem to stand between {shown!r}, not {not_shown!r}:"
                f" --delimiter {shown!r}."
            )
        faults = [_no_column(path, field, name, [*places]) for field, name in missing.items()]
        raise InputError("\n".join(faults))
    return columns


def _other_delimiter(names: Sequence[str], missing: Sequence[str], delimiter: str) -> str | None:
    """Return the delimiter by which a header would have what is missing, None if none does."""
    header = delimiter.join(names)
    for other in DELIMITERS:
        parts = {part.strip().strip('"') for part in header.split(other)}
        if other != delimiter and parts.issuperset(missing):
            return other
    return None


def _no_column(path: Path, field: str, name: str, columns: list[str]) -> str:
    near = get_close_matches(name, columns, 1)
    hint = f' Did you mean "{near[0]}"?' if near else f" It has {', '.join(columns)}."
    if field in columns:
        hint = f" The class reads its field {field} as {name}: rename the column {field}."
    return f'{path}: no column is called "{name}".{hint}'


def value_at(value: Any, path: Place) -> Any:
    """Return what stands at a place, None if there is nothing."""
    for part in path:
        try:
            value = value[part]
        except (LookupError, TypeError):
            return None
    return value
