"""Bad input among good: each becomes a dead letter or a count; all good is predicted.

The suite knows a system only by :class:`tests.systems.System`: bytes go in, records come out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from headrace.app.stack.stack import Stack
from headrace.schemas.counts import counted
from headrace.streams.event import Event
from headrace.streams.load import load_pipeline
from headrace.streams.outgoing import Outgoing
from headrace.streams.plan import Plan, plan_of
from headrace.streams.topics import Partitions
from tests.faults.system import System as Workers
from tests.faults.system import running
from tests.oracle.logs import LogRecord, Logs
from tests.oracle.truth import check
from tests.oracle.wire import Schemas
from tests.services import fresh_name
from tests.systems import Message, System
from tests.systems.bad import CASE, Bad, Maker
from tests.systems.flights import PIPELINE, outgoing
from tests.systems.kafka import KafkaSystem
from tests.systems.memory import MemorySystem

LOOSE = Path(__file__).parents[1] / "systems" / "loose.py"
RECORDS = 3_200
MINUTE, HOUR = 60_000, 3_600_000


@contextmanager
def in_memory(request: pytest.FixtureRequest, file: Path, name: str) -> Iterator[System]:
    yield MemorySystem(plan_of(load_pipeline(file, name)), PARTITIONS)


@contextmanager
def on_kafka(request: pytest.FixtureRequest, file: Path, name: str) -> Iterator[System]:
    """Run the pipeline's workers on the session's Kafka, Valkey and a registry in SQLite."""
    stack: Stack = request.getfixturevalue("stack")
    folder: Path = request.getfixturevalue("tmp_path_factory").mktemp(name)
    environment = {
        "HEADRACE_KAFKA_BROKERS": str(stack.addresses["kafka"]),
        "HEADRACE_REDIS_URL": str(stack.addresses["redis"]),
    }
    inputs = {"events": PARTITIONS.events, "labels": PARTITIONS.labels}
    system = Workers(folder, fresh_name(name), environment, file, pipeline=name, inputs=inputs)
    with running(system):
        system.start()
        system.wait_running()
        plan, brokers = system.prepared.plan, system.services.kafka.brokers
        yield KafkaSystem(plan, brokers, system.prepared.partitions)
        assert set(system.stop()) == {0}


PARTITIONS = Partitions(events=2, labels=3, predictions=2)

SYSTEMS = {"memory": in_memory, "kafka": on_kafka}
MARKS = {"memory": (), "kafka": (pytest.mark.integration, pytest.mark.timeout(300))}


@dataclass(frozen=True)
class Timed:
    """A message, and when it is published."""

    time_ms: int
    what: str
    message: Message
    name: str = ""  # of a special case


class Story:
    """Good records of some forty hours, and what is to be put among them.

    Attributes
    ----------
    good
        Ids of all events that are sound, whatever their labels are.
    unlabelled
        Those whose label is not to be used.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.records = self._good()
        self.events = [each for each in self.records if each.what == "events"]
        self.labels = {self._label_id(r): r for r in self.records if r.what == "labels"}
        labelled = [r for r in self.events if self._event_id(r) in self.labels]
        self.chosen = labelled[40:100:10]
        self.good = [self._event_id(record) for record in self.events]
        self.unlabelled: set[str] = set()

    def _good(self) -> list[Timed]:
        found: list[Outgoing] = []
        for record in outgoing(self.plan):
            found.append(record)
            if len(found) == RECORDS:
                break
        return [
            Timed(r.time_ms, "labels" if r.is_label else "events", Message(r.key, r.value))
            for r in found
        ]

    def event(self, record: Timed) -> Event:
        found = self.plan.decode_event(record.message.value, 2**60)
        assert isinstance(found, Event)
        return found

    def label(self, record: Timed) -> Event:
        found = self.plan.decode_label(record.message.value, 2**60)
        assert isinstance(found, Event)
        return found

    def _event_id(self, record: Timed) -> str:
        return self.plan.event_id(self.event(record))

    def _label_id(self, record: Timed) -> str:
        return self.plan.label_id(self.label(record))

    # -- records that are sound by themselves, and yet of no use

    def specials(self) -> list[Timed]:
        """Return them, each at its time; what they replace is taken out of the good ones."""
        again, early, nobody, expired, behind, before = self.chosen
        label = self.labels
        twice, against = label[self._event_id(again)], label[self._event_id(early)]
        found = [
            Timed(again.time_ms + 5 * MINUTE, "events", again.message, "duplicate event"),
            self._late_event(again),
            Timed(twice.time_ms + 10 * MINUTE, "labels", twice.message, "label twice"),
            self._changed(against, against.time_ms + 10 * MINUTE, "contradicting label",
                          label=not self.label(against).label),  # type: ignore[attr-defined]
            self._changed(twice, nobody.time_ms, "label for nobody", event_id="nobody"),
            self._instead(expired, expired.time_ms + 30 * HOUR, "label after the wait"),
            self._instead(before, before.time_ms - MINUTE, "label dated before its event"),
        ]  # fmt: skip
        late = self._instead(behind, behind.time_ms + 2 * HOUR, "label far too late")
        found.append(Timed(late.time_ms + 6 * HOUR, "labels", late.message, late.name))
        first = self._instead(nobody, nobody.time_ms + MINUTE, "label before its event")
        found.append(Timed(nobody.time_ms - 2 * MINUTE, "labels", first.message, first.name))
        self.unlabelled -= {self._event_id(nobody)}
        return found

    def _late_event(self, record: Timed) -> Timed:
        value = Maker(self.plan, self.event(record), self.any_label()).encoded(
            "events", {"event_id": "late-event"}
        )
        message = Message(record.message.key, value)
        self.good.append("late-event")
        return Timed(record.time_ms + 3 * HOUR, "events", message, "late event")

    def _changed(self, record: Timed, time_ms: int, name: str, **changes: Any) -> Timed:
        maker = Maker(self.plan, self.event(self.events[0]), self.label(record))
        value = maker.encoded("labels", changes)
        key = str(changes.get("event_id", self._label_id(record))).encode()
        return Timed(time_ms, "labels", Message(key, value), name)

    def _instead(self, event: Timed, time_ms: int, name: str) -> Timed:
        """Return a label of another time in place of an event's own."""
        event_id = self._event_id(event)
        own = self.labels[event_id]
        self.records.remove(own)
        self.unlabelled.add(event_id)
        when = self.event(event).event_time  # type: ignore[attr-defined]
        shift = (time_ms - self.plan.event_time_ms(self.event(event))) / 1_000

        return self._changed(own, time_ms, name, label_time=when + timedelta(seconds=shift))

    def any_label(self) -> Event:
        return self.label(next(iter(self.labels.values())))


def mixed(story: Story, bad: list[Bad], specials: list[Timed]) -> list[Timed]:
    """Return everything in order of time, the bad ones spread evenly among the rest."""
    whole = sorted([*story.records, *specials], key=lambda each: each.time_ms)
    step = len(whole) // (len(bad) + 1)
    for place, each in reversed(list(enumerate(bad, 1))):
        at = place * step
        whole.insert(at, Timed(whole[at].time_ms, each.what, each.message))
    return whole


@dataclass
class Run:
    """A system that all of it has gone through."""

    story: Story
    bad: list[Bad]
    logs: Logs
    schemas: Schemas

    def decoded(self, what: str) -> Iterator[tuple[int, LogRecord, dict[str, Any]]]:
        for number, record in self.logs.of(what):
            topic = self.logs.topics[what]
            yield number, record, self.schemas.decode(record.value or b"", topic)

    def counts(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for _, _, count in self.decoded("counts"):
            for _, segment, name, n in counted(count):
                if segment == "all":
                    found[name] += n
        return found


def publish_all(system: System, records: list[Timed]) -> None:
    """Publish in stretches, each of events or of labels, as they come."""
    for place, record in enumerate(records):
        system.publish(record.what, [record.message])
        if place % 400 == 399:
            system.settle()
    system.settle()


def run_of(system: System) -> Run:
    story = Story(system.plan)
    maker = Maker(system.plan, story.event(story.events[0]), story.any_label())
    bad, specials = maker.all(), story.specials()
    publish_all(system, mixed(story, bad, specials))
    logs = system.logs()
    return Run(story, bad, logs, Schemas(logs.schemas()))


CASES = [
    pytest.param((name, pipeline), marks=MARKS[name], id=f"{name}-{pipeline}")
    for name in SYSTEMS
    for pipeline in ("loose-json", "loose-avro")
]


@pytest.fixture(scope="module", params=CASES)
def run(request: pytest.FixtureRequest) -> Run:
    name, pipeline = request.param
    with SYSTEMS[name](request, LOOSE, pipeline) as system:
        return run_of(system)


def test_every_sound_event_is_predicted(run: Run) -> None:
    predicted: Counter[str] = Counter(p["event_id"] for _, _, p in run.decoded("predictions"))
    twice = {event_id for event_id, n in predicted.items() if n == 2}
    assert set(predicted) == set(run.story.good)
    assert len(twice) == 1  # the one that was published twice
    assert all(n == 1 for event_id, n in predicted.items() if event_id not in twice)


def test_every_label_that_can_be_used_makes_one_example(run: Run) -> None:
    examples = Counter(e["event_id"] for _, _, e in run.decoded("examples"))
    wanted = set(run.story.labels) & set(run.story.good) - run.story.unlabelled
    assert set(examples) == wanted
    assert set(examples.values()) == {1}


def test_each_bad_record_is_a_dead_letter_with_its_reason_and_all_that_it_was(run: Run) -> None:
    letters: defaultdict[tuple[str, int, int], list[dict[str, Any]]] = defaultdict(list)
    for _, _, letter in run.decoded("dead-letters"):
        letters[letter["topic"], letter["partition"], letter["offset"]].append(letter)
    found: dict[str, str] = {}
    for what in ("events", "labels"):
        for number, record in run.logs.of(what):
            if not record.headers or record.headers[0][0] != CASE:
                continue
            (letter,) = letters.pop((run.logs.topics[what], number, record.offset))
            found[(record.headers[0][1] or b"").decode()] = letter["reason"]
            check_letter(letter, record, "score" if what == "events" else "route")
    assert not letters
    assert found == {each.name: each.reason for each in run.bad}


def check_letter(letter: dict[str, Any], record: LogRecord, stage: str) -> None:
    assert letter["stage"] == stage
    assert letter["detail"]
    assert letter["timestamp"] == record.timestamp_ms
    assert letter["key"] == record.key
    assert [(h["name"], h["value"]) for h in letter["headers"]] == list(record.headers)
    value = record.value or b""
    assert letter["value_size"] == len(value)
    if len(value) <= 64 * 1024:
        assert letter["value"] == record.value
        assert letter["digest"] is None
    else:
        assert letter["value"] == value[: 64 * 1024]
        assert letter["digest"] == sha256(value).hexdigest()


def test_what_is_sound_and_yet_of_no_use_is_counted_by_name(run: Run) -> None:
    counts = run.counts()
    names = ("duplicate_event", "duplicate_label", "contradicting_label", "late_label")
    assert {name: counts[name] for name in names} == dict.fromkeys(names, 1)
    assert counts["late_event"] == counts["late_for_features"] == 1
    assert counts["unmatched_label"] == 3  # for nobody, after the wait, dated before its event
    assert counts["expired"] >= 2  # whose labels came too late
    reasons = Counter(each.reason for each in run.bad)
    assert {f"dead_letter.{reason}": n for reason, n in reasons.items()} == {
        name: n for name, n in counts.items() if name.startswith("dead_letter.")
    }


def test_all_kinds_are_tried(run: Run) -> None:
    reasons = {each.reason for each in run.bad}
    both = {"tombstone", "too_large", "out_of_range", "not_finite", "empty_id", "empty_key"}
    both |= {"future_event", "before_epoch"}
    avro = {"not_avro", "unknown_schema", "truncated", "trailing_bytes"}
    json = {"not_json", "invalid_utf8", "wrong_type", "missing_field"}
    form = run.story.plan.pipeline.events.format
    assert reasons == both | (avro if form == "avro" else json)


@pytest.mark.parametrize("name", [pytest.param(name, marks=marks) for name, marks in MARKS.items()])
def test_the_oracle_finds_the_truth_among_bad_input(
    request: pytest.FixtureRequest, name: str
) -> None:
    with SYSTEMS[name](request, PIPELINE, "flights") as system:
        run = run_of(system)
    report = check(run.logs)
    assert report.is_truth, report.text()
    assert report.compared["dead letters"] == len(run.bad)
