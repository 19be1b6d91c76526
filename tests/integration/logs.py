"""The two logs that one suite holds to the same behaviour: in memory, and on a real Kafka."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Place
from confluent_kafka.admin import AdminClient

from headrace.streams.engine.admin import Topics
from headrace.streams.engine.clients import Timing
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.groups import Groups
from headrace.streams.engine.guard import Guard
from headrace.streams.engine.log import KafkaLog
from headrace.streams.engine.membership import parse_membership
from headrace.streams.protocol.ports import Committed, Dead, Log, Unstable
from headrace.streams.records import Emit, Headers, Record, TopicPartition
from headrace.streams.topics import TopicSpec
from headrace.streams.twins.broker import Broker
from headrace.streams.twins.log import MemoryLog
from tests.services import fresh_name, produce

TIMING = Timing(session_ms=6_000, heartbeat_ms=300, transaction_ms=10_000, stable_s=0.5)
HASTY = Timing(session_ms=6_000, heartbeat_ms=300, transaction_ms=1_500, stable_s=0.5)
OVERDUE_S = 4.0
"""A hasty process' transaction has been ended by then: the broker looks about once in a second."""


class Left(BaseException):
    """The guard would have ended the process."""


def leave(code: int) -> NoReturn:
    raise Left(code)


class Worker(ABC):
    """A process in a slot of a group."""

    log: Log
    given: frozenset[TopicPartition] | None = None

    @abstractmethod
    def start(self) -> None:
        """Take the slot over."""

    @abstractmethod
    def join(self) -> None:
        """Become a member of the group; the assignment comes later."""

    @abstractmethod
    def poll(self) -> None:
        """Take part in the group."""

    @abstractmethod
    def generation(self) -> int:
        """Return the group's generation as this process knows it."""

    @abstractmethod
    def unaware(self) -> None:
        """Commit from now on under the membership of now, whatever the group has said since."""

    @abstractmethod
    def close(self) -> None:
        """Be gone; a static member does not leave its group by that."""


class Cluster(ABC):
    """Topics, and who works on them."""

    @abstractmethod
    def pass_time(self, seconds: float) -> None:
        """Let time pass, in which nobody does anything."""

    @abstractmethod
    def make(self, partitions: int = 1, name: str | None = None) -> str:
        """Make a topic."""

    @abstractmethod
    def delete(self, topic: str) -> None:
        """Delete a topic."""

    @abstractmethod
    def append(self, tp: TopicPartition, values: Sequence[bytes]) -> None:
        """Write records outside of any transaction."""

    @abstractmethod
    def cut_head(self, tp: TopicPartition, offset: int) -> None:
        """Drop the records before an offset, as retention does."""

    @abstractmethod
    def worker(
        self, group: str, slot: str, topics: Sequence[str], timing: Timing = TIMING
    ) -> Worker:
        """Return a process in a slot, not started yet."""

    @abstractmethod
    def plainly_committed(self, group: str, tp: TopicPartition) -> Committed | None:
        """Return a committed offset as a fetch answers it that is not asked to be stable."""

    @abstractmethod
    def leave(self, group: str, slot: str) -> None:
        """Have a slot leave its group for good."""

    @abstractmethod
    def expire_offsets(self, group: str, tps: Sequence[TopicPartition]) -> None:
        """Forget a group's committed offsets, which nobody uses."""

    @abstractmethod
    def close(self) -> None:
        """Close all workers."""

    def started(self, group: str, slot: str, *topics: str, timing: Timing = TIMING) -> Worker:
        """Return a process that has taken its slot."""
        worker = self.worker(group, slot, topics, timing)
        worker.start()
        return worker

    def joined(self, group: str, slot: str, *topics: str) -> Worker:
        """Return a process that is a member of its group and alone in it."""
        worker = self.started(group, slot, *topics)
        worker.join()
        settle([worker])
        return worker


def settle(workers: Sequence[Worker]) -> None:
    """Let all take part until each has its assignment, in the same generation."""
    until = time.monotonic() + 40
    while time.monotonic() < until:
        for worker in workers:
            worker.poll()
        given = all(worker.given is not None for worker in workers)
        if given and len({worker.generation() for worker in workers}) == 1:
            return
    raise AssertionError("the group has not settled")


# -- in memory


class MemoryWorker(Worker):
    def __init__(self, broker: Broker, group: str, slot: str, topics: Sequence[str]) -> None:
        self.log: MemoryLog = MemoryLog(broker, group, f"{group}-{slot}", topics, chunk=7)
        self._generation = 0
        self._believed: int | None = None

    def start(self) -> None:
        self.log.init()

    def join(self) -> None:
        self.log.join()

    def poll(self) -> None:
        self.given = self.log.poll()
        self.log.heartbeat()
        self._generation = self.log.generation
        if self._believed is not None:
            self.log.generation = self._believed

    def generation(self) -> int:
        return self._generation

    def unaware(self) -> None:
        self._believed = self.log.generation

    def close(self) -> None:
        """Nothing is held."""


class MemoryCluster(Cluster):
    def __init__(self) -> None:
        self._broker = Broker(
            transaction_timeout_ms=HASTY.transaction_ms, session_timeout_ms=TIMING.session_ms
        )

    def pass_time(self, seconds: float) -> None:
        self._broker.advance(self._broker.now_ms + int(seconds * 1_000))

    def make(self, partitions: int = 1, name: str | None = None) -> str:
        name = name or fresh_name()
        self._broker.create(name, partitions)
        return name

    def delete(self, topic: str) -> None:
        """It is created anew over the old one."""

    def append(self, tp: TopicPartition, values: Sequence[bytes]) -> None:
        for value in values:
            self._broker.append(tp, b"key", value, headers=(("name", b"header"),))

    def cut_head(self, tp: TopicPartition, offset: int) -> None:
        self._broker.cut_head(tp, offset)

    def worker(
        self, group: str, slot: str, topics: Sequence[str], timing: Timing = TIMING
    ) -> Worker:
        return MemoryWorker(self._broker, group, slot, topics)

    def plainly_committed(self, group: str, tp: TopicPartition) -> Committed | None:
        return self._broker.committed(group, [tp], stable=False)[tp]

    def leave(self, group: str, slot: str) -> None:
        self._broker.groups[group].leave(f"{group}-{slot}")

    def expire_offsets(self, group: str, tps: Sequence[TopicPartition]) -> None:
        self._broker.expire_offsets(group, tps)

    def close(self) -> None:
        """Nothing is held."""


# -- on Kafka


class KafkaWorker(Worker):
    """A process' clients, all in this thread."""

    def __init__(
        self, kafka: Connection, group: str, slot: str, topics: Sequence[str], timing: Timing
    ) -> None:
        self.guard = Guard(leave=leave)
        self.log: KafkaLog = KafkaLog(kafka, group, slot, self.guard, timing)
        self.messages: list[Any] = []
        self._topics = topics
        self._started = False

    def start(self) -> None:
        assert self.log.open(lambda: True)
        self._started = True

    def join(self) -> None:
        self.log.join(self._topics, self._on_assign, self._on_gone)

    def poll(self) -> None:
        for message in self.log.consume(1_000, 0.02):
            if message.error():
                self.log.check_message(message.error())
            else:
                self.messages.append(message)

    def generation(self) -> int:
        consumer: Any = self.log._consumer
        aware = consumer.aware if isinstance(consumer, Unaware) else consumer
        return parse_membership(aware.consumer_group_metadata()).generation

    def unaware(self) -> None:
        consumer: Any = Unaware(self.log._consumer)
        self.log._consumer = consumer

    def close(self) -> None:
        if self._started:
            self._started = False
            self.log.close()

    def _on_assign(self, tps: Sequence[TopicPartition]) -> None:
        self.given = frozenset(tps)

    def _on_gone(self) -> None:
        self.given = None


class Unaware:
    """A consumer that commits in good faith, after its group went on without it."""

    def __init__(self, consumer: Consumer) -> None:
        self.aware = consumer
        self._metadata = consumer.consumer_group_metadata()

    def consumer_group_metadata(self) -> Any:
        return self._metadata

    def __getattr__(self, name: str) -> Any:
        return getattr(self.aware, name)


class KafkaCluster(Cluster):
    def __init__(self, kafka: Connection) -> None:
        self._kafka = kafka
        self._topics = Topics(kafka.brokers)
        self._admin = AdminClient({"bootstrap.servers": kafka.brokers})
        self._groups = Groups(kafka)
        self._workers: list[KafkaWorker] = []

    def pass_time(self, seconds: float) -> None:
        time.sleep(seconds)

    def make(self, partitions: int = 1, name: str | None = None) -> str:
        name = name or fresh_name()
        until(lambda: name not in self._topics.partition_counts())
        self._topics.ensure([TopicSpec(name, partitions, {})])
        return name

    def delete(self, topic: str) -> None:
        self._topics.delete([topic])

    def append(self, tp: TopicPartition, values: Sequence[bytes]) -> None:
        produce(self._kafka, [Emit(*tp, b"key", value, (("name", b"header"),)) for value in values])

    def cut_head(self, tp: TopicPartition, offset: int) -> None:
        place = Place(*tp, offset)
        self._admin.delete_records([place])[place].result(10)

    def worker(
        self, group: str, slot: str, topics: Sequence[str], timing: Timing = TIMING
    ) -> KafkaWorker:
        worker = KafkaWorker(self._kafka, group, slot, topics, timing)
        self._workers.append(worker)
        return worker

    def plainly_committed(self, group: str, tp: TopicPartition) -> Committed | None:
        settings = {"group.id": group, "isolation.level": "read_uncommitted"}
        consumer = Consumer({"bootstrap.servers": self._kafka.brokers, **settings})
        (place,) = consumer.committed([Place(*tp)], 10)
        consumer.close()
        return None if place.offset < 0 else Committed(place.offset, place.metadata or "")

    def leave(self, group: str, slot: str) -> None:
        assert self._groups.let_leave(group, [f"{group}-{slot}"])

    def expire_offsets(self, group: str, tps: Sequence[TopicPartition]) -> None:
        self._admin.delete_consumer_groups([group])[group].result(10)

    def close(self) -> None:
        for worker in self._workers:
            worker.close()


def until(what: Callable[[], bool]) -> None:
    """Wait until something is so."""
    give_up = time.monotonic() + 60
    while not what():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def stable(log: Log, tps: Sequence[TopicPartition]) -> Any:
    """Ask for committed offsets until they are stable."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        try:
            return log.committed(tps)
        except Unstable:
            time.sleep(0.05)
    raise Dead("committed offsets have stayed unstable")


def all_of(log: Log, tp: TopicPartition, start: int, stop: int) -> list[Record]:
    """Read a range whole, as a restore does."""
    found: list[Record] = []
    while part := log.read(tp, start, stop):
        found += part
        start = part[-1].offset + 1
    return found


def transact(
    worker: Worker,
    emits: Sequence[Emit] = (),
    offsets: dict[TopicPartition, Committed] | None = None,
    *,
    end: bool = True,
) -> None:
    """Do a transaction, or leave it open, its records in the log."""
    worker.log.begin()
    worker.log.produce(emits)
    if offsets:
        worker.log.send_offsets(offsets)
    if end:
        worker.log.end()
    elif isinstance(worker, KafkaWorker):
        worker.log._producer.flush(10)


def values(*texts: str, topic: str, headers: Headers = ()) -> list[Emit]:
    """Return a record of each of these for a topic's first partition."""
    return [Emit(topic, 0, b"k", text.encode(), headers) for text in texts]
