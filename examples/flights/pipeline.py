"""Will this flight land 15 minutes late or more? Asked when it leaves the gate."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field
from river import linear_model, optim, preprocessing

from headrace import (
    Cost,
    Event,
    Labels,
    Monitor,
    Pipeline,
    Source,
    Threshold,
    apply,
    category,
    count,
    hour,
    majority,
    mean,
    since_last,
    value,
    window,
)

CARRIERS = ["9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL", "HA", "MQ", "OO", "UA", "US", "VX"]
CARRIERS += ["WN", "YV"]

# Fast while little is known, steady later.
STEPS = optim.schedulers.InverseScaling(0.03, power=0.2)


class Departure(Event):
    """One flight leaving its gate."""

    event_id: str
    event_time: datetime
    carrier: Annotated[str, Field(min_length=2, max_length=2)]
    origin: Literal["EWR", "JFK", "LGA"]
    distance_mi: Annotated[float, Field(gt=0, lt=6_000)]
    sched_block_min: Annotated[float, Field(gt=0)]
    dep_weekday: Annotated[int, Field(ge=0, le=6)]
    dep_delay_min: Annotated[float, Field(ge=-120, le=2_000)]
    temp_f: float | None = None
    humidity_pct: Annotated[float, Field(ge=0, le=100)] | None = None
    wind_speed_mph: Annotated[float, Field(ge=0)] | None = None
    precip_in: Annotated[float, Field(ge=0)] | None = None
    pressure_mb: float | None = None
    visibility_mi: float | None = None


class Arrival(Event):
    """One flight at its destination; its time is when that became known."""

    event_id: str
    label_time: datetime
    label: bool


def planned_speed_mph(distance_mi: float, sched_block_min: float) -> float:
    """Return the speed that the schedule asks for."""
    return 60 * distance_mi / sched_block_min


def left_late(event: Departure) -> bool:
    """Say "lands late" if it left 15 minutes late or more."""
    return event.dep_delay_min >= 15


flights = Pipeline(
    name="flights",
    events=Source(Departure, id="event_id", key="origin", time="event_time", lateness="10m"),
    labels=Labels(Arrival, id="event_id", value="label", time="label_time", wait="24h"),
    features=[
        value("dep_delay_min", "distance_mi", "sched_block_min", "dep_weekday"),
        value("temp_f", "humidity_pct", "wind_speed_mph", missing="mean"),
        value("precip_in", "pressure_mb", "visibility_mi", missing="mean"),
        category("carrier", values=CARRIERS),
        category("origin"),
        hour("event_time", tz="America/New_York"),
        apply(planned_speed_mph, "distance_mi", "sched_block_min"),
        count(over="1h"),
        since_last(),
        mean("dep_delay_min", over="3h", current=False, name="origin_delay_3h"),
        window("dep_delay_min", over=["1h", "3h"], agg=["max", "std"]),
    ],
    model=preprocessing.StandardScaler() | linear_model.LogisticRegression(optim.SGD(STEPS)),
    decide=Threshold(0.5),
    monitor=Monitor(
        segments=["origin", "carrier"],
        baselines=[majority(), left_late],
        business=Cost(false_positive=10, false_negative=120, unit="USD"),
        windows=["1h", "1d"],
        pace="3s",  # a week in step is over in less than a minute: figures are to move
    ),
)
