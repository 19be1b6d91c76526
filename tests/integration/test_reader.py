"""The reader on a real Kafka: to the end, over gaps, followed, the newest, as a data frame."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from headrace.schemas.codec import Codec
from headrace.schemas.errors import ServiceError
from headrace.streams.engine.admin import Topics
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.ids import SchemaIds
from headrace.streams.engine.reader import Reading, read
from headrace.streams.records import Emit
from headrace.streams.subjects import subject_of
from headrace.streams.topics import Partitions, topic_specs, topics_of
from tests.integration.logs import until
from tests.services import MakeTopic, fresh_name, produce

pytestmark = pytest.mark.integration

ROW = {"type": "record", "name": "Row", "fields": [{"name": "n", "type": "long"}]}


@pytest.fixture
def rows(kafka: Connection, make_topic: MakeTopic) -> tuple[str, Callable[[int], bytes]]:
    """A topic with a registered schema, and its encoder."""
    topic = make_topic(2)
    subject = subject_of(topic)
    number = SchemaIds(kafka).register({subject: ROW}).id_of(subject, ROW)
    assert number is not None
    codec = Codec(ROW, number)
    return topic, lambda n: codec.encode({"n": n})


Rows = tuple[str, Callable[[int], bytes]]


def write_with_gaps(kafka: Connection, rows: Rows) -> None:
    """Partition 0: 0 1 marker | lost, marker of the abort | 2 tombstone nonsense 3 | 4 marker."""
    topic, encode = rows
    name = fresh_name("writer")
    produce(kafka, [Emit(topic, 0, None, encode(n)) for n in (0, 1)], transactional_id=name)
    producer = Producer({"bootstrap.servers": kafka.brokers, "transactional.id": name})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, encode(99), None, 0)
    producer.flush(20)
    producer.abort_transaction(20)
    produce(kafka, [Emit(topic, 0, None, encode(2)), Emit(topic, 0, b"k", None)])
    produce(kafka, [Emit(topic, 0, None, b"\0\0\0\0\1junk"), Emit(topic, 0, None, encode(3))])
    produce(kafka, [Emit(topic, 0, None, encode(4))], transactional_id=name)


def test_a_topic_is_read_to_its_end_over_gaps(kafka: Connection, rows: Rows) -> None:
    reading = Reading(kafka, rows[0])
    assert list(reading) == []
    write_with_gaps(kafka, rows)
    until(lambda: [fields["n"] for fields in reading] == [0, 1, 2, 3, 4])
    reading = Reading(kafka, rows[0])
    found = list(reading.records())
    assert [record.offset for record, _ in found] == [0, 1, 5, 8, 9]
    assert [(s.partition, s.offset, s.code) for s in reading.skipped] == [(0, 7, "unknown_schema")]


def test_an_open_transaction_is_no_end_and_no_obstacle(kafka: Connection, rows: Rows) -> None:
    topic, encode = rows
    produce(kafka, [Emit(topic, 0, None, encode(1)), Emit(topic, 1, None, encode(2))])
    producer = Producer({"bootstrap.servers": kafka.brokers, "transactional.id": fresh_name()})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, encode(3), None, 0)
    producer.flush(20)
    assert sorted(fields["n"] for fields in Reading(kafka, topic)) == [1, 2]
    producer.commit_transaction(20)
    until(lambda: sorted(fields["n"] for fields in Reading(kafka, topic)) == [1, 2, 3])


def test_what_is_followed_goes_on(kafka: Connection, rows: Rows) -> None:
    topic, encode = rows
    produce(kafka, [Emit(topic, 0, None, encode(0))])
    following = iter(Reading(kafka, topic, follow=True))
    assert next(following) == {"n": 0}
    later = threading.Timer(
        0.5, produce, (kafka, [Emit(topic, n % 2, None, encode(n)) for n in (1, 2)])
    )
    later.start()
    assert sorted((next(following)["n"], next(following)["n"])) == [1, 2]
    later.join()


def test_only_the_newest_are_read_on_demand(kafka: Connection, rows: Rows) -> None:
    topic, encode = rows
    produce(kafka, [Emit(topic, n % 2, None, encode(n)) for n in range(20)])
    found = [fields["n"] for fields in Reading(kafka, topic, last=2)]
    assert sorted(found) == [16, 17, 18, 19]
    assert len(list(Reading(kafka, topic, last=100))) == 20


def test_a_topic_becomes_a_data_frame(kafka: Connection, rows: Rows) -> None:
    empty = Reading(kafka, rows[0]).to_polars()
    assert (empty.columns, empty.height) == (["n"], 0)
    write_with_gaps(kafka, rows)
    until(lambda: Reading(kafka, rows[0]).to_polars().height == 5)
    frame = Reading(kafka, rows[0]).to_polars()
    assert frame["n"].to_list() == [0, 1, 2, 3, 4]
    assert str(frame.schema["n"]) == "Int64"
    with pytest.raises(ValueError, match="no end"):
        Reading(kafka, rows[0], follow=True).to_polars()


def test_a_pipelines_topics_are_read_by_their_names(kafka: Connection) -> None:
    topics = topics_of(fresh_name("city"))
    with pytest.raises(ServiceError, match=rf"no topic {topics.dead_letters}"):
        list(read(kafka, topics, "dead-letters"))
    with pytest.raises(ValueError, match=r'no "prediction"\. Did you mean "predictions"'):
        read(kafka, topics, "prediction")
    specs = topic_specs(topics, Partitions(3, 3, 3), joined=True)
    Topics(kafka.brokers).ensure(specs)
    assert list(read(kafka, topics, "predictions")) == []
