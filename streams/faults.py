"""What is wrong with a declaration: every fault at once, each with its place and a suggestion."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import PydanticOmit

from headrace.schemas.avro import avro_type, field_types, literal_values
from headrace.streams.duration import DAY_MS, duration_ms, duration_text
from headrace.streams.estimators import reads_text
from headrace.streams.event import Event
from headrace.streams.features.checks import (
    TEXT_AS_NUMBER,
    Limits,
    Types,
    feature_faults,
    function_faults,
)
from headrace.streams.features.declared import Feature
from headrace.streams.model_checks import (
    cost_faults,
    decide_faults,
    is_event,
    model_faults,
    task_of,
)
from headrace.streams.pipeline import (
    Alarms,
    Cost,
    InEvent,
    Labels,
    LearnedBaseline,
    Monitor,
    Pipeline,
    Source,
    last_value,
    majority,
)
from headrace.streams.places import Fault, suggestion
from headrace.streams.retention import bounds_of, retention_faults
from headrace.streams.ways_out import type_name, way_out

RUN_LENGTH_MS_MIN = 86_400_000
RUN_LENGTH_MS_MAX = 3_650 * 86_400_000
"""What can be promised of false alarms: one a day to one in ten years."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,48}")
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


def faults_of(pipeline: Pipeline) -> list[str]:
    """Return one sentence for each fault; an empty list for a declaration that works."""
    if not isinstance(pipeline.events, Source) or not is_event(pipeline.events.event):
        what = f"events={pipeline.events!r} is no Source of a subclass of headrace.Event."
        found = [Fault(what, 'Write Source(Order, id="...", key="...", time="...").')]
    else:
        found = list(_all_faults(pipeline))
    place = pipeline.place
    sentences = [
        fault._replace(place=fault.place or place).sentence(pipeline.name) for fault in found
    ]
    return list(dict.fromkeys(sentences))


def _all_faults(pipeline: Pipeline) -> Iterator[Fault]:
    source = pipeline.events
    labels: Any = pipeline.labels
    types = field_types(source.event)
    if not isinstance(pipeline.name, str) or not _NAME.fullmatch(pipeline.name):
        hint = "Use a letter, then up to 48 letters, digits, - and _."
        yield Fault(f"name={pipeline.name!r} cannot be the prefix of topics.", hint)
    yield from retention_faults(pipeline.retention, pipeline.place)
    kept = bounds_of(pipeline.retention)
    yield from _source_faults(source, types, kept.events)
    if isinstance(labels, Labels):
        yield from _labels_faults(labels, source, kept.waiting)
    elif isinstance(labels, InEvent):
        where = "InEvent"
        yield from _field_faults(where, "value", labels.value, source.event, types, labels.place)
    elif labels is not None:
        yield Fault(f"labels={labels!r} is none.", "Use Labels(...), InEvent(...) or None.")
    hidden = labels.value if isinstance(labels, InEvent) else None
    limits = Limits(_parsed(source.lateness) or 0, kept.events)
    features = pipeline.flat_features()
    of_features = feature_faults(features, source.event, types, limits, hidden)
    if reads_text(pipeline.model) is not None:  # one sentence about text is enough
        of_features = (fault for fault in of_features if not fault.what.endswith(TEXT_AS_NUMBER))
    yield from of_features
    yield from model_faults(pipeline)
    yield from decide_faults(pipeline)
    yield from _monitor_faults(pipeline, types, hidden, kept.counts)
    yield from _alarms_faults(pipeline, kept.counts)


def _field_faults(
    where: str, what: str, name: str, owner: type, types: Types, place: str
) -> Iterator[Fault]:
    if name not in types:
        said = f'{where}({what}="{name}") names a field that {owner.__name__} does not have.'
        yield Fault(said, suggestion(name, types), place)


def _source_faults(source: Source, types: Types, kept_ms: int) -> Iterator[Fault]:
    event, place = source.event, source.place
    for what in ("id", "key", "time"):
        yield from _field_faults("Source", what, getattr(source, what), event, types, place)
    for what in ("id", "key"):
        yield from _name_faults("Source", what, getattr(source, what), types, place)
    yield from _time_faults("Source", source.time, types, place)
    yield from _stream_faults("Source", source, event)
    for what in ("lateness", "skew"):
        yield from _duration_faults("Source", what, getattr(source, what), place, kept_ms)


def _labels_faults(labels: Labels, source: Source, kept_ms: int) -> Iterator[Fault]:
    label, place = labels.label, labels.place
    if not is_event(label):
        yield Fault(f"Labels({label!r}, ...) is no subclass of headrace.Event.", "", place)
        return
    types = field_types(label)
    for what in ("id", "value", "time"):
        yield from _field_faults("Labels", what, getattr(labels, what), label, types, place)
    yield from _name_faults("Labels", "id", labels.id, types, place)
    yield from _time_faults("Labels", labels.time, types, place)
    yield from _stream_faults("Labels", labels, label)
    for what in ("wait", "lateness", "ahead"):
        if getattr(labels, what) is not None:
            yield from _duration_faults("Labels", what, getattr(labels, what), place, kept_ms)
    if labels.topic is not None and labels.topic == source.topic:
        yield Fault(f"Labels and Source both read {labels.topic!r}.", "Use two topics.", place)


def _name_faults(where: str, what: str, name: str, types: Types, place: str) -> Iterator[Fault]:
    plain, optional = types.get(name, (str, False))
    if optional or not (plain in (str, int, UUID) or literal_values(plain)):
        said = f'{where}({what}="{name}") must be text or an integer, and never null.'
        yield Fault(said, "Declare the field as str or int.", place)


def _time_faults(where: str, name: str, types: Types, place: str) -> Iterator[Fault]:
    if types.get(name, (datetime, False)) != (datetime, False):
        said = f'{where}(time="{name}") must be a datetime, and never null.'
        yield Fault(said, "Declare the field as datetime.", place)


def _stream_faults(where: str, stream: Source | Labels, owner: type[Event]) -> Iterator[Fault]:
    if stream.format not in ("json", "avro"):
        hint = suggestion(stream.format, ("json", "avro"))
        yield Fault(f'{where}(format="{stream.format}") is not known.', hint, stream.place)
    if stream.topic is not None and not _TOPIC.fullmatch(stream.topic):
        hint = "Use letters, digits, ., _ and -."
        yield Fault(f"{where}(topic={stream.topic!r}) is no topic's name.", hint, stream.place)
    if stream.format == "avro":
        for name, (plain, _) in field_types(owner).items():
            if avro_type(plain) is None:
                said = f"{owner.__name__}.{name} is {type_name(plain)}, which has no Avro type."
                yield Fault(said, way_out(plain), stream.place)
        return
    try:
        owner.model_json_schema()
    except (PydanticInvalidForJsonSchema, PydanticOmit) as error:
        said = f"{owner.__name__} has a field that JSON cannot carry ({error.args[0]})."
        yield Fault(said, way_out(None), stream.place)


def _parsed(text: Any) -> int | None:
    try:
        return duration_ms(text)
    except ValueError:
        return None


def _duration_faults(where: str, what: str, text: Any, place: str, kept_ms: int) -> Iterator[Fault]:
    """Yield what is wrong with a length of time, for which a log must be kept that long."""
    try:
        width = duration_ms(text)
    except ValueError as error:
        yield Fault(f"{where}({what}=...): {error}.", "", place)
        return
    if width > kept_ms:
        most, needed = duration_text(kept_ms), duration_text(-(-width // DAY_MS) * DAY_MS)
        said = f'{where}({what}="{text}") is longer than the log is kept ({most}).'
        hint = f'Use {most} or less, or keep the log longer: Pipeline(retention="{needed}").'
        yield Fault(said, hint, place)


def _monitor_faults(
    pipeline: Pipeline, types: Types, hidden: str | None, kept_ms: int
) -> Iterator[Fault]:
    monitor = pipeline.monitor
    for name in monitor.segments:
        yield from _segment_faults(name, pipeline, types, hidden)
    yield from _by_segment_faults(pipeline)
    for baseline in monitor.baselines:
        yield from _baseline_faults(baseline, pipeline, hidden)
    yield from _twice(monitor)
    if isinstance(monitor.business, Cost):
        yield from cost_faults("business", monitor.business)
        if task_of(pipeline) in ("multiclass", "regression"):
            yield Fault("business=Cost(...) is for true or false.", "Leave it.", monitor.place)
    yield from _duration_faults("Monitor", "reference", monitor.reference, monitor.place, kept_ms)
    yield from _duration_faults("Monitor", "pace", monitor.pace, monitor.place, kept_ms)
    for text in monitor.windows:
        yield from _duration_faults("Monitor", "windows", text, monitor.place, kept_ms)
    widths = [width for text in monitor.windows if (width := _parsed(text))]
    if not monitor.windows:
        yield Fault("Monitor(windows=[]) watches nothing.", 'Write ["1h", "1d"].', monitor.place)
    if any(width % min(widths) for width in widths):
        hint = f"Use multiples of {duration_text(min(widths))}."
        yield Fault(f"Monitor(windows={list(monitor.windows)}).", hint, monitor.place)


def _twice(monitor: Monitor) -> Iterator[Fault]:
    """Yield what is declared twice, of which only one would be kept."""
    widths = [width for text in monitor.windows if (width := _parsed(text))]
    names = [getattr(each, "kind", getattr(each, "__name__", "")) for each in monitor.baselines]
    listed: list[tuple[str, Sequence[Any]]] = [
        ("segments", monitor.segments), ("windows", widths), ("baselines", names),
    ]  # fmt: skip
    for what, values in listed:
        if len(set(values)) < len(values):
            shown = ", ".join(map(str, values if what != "windows" else monitor.windows))
            said = f"Monitor({what}=[...]) names one twice: {shown}."
            yield Fault(said, "Leave one; give a function another name.", monitor.place)


def _alarms_faults(pipeline: Pipeline, kept_ms: int) -> Iterator[Fault]:
    alarms: Any = pipeline.alarms
    if alarms is None:
        return
    if not isinstance(alarms, Alarms):
        yield Fault(f"alarms={alarms!r} is none.", "Use Alarms(...), or None for no alarms.")
        return
    if alarms.reference is not None:
        yield from _duration_faults("Alarms", "reference", alarms.reference, alarms.place, kept_ms)
    segments: Any = alarms.segments
    if not isinstance(segments, bool):
        said = f"Alarms(segments={segments!r}) is neither True nor False."
        yield Fault(said, "Monitor(segments=[...]) names the fields.", alarms.place)
    try:
        run_length = duration_ms(alarms.run_length)
    except ValueError as error:
        yield Fault(f"Alarms(run_length=...): {error}.", "", alarms.place)
        return
    if not RUN_LENGTH_MS_MIN <= run_length <= RUN_LENGTH_MS_MAX:
        said = f'Alarms(run_length="{alarms.run_length}") cannot be promised.'
        yield Fault(said, 'Use "1d" to "3650d".', alarms.place)


def _segment_faults(
    name: str, pipeline: Pipeline, types: Types, hidden: str | None
) -> Iterator[Fault]:
    place = pipeline.monitor.place
    yield from _field_faults("Monitor", "segments", name, pipeline.events.event, types, place)
    plain = types.get(name, (str, False))[0]
    if name == hidden:
        yield Fault(f'Monitor(segments=["{name}"]) is the label.', "Leave it.", place)
    elif plain not in (str, bool, int) and not literal_values(plain):
        said = f'Monitor(segments=["{name}"]) has too many values to tell apart.'
        yield Fault(said, "Use text, an integer or a boolean.", place)


def _by_segment_faults(pipeline: Pipeline) -> Iterator[Fault]:
    monitor, features = pipeline.monitor, pipeline.flat_features()
    known = [feature.name for feature in features if isinstance(feature, Feature)]
    declared = list(monitor.features_by_segment)
    for name in declared:
        if name not in known:
            said = f'Monitor(features_by_segment=["{name}"]) names no feature.'
            yield Fault(said, suggestion(name, known), monitor.place)
    if len(set(declared)) < len(declared):
        said = f"Monitor(features_by_segment={declared}) names a feature twice."
        yield Fault(said, "Leave one.", monitor.place)
    if declared and not monitor.segments:
        said = "Monitor(features_by_segment=[...]) has no segments."
        yield Fault(said, "Name their fields in segments=[...].", monitor.place)


def _baseline_faults(baseline: Any, pipeline: Pipeline, hidden: str | None) -> Iterator[Fault]:
    place = pipeline.monitor.place
    if pipeline.labels is None:
        yield Fault("there are baselines, and no labels to judge them by.", "Leave them.", place)
    if isinstance(baseline, LearnedBaseline):
        return
    name = getattr(baseline, "__name__", repr(baseline))
    if baseline in (majority, last_value):
        yield Fault(f"baseline {name} is a function.", f"Write {name}().", place)
        return
    for what, hint in function_faults(baseline, 1):
        yield Fault(f"baseline {name} {what}", hint, place)
    if hidden is not None and hidden in _names_read(baseline):
        said = f"baseline {name} reads {hidden!r}, the label."
        yield Fault(said, "It may read what the model may.", place)


def _names_read(function: Any) -> tuple[str, ...]:
    """Return the names of attributes that a function's own code reads."""
    code = getattr(function, "__code__", None)
    return () if code is None else code.co_names
