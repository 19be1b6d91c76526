"""Corners of what is counted: sums of any size, names without bound, features of each kind."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.schemas.counts import counted, pack
from headrace.streams import columns, observe, outcomes, totals
from headrace.streams.buckets import (
    bucket_of_raw,
    number_bucket,
    probability_bucket,
    probability_counts,
    raw_counts,
)
from headrace.streams.columns import Cell, column_of
from headrace.streams.judging import _mae
from headrace.streams.observe import Tally, limbs, whole
from headrace.streams.stages import ledger as ledger_module
from headrace.streams.stages.ledger import Ledger
from headrace.streams.summing import Placed


@pytest.mark.parametrize("value", [2**62, -(2**63), 2**96, 2**100 + 7, -(2**200) + 1])
def test_sums_of_any_size_are_kept_as_64_bit_integers(value: int) -> None:
    parts = dict(limbs("y", value))
    assert all(-(2**63) <= part < 2**63 for part in parts.values())
    assert whole(parts, "y") == value
    tally = Tally(1_000)
    tally.count("y", value, time_ms=5)
    record = tally.record("learn", 0, None, None)
    assert record is not None
    assert whole(record["cells"][0]["values"], "y") == value


@pytest.mark.parametrize("kept", [0, 5_000])
def test_names_beyond_those_remembered_are_made_anew(
    monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr(outcomes, "_NAMES_KEPT", kept)
    monkeypatch.setattr(observe, "_NAMES_KEPT", kept)
    monkeypatch.setattr(columns, "_RAWS_KEPT", kept)
    for found in ("_NUMBERED", "_BUCKETS"):
        module = observe if found == "_NUMBERED" else columns
        monkeypatch.setattr(module, found, type(getattr(module, found))())
    cell = Cell()
    column_of("f", "boolean", (), {})(cell, [True, False, None, True])
    column_of("x", "number", (), {})(cell, [1.0, None, 1.0])
    assert cell.values == {"f:true": 2, "f:false": 1, "f:null": 1, "x:null": 1}
    assert cell.buckets == {"x": {1313: 2}}
    assert named({"f:true": 1, "lag:7": 2}) == ({"f:true": 1}, {"lag": pack({7: 2})})


def test_categories_count_by_name_or_by_hash() -> None:
    cell = Cell()
    column_of("d", "category", ("a",), {})(cell, ["a", "b", None])
    column_of("h", "category", (), {"top": 1})(cell, ["a", "b", None])
    assert cell.values == {"d:=a": 1, "d:other": 1, "d:null": 1, "h:#0": 2, "h:null": 1}


def test_a_column_of_nulls_has_no_buckets() -> None:
    cell = Cell()
    column_of("x", "number", (), {})(cell, [None, None])
    assert (cell.values, cell.buckets) == ({"x:null": 2}, {})


@pytest.mark.parametrize("n", [1, 40])
def test_numbers_that_share_a_bucket_are_counted_together(n: int) -> None:
    cell = Cell()
    column_of("x", "number", (), {})(cell, [0.0, -0.0, 1e300, 1e200] * n)
    assert cell.buckets == {"x": {0: 2 * n, 105 * 32: 2 * n}}


# -- what a record has


def told(tally: Tally) -> tuple[dict[str, int], dict[str, bytes]]:
    """Return what the only cell of a tally's record has of everything."""
    record = tally.record("learn", 0, None, None)
    assert record is not None
    (cell,) = record["cells"]
    return cell["values"], cell["buckets"]


def named(values: dict[str, int], buckets: Any = ()) -> tuple[dict[str, int], dict[str, bytes]]:
    tally = Tally(1_000)
    for name, n in values.items():
        tally.count(name, n, time_ms=5)
    for family, counts in dict(buckets).items():
        tally.cell(5).buckets[family].update(counts)
    return told(tally)


def test_numbered_keys_travel_packed_and_other_names_as_they_are() -> None:
    plain = {"n": 1, "c:a": 2, "c:007": 3, "c:-0": 4, "c:\u0663": 5, "c:1:2": 6, "c:": 7, "c:-": 8}
    packed = {"c:7": 1, "score:-64": 2, "score:0": 3}
    found = named({**plain, **packed})
    assert found == (plain, {"c": pack({7: 1}), "score": pack({-64: 2, 0: 3})})


def test_what_does_not_fit_travels_by_its_name() -> None:
    """Sums of sums can be of any size, and who writes counts by hand may write any key."""
    counts = {1: 5, 2: 2**31, 40_000: 1, 3: 2**70}
    names = {f"loss:{key}": n for key, n in counts.items()}
    for found in (named(names), named({}, {"loss": counts})):
        values, buckets = found
        assert buckets == {"loss": pack({1: 5})}
        assert values == {"loss:2": 2**31, "loss:40000": 1, **dict(limbs("loss:3", 2**70))}


def test_what_is_counted_by_name_and_by_number_is_added() -> None:
    assert named({"score:7": 1, "score:8": 1}, {"score": {7: 2}}) == (
        {},
        {"score": pack({7: 3, 8: 1})},
    )


def test_a_predictor_that_answered_nothing_has_no_error() -> None:
    assert list(_mae("outcome", {})) == []


def test_counts_of_segments_stand_in_columns_whatever_their_size() -> None:
    tally = Tally(1_000)
    tally.cell(5).segments["by=a"]["events"] += 3
    tally.cell(5).segments["by=b"]["loss"] += 2**70
    record = tally.record("learn", 0, None, None)
    assert record is not None
    (cell,) = record["cells"]
    assert cell["segments"] == ["by=a", "by=b"]
    assert cell["columns"]["events"] == [3, 0]
    found = {segment: {} for segment in cell["segments"]}  # type: dict[str, dict[str, int]]
    for _, segment, name, n in counted(record):
        found[segment][name] = n
    assert whole(found["by=b"], "loss") == 2**70


# -- MONITOR's totals


class States(dict[str, Any]):
    def put(self, key: str, state: Any) -> None:
        if state is None:
            del self[key]
        else:
            self[key] = state


def take(ledger: Ledger, view: Any, offset: int, *cells: Placed) -> None:
    for cell in cells:
        ledger.note(cell.place, [cell.segment, *cell.segments])
    ledger.take(view, offset, cells)


def everything(**values: int) -> Placed:
    counts = {f"f:{key}": n for key, n in values.items()}
    return Placed(0, "all", counts, {}, [], {})


def test_sums_of_families_that_are_full_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "KEYS_MAX", 1)
    view: Any = States()
    ledger = Ledger(10)
    take(ledger, view, 0, everything(a=1))
    ledger.post(view)
    assert ledger.kept_total(view, (0, 20), "all") == {"f": {"a": 1}}
    for offset in (1, 2):
        take(ledger, view, offset, everything(b=1))
        ledger.post(view)
        found = ledger.kept_total(view, (0, 20), "all")
        assert found == ledger.total(view, (0, 20), "all")
    assert found == {"f": {"a": 1, totals.OTHER: 2}}


def test_sums_of_windows_that_have_gone_by_do_not_pile_up() -> None:
    view: Any = States()
    ledger = Ledger(10)
    for place in range(0, 500, 10):
        take(ledger, view, place, Placed(place, "all", {"f:a": place}, {}, [], {}))
        ledger.post(view)
        for width in (10, 20, 50):
            span = (place + 10 - width, place + 10)
            assert ledger.kept_total(view, span, "all") == ledger.total(view, span, "all")
    assert len(ledger._sums) == 2  # of the newest window of each length but the least


def test_the_journal_is_posted_when_it_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "JOURNAL_MAX", 3)
    view: Any = States()
    ledger = Ledger(10)
    for offset in range(2):
        take(ledger, view, offset, everything(a=1))
    assert len(view) == 2
    assert ledger.total(view, (0, 10), "all") == {}
    anew = Ledger(10)
    anew.load(view)
    assert (anew.tiles(), anew.segments(None)) == ([0], ["all"])
    for each in (ledger, anew):
        so_far = each.total_so_far(view, None, "all", each.unposted(view))
        assert so_far == {"f": {"a": 2}}
    take(ledger, view, 2, everything(a=1))
    assert view == {"t:000000000000000:all": {"f": {"a": 3}}}
    ledger.post(view)
    assert ledger.total(view, (0, 10), "all") == {"f": {"a": 3}}


# -- many at once


@settings(deadline=None)
@given(st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0, 2**-17])), max_size=9))
@pytest.mark.parametrize("times", [1, 60])
def test_buckets_of_many_probabilities_are_those_of_each(times: int, values: list[float]) -> None:
    values = [*values, -0.5, 1.5] * times  # outside: the nearer end
    assert dict(probability_counts(values)) == Counter(map(probability_bucket, values))


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=9))
@pytest.mark.parametrize("times", [1, 60])
def test_buckets_of_many_numbers_are_those_of_each(times: int, values: list[float]) -> None:
    values = [*values, 0.0, -0.0, 1e300, 5e-324] * times
    found: Counter[int] = Counter()
    for raw, n in raw_counts(values):
        found[bucket_of_raw(raw)] += n
    assert found == Counter(map(number_bucket, values))
