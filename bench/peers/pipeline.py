"""The same running count as a pipeline of ours: a feature, beside a model that needs no label."""

from datetime import datetime

from river import anomaly, preprocessing

from headrace import Event, Pipeline, Source, count, value


class Counted(Event):
    """An event of a key."""

    id: str
    key: str
    at: datetime
    amount: float


counted = Pipeline(
    name="peer",
    events=Source(Counted, id="id", key="key", time="at", topic="peer-in"),
    features=[value("amount"), count(over="1d", name="running")],
    model=preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(n_trees=3, height=3, seed=1),
)
