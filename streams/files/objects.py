"""Lines of JSON, strictly: one object in each, each of its keys once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from headrace.streams.files.text import Lines


class Object(NamedTuple):
    """A line of JSON.

    Attributes
    ----------
    line
        Its number, from 1.
    text
        The line; empty if it is blank.
    value
        What it holds.
    """

    line: int
    text: str
    value: Any


class _DuplicateError(ValueError):
    pass


class _ConstantError(ValueError):
    pass


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _DuplicateError(twice)
    return found


def _refuse(constant: str) -> None:
    raise _ConstantError(constant)


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)


def objects(lines: Lines) -> Iterator[Object]:
    """Go through a file's lines as JSON.

    Raises
    ------
    InputError
        A line is no JSON, has a key twice, or is NaN or Infinity somewhere.
    """
    for line in lines:
        text = line.strip()
        if not text:
            yield Object(lines.number, "", None)
            continue
        try:
            value = _DECODER.decode(text)
        except _DuplicateError as error:
            said = f"column {error}: the key stands twice in one object. Keep one of them."
            raise lines.fault(said) from error
        except _ConstantError as error:
            raise lines.fault(f"{error} is no JSON. Write null for what is not known.") from error
        except json.JSONDecodeError as error:
            raise lines.fault(_told(error, line, lines.path.name)) from error
        except RecursionError as error:
            raise lines.fault("it is nested too deeply. A row is flat.") from error
        yield Object(lines.number, text, value)


def _told(error: json.JSONDecodeError, line: str, name: str) -> str:
    """Return what is wrong with a line, and what to do."""
    text = error.doc
    at = error.pos + len(line) - len(line.lstrip()) + 1
    said = f"character {at}: {error.msg[:1].lower()}{error.msg[1:]}."
    if text.startswith("\ufeff"):
        return "it begins with a byte order mark: files were joined here. Take it away."
    if text.startswith("["):
        return f"{said} An array over several lines is not read: jq -c '.[]' {name} > rows.jsonl."
    if error.msg == "Extra data":
        return f"character {at}: a second value begins. Write each object on a line of its own."
    if not line.endswith("\n"):
        return f"{said} The file's last line seems to be cut: write the file again."
    return f"{said} Each line is one whole object: jq -c . {name} > rows.jsonl makes it so."
