"""Labels are routed as they came, and the examples are those of the predicate: by brute force."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.oracle import facts, wire
from tests.oracle.counting import number_bucket
from tests.oracle.logs import Logs
from tests.oracle.marks import Marks, marks_of
from tests.oracle.report import Report
from tests.oracle.scoring import Prediction, Truth
from tests.oracle.wire import Bad


@dataclass
class Routed:
    """A label on the partition of its event id."""

    offset: int
    fields: dict[str, Any]


def check_routed(logs: Logs, truth: Truth, report: Report) -> list[list[Routed]]:
    """Fold the labels; return the routed ones by partition, in order."""
    topic = logs.topics["labels-routed"]
    routed: list[list[Routed]] = [[] for _ in range(logs.count("labels-routed"))]
    found: dict[tuple[int, int], list[tuple[int, dict[str, Any]]]] = {}
    for number, record in logs.of("labels-routed"):
        fields = truth.schemas.decode(record.value or b"", topic)
        routed[number].append(Routed(record.offset, fields))
        source = fields["source_partition"], fields["source_offset"]
        found.setdefault(source, []).append((number, fields))
    _fold_labels(logs, truth, report, found)
    for place in found:
        report.differs("labels", f"a routed label is of {place}, which is no valid label")
    return routed


def _fold_labels(
    logs: Logs, truth: Truth, report: Report,
    found: dict[tuple[int, int], list[tuple[int, dict[str, Any]]]],
) -> None:  # fmt: skip
    topic = logs.topics["labels"]
    marks = Marks(logs.count("labels"))
    truth.count("repeated_label", None, len(logs.repetitions("labels")))
    for number, record in logs.anew("labels"):
        if record.is_control:
            marks.promised(number, record)
            continue
        try:
            label = wire.read_input(
                record, facts.LABEL, topic, truth.schemas if truth.avro else None
            )
        except Bad as bad:
            truth.reject("route", (topic, number), record, str(bad))
            continue
        if record.promise is None:
            watermark = marks.advance(number, label["label_time"])
        else:
            watermark = marks.promised(number, record)
        truth.count("routed", label["label_time"])
        delay = number_bucket(max(0, record.timestamp_ms - label["label_time"]))
        truth.count(f"label_record_delay:{delay}", label["label_time"])
        wanted = {
            "event_id": label["event_id"],
            "label": label["label"],
            "label_time": label["label_time"],
            "source_partition": number,
            "source_offset": record.offset,
            "watermark": watermark,
        }
        place = wire.partition_of(label["event_id"], logs.count("predictions"))
        given = found.pop((number, record.offset), [])
        report.same("labels", f"{topic}-{number}-{record.offset}", given, [(place, wanted)])
    marks.check(logs, "labels-routed", report)


# -- the predicate


@dataclass
class First:
    """An eligible prediction that is no duplicate, and its labels in the order of their offsets."""

    prediction: Prediction
    labels: list[Routed]

    @property
    def time_ms(self) -> int:
        return int(self.prediction.fields["event_time"])


def eligible(time_ms: int, watermark: int | None, lateness_ms: int) -> bool:
    return watermark is None or time_ms >= watermark - lateness_ms


def wanted_examples(logs: Logs, truth: Truth, routed: list[list[Routed]]) -> list[dict[str, Any]]:
    """Return every example that there should be, in no order; count what became of the others."""
    by_partition: defaultdict[int, list[Prediction]] = defaultdict(list)
    for prediction in truth.predictions.values():
        by_partition[prediction.partition].append(prediction)
    wanted = []
    for number in range(logs.count("predictions")):
        predictions = sorted(by_partition[number], key=lambda each: each.offset)
        firsts = _firsts(predictions, truth)
        unmatched = _give_labels(firsts, routed[number], truth)
        events, labels = _horizons(logs, number, predictions, routed[number])
        _count_leavers(truth, events, labels, firsts, unmatched)
        wanted += [_example(first) for each in firsts.values() for first in each if first.labels]
    return wanted


def _firsts(predictions: Iterable[Prediction], truth: Truth) -> dict[str, list[First]]:
    firsts: defaultdict[str, list[First]] = defaultdict(list)
    for prediction in predictions:
        fields = prediction.fields
        time_ms, known = fields["event_time"], firsts[fields["event_id"]]
        if not eligible(time_ms, fields["watermark"], facts.EVENT_LATENESS_MS):
            truth.count("late_event", time_ms)
        elif any(abs(time_ms - first.time_ms) <= facts.WAIT_MS for first in known):
            truth.count("duplicate_event", time_ms)
        else:
            truth.count("first_event", time_ms)
            known.append(First(prediction, []))
    return firsts


def _give_labels(
    firsts: dict[str, list[First]], routed: Iterable[Routed], truth: Truth
) -> list[Routed]:
    """Give each label to its first; return those that match none."""
    unmatched = []
    for label in routed:
        fields = label.fields
        time_ms = fields["label_time"]
        if not eligible(time_ms, fields["watermark"], facts.LABEL_LATENESS_MS):
            truth.count("late_label", time_ms)
            continue
        fitting = [
            first
            for first in firsts.get(fields["event_id"], ())
            if first.time_ms <= time_ms <= first.time_ms + facts.WAIT_MS
        ]
        if not fitting:
            unmatched.append(label)
            continue
        (first,) = fitting
        if not first.labels:
            truth.count("matched", first.time_ms)
        elif fields["label"] == first.labels[0].fields["label"]:
            truth.count("duplicate_label", time_ms)
        else:
            truth.count("contradicting_label", time_ms)
        first.labels.append(label)
    return unmatched


def _count_leavers(
    truth: Truth, events: int | None, labels: int | None,
    firsts: dict[str, list[First]], unmatched: Iterable[Routed],
) -> None:  # fmt: skip
    """Count what can match nothing any more, by how far both inputs' sources have come."""
    for first in (first for each in firsts.values() for first in each if not first.labels):
        if labels is not None and first.time_ms + facts.WAIT_MS < labels - facts.LABEL_LATENESS_MS:
            truth.count("expired", first.time_ms)
    for label in unmatched:
        time_ms = label.fields["label_time"]
        if events is not None and time_ms < events - facts.EVENT_LATENESS_MS:
            truth.count("unmatched_label", time_ms)


def _horizons(
    logs: Logs, number: int, predictions: Iterable[Prediction], routed: Iterable[Routed]
) -> tuple[int | None, int | None]:
    """Return how far the events, and the labels, have come in a partition of both."""
    scored = _carried(each.fields for each in predictions)
    labelled = _carried(each.fields for each in routed)
    return (
        _horizon([*scored, *marks_of(logs, "predictions", number)], logs.count("events")),
        _horizon([*labelled, *marks_of(logs, "labels-routed", number)], logs.count("labels")),
    )


def _carried(records: Iterable[dict[str, Any]]) -> list[tuple[int, int]]:
    """Return the watermarks that records carry, with their sources."""
    found = [(fields["source_partition"], fields["watermark"]) for fields in records]
    return [(source, mark) for source, mark in found if mark is not None]


def _horizon(said: Iterable[tuple[int, int]], sources: int) -> int | None:
    """Return the lowest watermark of all sources; None if one has said none."""
    marks: dict[int, int] = {}
    for source, mark in said:
        marks[source] = max(mark, marks.get(source, mark))
    return min(marks.values()) if len(marks) == sources else None


def _example(first: First) -> dict[str, Any]:
    label = first.labels[0].fields
    return {
        **first.prediction.fields,
        "label": label["label"],
        "label_time": label["label_time"],
        "label_partition": label["source_partition"],
        "label_offset": label["source_offset"],
    }


def check_examples(
    logs: Logs, truth: Truth, routed: list[list[Routed]], report: Report
) -> list[tuple[int, dict[str, Any]]]:
    """Compare the set of examples; return the log of examples, in its order, with offsets."""
    topic = logs.topics["examples"]
    examples = []
    found: dict[str, list[dict[str, Any]]] = {}
    for _, record in logs.of("examples"):
        fields = truth.schemas.decode(record.value or b"", topic)
        report.same("example keys", fields["id"], record.key, fields["event_id"].encode())
        examples.append((record.offset, fields))
        found.setdefault(fields["id"], []).append(fields)
    for wanted in wanted_examples(logs, truth, routed):
        report.same("examples", wanted["id"], found.pop(wanted["id"], []), [wanted])
    for name in found:
        report.differs("examples", f"{name} should have no example")
    return examples
