"""The records that travel, and the codecs that a pipeline's stages use for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from headrace.schemas.codec import Codec, Schema

_FOLDER = Path(__file__).parent / "avsc"


def _load(name: str) -> Schema:
    schema: Schema = json.loads((_FOLDER / f"{name}.avsc").read_text("utf-8"))
    return schema


DEAD_LETTER = _load("dead_letter")
COUNT = _load("count")
METRIC = _load("metric")
MODEL = _load("model")
ALERT = _load("alert")

FEATURE_TYPES: Mapping[str, str] = {
    "number": "double",
    "integer": "long",
    "boolean": "boolean",
    "category": "string",
}
"""Avro type of a feature by its kind."""

LABEL_TYPES: Mapping[str, str] = {
    "binary": "boolean",
    "anomaly": "boolean",
    "multiclass": "string",
    "regression": "double",
}
"""Avro type of a label, and of a prediction, by task."""

_MILLIS: Schema = {"type": "long", "logicalType": "timestamp-millis"}


def _field(name: str, kind: Any, doc: str = "") -> Schema:
    return {"name": name, "type": kind, **({"doc": doc} if doc else {})}


def _maybe(name: str, kind: Any, doc: str = "") -> Schema:
    return {**_field(name, ["null", kind], doc), "default": None}


ARRIVAL_FIELDS = 8
"""How many of a prediction's fields, the first ones, say whose it is and when it came."""


def _prediction_fields(features: Sequence[tuple[str, str]], task: str) -> list[Schema]:
    """Return a prediction's fields; what JOIN reads comes first (:data:`ARRIVAL_FIELDS`)."""
    columns = [_maybe(name, FEATURE_TYPES[kind]) for name, kind in features]
    baseline = ["null", "boolean", "double", "string"]
    return [
        _field("id", "string", "Coordinates of the event: <topic>-<partition>-<offset>."),
        _field("event_id", "string"),
        _field("key", "string", "Entity key."),
        _field("event_time", _MILLIS),
        _field("source_partition", "int"),
        _field("source_offset", "long"),
        _maybe("watermark", _MILLIS, "The source partition's watermark before the event."),
        _field("late", "boolean", "The event came too late for its entity's windows."),
        _maybe(
            "prediction", LABEL_TYPES[task], "As served; null when the model had nothing to say."
        ),
        _maybe("score", "double", "P(true), the highest probability, or the anomaly score."),
        _maybe("probabilities", {"type": "map", "values": "double"}),
        _field("model", "string"),
        _field("version", "int"),
        _field("learned_to", "long", "The model had learned the examples before this offset."),
        _field("features", {"type": "record", "name": "Features", "fields": columns}),
        _field("baselines", {"type": "map", "values": baseline}),
        _field("segments", {"type": "map", "values": "string"}),
    ]


def _label_fields(task: str) -> list[Schema]:
    """Return what an example has behind its prediction's fields."""
    return [
        _maybe("label", LABEL_TYPES[task], "Null in a pipeline that learns without labels."),
        _maybe("label_time", _MILLIS),
        _maybe("label_partition", "int"),
        _maybe("label_offset", "long"),
    ]


def prediction_schema(pipeline: str, task: str, features: Sequence[tuple[str, str]]) -> Schema:
    """Return the schema of a pipeline's predictions.

    Parameters
    ----------
    pipeline
        The pipeline's name; it becomes part of the namespace.
    task
        ``binary``, ``multiclass``, ``regression`` or ``anomaly``.
    features
        ``(name, kind)`` of each feature; kinds are the keys of :data:`FEATURE_TYPES`.
    """
    return _record("Prediction", pipeline, _prediction_fields(features, task))


def example_schema(pipeline: str, task: str, features: Sequence[tuple[str, str]]) -> Schema:
    """Return the schema of a pipeline's examples: a prediction's fields, and behind them a label's.

    So an example's bytes are its prediction's with the label's behind them
    (:class:`headrace.schemas.labelling.Labelling`).
    """
    fields = [*_prediction_fields(features, task), *_label_fields(task)]
    return _record("Example", pipeline, fields)


def routed_label_schema(pipeline: str, task: str) -> Schema:
    """Return the schema of a label on the partition of its event id."""
    fields = [
        _field("event_id", "string"),
        _field("label", LABEL_TYPES[task]),
        _field("label_time", _MILLIS),
        _field("source_partition", "int"),
        _field("source_offset", "long"),
        _maybe("watermark", _MILLIS, "The source partition's watermark before the label."),
    ]
    return _record("RoutedLabel", pipeline, fields)


def _record(name: str, pipeline: str, fields: Sequence[Schema]) -> Schema:
    namespace = "headrace." + "".join(c if c.isalnum() else "_" for c in pipeline)
    return {"type": "record", "name": name, "namespace": namespace, "fields": list(fields)}


class Codecs(NamedTuple):
    """One codec for each kind of record that a pipeline's stages write and read."""

    prediction: Codec
    example: Codec
    routed_label: Codec
    dead_letter: Codec
    count: Codec  # type: ignore[assignment]  # tuple.count is shadowed on purpose
    metric: Codec
    model: Codec
    alert: Codec


def schemas_of(pipeline: str, task: str, features: Sequence[tuple[str, str]]) -> dict[str, Schema]:
    """Return all record schemas of a pipeline by the name of their field in :class:`Codecs`."""
    return {
        "prediction": prediction_schema(pipeline, task, features),
        "example": example_schema(pipeline, task, features),
        "routed_label": routed_label_schema(pipeline, task),
        "dead_letter": DEAD_LETTER,
        "count": COUNT,
        "metric": METRIC,
        "model": MODEL,
        "alert": ALERT,
    }


def codecs_of(
    schemas: Mapping[str, Schema],
    ids: Mapping[str, int],
    writers: Mapping[str, Mapping[int, Schema]] | None = None,
) -> Codecs:
    """Return codecs with registered ids.

    Parameters
    ----------
    schemas, ids
        Schema and its id, by the name of their field in :class:`Codecs`.
    writers
        Older schemas by id, for each name that has some.
    """
    older = writers or {}
    return Codecs(
        **{name: Codec(schemas[name], ids[name], older.get(name)) for name in Codecs._fields}
    )


def numbered_codecs(schemas: Mapping[str, Schema]) -> Codecs:
    """Return codecs with ids 1, 2, ... for flows that never leave this process."""
    return codecs_of(schemas, {name: number for number, name in enumerate(Codecs._fields, 1)})
