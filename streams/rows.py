"""Files of events and labels: CSV by column name, or one JSON object in each line.

A row that is none of what the declaration says stops the reading, with file, line and column: a
file is its author's to mend, while what others publish is a stage's to sort out.
"""

from __future__ import annotations

import csv
import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Generic, NamedTuple, TextIO, TypeVar

from pydantic import ValidationError

from headrace.schemas.avro import field_types
from headrace.schemas.errors import InputError
from headrace.streams.decoding import refused_by
from headrace.streams.event import Event

E = TypeVar("E", bound=Event)

_CSV = (".csv", ".tsv")
_JSON = (".jsonl", ".ndjson", ".json")


class Row(NamedTuple, Generic[E]):
    """A row of a file.

    Attributes
    ----------
    number
        Its number in its file, from 1; rows that are passed over count, blank lines do not.
    line
        The line on which it begins, from 1.
    value
        The event or label that it holds.
    path
        The file.
    """

    number: int
    line: int
    value: E
    path: Path


def read_rows(path: Path, model: type[E], *, unless_blank: str | None = None) -> Iterator[E]:
    """Go through a file's events, or labels: the values of :func:`numbered_rows`."""
    return (row.value for row in numbered_rows(path, model, unless_blank=unless_blank))


def numbered_rows(
    path: Path, model: type[E], *, unless_blank: str | None = None
) -> Iterator[Row[E]]:
    """Go through a file's rows as events, or labels, of a class.

    Parameters
    ----------
    path
        A file whose name ends in ``.csv``, ``.tsv``, ``.jsonl``, ``.ndjson`` or ``.json``, with
        ``.gz`` behind it if it is compressed. Columns are matched by name; others are passed over.
        An empty cell is an absent value.
    unless_blank
        A field without which a row is passed over: a label that never came.

    Raises
    ------
    InputError
        The file cannot be read, a column is missing, or a row is no such event.
    """
    ending = (path.with_suffix("") if path.suffix == ".gz" else path).suffix
    if ending not in (*_CSV, *_JSON):
        raise InputError(
            f"{path}: its name ends in {ending!r}. Rows are read from"
            f" {', '.join((*_CSV, *_JSON))}, with .gz behind it if compressed."
        )
    with _opened(path) as file:
        if ending in _JSON:
            yield from _json_rows(file, path, model, unless_blank)
        else:
            delimiter = "\t" if ending == ".tsv" else ","
            lines = csv.reader(file, delimiter=delimiter)
            yield from _csv_rows(lines, path, model, unless_blank)


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Lend a file as text; what is wrong with its bytes is said with its name."""
    try:
        with _text_of(path) as text:
            yield text
    except (OSError, EOFError, UnicodeDecodeError, csv.Error, zlib.error) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"{path}: {said}.") from error


def _text_of(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _csv_rows(
    lines: Iterator[Sequence[str]], path: Path, model: type[E], unless_blank: str | None
) -> Iterator[Row[E]]:
    header = next(lines, None)
    if header is None:
        raise InputError(f"{path}: the file is empty. Its first line names the columns.")
    columns = _columns(header, path, model)
    texts = {name for name, (plain, optional) in field_types(model).items() if plain is str}
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    kept_empty = texts & required
    validate = model.__pydantic_validator__.validate_strings
    row, end = 0, lines.line_num  # type: ignore[attr-defined]  # csv's reader counts lines
    for cells in lines:
        line, end = end + 1, lines.line_num  # type: ignore[attr-defined]
        if not cells:
            continue
        row += 1
        if len(cells) != len(header):
            raise InputError(
                f"{path}, line {line}: it has {len(cells)} cells, the header {len(header)}."
            )
        found = {name: text for name, at in columns if (text := cells[at]) or name in kept_empty}
        if unless_blank is None or found.get(unless_blank):
            yield Row(row, line, _valid(validate, found, f"{path}, line {line}"), path)


def _columns(header: Sequence[str], path: Path, model: type[Event]) -> list[tuple[str, int]]:
    places = {name.strip(): at for at, name in enumerate(header)}
    missing = [
        _no_column(path, name, list(places))
        for name, field in model.model_fields.items()
        if name not in places and field.is_required()
    ]
    if missing:
        raise InputError("\n".join(missing))
    return [(name, places[name]) for name in model.model_fields if name in places]


def _no_column(path: Path, name: str, columns: list[str]) -> str:
    near = get_close_matches(name, columns, 1)
    hint = f' Did you mean "{near[0]}"?' if near else f" It has {', '.join(columns)}."
    return f'{path}: no column is called "{name}".{hint}'


def _json_rows(
    lines: Iterable[str], path: Path, model: type[E], unless_blank: str | None
) -> Iterator[Row[E]]:
    from_json = model.__pydantic_validator__.validate_json
    row = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        row += 1
        if unless_blank is not None and _is_blank(line, unless_blank):
            continue
        yield Row(row, number, _valid(from_json, line, f"{path}, line {number}"), path)


def _is_blank(line: str, field: str) -> bool:
    """Whether a line is an object in which a field is absent or null."""
    try:
        found = json.loads(line)
    except ValueError:
        return False
    return isinstance(found, Mapping) and found.get(field) is None


def _valid(validate: Callable[..., E], row: object, place: str) -> E:
    try:
        return validate(row)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
    except MemoryError:
        raise
    except Exception as error:
        refused = refused_by(error)
        where = f"{place}, column {refused.field}" if refused.field else place
        raise InputError(f"{where}: {refused.detail}") from error
    said = []
    for fault in faults:
        column = ".".join(str(part) for part in fault["loc"])
        where = f"{place}, column {column}" if column else place
        if fault["type"] == "missing":
            said.append(f"{where}: it is empty, and has no default.")
        else:
            said.append(f"{where}: {fault['msg']} (it is {str(fault['input'])!r:.80}).")
    raise InputError("\n".join(said))
