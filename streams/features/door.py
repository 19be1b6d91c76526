"""The model's door: what River sees of a row of features (docs/adr/0004-categories.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zlib import crc32

Keys = dict[str, Any]
"""What the model sees: floats by key; None only where the model fills in a mean."""

Entry = Callable[[Keys, Any], None]
"""Puts one feature's value among the model's keys."""


def number_entry(name: str, missing: float | str | None) -> Entry:
    """Return the entry of a number, integer or boolean: one key, a float.

    Parameters
    ----------
    missing
        What stands for null: None is no key, ``"mean"`` a null that the model fills in.
    """
    if missing is None:

        def entry(keys: Keys, value: Any) -> None:
            if value is not None:
                keys[name] = float(value)

        return entry

    instead = None if missing == "mean" else float(missing)

    def filled(keys: Keys, value: Any) -> None:
        keys[name] = instead if value is None else float(value)

    return filled


def declared_entry(name: str, values: Sequence[str], *, other: bool) -> Entry:
    """Return the entry of a category with a vocabulary: one key for each value.

    Parameters
    ----------
    other
        Whether a further key stands for all other values.
    """
    names = [f"{name}={value}" for value in values] + ([f"{name}=other"] if other else [])
    rows = {value: _row(names, f"{name}={value}") for value in values}
    others = _row(names, f"{name}=other")

    def entry(keys: Keys, value: Any) -> None:
        if value is not None:
            keys.update(rows.get(value, others))

    return entry


def hashed_entry(name: str, count: int) -> Entry:
    """Return the entry of a category without a vocabulary: a value's CRC-32 chooses its key."""
    names = [f"{name}#{bucket}" for bucket in range(count)]
    rows = [_row(names, own) for own in names]

    def entry(keys: Keys, value: Any) -> None:
        if value is not None:
            keys.update(rows[crc32(value.encode()) % count])

    return entry


def _row(names: Sequence[str], own: str) -> Mapping[str, float]:
    """Return all keys of a category, the own one at 1 and the others at 0.

    Dense, since a key that is only there when it is 1 is a constant to a scaler, hence nothing.
    """
    return {name: float(name == own) for name in names}
