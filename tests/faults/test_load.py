"""What is published without end: a week after the other, nothing twice, nothing late."""

from __future__ import annotations

from itertools import islice, pairwise

from tests.faults.load import endless
from tests.systems.flights import flights_plan, outgoing


def test_each_week_has_ids_and_times_of_its_own() -> None:
    plan = flights_plan()
    week = list(outgoing(plan))
    records = list(islice(endless(plan), len(week) + 500))
    assert [record.time_ms for record in records[: len(week)]] == [each.time_ms for each in week]
    assert len({record.value for record in records}) == len(records)
    for which in (False, True):
        times = [record.time_ms for record in records if record.is_label is which]
        assert all(sooner <= later for sooner, later in pairwise(times))
