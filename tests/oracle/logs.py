"""A run's logs as plain data, and how they are read from Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SCHEMAS_TOPIC = "_headrace-schemas"
BARRIER = "headrace-barrier"
BARRIER_SOURCE = "headrace-barrier-source"
SOURCE = "headrace-source"
WATERMARK = "headrace-watermark"

TOPICS = (
    "events", "labels", "labels-routed", "predictions", "examples", "models", "dead-letters",
    "counts", "metrics", "alerts",
)  # fmt: skip


class LogRecord(NamedTuple):
    """One record of a topic partition, as it was read at ``read_committed``."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()

    @property
    def is_barrier(self) -> bool:
        return self.value is None and any(name == BARRIER for name, _ in self.headers)

    @property
    def watermark(self) -> bytes | None:
        """What a mark says, or a barrier that is one too."""
        return self.promise if self.value is None else None

    @property
    def promise(self) -> bytes | None:
        """The watermark that stands in its headers."""
        return dict(self.headers).get(WATERMARK)

    @property
    def is_control(self) -> bool:
        return self.is_barrier or self.watermark is not None


@dataclass
class Logs:
    """All records of a run, by topic and partition, in the order of their offsets.

    Attributes
    ----------
    topics
        Each topic's name, by what it is for (:data:`TOPICS`).
    partitions
        How many partitions each topic has, empty ones too.
    """

    topics: Mapping[str, str]
    partitions: Mapping[str, int]
    records: dict[tuple[str, int], list[LogRecord]] = field(default_factory=dict)

    def of(self, what: str) -> Iterable[tuple[int, LogRecord]]:
        """Go through the records of a topic, with their partitions; no barriers and no marks."""
        return ((number, record) for number, record in self.all(what) if not record.is_control)

    def repetitions(self, what: str) -> set[tuple[int, int]]:
        """Return partition and offset of each row of a source that came in its partition before."""
        found, seen = set(), set()
        for number, record in self.all(what):
            row = number, dict(record.headers).get(SOURCE)
            if row[1] is not None and row in seen:
                found.add((number, record.offset))
            seen.add(row)
        return found

    def anew(self, what: str) -> Iterable[tuple[int, LogRecord]]:
        """Go through all records of an input but repetitions, with their partitions."""
        repeated = self.repetitions(what)
        return (each for each in self.all(what) if (each[0], each[1].offset) not in repeated)

    def all(self, what: str) -> Iterable[tuple[int, LogRecord]]:
        """Go through all records of a topic, with their partitions."""
        topic = self.topics[what]
        for number in range(self.count(what)):
            for record in self.records.get((topic, number), ()):
                yield number, record

    def count(self, what: str) -> int:
        return self.partitions.get(self.topics[what], 0)

    def schemas(self) -> list[LogRecord]:
        return self.records.get((SCHEMAS_TOPIC, 0), [])


def topic_names(pipeline: str, **own: str) -> dict[str, str]:
    """Return a pipeline's topics; ``events`` and ``labels`` may be topics of the user's own."""
    return {what: own.get(what, f"{pipeline}.{what}") for what in TOPICS}


def read_logs(brokers: str, topics: Mapping[str, str]) -> Logs:
    """Read a pipeline's topics, and the registrations of schemas, to their present ends."""
    from confluent_kafka import Consumer, TopicPartition  # noqa: PLC0415 - only on real Kafka

    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "headrace-oracle",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
        }
    )
    try:
        known = consumer.list_topics(timeout=30).topics
        wanted = [name for name in (*topics.values(), SCHEMAS_TOPIC) if name in known]
        logs = Logs(topics, {name: len(known[name].partitions) for name in wanted})
        places = [
            TopicPartition(name, number, 0) for name in wanted for number in known[name].partitions
        ]
        for place in places:
            place.offset = consumer.get_watermark_offsets(place, timeout=30)[0]
            logs.records[place.topic, place.partition] = []
        consumer.assign(places)
        _drain(consumer, logs, len(places))
    finally:
        consumer.close()
    return logs


def _drain(consumer: Any, logs: Logs, partitions: int) -> None:
    """Read until every partition has said that it is at its end."""
    from confluent_kafka import KafkaError, KafkaException  # noqa: PLC0415 - same

    ended: set[tuple[str, int]] = set()
    while len(ended) < partitions:
        messages = consumer.consume(5_000, 1.0)
        for message in messages:
            error = message.error()
            if error is None:
                logs.records[message.topic(), message.partition()].append(_plain(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                ended.add((message.topic(), message.partition()))
            elif not error.retriable():
                raise KafkaException(error)


def _plain(message: Any) -> LogRecord:
    headers: Sequence[tuple[str, bytes | None]] = message.headers() or ()
    return LogRecord(
        message.offset(), message.timestamp()[1], message.key(), message.value(), tuple(headers)
    )
