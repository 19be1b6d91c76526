"""Each valid event has one prediction; its features, watermark and place are the fold's."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.oracle import facts, wire
from tests.oracle.features import Entity, features_of
from tests.oracle.logs import LogRecord, Logs
from tests.oracle.marks import Marks
from tests.oracle.report import Report
from tests.oracle.wire import Bad, Schemas


class Prediction(NamedTuple):
    """A prediction as it lies in the log, and the event that it is of.

    Attributes
    ----------
    timestamp_ms
        Of the event's record.
    age_ms
        How much older its entity's newest event was; None of a new entity.
    """

    partition: int
    offset: int
    fields: dict[str, Any]
    event: Mapping[str, Any]
    timestamp_ms: int
    age_ms: int | None


@dataclass
class Truth:
    """What the fold has found so far; handed from one part of the oracle to the next.

    Attributes
    ----------
    predictions
        By the coordinates of their events.
    rejected
        Reason code of each bad input record, by topic, partition and offset.
    counts
        What should have been counted, by (tile, segment, name).
    """

    schemas: Schemas
    avro: bool
    predictions: dict[tuple[int, int], Prediction] = field(default_factory=dict)
    rejected: dict[tuple[str, int, int], tuple[str, str, LogRecord]] = field(default_factory=dict)
    counts: Counter[tuple[int, str, str]] = field(default_factory=Counter)

    def count(self, name: str, time_ms: int | None, n: int = 1, segment: str = "all") -> None:
        tile = -1 if time_ms is None else time_ms - time_ms % facts.COUNT_TILE_MS
        self.counts[tile, segment, name] += n

    def reject(self, stage: str, place: tuple[str, int], record: LogRecord, code: str) -> None:
        self.rejected[*place, record.offset] = (stage, code, record)
        self.count(f"dead_letter.{code}", None)

    def refuse(self, code: str, field: str | None, watermark: int | None) -> None:
        """Count an event that is none, where its partition's watermark stands."""
        if watermark is not None:
            self.count(f"rejected:{code}", watermark)
            if field is not None:
                self.count(f"violation:{field}", watermark)


def check_predictions(logs: Logs, truth: Truth, report: Report) -> None:
    """Fold the events and compare each prediction's own part: all but what the model said."""
    said = _by_source(logs, truth, report)
    topic, partitions = logs.topics["events"], logs.count("events")
    marks = Marks(partitions)
    entities: defaultdict[tuple[int, str], Entity] = defaultdict(Entity)
    truth.count("repeated_event", None, len(logs.repetitions("events")))
    for number, record in logs.anew("events"):
        if record.is_control:
            marks.promised(number, record)
            continue
        avro = truth.schemas if truth.avro else None
        try:
            event = wire.read_input(record, facts.EVENT, topic, avro)
        except Bad as bad:
            truth.reject("score", (topic, number), record, str(bad))
            truth.refuse(str(bad), bad.field, marks.clocks[number].watermark)
            continue
        if wire.partition_of(event["origin"], partitions) != number:
            truth.reject("score", (topic, number), record, "wrong_partition")
            truth.refuse("wrong_partition", None, marks.clocks[number].watermark)
            continue
        watermark = marks.advance(number, event["event_time"])
        entity = entities[number, event["origin"]]
        age_ms = None if entity.newest is None else max(0, event["event_time"] - entity.newest)
        features, late = features_of(event, entity)
        wanted = {
            "id": f"{topic}-{number}-{record.offset}",
            "event_id": event["event_id"],
            "key": event["origin"],
            "event_time": event["event_time"],
            "source_partition": number,
            "source_offset": record.offset,
            "watermark": watermark,
            "late": late,
            "model": logs.topics["predictions"].removesuffix(".predictions"),
            "segments": {name: event[name] for name in facts.SEGMENTS},
        }
        found = said.pop((number, record.offset), [])
        report.compared["events"] += 1
        if len(found) != 1:
            report.differs("events", f"{wanted['id']} has {len(found)} predictions")
            continue
        _compare(found[0], wanted, features, logs, report)
        truth.predictions[number, record.offset] = Prediction(
            *found[0], event, record.timestamp_ms, age_ms
        )
    for place in said:
        report.differs("events", f"a prediction is of {place}, which is no valid event")
    marks.check(logs, "predictions", report)


_Found = tuple[int, int, dict[str, Any]]


def _by_source(logs: Logs, truth: Truth, report: Report) -> dict[tuple[int, int], list[_Found]]:
    found: dict[tuple[int, int], list[_Found]] = {}
    topic = logs.topics["predictions"]
    for number, record in logs.of("predictions"):
        fields = truth.schemas.decode(record.value or b"", topic)
        key = fields["event_id"]
        report.same("prediction keys", f"{topic}-{number}-{record.offset}", record.key,
                    key.encode())  # fmt: skip
        place = wire.partition_of(key, logs.count("predictions"))
        report.same("prediction places", fields["id"], number, place)
        source = fields["source_partition"], fields["source_offset"]
        found.setdefault(source, []).append((number, record.offset, fields))
    return found


def _compare(
    found: _Found, wanted: Mapping[str, Any], features: Mapping[str, Any], logs: Logs,
    report: Report,
) -> None:  # fmt: skip
    fields = found[2]
    report.same("prediction heads", wanted["id"], {name: fields[name] for name in wanted}, wanted)
    report.same("feature names", wanted["id"], list(fields["features"]), list(features))
    for name, value in features.items():
        report.same("features", f"{name} of {wanted['id']}", fields["features"].get(name), value)


# -- dead letters


def check_dead_letters(logs: Logs, truth: Truth, report: Report) -> None:
    """Each bad record has one dead letter, with its reason, coordinates, bytes and headers."""
    topic = logs.topics["dead-letters"]
    found: dict[tuple[str, int, int], list[dict[str, Any]]] = {}
    for _, record in logs.of("dead-letters"):
        fields = truth.schemas.decode(record.value or b"", topic)
        place = fields["topic"], fields["partition"], fields["offset"]
        key = "-".join(map(str, place)).encode()
        report.same("dead letter keys", place, record.key, key)
        found.setdefault(place, []).append(fields)
    for place, (stage, code, record) in truth.rejected.items():
        letters = found.pop(place, [])
        wanted = [_letter(stage, code, place, record)]
        given = [{name: each[name] for name in wanted[0]} for each in letters]
        report.same("dead letters", place, given, wanted)
    for place in found:
        report.differs("dead letters", f"{place} is valid, and has a dead letter")


def _letter(
    stage: str, code: str, place: tuple[str, int, int], record: LogRecord
) -> dict[str, Any]:
    value = record.value
    cut = value is not None and len(value) > facts.KEPT_BYTES
    return {
        "reason": code,
        "stage": stage,
        "topic": place[0],
        "partition": place[1],
        "offset": place[2],
        "timestamp": record.timestamp_ms,
        "key": record.key,
        "value": value if value is None else value[: facts.KEPT_BYTES],
        "value_size": len(value or b""),
        "digest": hashlib.sha256(value).hexdigest() if value is not None and cut else None,
        "headers": [{"name": name, "value": inner} for name, inner in record.headers],
    }
