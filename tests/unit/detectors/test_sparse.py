"""Histories with hours, and days, in which nothing happens."""

from __future__ import annotations

from math import isfinite

from headrace.streams.detectors.verdicts import Terms
from headrace.streams.detectors.watch import Watch

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
TERMS = Terms(HOUR_MS, 14 * DAY_MS, 90 * DAY_MS, "binary", (("x", "number"),))


def counted(hour: int, day: int) -> int:
    """Return how many events there are: none at night but once, and none on each eighth day."""
    if day % 8 == 7:
        return 0
    return 20 if 5 <= hour < 22 else int((day, hour) == (3, 2))


def test_a_slot_that_one_day_alone_has_events_in_has_the_days_mean() -> None:
    watch = Watch(TERMS, ("input", "score"))
    state = watch.fresh()
    for at in range(24 * 40):
        day, hour = divmod(at, 24)
        n = counted(hour, day)
        constant = f"feature.x:{1_300 + hour // 12 * 100}"
        totals = {"all": {"events": n, "scored": n, constant: n, "score:-64": n}} if n else {}
        verdicts = watch.observe(state, at * HOUR_MS, totals)
        assert all(isfinite(each.strength) and isfinite(each.effect) for each in verdicts)
    assert state["fits"]


def test_a_lone_event_beside_what_never_varied_is_no_change() -> None:
    terms = TERMS._replace(features=(("x", "number"), ("c", "category")))
    for odd in ("feature.x:900", "feature.c:=b", "feature.c:null"):
        watch = Watch(terms, ("input", "score"))
        state = watch.fresh()
        for at in range(24 * 30):
            values = {"events": 20, "feature.x:1300": 20, "feature.c:=a": 20, "score:-64": 20}
            if at in (24 * 20 + 3, 24 * 25 + 9):
                values[odd] = 1
                values[f"{odd.partition(':')[0]}:{'1300' if '.x' in odd else '=a'}"] = 19
            assert watch.observe(state, at * HOUR_MS, {"all": values}) == []
