"""Is this reading of a pump unusual? An anomaly detector that learns from every event."""

from datetime import datetime

from river import anomaly, preprocessing

from headrace import Event, Monitor, Pipeline, Source, Threshold, last, mean, since_last, std, value


class Reading(Event):
    """What the sensors of one pump say."""

    id: str
    pump: str
    at: datetime
    pressure_bar: float
    temperature_c: float | None = None


pumps = Pipeline(
    name="pumps",
    events=Source(Reading, id="id", key="pump", time="at", lateness="1m"),
    features=[
        value("pressure_bar"),
        value("temperature_c", missing="mean"),
        last("pressure_bar"),
        mean("pressure_bar", over="10m"),
        std("pressure_bar", over="1h"),
        since_last(),
    ],
    model=preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(n_trees=10, height=6, seed=42),
    decide=Threshold(0.9),
    monitor=Monitor(segments=["pump"]),
)
