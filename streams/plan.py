"""A declaration, checked and compiled: what stages interpret."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cached_property
from operator import attrgetter
from typing import Any

from river import compose, preprocessing, stats

from headrace.schemas.avro import field_types, literal_values, to_millis
from headrace.schemas.codec import Codec
from headrace.schemas.errors import DeclarationError
from headrace.schemas.records import schemas_of
from headrace.streams.canonical import canonical_text
from headrace.streams.decoding import (
    Decoded,
    Rejected,
    decoder_of,
    encoder_of,
    name_fault,
    time_fault,
)
from headrace.streams.duration import DAY_MS, duration_ms
from headrace.streams.estimators import decides_itself
from headrace.streams.faults import faults_of
from headrace.streams.features.program import FeatureProgram, kind_of
from headrace.streams.model_checks import task_of
from headrace.streams.pipeline import Cost, InEvent, Labels, LearnedBaseline, Pipeline, Threshold
from headrace.streams.retention import retention_of
from headrace.streams.roundtrip import has_own_code
from headrace.streams.topics import Topics, topics_of
from headrace.streams.trained import learned_digest, new_model_of

MARKS = 16
"""So many times within the wait for a label a watermark is said to all (docs/adr/0009)."""


MARK_STEP_MS_MAX = DAY_MS
"""However long the wait: else what cannot match any more would leave in lumps of many days."""


def plan_of(pipeline: Pipeline) -> Plan:
    """Check a declaration and compile it.

    Raises
    ------
    DeclarationError
        With all of its faults.
    """
    faults = faults_of(pipeline)
    if faults:
        raise DeclarationError(faults)
    return Plan(pipeline)


class Plan:
    """A compiled pipeline.

    Parameters
    ----------
    pipeline
        A declaration without faults.

    Attributes
    ----------
    learned
        Canonical digest of what the model had learned when it was declared; None of a fresh one.
    task
        ``binary``, ``multiclass``, ``regression`` or ``anomaly``.
    labels
        ``topic``, ``in_event`` or ``none``.
    lateness_ms, skew_ms, wait_ms, label_lateness_ms
        The declared durations, in milliseconds.
    label_ahead_ms
        How far ahead of its source's watermark an event or label may be to be matched, or None.
    mark_step_ms
        How far a watermark goes before it is said to all partitions again.
    decided_by_model
        Whether the model says itself which scores are anomalies, as River's filters do.
    threshold
        The least score that is true, unless the model decides.
    windows_ms, reference_ms
        What is watched over which lengths.
    run_length_ms
        What is promised of false alarms; None if there are no alarms.
    alarm_reference_ms
        The length of the period that alarms are raised against.
    retention
        How long each topic keeps its records.
    features
        The compiled :class:`FeatureProgram`.
    feature_fields
        ``(name, kind)`` of each feature.
    features_by_segment
        Names of the features that are counted of each segment too.
    rules, learned_baselines
        The user's own baselines by name, and the names of those that learn.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.learned = learned_digest(pipeline.model)
        self._model = pipeline.model if self.learned is None else deepcopy(pipeline.model)
        self.name = pipeline.name
        source, labels = pipeline.events, pipeline.labels
        self.task = task_of(pipeline) or "binary"
        self.labels = {Labels: "topic", InEvent: "in_event"}.get(type(labels), "none")
        topic = labels.topic if isinstance(labels, Labels) else None
        self.topics: Topics = topics_of(pipeline.name, source.topic, topic)
        self.lateness_ms = duration_ms(source.lateness)
        self.skew_ms = duration_ms(source.skew)
        joined = labels if isinstance(labels, Labels) else None
        self.wait_ms = duration_ms(joined.wait) if joined else 0
        self.label_lateness_ms = duration_ms(joined.lateness) if joined else 0
        self.label_ahead_ms = duration_ms(joined.ahead) if joined and joined.ahead else None
        self.mark_step_ms = max(1, min(self.wait_ms // MARKS, MARK_STEP_MS_MAX))
        self.retention = retention_of(pipeline.retention)
        self.decided_by_model = decides_itself(pipeline.model)
        self.threshold = _threshold(pipeline.decide)
        self.windows_ms = tuple(duration_ms(length) for length in pipeline.monitor.windows)
        self.reference_ms = duration_ms(pipeline.monitor.reference)
        self.pace_ms = duration_ms(pipeline.monitor.pace)
        alarms = pipeline.alarms
        self.run_length_ms = None if alarms is None else duration_ms(alarms.run_length)
        against = alarms.reference if alarms is not None else None
        self.alarm_reference_ms = duration_ms(against) if against else self.reference_ms
        self._compile_features()
        self._compile_doors()
        self._compile_baselines()

    def _compile_features(self) -> None:
        types = field_types(self.pipeline.events.event)
        features = self.pipeline.flat_features()
        kinds = [kind_of(f, types[f.fields[0]][0] if f.fields else None) or "" for f in features]
        literals = {name: values for name, t in types.items() if (values := literal_values(t[0]))}
        integers = {name for name, (plain, _) in types.items() if plain is int}
        self.features = FeatureProgram(features, kinds, literals, self.lateness_ms, integers)
        self.feature_fields = tuple(zip(self.features.names, kinds, strict=True))

    def use_codecs(self, event: Codec | None = None, label: Codec | None = None) -> None:
        """Read and write inputs with registered Avro codecs; inputs in JSON need none."""
        source, labels = self.pipeline.events, self.pipeline.labels
        self._decode_event = decoder_of(source.event, source.format, event)
        self.encode_event = encoder_of(source.event, source.format, event)
        self.reread_event = self._decode_event if has_own_code(source.event) else None
        if isinstance(labels, Labels):
            self._decode_label = decoder_of(labels.label, labels.format, label)
            self.encode_label = encoder_of(labels.label, labels.format, label)
            self.reread_label = self._decode_label if has_own_code(labels.label) else None

    def _compile_doors(self) -> None:
        source, labels = self.pipeline.events, self.pipeline.labels
        self.use_codecs()
        self._get_id = attrgetter(source.id)
        self._get_key = attrgetter(source.key)
        self._get_time = attrgetter(source.time)
        if isinstance(labels, Labels):
            self._label_id_field = labels.id
            self._get_label_id = attrgetter(labels.id)
            self._get_label_time = attrgetter(labels.time)
        if labels is not None:
            self._get_label = attrgetter(labels.value)
        self._as_label: Callable[[Any], Any] = {
            "multiclass": str,
            "regression": float,
        }.get(self.task, bool)
        self.features_by_segment = tuple(self.pipeline.monitor.features_by_segment)
        self._segments = [(name, attrgetter(name)) for name in self.pipeline.monitor.segments]

    def _compile_baselines(self) -> None:
        declared = self.pipeline.monitor.baselines
        self.learned_baselines = tuple(b.kind for b in declared if isinstance(b, LearnedBaseline))
        rules = [b for b in declared if not isinstance(b, LearnedBaseline)]
        self.rules: Mapping[str, Callable[[Any], Any]] = {rule.__name__: rule for rule in rules}

    # -- events

    def decode_event(self, value: bytes | None, timestamp_ms: int) -> Decoded:
        """Return the event that a record's value holds, or why it holds none."""
        event = self._decode_event(value)
        if type(event) is Rejected:
            return event
        source = self.pipeline.events
        return (
            name_fault(self._get_id(event), source.id, "empty_id")
            or name_fault(self._get_key(event), source.key, "empty_key")
            or time_fault(to_millis(self._get_time(event)), timestamp_ms, self.skew_ms)
            or event
        )

    def event_id(self, event: Any) -> str:
        """Return an event's id."""
        return str(self._get_id(event))

    def event_key(self, event: Any) -> str:
        """Return an event's entity key."""
        return str(self._get_key(event))

    def event_time_ms(self, event: Any) -> int:
        """Return when an event happened."""
        return to_millis(self._get_time(event))

    def segments(self, event: Any) -> dict[str, str]:
        """Return the values by which an event's metrics are told apart."""
        found = ((name, read(event)) for name, read in self._segments)
        return {name: str(value) for name, value in found if value is not None}

    # -- labels

    def decode_label(self, value: bytes | None, timestamp_ms: int) -> Decoded:
        """Return the label that a record's value holds, or why it holds none."""
        label = self._decode_label(value)
        if type(label) is Rejected:
            return label
        return (
            name_fault(self._get_label_id(label), self._label_id_field, "empty_id")
            or time_fault(self.label_time_ms(label), timestamp_ms, self.skew_ms)
            or label
        )

    def label_id(self, label: Any) -> str:
        """Return the id of the event that a label belongs to."""
        return str(self._get_label_id(label))

    def label_time_ms(self, label: Any) -> int:
        """Return when a label became true."""
        return to_millis(self._get_label_time(label))

    def label_value(self, label: Any) -> Any:
        """Return the value of a label, or of an event that carries its own: bool, str or float."""
        return self._as_label(self._get_label(label))

    def in_event_label(self, event: Any) -> Any:
        """Return the label that an event carries itself: bool, str or float."""
        return self.label_value(event)

    # -- model

    def new_model(self) -> Any:
        """Return the declared model as it begins: fresh, or with what it came with."""
        model = new_model_of(self._model, trained=self.learned is not None)
        means = [
            (f.name, stats.Mean())
            for f in self.pipeline.flat_features()
            if dict(f.options).get("missing") == "mean"
        ]
        if not means:
            return model
        steps = list(model.steps.values()) if isinstance(model, compose.Pipeline) else [model]
        imputer = preprocessing.StatImputer(*means)  # type: ignore[no-untyped-call]
        return compose.Pipeline(imputer, *steps)

    def decide(self, score: float | Mapping[str, float]) -> bool | str:
        """Return the answer that a score, or the probabilities of several classes, amounts to.

        Of equal probabilities the first class by name is the answer.
        """
        if isinstance(score, Mapping):
            return min(score, key=lambda name: (-score[name], name))
        return score >= self.threshold

    # -- identity

    @cached_property
    def schemas(self) -> dict[str, Any]:
        """Return the pipeline's record schemas, by the names of ``Codecs``."""
        return schemas_of(self.name, self.task, self.feature_fields)

    @cached_property
    def canonical(self) -> str:
        """Return what states and records depend on, as JSON: equal text, equal behaviour."""
        return canonical_text(self.pipeline, self.learned)

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of the canonical declaration: a version's identity."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()


def _threshold(decide: Threshold | Cost | None) -> float:
    """Return the least score that is true; for costs, where both answers cost the same."""
    if isinstance(decide, Cost):
        return decide.false_positive / (decide.false_positive + decide.false_negative)
    return 0.5 if decide is None else decide.value
