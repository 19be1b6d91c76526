"""A consumer in memory that is assigned by hand, and keeps a pause as librdkafka does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.streams.records import Record, TopicPartition
from headrace.streams.twins.broker import Broker


class MemoryConsumer:
    """What a process fetches of a broker in memory.

    Parameters
    ----------
    broker
        The broker.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Fetch these partitions from these offsets on, and no others; pauses stay."""
        self._positions = dict(positions)

    def pause(self, tps: Sequence[TopicPartition]) -> None:
        """Fetch no more of these for now."""
        self._paused.update(tps)

    def resume(self, tps: Sequence[TopicPartition]) -> None:
        """Fetch these again."""
        self._paused.difference_update(tps)

    def consume(self, tp: TopicPartition, limit: int) -> tuple[Sequence[Record], int]:
        """Return what has come of a partition, and the position behind it."""
        at = self._positions[tp]
        if tp in self._paused:
            return (), at
        records, self._positions[tp] = self._broker.fetch(tp, at, limit=limit)
        return records, self._positions[tp]
