"""A figure: one metric's value with what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

_NONE: Mapping[str, float] = MappingProxyType({})


class Figure(NamedTuple):
    """One metric's value.

    Attributes
    ----------
    value
        None where there is nothing to say yet.
    support
        How many things it is computed from.
    detail
        Numbers that help to read it, by name.
    """

    value: float | None
    support: int
    detail: Mapping[str, float] = _NONE
