"""How long predictions take, from the newest ones: a few records are read each time, not all.

Counted from an event's timestamp, which its publisher has set, to the moment at which the broker
appended its prediction; its transaction's commit, which makes it visible, comes behind that.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from confluent_kafka import TopicPartition

from headrace.app.values import quantile
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.messages import fetched, grouped
from headrace.streams.engine.watch import every, watch
from headrace.streams.topics import Topics

NEWEST = 200
"""How many records of each partition of the predictions are looked at each time."""

RECENT_S = 60.0
"""Predictions that are older say nothing of now."""

_KEPT = 2_000
_LIMIT_S = 2.0
_WAIT_S = 0.1

Place = tuple[int, int]
"""Partition and offset of an event."""


class Figures(NamedTuple):
    """Latency in milliseconds; None while there is no new prediction."""

    p50: float | None
    p99: float | None
    support: int


class Latency:
    """The latency of the newest predictions.

    Parameters
    ----------
    kafka, topics
        Where they are.
    """

    def __init__(self, kafka: Connection, topics: Topics) -> None:
        self._kafka = kafka
        self._topics = topics
        self._found: dict[Place, tuple[int, int]] = {}
        self._order: deque[Place] = deque()

    def look(self) -> None:
        """Look at the newest predictions, and at their events.

        Raises
        ------
        ServiceError
            Kafka does not answer.
        """
        since_ms = (time.time() - RECENT_S) * 1000
        new = {
            place: at_ms
            for place, at_ms in self._predicted().items()
            if at_ms > since_ms and place not in self._found
        }
        produced = self._produced(new) if new else {}
        for place, at_ms in produced.items():
            self._found[place] = (new[place], new[place] - at_ms)
            self._order.append(place)
        while self._order and (len(self._order) > _KEPT or self._is_old(since_ms)):
            del self._found[self._order.popleft()]

    def figures(self) -> Figures:
        """Return the latency of the last minute, as far as it was looked at."""
        found = sorted(latency for _, latency in list(self._found.values()))
        return Figures(quantile(found, 0.5), quantile(found, 0.99), len(found))

    def _is_old(self, since_ms: float) -> bool:
        return self._found[self._order[0]][0] < since_ms

    def _predicted(self) -> dict[Place, int]:
        """Return when the newest predictions were appended, by the place of their event."""
        topic, until = self._topics.predictions, time.monotonic() + _LIMIT_S
        ended: set[tuple[str, int]] = set()
        count = self._kafka.partition_counts().get(topic, 0)

        def go_on() -> bool:
            return len(ended) < count and time.monotonic() < until

        found = {}
        wanted = {topic: every}
        for batch in watch(self._kafka, wanted, go_on, last=NEWEST, at_end=ended.add):
            for record, fields in batch:
                if fields is not None:
                    place = (fields["source_partition"], fields["source_offset"])
                    found[place] = record.timestamp_ms
        return found

    def _produced(self, places: Mapping[Place, int]) -> dict[Place, int]:
        """Return the timestamps of events."""
        topic, until = self._topics.events, time.monotonic() + _LIMIT_S
        firsts = {number: min(at for n, at in places if n == number) for number, _ in places}
        found: dict[Place, int] = {}
        with self._kafka.asking(f"{topic} could not be read"), self._kafka.consumer() as consumer:
            consumer.assign([TopicPartition(topic, n, at) for n, at in firsts.items()])
            while len(found) < len(places) and time.monotonic() < until:
                for (_, number), records in grouped(fetched(consumer, _WAIT_S), _pass_over):
                    for record in records:
                        if (number, record.offset) in places:
                            found[number, record.offset] = record.timestamp_ms
        return found


def _pass_over(error: Any) -> None:
    """Wait for what comes; if nothing does, this look is in vain, and the next one may not be."""
