"""Under which subject each schema of a pipeline is registered: its topic's, as others do it."""

from __future__ import annotations

from headrace.schemas.avro import avro_schema_of
from headrace.schemas.codec import Schema
from headrace.streams.pipeline import Labels
from headrace.streams.plan import Plan
from headrace.streams.topics import Topics

_TOPIC_OF = {
    "prediction": "predictions",
    "example": "examples",
    "routed_label": "labels_routed",
    "dead_letter": "dead_letters",
    "count": "counts",
    "metric": "metrics",
    "model": "models",
    "alert": "alerts",
}
"""The topic of each kind of record, by their names in ``Codecs`` and ``Topics``."""


def subject_of(topic: str) -> str:
    """Return the subject of a topic's values.

    Examples
    --------
    >>> subject_of("flights.predictions")
    'flights.predictions-value'
    """
    return f"{topic}-value"


def subjects_of(topics: Topics) -> dict[str, str]:
    """Return the subject of each kind of record, by its name in ``Codecs``."""
    return {kind: subject_of(getattr(topics, topic)) for kind, topic in _TOPIC_OF.items()}


def input_schemas(plan: Plan) -> dict[str, tuple[str, Schema]]:
    """Return subject and schema of ``event`` and ``label``, where they travel as Avro."""
    source, labels = plan.pipeline.events, plan.pipeline.labels
    namespace = plan.schemas["prediction"]["namespace"]
    found = {}
    if source.format == "avro":
        found["event"] = subject_of(plan.topics.events), avro_schema_of(source.event, namespace)
    if isinstance(labels, Labels) and labels.format == "avro":
        found["label"] = subject_of(plan.topics.labels), avro_schema_of(labels.label, namespace)
    return found


def schemas_by_subject(plan: Plan) -> dict[str, Schema]:
    """Return every schema that a pipeline writes, by subject."""
    subjects = subjects_of(plan.topics)
    own = {subjects[kind]: schema for kind, schema in plan.schemas.items()}
    return own | dict(input_schemas(plan).values())
