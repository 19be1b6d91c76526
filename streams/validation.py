"""What pydantic says of an event that is none, as one sentence each, with the way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from headrace.streams.event import OTHER_TIME, TIME_FORMAT, USUAL_TIME

SHOWN_CHARS_MAX = 80
"""So much of a value stands in a sentence."""

_FLAGS = frozenset({"0", "1", "true", "false", "yes", "no", "on", "off", "t", "f", "y", "n"})
_REMEDIES: Mapping[str, str] = {
    "flag": "Field(strict=False) reads 0 and 1, and their names in text, as false and true.",
    "number": "Field(strict=False) reads numbers in text.",
    "whole": "Field(strict=False) reads whole numbers with a decimal point.",
    "text": "Declare it as int, or with Field(strict=False, coerce_numbers_to_str=True).",
}


def faults_in(error: ValidationError) -> list[ErrorDetails]:
    """Return what a validation found, each fault once: a time is tried in two ways."""
    faults = []
    for fault in error.errors(include_url=False, include_context=False):
        place = fault["loc"]
        if place and place[-1] == USUAL_TIME:
            continue
        if place and place[-1] == OTHER_TIME:
            fault["loc"] = place[:-1]
        faults.append(fault)
    return faults


def place_of(fault: ErrorDetails) -> str:
    """Return where a fault is: fields and indices, with dots between; empty for a whole event."""
    return ".".join(str(part) for part in fault["loc"])


def sentence_of(fault: ErrorDetails) -> str:
    """Return what is wrong, with the value and, where there is one, the way out."""
    if fault["type"] == TIME_FORMAT:
        return f"{fault['msg']}."
    if fault["type"] == "missing":  # the value is all that there is beside it
        return f"{fault['msg']}."
    value = fault.get("input")
    shown = repr(value)
    if len(shown) > SHOWN_CHARS_MAX:
        shown = shown[: SHOWN_CHARS_MAX - 3] + "..."
    remedy = _REMEDIES.get(_cause(fault["type"], value), "")
    return f"{fault['msg']} (it is {shown}).{' ' * bool(remedy)}{remedy}"


def _cause(kind: str, value: Any) -> str:
    """Return what a value of another type probably is, where a declaration can allow for it."""
    if kind in ("bool_type", "bool_parsing"):
        return "flag" if str(value).lower() in _FLAGS else ""
    if kind == "string_type":
        return "text" if type(value) in (int, float) else ""
    if kind not in ("int_type", "float_type"):
        return ""
    if isinstance(value, str):
        return "number" if _is_number(value) else ""
    return "whole" if isinstance(value, float) and value.is_integer() else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
