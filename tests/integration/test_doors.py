"""The doors on a real Kafka: topics, and the publisher."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from string import ascii_letters
from typing import Annotated, Any

import pytest
from confluent_kafka import Producer
from pydantic import Field
from river import linear_model

from headrace.app.retention import refuse_short_logs, set_retention, shortfalls
from headrace.app.stack.process import free_port
from headrace.schemas.codec import Codec
from headrace.schemas.errors import InputError, Refused, ServiceError
from headrace.streams.engine.admin import Topics
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.ids import SchemaIds, codecs_for, register_schemas
from headrace.streams.engine.pace import (
    Progress,
    publish_flat_out,
    publish_in_step,
    publish_paced,
)
from headrace.streams.engine.publisher import Publisher
from headrace.streams.engine.reader import Reading
from headrace.streams.event import Event
from headrace.streams.outgoing import interleaved
from headrace.streams.partitioner import partition_of
from headrace.streams.pipeline import Labels, Pipeline, Source, TopicRetention, value
from headrace.streams.plan import Plan, plan_of
from headrace.streams.records import BARRIER, Emit
from headrace.streams.topics import Partitions, TopicSpec, topic_specs
from tests.integration.logs import until
from tests.services import MakeTopic, fresh_name, produce

pytestmark = pytest.mark.integration

LARGE = "".join(Random(1).choices(ascii_letters, k=4_000))
"""Too large for a topic of 2,000 bytes, compressed too."""

START = datetime(2024, 5, 1, tzinfo=UTC)


class Ride(Event):
    ride: str
    zone: str
    at: datetime
    fare: float
    note: Annotated[str, Field(max_length=2_000_000)] = ""


class Paid(Event):
    ride: str
    paid: bool
    at: datetime


def plan(format: str = "json") -> Plan:
    return plan_of(
        Pipeline(
            name=fresh_name("city"),
            events=Source(Ride, id="ride", key="zone", time="at", format=format),  # type: ignore[arg-type]
            features=[value("fare")],
            model=linear_model.LogisticRegression(),
            labels=Labels(Paid, id="ride", value="paid", time="at"),
        )
    )


def ride(number: int, **rest: Any) -> Ride:
    at = START + timedelta(seconds=number)
    return Ride(ride=f"r{number}", zone=f"z{number % 40}", at=at, fare=number, **rest)


def paid(number: int, wait: int = 30) -> Paid:
    return Paid(ride=f"r{number}", paid=True, at=START + timedelta(seconds=number + wait))


def created(kafka: Connection, plan: Plan, partitions: int = 3) -> Plan:
    counts = Partitions(partitions, partitions, partitions)
    Topics(kafka.brokers).ensure(topic_specs(plan.topics, counts, joined=True))
    return plan


# -- topics


def test_topics_are_created_once(kafka: Connection) -> None:
    specs = topic_specs(plan().topics, Partitions(3, 2, 2), joined=True)
    topics = Topics(kafka.brokers)
    first = topics.ensure(specs)
    assert all(state.created and not state.differs for state in first)
    again = topics.ensure(specs)
    assert [(s.name, s.partitions, s.created, s.differs) for s in again] == [
        (spec.name, spec.partitions, False, ()) for spec in specs
    ]
    topics.delete([spec.name for spec in specs] + ["never-was"])
    until(lambda: not {s.name for s in specs} & set(topics.partition_counts()))


def test_what_differs_is_said_and_left_alone(kafka: Connection, make_topic: MakeTopic) -> None:
    name = make_topic(2, retention_ms="1000")
    spec = TopicSpec(name, 4, {"retention.ms": "2000", "cleanup.policy": "delete"})
    for _ in range(2):
        (state,) = Topics(kafka.brokers).ensure([spec])
        assert not state.created
        assert state.partitions == 2
        assert state.differs == (
            "has 2 partitions, 4 would be made",
            "retention.ms is 1000, 2000 would be set",
        )


def test_a_topic_of_ours_is_made_to_keep_what_is_declared_and_a_foreign_one_is_not(
    kafka: Connection, make_topic: MakeTopic
) -> None:
    foreign = make_topic(1, retention_ms="1000")
    base = plan().pipeline
    assert isinstance(base.labels, Labels)
    pipeline = replace(
        base,
        events=replace(base.events, topic=foreign),
        labels=replace(base.labels, wait="120d"),
        retention=TopicRetention("120d", metrics="1d"),
    )
    longer, broker = plan_of(pipeline), Topics(kafka.brokers)
    before = topic_specs(longer.topics, Partitions(1, 1, 1), joined=True)
    after = topic_specs(longer.topics, Partitions(1, 1, 1), joined=True, retention=longer.retention)
    broker.ensure(before)
    states = broker.compare(after)
    with pytest.raises(Refused, match="labels may come 120d after their events"):
        refuse_short_logs(longer, states)
    assert set(set_retention(longer, states, kafka)) == {
        name for name in longer.topics if name not in (foreign, longer.topics.metrics)
    }
    (left,) = [state for state in broker.compare(after) if state.retention]
    assert (left.name, left.kept_ms) == (foreign, 1_000)
    (said,) = shortfalls(longer, broker.compare(after), kafka.brokers)
    assert f"--entity-name {foreign} --add-config retention.ms=10368000000`" in said
    refuse_short_logs(longer, broker.compare(after))
    broker.delete([spec.name for spec in after if spec.name != foreign])


def test_topics_are_created_by_several_at_once(kafka: Connection) -> None:
    spec = TopicSpec(fresh_name(), 3, {})
    with ThreadPoolExecutor(4) as pool:
        states = list(pool.map(lambda _: Topics(kafka.brokers).ensure([spec])[0], range(4)))
    assert all((state.partitions, state.differs) == (3, ()) for state in states)
    assert sum(state.created for state in states) == 1
    Topics(kafka.brokers).delete([spec.name])


def test_no_broker_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.streams.engine.admin._REQUEST_S", 1)
    monkeypatch.setattr("headrace.streams.engine.connection.REQUEST_S", 1)
    nobody = Connection(f"127.0.0.1:{free_port()}")
    for asked in (Topics(nobody.brokers).partition_counts, nobody.partition_counts):
        with pytest.raises(ServiceError, match=r"No Kafka broker answers at .*`headrace up`"):
            asked()


# -- the publisher


def partitions_by_key(kafka: Connection, topic: str) -> dict[bytes, set[int]]:
    found: dict[bytes, set[int]] = {}
    for record, _ in Reading(kafka, topic).records():
        assert record.key is not None
        found.setdefault(record.key, set()).add(record.partition)
    return found


def test_keys_lie_where_kafkas_own_partitioner_puts_them(kafka: Connection) -> None:
    """Compared with librdkafka's form of it, on the same topic."""
    made = created(kafka, plan(), 7)
    events, labels = made.topics.events, made.topics.labels
    with Publisher(made, kafka) as publisher:
        for number in range(200):
            publisher.event(ride(number))
            publisher.label(paid(number))
        assert (publisher.events, publisher.labels) == (200, 200)
    assert publisher.waiting == 0
    theirs = Producer({"bootstrap.servers": kafka.brokers, "partitioner": "murmur2_random"})
    for number in range(200):
        theirs.produce(events, b"{}", ride(number).zone.encode())
        theirs.produce(labels, b"{}", f"r{number}")
    assert theirs.flush(20) == 0
    for topic, keys in ((events, 40), (labels, 200)):
        found = partitions_by_key(kafka, topic)
        assert len(found) == keys
        assert found == {key: {partition_of(key, 7)} for key in found}
        assert len(set.union(*found.values())) == 7


@pytest.mark.parametrize("format", ["json", "avro"])
def test_what_was_published_is_read_as_the_stages_will(kafka: Connection, format: str) -> None:
    made = created(kafka, plan(format))
    with Publisher(made, kafka) as publisher:
        for number in range(20):
            publisher.event(ride(number))
    found = list(Reading(kafka, made.topics.events).records())
    decoded = [made.decode_event(record.value or b"", record.timestamp_ms) for record, _ in found]
    assert sorted(decoded, key=lambda event: event.at) == [ride(n) for n in range(20)]  # type: ignore[union-attr]


@pytest.mark.parametrize("allowed", [False, True])
def test_a_topic_of_others_is_given_events_alone_unless_it_is_allowed(
    kafka: Connection, allowed: bool
) -> None:
    """An event of others' topic has a value; a control record has none, and they would see it."""
    base = plan().pipeline
    theirs = fresh_name("shop.rides")
    events = replace(base.events, topic=theirs, control_records=allowed)
    made = created(kafka, plan_of(replace(base, name=fresh_name("rides"), events=events)))
    with Publisher(made, kafka) as publisher:
        *_, last = publish_flat_out(publisher, interleaved(made, [ride(n) for n in range(50)], []))
        assert last.done
        assert publisher.closed_topics() == ([] if allowed else [theirs])
        if allowed:
            publisher.barrier("first")
        else:
            with pytest.raises(InputError, match=rf"{theirs} is not the pipeline's own.*True"):
                publisher.barrier("first")
    values = [m.value() for m in Reading(kafka, theirs)._messages()]
    assert sum(value is not None for value in values) == 50
    assert any(value is None for value in values) == allowed


def test_a_barrier_lies_behind_everything_in_each_input_partition(kafka: Connection) -> None:
    made = created(kafka, plan())
    with Publisher(made, kafka) as publisher:
        for number in range(50):
            publisher.event(ride(number))
        publisher.barrier("first")
        with pytest.raises(InputError, match="1 to 256 characters"):
            publisher.barrier("x" * 257)
    for topic in (made.topics.events, made.topics.labels):
        reading = Reading(kafka, topic)
        last: dict[int, Any] = {}
        count = 0
        for message in reading._messages():
            last[message.partition() or 0] = message
            count += message.value() is not None
        assert count == (50 if topic == made.topics.events else 0)
        assert len(last) == 3
        for message in last.values():
            assert (message.key(), message.value()) == (None, None)
            assert (message.headers() or [])[0] == (BARRIER, b"first")


def test_what_was_not_delivered_is_raised(kafka: Connection) -> None:
    made = plan()
    small = {"max.message.bytes": "2000"}
    Topics(kafka.brokers).ensure(
        [TopicSpec(made.topics.events, 1, small), TopicSpec(made.topics.labels, 1)]
    )
    publisher = Publisher(made, kafka)
    publisher.event(ride(2))
    publisher.flush()  # else the two travel, and fail, together
    publisher.event(ride(1, note=LARGE))
    with pytest.raises(ServiceError, match=r"did not take 1 records \(.*events-0: .*large"):
        publisher.flush()
    publisher.flush()  # said once
    with pytest.raises(ServiceError, match="did not take 1 records"):  # noqa: SIM117 - leaving raises
        with publisher:
            publisher.event(ride(3, note=LARGE))
    assert [fields["ride"] for fields in Reading(kafka, made.topics.events)] == ["r2"]


def test_a_pipeline_without_topics_takes_nothing(kafka: Connection) -> None:
    made = plan()
    with pytest.raises(ServiceError, match=rf"no topic {made.topics.events} and no .*labels"):
        Publisher(made, kafka)


# -- how fast


def test_a_history_is_published_flat_out_and_paced(kafka: Connection) -> None:
    made = created(kafka, plan())
    records = list(interleaved(made, [ride(n) for n in range(9)], [paid(n) for n in range(5)]))
    with Publisher(made, kafka) as publisher:
        *_, end = publish_flat_out(publisher, records)
        assert end == Progress(9, 5, records[-1].time_ms, done=True)
    begun = datetime.now(UTC)
    with Publisher(made, kafka) as publisher:
        seen = list(publish_paced(publisher, records, speed=34))  # 34 s of event time
    assert 0.9 < (datetime.now(UTC) - begun).total_seconds() < 10
    assert (seen[-1].events, seen[-1].labels, seen[-1].done) == (9, 5, True)
    assert len(seen) >= 3  # progress, a few times a second


def test_in_step_each_slice_waits_until_it_is_learned_and_served(
    kafka: Connection, tmp_path: Path
) -> None:
    """LEARN and a scorer are played by a thread, which sees what the publisher waits for."""
    made = created(kafka, plan())
    registered = register_schemas(SchemaIds(kafka), made)
    models = codecs_for(made, registered).model
    board: dict[str, dict[str, Any]] = {}
    asked = [0]

    def workers() -> dict[str, dict[str, Any]]:
        asked[0] += 1
        for state in board.values():
            state["time"] = asked[0]
        return board

    records = interleaved(made, [ride(n) for n in range(9)], [])
    waited: list[str] = []
    learned = 0
    with Publisher(made, kafka) as publisher:
        steps = publish_in_step(publisher, records, 3_000, workers, wait_s=20)
        for now in steps:
            waited.append(now.waiting_for)
            if now.waiting_for == "learn":
                learned += 3
                name = newest_barrier(kafka, made.topics.events)
                announce(kafka, made, models, learned, name)
            elif now.waiting_for == "score":  # no scorer on the board yet
                board["score-0"] = {"role": "score", "learned_to": learned - 1}
            elif now.waiting_for == "score-0":
                board["score-0"]["learned_to"] = learned
        assert (now.events, now.slices, now.learned_to, now.done) == (9, 3, 9, True)
    assert waited.count("learn") == 3
    assert "score" in waited
    assert "score-0" in waited


def newest_barrier(kafka: Connection, topic: str) -> str:
    names = [
        bytes(dict(message.headers() or [])[BARRIER] or b"").decode()  # type: ignore[arg-type]
        for message in Reading(kafka, topic)._messages()
        if message.value() is None
    ]
    return str(max(names, key=lambda name: int(name.rpartition("-")[2])))


def announce(kafka: Connection, plan: Plan, models: Codec, learned_to: int, barrier: str) -> None:
    held = {
        "pipeline": plan.name,
        "version": 1,
        "learned_to": learned_to,
        "state": b"",
        "checkpoint": None,
        "label_time": None,
        "barrier": barrier,
    }
    produce(kafka, [Emit(plan.topics.models, 0, b"", models.encode(held))])


def test_in_step_gives_up_on_nobody(kafka: Connection) -> None:
    made = created(kafka, plan())
    register_schemas(SchemaIds(kafka), made)
    with Publisher(made, kafka) as publisher:
        steps = publish_in_step(publisher, interleaved(made, [ride(0)], []), 1000, dict, wait_s=1)
        with pytest.raises(ServiceError, match=r"nobody of 'learn' .*Is `headrace run` running"):
            list(steps)
