"""The flights pipeline, written down again by hand from docs/features.md and docs/pipeline.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from river import compose, linear_model, optim, preprocessing, stats

HOUR = 3_600_000
MINUTE = 60_000

CARRIERS = (
    "9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV",
)  # fmt: skip
ORIGINS = ("EWR", "JFK", "LGA")

Check = Callable[[Any], bool]


@dataclass(frozen=True)
class Field:
    """A field of an event or label: its type, whether it may be null, and its bounds."""

    kind: str  # text, number, integer, flag, time
    optional: bool = False
    fits: Check = lambda value: True


def _length(least: int, most: int) -> Check:
    return lambda text: least <= len(text) <= most


_TEXT = Field("text", fits=_length(0, 4_096))
_ANY = Field("number", optional=True, fits=lambda x: -1e100 <= x <= 1e100)

EVENT: Mapping[str, Field] = {
    "event_id": _TEXT,
    "event_time": Field("time"),
    "carrier": Field("text", fits=_length(2, 2)),
    "origin": Field("text", fits=lambda text: text in ORIGINS),
    "distance_mi": Field("number", fits=lambda x: 0 < x < 6_000),
    "sched_block_min": Field("number", fits=lambda x: 0 < x <= 1e100),
    "dep_weekday": Field("integer", fits=lambda x: 0 <= x <= 6),
    "dep_delay_min": Field("number", fits=lambda x: -120 <= x <= 2_000),
    "temp_f": _ANY,
    "humidity_pct": Field("number", optional=True, fits=lambda x: 0 <= x <= 100),
    "wind_speed_mph": Field("number", optional=True, fits=lambda x: 0 <= x <= 1e100),
    "precip_in": Field("number", optional=True, fits=lambda x: 0 <= x <= 1e100),
    "pressure_mb": _ANY,
    "visibility_mi": _ANY,
}

LABEL: Mapping[str, Field] = {
    "event_id": _TEXT,
    "label_time": Field("time"),
    "label": Field("flag"),
}

SKEW_MS = 5 * MINUTE
EVENT_LATENESS_MS = 10 * MINUTE
LABEL_LATENESS_MS = HOUR
WAIT_MS = 24 * HOUR
MARK_STEP_MS = WAIT_MS // 16
PACE_MS = 3_000  # of the monitor
COUNT_TILE_MS = HOUR  # the shortest window of the monitor
VALUE_BYTES_MAX = 1024 * 1024
KEPT_BYTES = 64 * 1024
LAG_EXAMPLES_MAX = 8_192
SEGMENTS = ("origin", "carrier")
TIME_ZONE = "America/New_York"

PLAIN = ("dep_delay_min", "distance_mi", "sched_block_min", "dep_weekday")
WEATHER = (
    "temp_f", "humidity_pct", "wind_speed_mph", "precip_in", "pressure_mb", "visibility_mi",
)  # fmt: skip
FEATURES = (
    *PLAIN, *WEATHER, "carrier", "origin", "hour_event_time", "planned_speed_mph",
    "count_1h", "since_last_s", "origin_delay_3h",
    "max_dep_delay_min_1h", "std_dep_delay_min_1h", "max_dep_delay_min_3h", "std_dep_delay_min_3h",
)  # fmt: skip


def new_model() -> Any:
    """Return the model: means for missing weather, in front of what the pipeline declares."""
    steps = optim.schedulers.InverseScaling(0.03, power=0.2)
    means: Any = preprocessing.StatImputer  # it has no types
    scaled = preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(steps))
    imputer = means(*[(name, stats.Mean()) for name in WEATHER])
    return compose.Pipeline(imputer, *scaled.steps.values())


def door(features: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the model sees of a row of features."""
    x: dict[str, Any] = {}
    for name in FEATURES:
        value = features[name]
        if name == "carrier":
            known = value if value in CARRIERS else "other"
            x.update({f"carrier={each}": float(each == known) for each in (*CARRIERS, "other")})
        elif name == "origin":
            x.update({f"origin={each}": float(each == value) for each in ORIGINS})
        elif value is not None:
            x[name] = float(value)
        elif name in WEATHER:
            x[name] = None
    return x


def left_late(event: Mapping[str, Any]) -> bool:
    return bool(event["dep_delay_min"] >= 15)
