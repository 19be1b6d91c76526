"""Totals of counts: what cells add up to, by family.

A count's name is ``family:key`` (``feature.carrier:=UA``, ``score:-64``) or a plain name, which is
of the family ``""``. Totals are plain data, ``{family: {key: n}}``: adding is exact, and its order
does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headrace.streams.observe import LIMB_MAX, limbs, whole

Family = dict[str, int]
Totals = dict[str, Family]

KEYS_MAX = 8_192
"""A family takes no more keys than this; what comes later is added to :data:`OTHER`.

More than any family of buckets has; classes are texts of the user's.
"""

OTHER = "(other)"

PLAIN = ""

_NAMES_KEPT = 50_000


class _Parts(dict[str, tuple[str, str]]):
    """Family and key of a count's name; remembered, since names come again and again."""

    def __missing__(self, name: str) -> tuple[str, str]:
        family, colon, key = name.partition(":")
        found = (family, key) if colon else (PLAIN, name)
        if len(self) < _NAMES_KEPT:
            self[name] = found
        return found


_PARTS = _Parts()


def add_values(totals: Totals, values: Mapping[str, int]) -> None:
    """Add a cell's values to totals, in place.

    Examples
    --------
    >>> totals = {"": {"events": 1}}
    >>> add_values(totals, {"events": 2, "score:-64": 1})
    >>> totals
    {'': {'events': 3}, 'score': {'-64': 1}}
    """
    parts = _PARTS
    for name, n in values.items():
        group, key = parts[name]
        family = totals.get(group)
        if family is None:
            family = totals[group] = {}
        before = family.get(key)
        if before is None:
            if len(family) >= KEYS_MAX:
                key = OTHER
            before = family.get(key, 0)
        total = before + n
        if -LIMB_MAX < total < LIMB_MAX:
            family[key] = total
        else:
            _carry(family, key, total)


def add(totals: Totals, addends: Totals) -> None:
    """Add to totals, in place."""
    for name, addend in addends.items():
        family = totals.get(name)
        if family is None:
            family = totals[name] = {}
        within = addend
        if len(family) + len(addend) > KEYS_MAX:
            within = _within(family, addend)
        get = family.get
        for key, n in within.items():
            total = get(key, 0) + n
            if -LIMB_MAX < total < LIMB_MAX:
                family[key] = total
            else:
                _carry(family, key, total)


def _within(family: Family, addend: Family) -> Family:
    """Return an addend whose new keys, beyond the bound, have become one."""
    kept: Family = {}
    room = KEYS_MAX - len(family)
    for key, n in addend.items():
        if key not in family:
            room -= 1
        name = key if key in family or room >= 0 else OTHER
        kept[name] = kept.get(name, 0) + n
    return kept


def _carry(family: Family, key: str, total: int) -> None:
    """Set a total that needs more than 64 bits: its digits are totals of their own."""
    family[key] = 0
    for name, digit in limbs(key, total):
        if name == key:
            family[key] = digit
        else:
            add({PLAIN: family}, {PLAIN: {name: digit}})


def subtract(totals: Totals, subtrahend: Totals) -> None:
    """Take away, in place, what was added before; counts that are then 0 are as if never made."""
    for name, family in subtrahend.items():
        kept = totals.get(name, {})
        get = kept.get
        for key, n in family.items():
            left = get(key, 0) - n
            if left:
                kept[key] = left
            else:
                kept.pop(key, None)
        if not kept:
            totals.pop(name, None)


def plain(totals: Totals, name: str) -> int:
    """Return a count by its plain name, 0 if nothing was counted.

    Examples
    --------
    >>> plain({"": {"events": 2}}, "events")
    2
    """
    family = totals.get(PLAIN)
    return whole(family, name) if family else 0


def flat(totals: Totals) -> dict[str, int]:
    """Return totals by the names under which they were counted.

    Examples
    --------
    >>> flat({"": {"events": 2}, "score": {"-64": 1}})
    {'events': 2, 'score:-64': 1}
    """
    return {
        f"{name}:{key}" if name else key: n
        for name, family in totals.items()
        for key, n in family.items()
    }


def family_sum(family: Mapping[str, int] | None) -> int:
    """Return how many things a family has counted."""
    return sum(family.values()) if family else 0


def merged(parts: Iterable[Totals]) -> Totals:
    """Return the sum of parts; they stay as they are."""
    total: Totals = {}
    for part in parts:
        add(total, part)
    return total
