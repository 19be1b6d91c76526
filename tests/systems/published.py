"""Files that are published to a flow in memory, by the product's own publisher, which may die."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Any, cast

from headrace.app.sourcing import Files, Sources
from headrace.registry.memory import MemoryRegistry
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.pace import publish_flat_out
from headrace.streams.engine.publisher import Publisher
from headrace.streams.outgoing import Outgoing, slices
from headrace.streams.records import TopicPartition
from headrace.streams.twins.flow import MemoryFlow

NOW_MS = 1_790_000_000_000


class KilledError(BaseException):
    """The publisher's process is no more: nothing of it is done from here on."""


class MemoryKafka:
    """Kafka as a publisher sees it.

    Parameters
    ----------
    flow
        Where records land.
    life
        After so many records the publisher is killed: of those that were not acknowledged then,
        a part of each partition's arrives.
    """

    brokers = "memory"

    def __init__(self, flow: MemoryFlow, life: int | None = None, rng: Random | None = None):
        self.flow = flow
        self.life = life
        self.rng = rng or Random(0)

    def partition_counts(self) -> dict[str, int]:
        topics = self.flow.plan.topics
        inputs = [topics.events] + ([topics.labels] if self.flow.plan.labels == "topic" else [])
        return {name: self.flow.broker.partition_count(name) for name in inputs}

    def topic_ids(self, names: Sequence[str]) -> dict[str, str]:
        return {name: self.flow.broker.topic_id(name) for name in names}

    def producer(self, settings: Any) -> MemoryProducer:
        return MemoryProducer(self)


class MemoryProducer:
    """Writes to the flow's broker what is flushed, and what is waiting too long."""

    def __init__(self, kafka: MemoryKafka) -> None:
        self._kafka = kafka
        self._waiting: list[tuple[TopicPartition, Any, Any, Any]] = []
        self._dead = False

    def __len__(self) -> int:
        return len(self._waiting)

    def produce(self, topic: str, value: Any, key: Any, partition: int, headers: Any) -> None:
        kafka = self._kafka
        if kafka.life == 0:
            self._die()
        kafka.life = None if kafka.life is None else kafka.life - 1
        said = tuple((n, v.encode() if isinstance(v, str) else v) for n, v in headers)
        self._waiting.append(((topic, partition), key, value, said))
        if len(self._waiting) > 100:
            self._write(self._waiting.pop(0))

    def poll(self, _: float) -> int:
        return 0

    def flush(self, _: float = 0) -> int:
        while self._waiting and not self._dead:
            self._write(self._waiting.pop(0))
        return int(self._dead)

    def purge(self) -> None:
        self._waiting.clear()

    def _write(self, record: tuple[TopicPartition, Any, Any, Any]) -> None:
        tp, key, value, headers = record
        self._kafka.flow.broker.append(tp, key, value, headers=headers, timestamp_ms=NOW_MS)

    def _die(self) -> None:
        by_partition = defaultdict(list)
        for record in self._waiting:
            by_partition[record[0]].append(record)
        for records in by_partition.values():
            for record in records[: self._kafka.rng.randint(0, len(records))]:
                self._write(record)
        self._dead = True
        raise KilledError


def publish(
    flow: MemoryFlow,
    registry: MemoryRegistry,
    files: Files,
    *,
    step_ms: int | None = None,
    life: int | None = None,
    rng: Random | None = None,
) -> Sources:
    """Publish files as ``headrace publish`` does; in step the flow takes each slice's turn."""

    def on_sent(record: Outgoing) -> None:
        sources.history.sent(record)
        if rng is not None and rng.random() < 0.01:
            publisher.flush()
            registry.put_sources(sources.history.acknowledged())

    kafka = cast(Connection, MemoryKafka(flow, life, rng))
    with Publisher(flow.plan, kafka, on_sent) as publisher:
        sources = Sources(flow.plan, files, registry, publisher.topic_ids())
        try:
            records = sources.records(publisher)
            if step_ms is None:
                list(publish_flat_out(publisher, records))
            else:
                for number, part in slices(records, step_ms):
                    for record in part:
                        publisher.send(record)
                    publisher.barrier(f"{number}")
                    flow.turn()
        except BaseException:
            sources.stopped(publisher)
            raise
        sources.finished()
    return sources
