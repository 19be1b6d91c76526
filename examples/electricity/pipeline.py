"""Will the price of electricity rise? The label is in the event: test, then train."""

from datetime import datetime
from typing import Annotated

from pydantic import Field
from river import linear_model, preprocessing

from headrace import (
    Event,
    InEvent,
    Monitor,
    Pipeline,
    Source,
    hour,
    last,
    last_value,
    majority,
    mean,
    value,
)

Share = Annotated[float, Field(ge=0, le=1)]


class HalfHour(Event):
    """Demand and prices of one half hour in one state, with what the price then did."""

    id: str
    region: str
    at: datetime
    price: Share
    demand: Share
    transfer: Share
    rose: bool


electricity = Pipeline(
    name="electricity",
    events=Source(HalfHour, id="id", key="region", time="at"),
    labels=InEvent("rose"),
    features=[
        value("price", "demand", "transfer"),
        hour("at", tz="Australia/Sydney"),
        last("price"),
        mean("price", over="24h", current=False),
    ],
    model=preprocessing.StandardScaler() | linear_model.LogisticRegression(),
    monitor=Monitor(baselines=[majority(), last_value()]),
)
