"""How many minutes will this ride take? A regression; the truth comes when it ends."""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from river import linear_model, optim, preprocessing

from headrace import (
    Event,
    Labels,
    Monitor,
    Pipeline,
    Source,
    count,
    hour,
    log1p,
    majority,
    mean,
    value,
)


class Pickup(Event):
    """A passenger gets in."""

    ride: str
    zone: str
    at: datetime
    distance_km: Annotated[float, Field(gt=0, lt=500)]
    passengers: Annotated[int, Field(ge=1, le=8)]


class Dropoff(Event):
    """A passenger gets out."""

    ride: str
    at: datetime
    minutes: Annotated[float, Field(ge=0, lt=1_440)]


def at_30_km_per_hour(event: Pickup) -> float:
    """Say how long it takes at 30 km/h."""
    return 2 * event.distance_km


rides = Pipeline(
    name="rides",
    events=Source(Pickup, id="ride", key="zone", time="at"),
    labels=Labels(Dropoff, id="ride", value="minutes", time="at", wait="24h"),
    features=[
        value("distance_km", "passengers"),
        log1p("distance_km"),
        hour("at"),
        count(over="30m"),
        mean("distance_km", over="2h"),
    ],
    model=preprocessing.StandardScaler() | linear_model.LinearRegression(optim.SGD(0.005)),
    monitor=Monitor(baselines=[majority(), at_30_km_per_hour]),
)
