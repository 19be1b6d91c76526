"""What a user declares. Pure data: it can be printed, compared and hashed; ``plan`` interprets it.

Nothing here checks anything: a declaration is written down first, then all its faults are said at
once, each with its place (``headrace.streams.plan``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from headrace.streams.event import Event
from headrace.streams.features.declared import (
    Feature,
    Features,
    Function,
    apply,
    category,
    count,
    distinct,
    hour,
    last,
    log1p,
    maximum,
    mean,
    minimum,
    since_last,
    std,
    total,
    value,
    window,
)
from headrace.streams.places import place_of_declaration
from headrace.streams.topics import RETENTION

__all__ = [
    "Alarms",
    "Cost",
    "Event",
    "Feature",
    "InEvent",
    "Labels",
    "LearnedBaseline",
    "Monitor",
    "Pipeline",
    "Source",
    "Threshold",
    "TopicRetention",
    "apply",
    "category",
    "count",
    "distinct",
    "hour",
    "last",
    "last_value",
    "log1p",
    "majority",
    "maximum",
    "mean",
    "minimum",
    "since_last",
    "std",
    "total",
    "value",
    "window",
]


def _tuple(items: Any) -> Any:
    """Return a list, and lists in it, as tuples, so that a declaration can be hashed."""
    return tuple(_tuple(item) for item in items) if isinstance(items, list | tuple) else items


class _Declared:
    """A declaration, which knows its place in the user's file."""

    __slots__ = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", getattr(self, "place", "") or place_of_declaration())


_PLACE: Any = field(default="", compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Source(_Declared):
    """Where events come from, and what their fields mean.

    Attributes
    ----------
    event
        The event's class.
    id
        The field that names an event; labels refer to it.
    key
        The field that names the entity whose past is remembered.
    time
        The field that says when it happened.
    lateness
        How far behind its entity's newest event an event may come and still count.
    skew
        How far ahead of its record's timestamp an event's time may be.
    topic
        The topic, if it is not ``<pipeline>.events``.
    format
        ``json`` or ``avro`` (Confluent wire format).
    control_records
        Whether our publisher may write control records into a topic that is not the pipeline's own.
        They have headers alone; other readers of the topic see records without key and value.
    """

    event: type[Event]
    id: str
    key: str
    time: str
    lateness: str = "10m"
    skew: str = "5m"
    topic: str | None = None
    format: Literal["json", "avro"] = "json"
    control_records: bool = False
    place: str = _PLACE


@dataclass(frozen=True, slots=True)
class Labels(_Declared):
    """Labels that come by a topic of their own.

    Attributes
    ----------
    label
        The label's class.
    id
        The field that names the event it belongs to.
    value
        The field that holds the truth.
    time
        The field that says when it became true.
    wait
        How long after its event a label may say it happened.
    lateness
        How far behind its source's watermark a label may come.
    ahead
        How far ahead of its source's watermark an event or a label may be to be matched; None is
        any time ahead. At least the longest silence of the data.
    topic
        The topic, if it is not ``<pipeline>.labels``.
    format
        ``json`` or ``avro``.
    control_records
        As for :class:`Source`.
    """

    label: type[Event]
    id: str
    value: str
    time: str
    wait: str = "24h"
    lateness: str = "1h"
    ahead: str | None = None
    topic: str | None = None
    format: Literal["json", "avro"] = "json"
    control_records: bool = False
    place: str = _PLACE


@dataclass(frozen=True, slots=True)
class InEvent(_Declared):
    """The label is a field of the event itself; neither features nor prediction see it."""

    value: str
    place: str = _PLACE


@dataclass(frozen=True, slots=True)
class Threshold(_Declared):
    """Decide true when the score is at least ``value``."""

    value: float = 0.5
    place: str = _PLACE


@dataclass(frozen=True, slots=True)
class Cost(_Declared):
    """What wrong decisions cost; as ``decide=``, true is said when it is the cheaper answer.

    Attributes
    ----------
    false_positive, false_negative
        Cost of one such decision, in ``unit``.
    """

    false_positive: float
    false_negative: float
    unit: str = "USD"
    place: str = _PLACE


@dataclass(frozen=True, slots=True)
class LearnedBaseline:
    """A baseline that learns from the same examples: ``majority`` or ``last_value``."""

    kind: Literal["majority", "last_value"]


def majority() -> LearnedBaseline:
    """Return the baseline that predicts the most frequent label so far (the mean of numbers)."""
    return LearnedBaseline("majority")


def last_value() -> LearnedBaseline:
    """Return the baseline that predicts the newest label."""
    return LearnedBaseline("last_value")


@dataclass(frozen=True, slots=True)
class Monitor(_Declared):
    """What is watched.

    Attributes
    ----------
    segments
        Fields by whose values metrics are told apart.
    baselines
        ``majority()``, ``last_value()``, or functions of the event that return a prediction.
    business
        What wrong decisions cost, if that is known.
    windows
        Lengths of the rolling windows; the smallest is the step of all.
    reference
        Length of the reference period for drift, from the first event on.
    features_by_segment
        Names of features whose distributions are told of each segment too. Each costs for every
        field of ``segments``.
    pace
        How often the metrics of windows that are not final yet are written, at most.
    """

    segments: Sequence[str] = ()
    baselines: Sequence[LearnedBaseline | Function] = ()
    business: Cost | None = None
    windows: Sequence[str] = ("1h", "1d")
    reference: str = "1d"
    features_by_segment: Sequence[str] = ()
    pace: str = "10s"
    place: str = _PLACE

    def __post_init__(self) -> None:
        _Declared.__post_init__(self)
        for name in ("segments", "baselines", "windows", "features_by_segment"):
            object.__setattr__(self, name, _tuple(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Alarms(_Declared):
    """How seldom an alarm may be false, and what it is raised against.

    Attributes
    ----------
    run_length
        The promise: mean event time between two false alarms of the whole pipeline, all that is
        watched taken together.
    reference
        Length of the reference period, from the first event on; the monitor's if None.
        A shorter one than two weeks makes for alarms that come later, and are less sure to keep
        the promise.
    segments
        Whether the monitor's segments are watched one by one, besides everything together.
    """

    run_length: str = "90d"
    reference: str | None = "14d"
    segments: bool = True
    place: str = _PLACE


@dataclass(frozen=True, slots=True)
class TopicRetention(_Declared):
    """How long topics keep their records, where not all of them keep them equally long.

    Each is a duration, or None for ``default``.

    Attributes
    ----------
    default
        Of every topic that is not named.
    events, labels
        Of the inputs. A feature's window may be as long as ``events``.
    labels_routed, predictions
        Of what JOIN reads. ``Labels(wait=...)`` may be as long as the shorter one.
    counts
        Of what MONITOR reads. Its windows and references may be as long.
    examples, models, dead_letters, metrics, alerts
        Of the other topics.
    """

    default: str = RETENTION
    events: str | None = None
    labels: str | None = None
    labels_routed: str | None = None
    predictions: str | None = None
    examples: str | None = None
    models: str | None = None
    dead_letters: str | None = None
    counts: str | None = None
    metrics: str | None = None
    alerts: str | None = None
    place: str = _PLACE


@dataclass(frozen=True, slots=True)
class Pipeline(_Declared):
    """A prediction pipeline: what comes in, what is computed, what learns, what is watched.

    Attributes
    ----------
    name
        Prefix of its topics; letters, digits, ``-`` and ``_``.
    events
        The event source.
    features
        Features, in the order in which the model sees them.
    model
        Any River classifier, regressor or anomaly detector.
    labels
        Labels of a topic, a label in the event, or None: learn from every event.
    decide
        How a score becomes a decision: :class:`Threshold` (0.5 if None), or :class:`Cost`.
    monitor
        What is watched.
    alarms
        When a change of it is an alarm; None: never.
    retention
        How long its topics keep their records: a duration, or :class:`TopicRetention`. No window
        and no wait for a label may be longer. No part of the version.
    """

    name: str
    events: Source
    features: Sequence[Features]
    model: Any
    labels: Labels | InEvent | None = None
    decide: Threshold | Cost | None = None
    monitor: Monitor = Monitor()
    alarms: Alarms | None = Alarms()
    retention: str | TopicRetention = RETENTION
    place: str = _PLACE

    def __post_init__(self) -> None:
        _Declared.__post_init__(self)
        object.__setattr__(self, "features", _tuple(self.features))

    def flat_features(self) -> tuple[Feature, ...]:
        """Return the features one by one, in order."""
        flat: list[Any] = []
        for item in self.features:
            flat.extend(item if isinstance(item, list | tuple) else [item])
        return tuple(flat)
