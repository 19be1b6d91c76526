"""The topics of a pipeline: their names, and what they are created with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

_DAY_MS = 86_400_000
RETENTION_MS = 30 * _DAY_MS
"""How long every log of ours is kept, hence how far back lost state can be rebuilt."""

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
"""The biggest record that is emitted, and that the topics of ours take."""

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


def topic_specs(topics: Topics, partitions: Partitions, *, joined: bool) -> list[TopicSpec]:
    """Return what a pipeline needs, inputs first.

    Parameters
    ----------
    joined
        Whether labels come by a topic of their own, so that ROUTE and JOIN run.

    Notes
    -----
    Logs are the truth, so nothing is compacted: a compacted log cannot be folded again. Retention
    is 30 days and bounds from how far back lost state can be rebuilt. Topics that JOIN reads carry
    the broker's append time, which no publisher's clock can spoil.
    """
    base = {
        "retention.ms": str(RETENTION_MS),
        "cleanup.policy": "delete",
        "max.message.bytes": str(MESSAGE_BYTES_MAX),
    }
    appended = {**base, _TIMESTAMP_TYPE: _APPEND_TIME}
    specs = [TopicSpec(topics.events, partitions.events, base)]
    if joined:
        specs += [
            TopicSpec(topics.labels, partitions.labels, base),
            TopicSpec(topics.labels_routed, partitions.predictions, appended),
        ]
    specs.append(TopicSpec(topics.predictions, partitions.predictions, appended))
    single = (
        topics.examples,
        topics.models,
        topics.dead_letters,
        topics.counts,
        topics.metrics,
        topics.alerts,
    )
    return specs + [TopicSpec(name, 1, base) for name in single]
