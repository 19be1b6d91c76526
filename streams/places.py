"""Where in a user's file something is declared."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

_OURS = ("headrace.streams.pipeline", "headrace.streams.features.declared", __name__)


def place_of_declaration() -> str:
    """Return the line of the user's file that is being declared, as ``file, line 7``."""
    frame = sys._getframe(1)  # noqa: SLF001 - how a declaration learns where it stands
    while frame.f_back is not None and frame.f_globals.get("__name__") in _OURS:
        frame = frame.f_back
    file = frame.f_code.co_filename
    near = os.path.relpath(file)
    return f"{file if near.startswith('..') else near}, line {frame.f_lineno}"


class Fault(NamedTuple):
    """One thing that is wrong with a declaration.

    Attributes
    ----------
    what
        A sentence that names the declaration and the value.
    hint
        What to do about it.
    place
        Where it stands.
    """

    what: str
    hint: str = ""
    place: str = ""

    def sentence(self, pipeline: object) -> str:
        """Return the fault as a person reads it."""
        where = f"({self.place})" if self.place else ""
        tail = " ".join(part for part in (self.hint, where) if part)
        return f"{pipeline}: {self.what}" + (f"\n  {tail}" if tail else "")


def suggestion(wrong: object, known: Iterable[str]) -> str:
    """Return what was probably meant.

    Examples
    --------
    >>> suggestion("dep_dealy", ["dep_delay", "carrier"])
    'Did you mean "dep_delay"?'
    >>> suggestion("x", ["dep_delay", "carrier"])
    'Known are: dep_delay, carrier.'
    """
    names = list(known)
    near = get_close_matches(str(wrong), names, n=1)
    if near:
        return f'Did you mean "{near[0]}"?'
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"Known are: {shown}."
