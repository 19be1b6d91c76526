"""The fold over events: features, watermarks, late flags. docs/features.md, once more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from math import fsum, sqrt
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle import facts

TILES = 64
ZONE = ZoneInfo(facts.TIME_ZONE)


class Clock:
    """A source's watermark: the running maximum of the lower median of its last five times."""

    def __init__(self) -> None:
        self.watermark: int | None = None
        self._times: list[int] = []

    def advance(self, time_ms: int) -> int | None:
        """Take in a time; return the watermark before it."""
        before = self.watermark
        self._times = [*self._times, time_ms][-5:]
        if len(self._times) >= 3:
            median = sorted(self._times)[(len(self._times) - 1) // 2]
            self.watermark = median if before is None else max(before, median)
        return before

    def promise(self, said: bytes | None) -> None:
        """Take in a publisher's promise that nothing older comes."""
        if said is not None:
            self.watermark = max(int(said), self.watermark or int(said))

    def steps(self, before: int | None, step_ms: int) -> list[int]:
        """Return the watermark if it has crossed a multiple of a step: then it is said to all."""
        now = self.watermark
        if now is None or now == before:
            return []
        return [now] if before is None or before // step_ms != now // step_ms else []


class Window:
    """The tiles of one width: events, and sum, squared deviations and maximum of the delays."""

    def __init__(self, width_ms: int) -> None:
        self._width_ms = width_ms
        self._tiles: dict[int, list[float]] = {}

    def read(self, time_ms: int) -> list[list[float]]:
        """Return the tiles of the window that ends at a time, oldest first."""
        last = TILES * time_ms // self._width_ms
        numbers = range(last - TILES + 1, last + 1)
        return [tile for number in numbers if (tile := self._tiles.get(number)) is not None]

    def add(self, time_ms: int, delay: float) -> None:
        number = TILES * time_ms // self._width_ms
        tile = self._tiles.setdefault(number, [0, 0.0, 0.0, delay])
        n, total, inside, most = tile
        if n:
            d = delay - total / n
            inside += d * d * n / (n + 1)
        tile[:] = [n + 1, total + delay, inside, max(most, delay)]


def count(tiles: list[list[float]]) -> int:
    return int(sum(tile[0] for tile in tiles))


def mean(tiles: list[list[float]]) -> float | None:
    return fsum(tile[1] for tile in tiles) / count(tiles) if tiles else None


def greatest(tiles: list[list[float]]) -> float | None:
    return max((tile[3] for tile in tiles), default=None)


def deviation(tiles: list[list[float]]) -> float | None:
    number = count(tiles)
    if number < 2:
        return None
    middle = fsum(tile[1] for tile in tiles) / number
    between = []
    for n, total, _, _ in tiles:
        d = total / n - middle
        between.append(n * d * d)
    return sqrt((fsum(between) + fsum(tile[2] for tile in tiles)) / (number - 1))


class Entity:
    """An airport's past."""

    def __init__(self) -> None:
        self.newest: int | None = None
        self.hour = Window(facts.HOUR)
        self.three_hours = Window(3 * facts.HOUR)


def features_of(event: Mapping[str, Any], entity: Entity) -> tuple[dict[str, Any], bool]:
    """Return an event's features and whether it was late; the entity remembers it."""
    time_ms, delay = event["event_time"], event["dep_delay_min"]
    row = dict.fromkeys(facts.FEATURES)
    for name in (*facts.PLAIN, *facts.WEATHER, "carrier", "origin"):
        row[name] = event[name]
    row["hour_event_time"] = datetime.fromtimestamp(time_ms // 1_000, UTC).astimezone(ZONE).hour
    row["planned_speed_mph"] = 60 * event["distance_mi"] / event["sched_block_min"]
    newest = entity.newest
    if newest is not None and time_ms < newest - facts.EVENT_LATENESS_MS:
        return row, True
    if newest is not None and time_ms >= newest:
        row["since_last_s"] = (time_ms - newest) / 1000
    row["origin_delay_3h"] = mean(entity.three_hours.read(time_ms))
    entity.newest = time_ms if newest is None else max(newest, time_ms)
    entity.hour.add(time_ms, delay)
    entity.three_hours.add(time_ms, delay)
    hour, three = entity.hour.read(time_ms), entity.three_hours.read(time_ms)
    row["count_1h"] = count(hour)
    row["max_dep_delay_min_1h"], row["std_dep_delay_min_1h"] = greatest(hour), deviation(hour)
    row["max_dep_delay_min_3h"], row["std_dep_delay_min_3h"] = greatest(three), deviation(three)
    return row, False
