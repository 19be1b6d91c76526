"""The broker in memory as one worker process sees it: a transactional producer in a group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.streams.protocol.ports import Committed
from headrace.streams.records import Emit, Record, TopicPartition
from headrace.streams.twins.broker import Broker
from headrace.streams.twins.group import Group


class MemoryLog:
    """The broker as one worker process sees it: the protocol's ``Log``.

    Parameters
    ----------
    group, instance
        The consumer group, and the slot in it; the slot is the transactional id too.
    topics
        What the process subscribes to.
    chunk
        The most records that one :meth:`read` answers.
    """

    def __init__(
        self,
        broker: Broker,
        group: str,
        instance: str,
        topics: Sequence[str],
        *,
        chunk: int = 10_000,
    ) -> None:
        self.broker = broker
        self.group = group
        self.instance = instance
        self.generation = 0
        self._topics = tuple(topics)
        self._chunk = chunk
        self._epoch = 0
        self._member = 0
        self._begun = False

    def end_forgotten(self) -> None:
        """End for good what the slot's last transaction decided, wherever it may have written."""
        self.broker.end_forgotten(self.instance, self.broker.partitions())

    def init(self) -> None:
        """Fence the slot's predecessor and abort what it left open (``init_transactions``)."""
        self._epoch = self.broker.init_producer(self.instance)

    def join(self) -> None:
        """Become the group's member in this slot."""
        group = self.broker.groups.setdefault(self.group, Group())
        self._member = group.join(self.instance, self._topics, self.broker.now_ms)

    def poll(self) -> frozenset[TopicPartition]:
        """Take part in the group: learn the present generation and what it assigns to us."""
        counts = {topic: self.broker.partition_count(topic) for topic in self._topics}
        group = self.broker.groups[self.group]
        self.generation, assigned = group.assigned(self.instance, self._member, counts)
        return assigned

    def heartbeat(self) -> None:
        """Say that this process lives; unheard before it has joined."""
        if self._member:
            group = self.broker.groups[self.group]
            group.heartbeat(self.instance, self._member, self.broker.now_ms)

    def leave(self) -> None:
        """Leave the group for good, as who scales in has the slot do."""
        if self._member:
            self.broker.groups[self.group].leave(self.instance)

    def topic_id(self, topic: str) -> str:
        """Return the broker's id of a topic."""
        return self.broker.topic_id(topic)

    def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return self.broker.partition_count(topic)

    def bounds(self, tp: TopicPartition) -> tuple[int, int]:
        """Return the first offset that is kept, and the last stable offset."""
        return self.broker.bounds(tp)

    def committed(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed | None]:
        """Return the group's stable committed offsets."""
        return self.broker.committed(self.group, tps)

    def wait(self, why: str) -> None:
        """Do nothing: the twin's clock is moved from outside."""

    def read(self, tp: TopicPartition, start: int, stop: int) -> Sequence[Record]:
        """Return committed records of ``start .. stop - 1``, at most a chunk of them."""
        return self.broker.fetch(tp, start, stop=stop, limit=self._chunk)[0]

    def begin(self) -> None:
        """Begin a transaction; the broker hears of it with its first record or offset.

        Raises
        ------
        RuntimeError
            One is open already: a fault in the caller's program.
        """
        if self._begun:
            raise RuntimeError("begin: a transaction is open")
        self._begun = True

    def produce(self, emits: Sequence[Emit]) -> None:
        """Add records to the transaction."""
        self.broker.produce(self.instance, self._epoch, emits)

    def send_offsets(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Add consumed offsets, fenced by this process' generation and member."""
        group = self.broker.groups.get(self.group, Group())
        group.check(self.instance, self.generation, self._member)
        self.broker.send_offsets(self.instance, self._epoch, self.group, offsets)

    def end(self) -> None:
        """Commit the transaction."""
        self._begun = False
        self.broker.end(self.instance, self._epoch)
