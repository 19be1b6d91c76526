"""Windows over tiles equal a brute-force oracle to the bit, in and out of order."""

from math import fsum, sqrt
from statistics import stdev
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.streams.features.distinct import DISTINCT_MAX, Distinct
from headrace.streams.features.windows import TILES, Windows

AGGREGATES = ("count", "sum", "mean", "min", "max", "std")

Event = tuple[int, float | None]


def oracle(seen: list[Event], time_ms: int, width_ms: int) -> list[Any]:
    """What the documentation says, in the plainest way: all six aggregates of one window."""
    last = time_ms * 64 // width_ms
    tiles: dict[int, list[float | None]] = {}
    for when, value in seen:
        if last - 64 < when * 64 // width_ms <= last:
            tiles.setdefault(when * 64 // width_ms, []).append(value)
    parts = [[v for v in tiles[number] if v is not None] for number in sorted(tiles)]
    parts = [part for part in parts if part]
    values = [v for part in parts for v in part]
    events = sum(map(len, tiles.values()))
    if not values:
        return [events, None, None, None, None, None]
    sums = []
    for part in parts:
        total = 0.0
        for value in part:
            total += value
        sums.append(total)
    mean = fsum(sums) / len(values)
    return [events, fsum(sums), mean, min(values), max(values), deviation(parts, sums, mean)]


def deviation(parts: list[list[float]], sums: list[float], mean: float) -> float | None:
    number = sum(map(len, parts))
    if number < 2:
        return None
    inside = []
    for part in parts:
        total, squares = 0.0, 0.0
        for position, value in enumerate(part):
            if position:
                delta = value - total / position
                squares += delta * delta * position / (position + 1)
            total += value
        inside.append(squares)
    between = [
        len(part) * (total / len(part) - mean) * (total / len(part) - mean)
        for part, total in zip(parts, sums, strict=True)
    ]
    return sqrt((fsum(between) + fsum(inside)) / (number - 1))


def asked(width_ms: int, lateness_ms: int) -> Windows:
    """All six aggregates, without the event itself (columns 0 to 5) and with it (6 to 11)."""
    windows = Windows(width_ms, lateness_ms)
    for position, current in enumerate((False, True)):
        for column, aggregate in enumerate(AGGREGATES, 6 * position):
            windows.ask(column, aggregate, None if aggregate == "count" else 0, current)
    return windows


values = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32), st.floats(-1e-3, 1e-3))


@st.composite
def logs(draw: st.DrawFn) -> tuple[int, int, list[Event]]:
    """A width, a lateness, and events of which none is later than that."""
    width = draw(st.sampled_from([64, 1_000, 3_600_000, 100_003]))
    lateness = draw(st.integers(0, 2 * width))
    newest = draw(st.integers(0, 10 * width))
    events: list[Event] = []
    for _ in range(draw(st.integers(1, 40))):
        step = draw(st.one_of(st.integers(0, width // 8), st.integers(-lateness, 3 * width)))
        when = max(0, newest - lateness, newest + step)
        newest = max(newest, when)
        events.append((when, draw(values)))
    return width, lateness, events


@given(logs())
def test_windows_equal_brute_force(log: tuple[int, int, list[Event]]) -> None:
    width, lateness, events = log
    windows = asked(width, lateness)
    state = windows.fresh()
    for at, (when, value) in enumerate(events):
        row: list[Any] = [None] * 12
        windows.step(state, row, [value], when)
        assert row[:6] == oracle(events[:at], when, width)
        assert row[6:] == oracle(events[: at + 1], when, width)
        assert len(state[0]) <= windows.tiles_kept


@given(logs())
def test_a_restored_state_goes_on_as_the_one_that_never_stopped(
    log: tuple[int, int, list[Event]],
) -> None:
    width, lateness, events = log
    windows = asked(width, lateness)
    state = windows.fresh()
    for when, value in events:
        restored = msgpack.unpackb(msgpack.packb(state))
        rows: list[list[Any]] = [[None] * 12, [None] * 12]
        windows.step(state, rows[0], [value], when)
        windows.step(restored, rows[1], [value], when)
        assert (restored, rows[1]) == (state, rows[0])


@given(logs(), st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter_across_tiles(
    log: tuple[int, int, list[Event]], chance: Any
) -> None:
    """Any order gives the same tiles, as long as nothing is late and a tile keeps its own order."""
    width, _, events = log
    one_per_tile = list({when * 64 // width: (when, value) for when, value in events}.values())
    spread = max(when for when, _ in one_per_tile) - min(when for when, _ in one_per_tile)
    windows = asked(width, spread)
    states = []
    for _ in range(2):
        state = windows.fresh()
        chance.shuffle(one_per_tile)
        for when, value in one_per_tile:
            windows.step(state, [None] * 12, [value], when)
        states.append(state)
    assert states[0] == states[1]


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=50), st.floats(-1e12, 1e12))
def test_deviations_survive_a_large_mean(values: list[float], shift: float) -> None:
    windows = Windows(64_000, 0)
    windows.ask(0, "std", 0, True)
    state, row = windows.fresh(), [None]
    shifted = [value + shift for value in values]
    for position, value in enumerate(shifted):
        windows.step(state, row, [value], position * 1_000 % 64_000)
    assert row[0] == pytest.approx(stdev(shifted), rel=1e-6, abs=1e-3)


def test_the_window_is_half_open_at_its_tiles() -> None:
    windows = Windows(6_400, 0)
    windows.ask(0, "count", None, False)
    state, row = windows.fresh(), [None]
    windows.step(state, row, [], 100)
    windows.step(state, row, [], 6_499)  # 63 tiles on: still there
    assert row == [1]
    windows.step(state, row, [], 6_500)  # 64 tiles on: t - w is in the first event's tile
    assert row == [1]  # only the second
    assert state[0] == [64, 65]


def test_a_tile_before_all_others_can_come_late() -> None:
    windows = Windows(6_400, 1_000)
    windows.ask(0, "sum", 0, True)
    state, row = windows.fresh(), [None]
    windows.step(state, row, [1.0], 5_000)
    windows.step(state, row, [2.0], 4_500)
    assert row == [2.0]  # its window ends at its own tile
    windows.step(state, row, [4.0], 4_700)
    assert row == [6.0]
    assert state[0] == [45, 47, 50]


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), max_size=60),
    st.booleans(),
)
def test_distinct_equals_brute_force_in_order(steps: list[tuple[int, int]], current: bool) -> None:
    width = 640
    distinct = Distinct(width, 0, 0)
    distinct.ask(0, current)
    seen: dict[str, int] = {}
    log: list[tuple[int, str]] = []
    now = 0
    for step, value in steps:
        now += step * 10
        row = [None]
        distinct.step(seen, row, [f"v{value}"], now)
        rows = [*log, (now, f"v{value}")]
        inside = {v for when, v in (rows if current else log) if when // 10 > now // 10 - TILES}
        assert row == [len(inside)]
        log = rows
        seen = msgpack.unpackb(msgpack.packb(seen))


@given(st.lists(st.tuples(st.integers(0, 100), st.sampled_from("abcdef")), min_size=1))
def test_distinct_takes_events_in_any_order(events: list[tuple[int, str]]) -> None:
    """Out of order, a value keeps the newest tile that it was seen in."""
    distinct = Distinct(640, 10_000, 0)
    distinct.ask(0, True)
    seen: dict[str, int] = {}
    for tile, value in events:
        distinct.step(seen, [None], [value], tile * 10)
    assert seen == {v: max(t for t, w in events if w == v) for _, v in events}
    assert list(seen.values()) == sorted(seen.values())


def test_distinct_is_bounded() -> None:
    distinct = Distinct(6_400_000, 0, 0)
    distinct.ask(0, True)
    seen: dict[str, int] = {}
    row: list[Any] = [None]
    for number in range(DISTINCT_MAX + 10):
        distinct.step(seen, row, [f"v{number}"], number)
    assert row == [DISTINCT_MAX] == [len(seen)]
    assert "v9" not in seen
    assert "v10" in seen


def test_long_text_is_told_apart_by_its_digest() -> None:
    distinct = Distinct(640, 0, 0)
    distinct.ask(0, True)
    seen: dict[str, int] = {}
    row: list[Any] = [None]
    for text in ("x" * 1_000, "x" * 1_001, "x" * 1_000, None):
        distinct.step(seen, row, [text], 5)
    assert row == [2]
    assert all(len(name) < 40 for name in seen)
