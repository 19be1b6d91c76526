"""A pipeline that runs on real Kafka, seen from outside by a plain client."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from uuid import uuid4

from confluent_kafka import Consumer, Producer, TopicPartition

from headrace.streams.partitioner import partition_of
from headrace.streams.plan import Plan
from headrace.streams.records import BARRIER
from headrace.streams.topics import Partitions
from tests.oracle.logs import Logs, read_logs, topic_names
from tests.systems import Message

WAIT_S = 90.0


class KafkaSystem:
    """A pipeline whose workers somebody else has started.

    Parameters
    ----------
    plan
        The pipeline's, with the registered codecs of its inputs (``wiring.prepare`` gives it).
    brokers
        Kafka's ``host:port``.
    partitions
        How many partitions the topics have.
    """

    def __init__(self, plan: Plan, brokers: str, partitions: Partitions) -> None:
        self.plan = plan
        self._brokers = brokers
        self._partitions = partitions
        self._producer = Producer(
            {
                "bootstrap.servers": brokers,
                "enable.idempotence": True,
                "message.max.bytes": 16 * 1024 * 1024,
                "linger.ms": 5,
            }
        )

    def publish(self, what: str, messages: Sequence[Message]) -> None:
        topic, count = getattr(self.plan.topics, what), getattr(self._partitions, what)
        for message in messages:
            self._producer.produce(
                topic,
                message.value,
                message.key,
                partition_of(message.key or b"", count),
                timestamp=message.timestamp_ms or 0,
                headers=list(message.headers),
            )
            self._producer.poll(0)

    def settle(self) -> None:
        """Publish a barrier, and wait until MONITOR has passed it on: it is the last stage."""
        name = uuid4().hex
        self._producer.flush(WAIT_S)
        for what in ("events", "labels"):
            for number in range(getattr(self._partitions, what)):
                topic = getattr(self.plan.topics, what)
                headers: list[tuple[str, str | bytes | None]] = [(BARRIER, name.encode())]
                self._producer.produce(topic, None, None, number, headers=headers)
        assert self._producer.flush(WAIT_S) == 0, "Kafka did not acknowledge a barrier"
        self._await(name)

    def logs(self) -> Logs:
        topics = topic_names(
            self.plan.name, events=self.plan.topics.events, labels=self.plan.topics.labels
        )
        return read_logs(self._brokers, topics)

    def _await(self, name: str) -> None:
        consumer = Consumer(
            {
                "bootstrap.servers": self._brokers,
                "group.id": "headrace-tests",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
            }
        )
        consumer.assign([TopicPartition(self.plan.topics.metrics, 0, 0)])
        deadline = monotonic() + WAIT_S
        try:
            while monotonic() < deadline:
                for message in consumer.consume(5_000, 0.1):
                    headers = dict(message.headers() or ())
                    if message.error() is None and headers.get(BARRIER) == name.encode():
                        return
        finally:
            consumer.close()
        raise TimeoutError(f"the barrier {name} has not come through within {WAIT_S:.0f} s")
