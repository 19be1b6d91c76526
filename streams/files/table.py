"""CSV, strictly: each row as its cells, and where each begins.

Python's ``csv`` reads; in its strict mode it notices most of what is wrong, though not where it
began, and takes a quote in the middle of a cell for text. So a row on which it fails, or that has a
quote within a cell, is gone through once more here, character by character.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from typing import NamedTuple

from headrace.schemas.errors import InputError
from headrace.streams.files.text import Lines

DELIMITERS = (",", ";", "\t", "|")
"""What a delimiter is guessed among."""

_BREAK = re.compile(r"\r?\n")
_QUOTED = re.compile(r'"((?:[^"]|"")*)("?)')
_CHARS_SHOWN = 20
_QUOTE = (
    'A quote that is text is written twice, in a quoted cell: "5"" pipe". If quotes mean nothing in'
    " this file, say --no-quotes."
)


class Record(NamedTuple):
    """A row of a table.

    Attributes
    ----------
    line
        Where it begins, from 1.
    cells
        Its cells; none of a blank line.
    lines
        The lines that it takes, as they are.
    """

    line: int
    cells: list[str]
    lines: list[str]


class Fault(NamedTuple):
    """What is wrong in a row, and where it began.

    Attributes
    ----------
    line, character
        Where: the line of the row, from 0, and the character of that line, from 1.
    cell
        Which cell of the row, from 0.
    said
        What it is.
    """

    line: int
    character: int
    cell: int
    said: str


class Table:
    """The rows of a table.

    Parameters
    ----------
    lines
        The file's.
    delimiter
        One character.
    quotes
        Whether a cell may stand in quotes; if not, a quote is a character like others.

    Attributes
    ----------
    names
        The columns' names, once they are known: for messages.

    Raises
    ------
    InputError
        A row is none; with the line and column where what is wrong with it begins.
    """

    def __init__(self, lines: Lines, delimiter: str, *, quotes: bool = True) -> None:
        self.names: list[str] = []
        self._lines = lines
        self._delimiter = delimiter
        self._quotes = quotes
        self._fed: list[str] = []
        self._reader = csv.reader(
            self._feed(),
            delimiter=delimiter,
            strict=True,
            quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
        )

    def _feed(self) -> Iterator[str]:
        for line in self._lines:
            self._fed.append(line)
            yield line

    def __iter__(self) -> Iterator[Record]:
        while True:
            self._fed = []
            begin = self._lines.number + 1
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise self._fault(begin, error) from error
            record = Record(begin, cells, self._fed)
            if self._is_odd(record):
                self._look(record)
            yield record

    def _is_odd(self, record: Record) -> bool:
        """Return whether a row may hold what ``csv`` passes over: a quote or a CR out of place."""
        text = record.lines[0] if len(record.lines) == 1 else "".join(record.lines)
        if self._quotes and '"' in text and any('"' in cell for cell in record.cells):
            return True
        return "\r" in text and "\r" in text.removesuffix("\n").removesuffix("\r")

    def _look(self, record: Record) -> None:
        found = fault_of("".join(record.lines), self._delimiter, quotes=self._quotes)
        if found is not None:
            raise self._error(record.line, found)

    def _fault(self, begin: int, error: csv.Error) -> InputError:
        """Return what is wrong where ``csv`` gave up, as it began."""
        text = "".join(self._fed)
        found = fault_of(text, self._delimiter, quotes=self._quotes)
        if "field limit" in str(error):
            found = _too_long(text, self._delimiter, found)
        return self._error(begin, found or Fault(0, 1, 0, f"{error}."))

    def _error(self, begin: int, found: Fault) -> InputError:
        known = found.cell < len(self.names)
        column = self.names[found.cell] if known else str(found.cell + 1)
        return InputError(
            f"{self._lines.path}, line {begin + found.line}, column {column}, character"
            f" {found.character}: {found.said}"
        )


def swallowed_in(record: Record, delimiter: str) -> Iterator[tuple[int, list[list[str]]]]:
    r"""Go through a row's cells whose lines have as many delimiters as rows would have.

    A quote that is text opens a cell, and one further down closes it: then rows in between stand in
    one cell, and the number of cells is right. Text with line breaks hardly ever fits: its first
    line would have as many delimiters as there are columns behind it, its last one as many as
    there are before it, and each in between as many as a row. Two rows may stand on one line, if
    a line break is lost.

    Yields
    ------
    (int, list of list of str)
        Which cell, from 0, and the rows that its lines may be, to be tried.

    Examples
    --------
    >>> list(swallowed_in(Record(1, ["a", "Dear all,\nbye", "y"], []), ","))
    []
    >>> list(swallowed_in(Record(1, ["a", "5,x\nb,6", "y"], []), ","))
    [(1, [['a', '5', 'x'], ['b', '6', 'y']])]
    """
    cells = record.cells
    size = len(cells)
    for at, cell in enumerate(cells if size > 1 else ()):
        if "\n" not in cell or delimiter not in cell:
            continue
        first, *between, last = cell.split("\n")
        rows = [[*cells[:at], *first.split(delimiter)]]
        rows += [line.removesuffix("\r").split(delimiter) for line in between if line.strip()]
        rows.append([*last.split(delimiter), *cells[at + 1 :]])
        if all(len(row) >= size and len(row) % (size - 1) == 1 % (size - 1) for row in rows):
            # A line without a delimiter is a row by what stands around it alone: no evidence.
            own = [delimiter in first, *(True for _ in rows[1:-1]), delimiter in last]
            telling = [row for row, has in zip(rows, own, strict=True) if has]
            yield at, [part for row in telling for part in _ends(row, size)]


def _ends(row: list[str], size: int) -> list[list[str]]:
    return [row] if len(row) == size else [row[:size], row[-size:]]


def fault_of(text: str, delimiter: str, *, quotes: bool = True) -> Fault | None:
    """Return the first thing that is wrong in a row, None if nothing is.

    Parameters
    ----------
    text
        The row's lines, joined.

    Examples
    --------
    >>> fault_of('a,"b" c,d', ",").said[:44]
    'a quote opens here and closes with text behi'
    """
    barred = re.escape(delimiter) + ('"' if quotes else "")
    plain = re.compile(rf"[^{barred}\r\n]*")
    at, cell = 0, 0
    while True:
        begin = at
        quoted = _QUOTED.match(text, at) if quotes else None
        if quoted is not None and not quoted[2]:
            return _fault_at(text, begin, cell, f"a quote opens here and never closes. {_QUOTE}")
        matched = quoted or plain.match(text, at)
        assert matched is not None
        at = matched.end()
        if at == len(text) or _BREAK.match(text, at):
            return None
        if not text.startswith(delimiter, at):
            return _out_of_place(text, begin, at, cell)
        at, cell = at + 1, cell + 1


def _out_of_place(text: str, begin: int, at: int, cell: int) -> Fault:
    """Return what is wrong with a character that stands where a cell should end."""
    if text[at] == "\r":
        said = "a carriage return alone ends no line. Write lines that end in a line feed."
        return _fault_at(text, at, cell, said)
    if text[begin] != '"':
        return _fault_at(text, at, cell, f"a quote within a cell that is not quoted. {_QUOTE}")
    if text[at] in DELIMITERS:
        shown = shown_delimiter(text[at])
        said = f"a quote opens here and closes before {shown!r}. If that is what stands between"
        return _fault_at(text, begin, cell, f"{said} cells, say --delimiter {shown!r}.")
    behind = text[at : at + _CHARS_SHOWN].partition("\n")[0].rstrip("\r")
    lines = text.count("\n", begin, at)
    where = f" {lines} line{'s' if lines > 1 else ''} on" if lines else ""
    said = f"a quote opens here and closes{where} with text behind it ({behind!r}). {_QUOTE}"
    return _fault_at(text, begin, cell, said)


def shown_delimiter(delimiter: str) -> str:
    """Return a delimiter as ``--delimiter`` takes it."""
    return "tab" if delimiter == "\t" else delimiter


def _too_long(text: str, delimiter: str, fault: Fault | None) -> Fault:
    limit = csv.field_size_limit()
    if fault is not None:
        said = f"a quote opens here and does not close within {limit:,} characters. {_QUOTE}"
        return fault._replace(said=said)
    said = f"a cell of more than {limit:,} characters. Write such rows as JSON lines."
    parts = text.split(delimiter)
    cell = max(range(len(parts)), key=lambda number: len(parts[number]))
    return _fault_at(text, sum(len(part) + 1 for part in parts[:cell]), cell, said)


def _fault_at(text: str, at: int, cell: int, said: str) -> Fault:
    line = text.count("\n", 0, at)
    return Fault(line, at - text.rfind("\n", 0, at), cell, said)
