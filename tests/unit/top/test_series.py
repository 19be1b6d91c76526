"""How fast a total rises."""

from __future__ import annotations

import pytest

from headrace.app.top.series import RATE_S, STEP_S, STEPS, Series


def rising(per_s: float, seconds: int, begun_s: float = 1_000.0) -> Series:
    found = Series()
    for second in range(seconds + 1):
        found.add(begun_s + second, per_s * second)
    return found


def test_one_total_has_no_rate() -> None:
    series = Series()
    assert (series.total, series.rate(5.0), series.rates(5.0)) == (None, None, [])
    series.add(1.0, 10)
    assert (series.total, series.rate(5.0), series.rates(5.0)) == (10, None, [])


def test_a_steady_rise_has_its_rate_in_every_interval() -> None:
    series = rising(7.0, 300)
    assert series.rate(1_300.0) == pytest.approx(7.0)
    assert series.rates(1_300.0) == pytest.approx([7.0] * STEPS)
    # Between two points too: what was heard of once a second is asked for at any moment.
    assert series.rates(1_299.5) == pytest.approx([7.0] * STEPS)


def test_what_began_a_moment_ago_has_the_rate_since_then() -> None:
    series = rising(7.0, 3)
    assert series.rate(1_003.0) == pytest.approx(7.0)
    assert series.rates(1_003.0) == []
    assert series.rates(1_001.0 + STEP_S) == [pytest.approx(7.0 * 2 / STEP_S)]


def test_what_has_stopped_has_none_soon() -> None:
    series = rising(7.0, 60)
    assert series.rate(1_060.0 + RATE_S / 2) == pytest.approx(3.5)
    assert series.rate(1_060.0 + RATE_S) == 0
    assert series.rates(1_060.0 + 2 * STEP_S)[-2:] == [0, 0]


def test_a_total_that_falls_begins_anew() -> None:
    series = rising(7.0, 60)
    series.add(1_061.0, 2)
    assert series.total == 2
    assert series.rate(1_061.0) is None


def test_a_total_of_the_same_moment_replaces_the_one_before() -> None:
    series = Series()
    series.add(1.0, 10)
    series.add(1.0, 12)
    series.add(0.5, 13)
    assert series.total == 13
    series.add(2.0, 20)
    assert series.rate(2.0) == pytest.approx(7.0)
