"""From the bytes of a file to its lines: nothing is guessed, dropped or replaced."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from headrace.schemas.errors import InputError

LINE_CHARS_MAX = 4 * 1024 * 1024
"""A longer line is not read: a row is no document."""

_UNDECODED = re.compile("[\udc80-\udcff]")
"""What stands for a byte that the encoding does not know (PEP 383)."""

_BOM = "\ufeff"
_BEGINNINGS = {
    b"\x1f\x8b": "It is compressed by gzip: let its name end in .gz.",
    b"PK\x03\x04": "It is a zip archive, as .xlsx is: unpack it, or export it as CSV.",
    b"PAR1": "It is Parquet: write it as CSV or JSON lines.",
    b"\x28\xb5\x2f\xfd": "It is compressed by zstd: unpack it, or compress it by gzip.",
    b"BZh": "It is compressed by bzip2: unpack it, or compress it by gzip.",
    b"\xff\xfe\x00\x00": "It begins as UTF-32 does: --encoding utf-32.",
    b"\xff\xfe": "It begins as UTF-16 does: --encoding utf-16.",
    b"\xfe\xff": "It begins as UTF-16 does: --encoding utf-16.",
}


class Lines(Iterator[str]):
    """The lines of a file, each with its line feed; counted.

    Parameters
    ----------
    file
        What is read.
    path, encoding
        For messages.

    Attributes
    ----------
    number
        The number of the line that was read last, from 1.

    Raises
    ------
    InputError
        A line is none of its encoding, holds a NUL byte, or is too long.
    """

    def __init__(self, file: TextIO, path: Path, encoding: str) -> None:
        self.path = path
        self.number = 0
        self._readline = file.readline
        self._encoding = encoding
        self._again: str | None = None

    def __next__(self) -> str:
        line = self._again
        if line is None:
            line = self._readline(LINE_CHARS_MAX)
        else:
            self._again = None
        if not line:
            raise StopIteration
        self.number += 1
        if self.number == 1:
            line = self._first(line)
        if "\0" in line or not line.isascii():
            self._check(line)
        if len(line) >= LINE_CHARS_MAX:
            raise self.fault(f"it is longer than {LINE_CHARS_MAX:,} characters. Is this text?")
        return line

    def unread(self, line: str) -> None:
        """Take back the line that was read last: it is the next again."""
        self.number -= 1
        self._again = line

    def fault(self, said: str) -> InputError:
        """Return an error that names the line that was read last."""
        return InputError(f"{self.path}, line {self.number}: {said}")

    def _first(self, line: str) -> str:
        raw = line[:8].encode("utf-8", "surrogateescape")
        for beginning, remedy in _BEGINNINGS.items():
            if raw.startswith(beginning):
                raise self.fault(f"this is no text in {self._encoding}. {remedy}")
        return line.removeprefix(_BOM)

    def _check(self, line: str) -> None:
        at = line.find("\0")
        if at >= 0:
            raise self.fault(f"character {at + 1} is a NUL byte. {_nul_remedy(line)}")
        wrong = _UNDECODED.search(line)
        if wrong is not None:
            byte = ord(wrong.group()) - 0xDC00
            raise self.fault(
                f"character {wrong.start() + 1}: byte 0x{byte:02x} is no {self._encoding}."
                f" {_encoding_remedy(line, wrong.start())}"
            )


def _nul_remedy(line: str) -> str:
    """Return what may be done about NUL bytes: every second one is UTF-16 without its mark."""
    raw = line.encode("utf-8", "surrogateescape")[:64]
    for encoding, zeros in (("utf-16-le", raw[1::2]), ("utf-16-be", raw[0::2])):
        if len(raw) > 3 and not any(zeros[: len(raw) // 2 - 1]):
            return f"It seems to be UTF-16: --encoding {encoding}."
    return "Text has none: the file is damaged, or no text. Write it again."


def _encoding_remedy(line: str, at: int) -> str:
    """Return the likeliest encoding of a line, with the word as it reads then."""
    raw = line.encode("utf-8", "surrogateescape")
    begin = len(line[:at].encode("utf-8", "surrogateescape"))
    try:
        encoding, text = "cp1252", raw.decode("cp1252")
    except UnicodeDecodeError:
        encoding, text = "latin-1", raw.decode("latin-1")
    before = re.search(r"\w*\Z", text[:begin])
    behind = re.match(r"\w*", text[begin:])
    assert before is not None
    assert behind is not None
    word = (before.group() + behind.group())[-40:] or text[begin]
    return f"As {encoding} it reads {word!r}: --encoding {encoding}."


@contextmanager
def opened(path: Path, encoding: str = "utf-8") -> Iterator[Lines]:
    """Lend the lines of a file; what is wrong with its bytes is said with name and line.

    Parameters
    ----------
    path
        The file; one whose name ends in ``.gz`` is unpacked.
    encoding
        As Python calls it.
    """
    check_encoding(encoding)
    lines: Lines | None = None
    try:
        with _text_of(path, encoding) as text:
            lines = Lines(text, path, encoding)
            yield lines
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        number = 0 if lines is None else lines.number
        raise InputError(_told(error, path, encoding, number)) from error


def check_encoding(encoding: str) -> None:
    """Raise an error if Python knows no encoding of text by this name."""
    try:
        "".encode(encoding)
    except (LookupError, ValueError) as error:
        raise InputError(
            f"--encoding {encoding!r} is no encoding of text that Python knows:"
            " utf-8, utf-16, cp1252 and latin-1 are."
        ) from error


def _text_of(path: Path, encoding: str) -> TextIO:
    # A byte that is not of the encoding is kept as what stands for it, so that its line is known.
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding=encoding, errors="surrogateescape", newline="\n")
    return path.open(encoding=encoding, errors="surrogateescape", newline="\n")


def _told(error: Exception, path: Path, encoding: str, number: int) -> str:
    place = f"{path}, behind line {number}" if number else f"{path}"
    if isinstance(error, EOFError):
        return f"{place}: the .gz ends early: it was cut on its way. Fetch or write it again."
    if isinstance(error, gzip.BadGzipFile) and not number:
        return f"{place}: this is no gzip ({error}). Let its name end without .gz if it is not."
    if isinstance(error, gzip.BadGzipFile | zlib.error):
        return f"{place}: what follows is no sound gzip ({error}). Fetch or write it again."
    if isinstance(error, UnicodeError):
        why = error.reason if isinstance(error, UnicodeDecodeError) else error
        said = f"{'what follows' if number else 'this'} is no {encoding} ({why})"
        return f"{place}: {said}. Name the file's own by --encoding."
    return f"{path}: {getattr(error, 'strerror', None) or error}."
