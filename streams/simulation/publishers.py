"""What the publishers of a world write: good and bad, early, late, twice, misplaced; barriers.

Some of them are stopped, and publish again what they are not sure of (see ``repeats``).
Now and then a clock is a year ahead, and somebody writes rubbish where only stages write.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

from headrace.schemas.avro import field_types, to_millis
from headrace.streams.duration import duration_ms
from headrace.streams.partitioner import partition_of
from headrace.streams.pipeline import Labels
from headrace.streams.plan import Plan
from headrace.streams.records import BARRIER, TopicPartition
from headrace.streams.simulation.flow import Publication
from headrace.streams.simulation.madeup import MadeUp
from headrace.streams.simulation.repeats import forked, repeated

START = datetime(2024, 5, 1, 12, tzinfo=UTC)
ENTITIES = 6
FAR = timedelta(days=365)
STRANGER = "stranger"
"""The header of a record that no stage has written to the stages' own topics."""

_STEPS = 60
"""So many steps of event time, or about half as many events, are in one of the plan's durations."""


def publications(plan: Plan, partitions: int, rng: Random, events: int) -> list[Publication]:
    """Return what is published to a pipeline's inputs, in the order in which it is.

    Parameters
    ----------
    partitions
        How many partitions each input has.
    events
        How many events there are; labels and barriers come besides.

    Raises
    ------
    InputError
        No valid event or label can be made up.
    """
    chance = forked(rng)
    made = _Publishing(plan, partitions, rng).run(events)
    return repeated(made, (plan.topics.events, plan.topics.labels), chance)


def durations_ms(plan: Plan) -> list[int]:
    """Return the lengths of time that matter to a pipeline, each once."""
    windows = {duration_ms(f.over) for f in plan.pipeline.flat_features() if f.over}
    return sorted({*windows, *plan.windows_ms, plan.wait_ms} - {0})


class _Publishing:
    """Makes up what is published, each record with its place among all."""

    def __init__(self, plan: Plan, partitions: int, rng: Random) -> None:
        self._plan = plan
        self._partitions = partitions
        self._rng = rng
        self._step = timedelta(milliseconds=max(1, rng.choice(durations_ms(plan)) // _STEPS))
        self._wait = timedelta(milliseconds=plan.wait_ms)
        self._found: list[tuple[float, Publication]] = []
        self._events = MadeUp(plan.pipeline.events.event, rng)
        self._declared = plan.pipeline.labels if isinstance(plan.pipeline.labels, Labels) else None
        self._labels = MadeUp(self._declared.label, rng) if self._declared else None

    def run(self, events: int) -> list[Publication]:
        now = START
        for number in range(events):
            now += self._step * self._rng.choice([0, 0.5, 1, 4])
            event_id = self._event(number, now)
            if self._declared is not None and self._labels is not None:
                self._label_all(self._declared, self._labels, number, event_id, now)
            if self._rng.random() < 0.02:
                self._barrier(number, self._rng.choice(["again", f"b{number}"]))
            if self._rng.random() < 0.01:
                self._rubbish(number, now)
        self._barrier(events + 1_000, "end")
        self._found.sort(key=lambda pair: pair[0])
        return [each for _, each in self._found]

    def _event(self, number: int, now: datetime) -> str:
        rng, plan, source = self._rng, self._plan, self._plan.pipeline.events
        late = timedelta(milliseconds=plan.lateness_ms) * rng.choice([0, 0, 0, 0.3, 3])
        now += FAR * (rng.random() < 0.003)
        fixed = {
            source.key: self._events.name(source.key, rng.randrange(ENTITIES)),
            source.id: self._events.name(source.id, number),
            source.time: now - late,
        }
        event = self._events.make(now, fixed)
        value = plan.encode_event(event) if rng.random() >= 0.03 else self._broken()
        key = plan.event_key(event).encode()
        partition = partition_of(key, self._partitions)
        if rng.random() < 0.01:  # a producer with another partitioner
            partition = (partition + 1) % self._partitions
        for delay in [0, 3] if rng.random() < 0.05 else [0]:
            self._write(number + delay, (plan.topics.events, partition), key, value, now)
        return plan.event_id(event)

    def _label_all(
        self, declared: Labels, made_up: MadeUp, number: int, event_id: str, now: datetime
    ) -> None:
        """Label an event: once as a rule; now and then never, or several times."""
        rng, plan = self._rng, self._plan
        is_number = field_types(declared.label)[declared.id][0] is int
        for _ in range(1 if rng.random() < 0.8 else rng.choice([0, 2, 3])):
            after = self._wait * rng.choice([0, 0.03, 0.15, 0.8, 1.2]) - self._step * (
                rng.random() < 0.15
            )
            after += FAR * (rng.random() < 0.005)
            fixed = {declared.id: int(event_id) if is_number else event_id}
            label = made_up.make(now, {declared.time: now + after, **fixed})
            value = plan.encode_label(label) if rng.random() >= 0.02 else self._broken()
            place = number + rng.choice([0, 1, 4, 9, -6, 25])
            where = (plan.topics.labels, rng.randrange(self._partitions))
            self._write(place, where, event_id.encode(), value, now + max(after, timedelta()))

    def _rubbish(self, place: float, now: datetime) -> None:
        topics = self._plan.topics
        single = [topics.examples, topics.counts, topics.models]
        several = [topics.predictions, *([topics.labels_routed] if self._declared else [])]
        topic = self._rng.choice(single + several)
        number = self._rng.randrange(self._partitions) if topic in several else 0
        headers = ((STRANGER, b"1"),)
        found = Publication((topic, number), None, self._broken(), to_millis(now), headers)
        self._found.append((place, found))

    def _broken(self) -> bytes | None:
        return self._rng.choice([b"{", b"[]", b"\xff", None])

    def _write(
        self, place: float, tp: TopicPartition, key: bytes, value: bytes | None, now: datetime
    ) -> None:
        self._found.append((place, Publication(tp, key, value, to_millis(now))))

    def _barrier(self, place: float, name: str) -> None:
        inputs = [self._plan.topics.events, *([self._plan.topics.labels] if self._declared else [])]
        for topic in inputs:
            for partition in range(self._partitions):
                headers = ((BARRIER, name.encode()),)
                tp = (topic, partition)
                publication = Publication(tp, None, None, to_millis(START), headers)
                self._found.append((place, publication))
