"""The flights pipeline with an entity key that may be any text, in JSON and in Avro."""

from dataclasses import replace
from pathlib import Path

from headrace.streams.load import load_pipeline
from headrace.streams.pipeline import Labels, Pipeline

_FLIGHTS = load_pipeline(Path(__file__).parents[2] / "examples" / "flights" / "pipeline.py")
_LABELS = _FLIGHTS.labels
assert isinstance(_LABELS, Labels)


class LooseDeparture(_FLIGHTS.events.event):  # type: ignore[name-defined, misc]  # a class by path
    """A departure from anywhere."""

    origin: str


loose_json: Pipeline = replace(
    _FLIGHTS, name="loose-json", events=replace(_FLIGHTS.events, event=LooseDeparture)
)
loose_avro: Pipeline = replace(
    loose_json,
    name="loose-avro",
    events=replace(loose_json.events, format="avro"),
    labels=replace(_LABELS, format="avro"),
)
