"""Corners of what is counted: sums of any size, names without bound, features of each kind."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from headrace.streams import observe, outcomes, totals
from headrace.streams.judging import _mae
from headrace.streams.observe import Tally, limbs, whole
from headrace.streams.stages.ledger import Ledger


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
    cell: defaultdict[str, int] = defaultdict(int)
    add = observe._column("f:", "boolean", (), {})
    add(cell, [True, False, None, True])
    assert cell == {"f:true": 2, "f:false": 1, "f:null": 1}


def test_categories_count_by_name_or_by_hash() -> None:
    cell: defaultdict[str, int] = defaultdict(int)
    observe._column("d:", "category", ("a",), {})(cell, ["a", "b", None])
    observe._column("h:", "category", (), {"top": 1})(cell, ["a", "b", None])
    assert cell == {"d:=a": 1, "d:other": 1, "d:null": 1, "h:#0": 2, "h:null": 1}


def test_a_predictor_that_answered_nothing_has_no_error() -> None:
    assert list(_mae("outcome", {})) == []


class States(dict[str, Any]):
    def put(self, key: str, value: Any) -> None:
        self[key] = value


def test_sums_of_families_that_are_full_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals, "KEYS_MAX", 1)
    view: Any = States()
    ledger = Ledger(10)
    ledger.take(view, 0, "all", {"f:a": 1})
    assert ledger.kept_total(view, (0, 10), "all") == {"f": {"a": 1}}
    for _ in range(2):
        ledger.take(view, 0, "all", {"f:b": 1})
        found = ledger.kept_total(view, (0, 10), "all")
        assert found == ledger.total(view, (0, 10), "all")
    assert found == {"f": {"a": 1, totals.OTHER: 2}}
