"""A pipeline for the product's own stages: events, labels, windows, a linear model; it can fail."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from river import linear_model, optim, preprocessing

from headrace.streams.pipeline import (
    Event,
    Labels,
    Monitor,
    Pipeline,
    Source,
    apply,
    category,
    count,
    majority,
    maximum,
    mean,
    since_last,
    value,
)

BAD_FEATURE, BAD_BASELINE, BAD_EXAMPLE = 150.0, 250.0, 350.0
"""Loads at which the user's own code fails, in SCORE, in what it is compared with, and in LEARN."""


def headroom(load: float) -> float:
    if load == BAD_FEATURE:
        raise ArithmeticError("no feature")
    return 1_000 - load


class Scaler(preprocessing.StandardScaler):
    """A part of the model that cannot learn from everything."""

    def learn_one(self, x: dict[Any, Any]) -> None:
        if x.get("load") == BAD_EXAMPLE:
            raise ArithmeticError("no lesson")
        super().learn_one(x)  # type: ignore[no-untyped-call]  # River's own has no types


class Reading(Event):
    id: str
    machine: str
    at: datetime
    load: Annotated[float, Field(ge=0, le=1_000)]
    kind: str = "new"
    heat: float | None = None


def hot(event: Reading) -> bool | None:
    if event.load == BAD_BASELINE:
        raise ArithmeticError("no baseline")
    return None if event.heat is None else event.heat > 50


class Verdict(Event):
    id: str
    at: datetime
    broken: bool


machines = Pipeline(
    name="machines",
    events=Source(Reading, id="id", key="machine", time="at", lateness="10s"),
    labels=Labels(Verdict, id="id", value="broken", time="at", wait="1m", lateness="20s"),
    features=[
        value("load", "heat"),
        apply(headroom, "load"),
        category("kind", top=4),
        count(over="30s"),
        mean("load", over="20s", current=False),
        maximum("load", over="1m"),
        since_last(),
    ],
    model=Scaler() | linear_model.LogisticRegression(optim.SGD(0.1)),
    monitor=Monitor(
        segments=["kind"], baselines=[majority(), hot], windows=["1m"], reference="2m",
        features_by_segment=["heat", "kind"],
    ),
)  # fmt: skip

presses = replace(machines, name="presses")

bearings = replace(
    machines,
    name="bearings",
    labels=Labels(Verdict, id="id", value="broken", time="at", wait="40d", lateness="1h"),
    monitor=Monitor(segments=["kind"], windows=["1d"], reference="2d"),
    retention="50d",
)
"""Labels come after weeks: what waits is read by key."""
