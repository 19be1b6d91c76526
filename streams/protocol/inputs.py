"""What a process fetches, and what it has paused: the one place that knows both.

A client of Kafka keeps a pause for as long as it lives: whoever loses a paused partition and is
given it again has it paused still (librdkafka 2.16.1; in Kafka's own client a pause ends with the
assignment). A task that is taken over begins with an empty queue and has nothing to resume, so it
would wait for ever for records that nobody fetches. Hence an assignment says all: what it does not
name as paused is fetched.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from headrace.streams.records import TopicPartition


class Fetcher(Protocol):
    """A consumer that is assigned by hand."""

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Fetch these partitions from these offsets on, and no others; pauses stay."""

    def pause(self, tps: Sequence[TopicPartition]) -> None:
        """Fetch no more of these for now."""

    def resume(self, tps: Sequence[TopicPartition]) -> None:
        """Fetch these again."""


class Inputs:
    """The inputs of a process.

    Parameters
    ----------
    fetcher
        Its consumer, which nobody else pauses.
    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._paused: set[TopicPartition] = set()

    def assign(
        self, positions: Mapping[TopicPartition, int], paused: Collection[TopicPartition] = ()
    ) -> None:
        """Fetch these from these offsets on, but for those that are paused, and nothing else."""
        over = self._paused.difference(paused)
        if over:
            self._fetcher.resume(sorted(over))
        self._fetcher.assign(positions)
        if paused:
            self._fetcher.pause(sorted(paused))
        self._paused = set(paused)

    def pause(self, tps: Sequence[TopicPartition]) -> None:
        """Fetch no more of these for now."""
        self._paused.update(tps)
        self._fetcher.pause(tps)

    def resume(self, tps: Sequence[TopicPartition]) -> None:
        """Fetch these again."""
        self._paused.difference_update(tps)
        self._fetcher.resume(tps)
