"""Totals: adding is exact, whatever the parts, however big the sums."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from headrace.streams import totals as module
from headrace.streams.observe import LIMB_MAX, limbs, whole
from headrace.streams.totals import (
    KEYS_MAX,
    OTHER,
    PLAIN,
    Totals,
    add,
    add_values,
    family_sum,
    merged,
    plain,
    subtract,
)

NAMES = ["events", "outcome.squared", "score:-64", "score:3", "feature.kind:=old:new"]
NUMBERS = st.one_of(st.integers(-9, 9), st.integers(-(2**62) + 1, 2**62 - 1))
VALUES = st.dictionaries(st.sampled_from(NAMES), NUMBERS)


def sums(parts: list[dict[str, int]]) -> dict[str, int]:
    return {name: sum(part.get(name, 0) for part in parts) for name in NAMES}


def said(totals: Totals) -> dict[str, int]:
    found = {}
    for name in NAMES:
        family, colon, key = name.partition(":")
        group = totals.get(family if colon else PLAIN, {})
        found[name] = whole(group, key if colon else name)
    return found


def totals_of(parts: list[dict[str, int]]) -> Totals:
    found: Totals = {}
    for part in parts:
        add_values(found, part)
    return found


@given(st.lists(VALUES, max_size=8), st.integers(0, 8), st.randoms())
def test_the_sum_of_parts_is_the_whole(
    parts: list[dict[str, int]], cut: int, random: Random
) -> None:
    expected = sums(parts)
    assert said(totals_of(parts)) == expected
    assert said(merged([totals_of(parts[:cut]), totals_of(parts[cut:])])) == expected
    random.shuffle(parts)
    assert said(totals_of(parts)) == expected
    assert all(
        -LIMB_MAX < n < LIMB_MAX for family in totals_of(parts).values() for n in family.values()
    )


@given(st.lists(VALUES, max_size=5), st.lists(VALUES, max_size=5))
def test_what_was_added_can_be_taken_away(
    kept: list[dict[str, int]], gone: list[dict[str, int]]
) -> None:
    found = merged([totals_of(kept), totals_of(gone)])
    subtract(found, totals_of(gone))
    assert said(found) == sums(kept)
    assert all(found.values())


def test_what_is_taken_away_to_nothing_is_gone() -> None:
    found: Totals = {"": {"events": 3, "scored": 1}, "score": {"3": 2}}
    subtract(found, {"": {"events": 3}, "score": {"3": 2}, "lag": {"1": 0}})
    assert found == {"": {"scored": 1}}


def test_sums_beyond_64_bits_are_split_into_limbs() -> None:
    found: Totals = {}
    for _ in range(40):
        add_values(found, dict(limbs("outcome.squared", 10**36)))
    assert plain(found, "outcome.squared") == 40 * 10**36
    assert len(found[PLAIN]) > 1
    assert all(-(2**63) <= n < 2**63 for n in found[PLAIN].values())


def test_a_sum_that_has_been_added_up_for_years_is_exact() -> None:
    found: Totals = {}
    each = dict(limbs("outcome.fourth", 2**324 - 1))
    for _ in range(60):
        add_values(found, {name: n << 9 for name, n in each.items()})  # of so many records
    assert max(found[""].values()) < LIMB_MAX
    assert plain(found, "outcome.fourth") == 60 * 2**9 * (2**324 - 1)


def test_a_family_takes_no_more_keys_than_its_bound() -> None:
    found: Totals = {}
    for number in range(KEYS_MAX + 10):
        add_values(found, {f"score:{number}": 1})
    add_values(found, {"score:7": 5})
    assert len(found["score"]) == KEYS_MAX + 1
    assert found["score"][OTHER] == 10
    assert found["score"]["7"] == 6
    other = totals_of([{f"score:{-number}": 2} for number in range(1, 5)] + [{"score:7": 1}])
    add(found, other)
    assert found["score"][OTHER] == 18
    assert found["score"]["7"] == 7
    assert family_sum(found["score"]) == KEYS_MAX + 10 + 5 + 8 + 1


def test_names_beyond_those_remembered_are_parted_all_the_same() -> None:
    before = dict(module._PARTS)
    try:
        module._PARTS.update((f"n{number}", ("", f"n{number}")) for number in range(50_000))
        assert totals_of([{"new:1": 1}]) == {"new": {"1": 1}}
        assert "new:1" not in module._PARTS
    finally:
        module._PARTS.clear()
        module._PARTS.update(before)


def test_nothing_counted_is_zero() -> None:
    assert plain({}, "events") == 0
    assert family_sum(None) == 0
