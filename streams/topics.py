"""The topics of a pipeline: their names, and what they are created with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from headrace.streams.duration import duration_ms

RETENTION = "30d"
"""How long a topic keeps its records unless the pipeline declares otherwise."""

RETENTION_MS_KEY = "retention.ms"
RETENTION_BYTES_KEY = "retention.bytes"
UNLIMITED = "-1"
"""What the broker calls a retention without a limit."""

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
"""The biggest record that is emitted, and that the topics of ours take."""

_UPSERTS = {"cleanup.policy": "compact,delete", "segment.ms": "86400000"}
"""A segment that is still written to is not compacted: so none is for longer than a day."""

_TIMESTAMP_TYPE = "message.timestamp.type"
_APPEND_TIME = "LogAppendTime"


class Topics(NamedTuple):
    """Names of a pipeline's topics; inputs may be topics that existed before."""

    events: str
    labels: str
    labels_routed: str
    predictions: str
    examples: str
    models: str
    dead_letters: str
    counts: str
    metrics: str
    alerts: str


class RetentionMs(NamedTuple):
    """How long each topic of a pipeline keeps its records, in ms; the fields of :class:`Topics`.

    It bounds how far back lost state can be rebuilt, hence every length that a declaration names.
    """

    events: int
    labels: int
    labels_routed: int
    predictions: int
    examples: int
    models: int
    dead_letters: int
    counts: int
    metrics: int
    alerts: int

    @property
    def waiting(self) -> int:
        """How far back what waits for its label can be rebuilt: by the logs that JOIN reads."""
        return min(self.predictions, self.labels_routed)


RETENTION_MS = RetentionMs(*[duration_ms(RETENTION)] * len(RetentionMs._fields))
"""What is kept unless the pipeline declares otherwise."""


class Partitions(NamedTuple):
    """How many partitions the partitioned topics have."""

    events: int
    labels: int
    predictions: int


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it is created.

    Attributes
    ----------
    config
        The broker's topic settings that matter to Headrace.
    """

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def append_time(self) -> bool:
        """Whether records carry the broker's time rather than their producer's."""
        return self.config.get(_TIMESTAMP_TYPE) == _APPEND_TIME


def kept_ms(present: Mapping[str, str]) -> int | None:
    """Return how long a topic keeps its records, None if for ever.

    Examples
    --------
    >>> kept_ms({"retention.ms": "8000"}), kept_ms({"retention.ms": "-1"}), kept_ms({})
    (8000, None, None)
    """
    kept = present.get(RETENTION_MS_KEY, UNLIMITED)
    return None if kept == UNLIMITED else int(kept)


def retention_changes(spec: TopicSpec, present: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that a topic needs to keep its records as long as is declared.

    One that keeps them longer needs none.

    Parameters
    ----------
    present
        The topic's settings as the broker has them.

    Examples
    --------
    >>> spec = TopicSpec("t", 1, {"retention.ms": "9000"})
    >>> retention_changes(spec, {"retention.ms": "8000", "retention.bytes": "-1"})
    {'retention.ms': '9000'}
    >>> retention_changes(spec, {"retention.ms": "-1", "retention.bytes": "1000"})
    {'retention.bytes': '-1'}
    """
    changes: dict[str, str] = {}
    wanted = spec.config.get(RETENTION_MS_KEY)
    if wanted is None:
        return changes
    kept = kept_ms(present)
    if kept is not None and kept < int(wanted):
        changes[RETENTION_MS_KEY] = wanted
    if present.get(RETENTION_BYTES_KEY, UNLIMITED) != UNLIMITED:
        changes[RETENTION_BYTES_KEY] = UNLIMITED
    return changes


def topics_of(pipeline: str, events: str | None = None, labels: str | None = None) -> Topics:
    """Return a pipeline's topic names.

    Parameters
    ----------
    pipeline
        Its name, the prefix of all its own topics.
    events, labels
        Input topics of the user's own, if any.

    Examples
    --------
    >>> topics_of("flights").labels_routed
    'flights.labels-routed'
    """
    suffixes = [name.replace("_", "-") for name in Topics._fields]
    own = Topics(*(f"{pipeline}.{suffix}" for suffix in suffixes))
    return own._replace(events=events or own.events, labels=labels or own.labels)


def topic_specs(
    topics: Topics,
    partitions: Partitions,
    *,
    joined: bool,
    retention: RetentionMs = RETENTION_MS,
) -> list[TopicSpec]:
    """Return what a pipeline needs, inputs first.

    Parameters
    ----------
    joined
        Whether labels come by a topic of their own, so that ROUTE and JOIN run.
    retention
        How long each topic keeps its records, as the pipeline declares it.

    Notes
    -----
    Logs are the truth, so none that is folded is compacted: a compacted log cannot be folded again.
    Metrics are upserts, and nobody folds them: of each key the newest is kept. Retention
    is by time alone: a limit in bytes would cut a log when it grows, not when it has aged. Topics
    that JOIN reads carry the broker's append time, which no publisher's clock can spoil.
    """
    partitioned = {
        "events": partitions.events,
        "labels": partitions.labels,
        "labels_routed": partitions.predictions,
        "predictions": partitions.predictions,
    }
    of_labels = ("labels", "labels_routed")
    return [
        TopicSpec(name, partitioned.get(role, 1), _config(role, kept_ms))
        for role, name, kept_ms in zip(Topics._fields, topics, retention, strict=True)
        if joined or role not in of_labels
    ]


def _config(role: str, kept_ms: int) -> dict[str, str]:
    config = {
        RETENTION_MS_KEY: str(kept_ms),
        RETENTION_BYTES_KEY: UNLIMITED,
        "cleanup.policy": "delete",
        "max.message.bytes": str(MESSAGE_BYTES_MAX),
    }
    if role in ("labels_routed", "predictions"):
        config[_TIMESTAMP_TYPE] = _APPEND_TIME
    return {**config, **_UPSERTS} if role == "metrics" else config
