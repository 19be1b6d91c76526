"""Files of events and labels: CSV by column name, or one JSON object in each line.

A row that is none of what the declaration says stops the reading, with file, line and column: a
file is its author's to mend, while what others publish is a stage's to sort out. How files are
taken apart is the business of ``headrace.streams.files``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from pydantic import ValidationError

from headrace.schemas.avro import field_types
from headrace.schemas.errors import InputError
from headrace.schemas.names import paths_of
from headrace.streams.decoding import refused_by
from headrace.streams.event import Event
from headrace.streams.files.columns import columns_of, string_validator, value_at
from headrace.streams.files.objects import objects
from headrace.streams.files.table import Record, Table, swallowed_in
from headrace.streams.files.text import Lines, opened
from headrace.streams.validation import faults_in, place_of, sentence_of

E = TypeVar("E", bound=Event)

_CSV = (".csv", ".tsv")
_JSON = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read.

    Attributes
    ----------
    encoding
        As Python calls it.
    delimiter
        What stands between the cells of a table; None: a tab in ``.tsv``, else what the first line
        says (``sep=;``), else a comma.
    quotes
        Whether a cell of a table may stand in quotes; if not, a quote is a character like others.
    multiline
        Whether a quoted cell may hold lines that read as rows of the file.
    """

    encoding: str = "utf-8"
    delimiter: str | None = None
    quotes: bool = True
    multiline: bool = False

    def __post_init__(self) -> None:
        if self.delimiter is not None and (len(self.delimiter) != 1 or self.delimiter in '"\r\n'):
            raise InputError(
                f"--delimiter {self.delimiter!r} is not one character: write ';', '|' or tab."
            )


@dataclass(slots=True)
class Tally:
    """What there was in a file, so that it can be compared with what was read.

    Attributes
    ----------
    lines, blank
        Lines so far, and blank ones among them.
    rows
        Rows so far.
    passed
        Rows among them that were passed over, since their label is empty.
    """

    lines: int = 0
    blank: int = 0
    rows: int = 0
    passed: int = 0

    def __str__(self) -> str:
        """Return it as people read it."""
        told = [f"{self.rows:,} rows on {self.lines:,} lines"]
        if self.passed:
            told.append(f"{self.passed:,} of them without a label")
        if self.blank:
            told.append(f"{self.blank:,} blank lines")
        return ", ".join(told)


@dataclass(slots=True)
class _File:
    """A file that is being read.

    Attributes
    ----------
    unless_blank
        A field without which a row is passed over.
    """

    path: Path
    lines: Lines
    reading: Reading
    tally: Tally
    unless_blank: str | None

    def place(self, line: int) -> str:
        return f"{self.path}, line {line}"


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


def read_rows(
    path: Path, model: type[E], *, unless_blank: str | None = None, reading: Reading = Reading()
) -> Iterator[E]:
    """Go through a file's events, or labels: the values of :func:`numbered_rows`."""
    rows = numbered_rows(path, model, unless_blank=unless_blank, reading=reading)
    return (row.value for row in rows)


def numbered_rows(
    path: Path,
    model: type[E],
    *,
    unless_blank: str | None = None,
    reading: Reading = Reading(),
    tally: Tally | None = None,
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
    reading
        Encoding, delimiter, quotes.
    tally
        Is told what there is, as the reading goes on.

    Raises
    ------
    InputError
        The file cannot be read, a column is missing, a row is no such event, or anything in it is
        not exactly what its format says.
    """
    ending = (path.with_suffix("") if path.suffix == ".gz" else path).suffix
    if ending not in (*_CSV, *_JSON):
        raise InputError(
            f"{path}: its name ends in {ending!r}. Rows are read from"
            f" {', '.join((*_CSV, *_JSON))}, with .gz behind it if compressed."
        )
    with opened(path, reading.encoding) as lines:
        file = _File(path, lines, reading, tally or Tally(), unless_blank)
        if ending in _JSON:
            yield from _json_rows(file, model)
        else:
            yield from _csv_rows(file, model, "\t" if ending == ".tsv" else ",")


# -- tables


def _csv_rows(file: _File, model: type[E], usual: str) -> Iterator[Row[E]]:
    path, tally = file.path, file.tally
    delimiter = _delimiter(file, usual)
    table = Table(file.lines, delimiter, quotes=file.reading.quotes)
    names = table.names = _names(table, file)
    columns = columns_of(names, path, model, delimiter)
    texts = {name for name, (plain, optional) in field_types(model).items() if plain is str}
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    kept_empty = texts & required
    validate, as_read = string_validator(model)

    def fields(cells: Sequence[str]) -> dict[str, str]:
        return {name: text for name, at in columns if (text := cells[at]) or name in kept_empty}

    for record in table:
        tally.lines = file.lines.number
        if not record.cells:
            tally.blank += 1
            continue
        tally.rows += 1
        _check_record(record, names, file)
        if len(record.lines) > 1 and not file.reading.multiline:
            _check_swallowed(
                record,
                names,
                delimiter,
                file,
                lambda cells: _is_row(validate, as_read(fields(cells))),
            )
        values = fields(record.cells)
        if file.unless_blank is None or values.get(file.unless_blank):
            event = _valid(validate, as_read(values), file.place(record.line))
            yield Row(tally.rows, record.line, event, path)
        else:
            tally.passed += 1


def _delimiter(file: _File, usual: str) -> str:
    """Return what stands between cells: as it is told, or as Excel's first line says it."""
    first = next(file.lines, "")
    declared = first.strip().strip('"')
    if len(declared) == 5 and declared.lower().startswith("sep="):
        file.tally.lines += 1
        return file.reading.delimiter or declared[-1]
    if first:
        file.lines.unread(first)
    return file.reading.delimiter or usual


def _names(table: Table, file: _File) -> list[str]:
    """Return the names of the columns, each of which there is once."""
    for record in table:
        file.tally.lines = file.lines.number
        if record.cells:
            break
        file.tally.blank += 1
    else:
        raise InputError(f"{file.path}: the file is empty. Its first line names the columns.")
    names = [name.strip() for name in record.cells]
    place = file.place(record.line)
    faults = []
    for at, name in enumerate(names):
        first = names.index(name)
        if not name:
            remedy = "Name it, or write the file without its index (pandas: index=False)."
            faults.append(f"{place}: column {at + 1} of {len(names)} has no name. {remedy}")
        elif first < at:
            said = f'columns {first + 1} and {at + 1} are both called "{name}"'
            faults.append(f"{place}: {said}. Take one away, or give it another name.")
    if faults:
        raise InputError("\n".join(faults))
    return names


def _check_record(record: Record, names: Sequence[str], file: _File) -> None:
    """Raise an error for a row that has other cells than the header, or is the header again."""
    cells, place = record.cells, file.place(record.line)
    if cells[0].startswith("\ufeff"):
        said = "it begins with a byte order mark: files were joined here. Take it away."
        raise InputError(f"{place}: {said}")
    if len(cells) != len(names):
        said = f"{place}: it has {len(cells)} cells, the header {len(names)}."
        if len(record.lines) > 1:
            end = record.line + len(record.lines) - 1
            said += f" By a quote it goes on to line {end}: is that one stray?"
        raise InputError(said)
    if cells[0].strip() == names[0] and [cell.strip() for cell in cells] == names:
        raise InputError(f"{place}: this is the header again: files were joined. Take it away.")


def _check_swallowed(
    record: Record,
    names: Sequence[str],
    delimiter: str,
    file: _File,
    is_row: Callable[[Sequence[str]], bool],
) -> None:
    """Raise an error for a quoted cell in which lines read as rows."""
    for at, rows in swallowed_in(record, delimiter):
        if any(is_row(row) for row in rows):
            opens = record.line + sum(cell.count("\n") for cell in record.cells[:at])
            closes = opens + record.cells[at].count("\n")
            raise InputError(
                f"{file.place(opens)}, column {names[at]}: a quote opens here and closes on line"
                f" {closes}, and what stands between reads as rows: a stray quote has swallowed"
                ' them. Write a quote that is text twice ("5"" pipe"), or say --no-quotes if quotes'
                " mean nothing here, or --multiline if this is text."
            )


def _is_row(validate: Callable[..., E], values: Mapping[str, str]) -> bool:
    try:
        _valid(validate, values, "")
    except InputError:
        return False
    return True


# -- lines of JSON


def _json_rows(file: _File, model: type[E]) -> Iterator[Row[E]]:
    from_json = model.__pydantic_validator__.validate_json
    needed = () if file.unless_blank is None else paths_of(model)[file.unless_blank]
    tally = file.tally
    for line, text, value in objects(file.lines):
        tally.lines = line
        if not text:
            tally.blank += 1
            continue
        tally.rows += 1
        if isinstance(value, list):
            remedy = f"jq -c '.[]' {file.path.name} > rows.jsonl"
            said = f"it is an array; each line is one object: {remedy} makes it so."
            raise InputError(f"{file.place(line)}: {said}")
        if (
            needed
            and isinstance(value, Mapping)
            and all(value_at(value, at) is None for at in needed)
        ):
            tally.passed += 1
            continue
        yield Row(tally.rows, line, _valid(from_json, text, file.place(line)), file.path)


def _valid(validate: Callable[..., E], row: object, place: str) -> E:
    try:
        return validate(row)
    except ValidationError as error:
        faults = faults_in(error)
    except MemoryError:
        raise
    except Exception as error:
        refused = refused_by(error)
        where = f"{place}, column {refused.field}" if refused.field else place
        raise InputError(f"{where}: {refused.detail}") from error
    said = []
    for fault in faults:
        column = place_of(fault)
        where = f"{place}, column {column}" if column else place
        if fault["type"] == "missing":
            said.append(f"{where}: it is empty, and has no default.")
        else:
            said.append(f"{where}: {sentence_of(fault)}")
    raise InputError("\n".join(said))
