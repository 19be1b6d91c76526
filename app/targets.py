"""Which pipeline is meant: by its file, or by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from headrace.registry.sql import SqlRegistry
from headrace.schemas.errors import InputError
from headrace.streams.engine.connection import Connection
from headrace.streams.load import load_pipeline
from headrace.streams.places import suggestion
from headrace.streams.plan import plan_of
from headrace.streams.topics import Topics, topics_of


class Target(NamedTuple):
    """A pipeline, as far as remedies and readers need to know it.

    Attributes
    ----------
    labels
        ``topic``, ``in_event`` or ``none``.
    """

    name: str
    topics: Topics
    labels: str


def is_file(text: str) -> bool:
    """Return whether a file is meant rather than a name."""
    return text.endswith(".py") or "/" in text or Path(text).is_file()


def target_of_file(path: str, pipeline: str | None = None) -> Target:
    """Return the pipeline that a file declares."""
    plan = plan_of(load_pipeline(path, pipeline))
    return Target(plan.name, plan.topics, plan.labels)


def target_of(text: str, registry: SqlRegistry, kafka: Connection) -> Target:
    """Return the pipeline that is meant; by its name, as the registry knows it.

    Raises
    ------
    InputError
        The registry knows no pipeline of this name; says which one was probably meant.
    """
    if is_file(text):
        return target_of_file(text)
    served = registry.serving_version(text)
    declaration = None if served is None else registry.declaration_of(text, served)
    if declaration is None:
        raise unknown(text, pipelines(kafka))
    return declared(text, declaration)


def declared(name: str, canonical: str) -> Target:
    """Return a pipeline by its canonical declaration (``streams.canonical``)."""
    parts = json.loads(canonical)
    source, labels = parts["events"][1], parts["labels"]
    joined = labels[1] if labels and isinstance(labels[1], list) else None
    topic: Any = None if joined is None else joined[1].get("topic")
    kind = "topic" if joined is not None else "in_event" if labels else "none"
    return Target(name, topics_of(name, source[1].get("topic"), topic), kind)


def known_topics(text: str, kafka: Connection) -> Topics:
    """Return the topics of the pipeline that is meant; by its name, as Kafka knows it.

    Raises
    ------
    InputError
        Kafka has no topics of such a pipeline.
    """
    if is_file(text):
        return target_of_file(text).topics
    known = pipelines(kafka)
    if text not in known:
        raise unknown(text, known)
    return topics_of(text)


def name_of(text: str) -> str:
    """Return the name of the pipeline that is meant."""
    return target_of_file(text).name if is_file(text) else text


def pipelines(kafka: Connection) -> list[str]:
    """Return the names of all pipelines that have topics."""
    suffix = topics_of("").predictions
    have = kafka.partition_counts()
    return sorted(name.removesuffix(suffix) for name in have if name.endswith(suffix))


def unknown(name: str, known: list[str]) -> InputError:
    """Return the error of a name that nobody knows."""
    hint = suggestion(name, known) if known else "There is none yet: `headrace run FILE`."
    return InputError(f'No pipeline is called "{name}". {hint}')
