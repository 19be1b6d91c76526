"""How a command fails: one clear sentence on standard error, and an exit code that says what kind.

0    done
1    something that is needed does not answer, or went wrong: trying again may help
2    what was given cannot be used: a flag, a file, a setting
3    refused: going on could lose or double something; the sentence names the remedy
4    a newer process has the slot of all workers (``headrace run``)
130  interrupted by Ctrl-C
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from typing import NoReturn

import typer

from headrace.schemas.errors import (
    DeclarationError,
    HeadraceError,
    InputError,
    Refused,
    SchemaError,
    ServiceError,
    SettingsError,
)

FAILED = 1
UNUSABLE = 2
REFUSED = 3
INTERRUPTED = 130

_CODES: tuple[tuple[type[HeadraceError], int], ...] = (
    (DeclarationError, UNUSABLE),
    (SettingsError, UNUSABLE),
    (InputError, UNUSABLE),
    (SchemaError, UNUSABLE),
    (Refused, REFUSED),
    (ServiceError, FAILED),
    (HeadraceError, FAILED),
)


def code_of(error: HeadraceError) -> int:
    """Return the exit code of an error that was raised on purpose."""
    return next(code for kind, code in _CODES if isinstance(error, kind))


def say(error: object) -> None:
    """Write an error's sentences to standard error, each with our name before it."""
    faults = error.faults if isinstance(error, DeclarationError) else (str(error),)
    for fault in faults:
        sys.stderr.write(f"headrace: {fault}\n")


def say_unexpected(error: BaseException, *, debug: bool) -> None:
    """Write what nobody foresaw as one sentence, and its traceback to a file.

    Parameters
    ----------
    debug
        Whether the traceback is shown at once.
    """
    text = "".join(traceback.format_exception(error))
    said = f"{type(error).__name__}: {str(error).strip().rstrip('.') or 'no further word'}."
    said = said.replace("\n", " ")
    if debug:
        sys.stderr.write(text)
        say(said)
        return
    with tempfile.NamedTemporaryFile(
        "w", prefix="headrace-", suffix=".traceback.txt", delete=False, encoding="utf-8"
    ) as file:
        file.write(text)
    say(f"{said} This was not foreseen; {file.name} has the traceback (--debug shows it).")


def stop(sentence: str, code: int = UNUSABLE) -> NoReturn:
    """End the command with a sentence."""
    say(sentence)
    raise typer.Exit(code)
