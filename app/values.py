"""Metrics as they are read from ``<p>.metrics``: the newest value of each, by name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple

from headrace.streams.observe import ALL
from headrace.streams.records import Record

_PSI = "psi.feature."
_LETTERS = "dead_letters."
_LEAK = "leak."


class Value(NamedTuple):
    """A metric's newest value (docs/metrics.md)."""

    value: float | None
    support: int
    coverage: float | None
    detail: Mapping[str, float] = {}
    final: bool = False


Values = dict[str, Value]
"""Values of one window, or of the whole run, by the metric's name."""


def window_of_all(record: Record) -> str | None:
    """Return the window that a metric is of; None of a segment's, as most are: by its key alone.

    A key is ``[metric, segment, window, start]``.
    """
    try:
        _, segment, window, _ = json.loads(record.key or b"")
    except ValueError:
        return None
    return str(window) if segment == ALL else None


def quantile(rising: Sequence[float], share: float) -> float | None:
    """Return the least of rising numbers that so large a share of them does not exceed."""
    return float(rising[max(0, ceil(share * len(rising)) - 1)]) if rising else None


def value_in(fields: Mapping[str, Any]) -> Value:
    """Return the value that a record of ``<p>.metrics`` holds."""
    return Value(*(fields[name] for name in Value._fields))


def value_of(values: Mapping[str, Value], name: str) -> float | None:
    """Return a metric's value, None if there is none."""
    found = values.get(name)
    return None if found is None else found.value


def count_of(values: Mapping[str, Value], name: str) -> int:
    """Return a count; one that is 0 is not said by MONITOR."""
    return round(value_of(values, name) or 0)


def drift_of(values: Values) -> dict[str, float]:
    """Return the population stability index by feature, where it has one."""
    return {
        name.removeprefix(_PSI): found.value
        for name, found in values.items()
        if name.startswith(_PSI) and found.value is not None
    }


def leaks_of(values: Mapping[str, Value]) -> dict[str, float]:
    """Return features that alone order the labels, with the area under the curve."""
    return {
        name.removeprefix(_LEAK): found.value
        for name, found in values.items()
        if name.startswith(_LEAK) and found.value is not None
    }


def leak_text(leaks: Mapping[str, float]) -> str:
    """Return what is to be said of such features; empty if there are none.

    Examples
    --------
    >>> leak_text({"arr_delay_min": 0.9996})
    'leak? each alone orders the labels: arr_delay_min (AUC 1.000). Known at the event?'
    """
    if not leaks:
        return ""
    told = [f"{name} (AUC {area:.3f})" for name, area in leaks.items()]
    return f"leak? each alone orders the labels: {', '.join(told)}. Known at the event?"


def letters_of(values: Values) -> dict[str, int]:
    """Return dead letters by ``<stage>.<reason>``."""
    return {
        name.removeprefix(_LETTERS): count_of(values, name)
        for name in values
        if name.startswith(_LETTERS)
    }
