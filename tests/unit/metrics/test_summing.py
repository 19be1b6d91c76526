"""Counts that are added up together are what they are one by one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.schemas.counts import COUNT_MAX, KEY_MAX, counted, pack
from headrace.streams.observe import whole
from headrace.streams.summing import Placed, summed, sums_of
from headrace.streams.totals import KEYS_MAX, OTHER, Totals, add_values

KEYS = st.one_of(st.integers(-KEY_MAX, KEY_MAX), st.integers(-3, 3))
COUNTS = st.one_of(st.integers(-3, 9), st.integers(-COUNT_MAX, COUNT_MAX))
NAMES = st.sampled_from(["events", "loss", "class:a", "score:7", "score:null"])
VALUES = st.dictionaries(NAMES, st.integers(-(2**62) + 1, 2**62 - 1), max_size=4)
BUCKETS = st.dictionaries(
    st.sampled_from(["score", "lag"]), st.dictionaries(KEYS, COUNTS, max_size=5).map(pack)
)
SEGMENTS = st.lists(st.sampled_from(["by=a", "by=b", "by=c", "by=(other)"]), max_size=3)


@st.composite
def cells(draw: st.DrawFn) -> Placed:
    segments = draw(SEGMENTS)
    column = st.lists(COUNTS, min_size=len(segments), max_size=len(segments))
    columns = draw(st.dictionaries(NAMES, column, max_size=3))
    place = draw(st.sampled_from([-1, 0, 10]))
    segment = draw(st.sampled_from(["all", "by=a"]))
    return Placed(place, segment, draw(VALUES), draw(BUCKETS), segments, columns)


def plain(found: dict[tuple[int, str], Totals]) -> dict[tuple[int, str, str, str], int]:
    """Return sums whole, however they are split into limbs; those that are 0 are left out."""
    return {
        (*where, name, key): n
        for where, totals in found.items()
        for name, family in totals.items()
        for key in {each.partition("^")[0] for each in family}
        if (n := whole(family, key))
    }


@settings(deadline=None)
@given(st.lists(cells(), max_size=6))
def test_together_is_one_by_one(given_cells: list[Placed]) -> None:
    expected: dict[tuple[int, str], Totals] = {}
    for cell in given_cells:
        fields = {**cell._asdict(), "tile": cell.place}
        for tile, segment, name, n in counted({"cells": [fields]}):
            add_values(expected.setdefault((tile, segment), {}), {name: n})
    assert plain(summed(given_cells)) == plain(expected)


def test_sums_of_packed_counts_are_exact() -> None:
    most = pack({7: COUNT_MAX, -KEY_MAX: -COUNT_MAX})
    assert sums_of(most * 3) == {"7": 3 * COUNT_MAX, str(-KEY_MAX): -3 * COUNT_MAX}
    assert sums_of(pack({7: 1}) + pack({7: -1, 8: 2})) == {"8": 2}
    assert sums_of(b"") == {}


def test_a_family_of_any_keys_is_bounded() -> None:
    many = pack(dict.fromkeys(range(KEYS_MAX + 10), 1))
    ((_, totals),) = summed([Placed(0, "all", {}, {"f": many}, [], {})]).items()
    assert (len(totals["f"]), totals["f"][OTHER]) == (KEYS_MAX + 1, 10)
