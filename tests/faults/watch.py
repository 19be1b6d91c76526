"""When a pipeline goes on: records become visible in its outputs, and inputs are committed."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

from confluent_kafka import OFFSET_END, KafkaException
from confluent_kafka import TopicPartition as Place

from headrace.streams.engine.connection import Connection
from headrace.streams.records import TopicPartition

_ASK_S = 0.2

COMMITTED = "committed "
"""Before the name of an input topic: its committed offset."""

_UNCOMMITTED = {"isolation.level": "read_uncommitted"}

_KEPT = 20_000
"""Arrivals of one partition: those of some minutes."""


class Arrival(NamedTuple):
    """Something new: after which time it certainly came to be, and when it was seen."""

    written_s: float
    seen_s: float


class Watch:
    """Notes what becomes visible at ``read_committed`` from now on, and what is committed.

    Parameters
    ----------
    topics
        Outputs that are read, all partitions.
    groups
        Whose committed offsets of which inputs are asked for, again and again.
    """

    def __init__(
        self, kafka: Connection, topics: Sequence[str], groups: Mapping[str, Sequence[str]]
    ) -> None:
        self._kafka, self._topics = kafka, topics
        inputs = {topic for each in groups.values() for topic in each}
        self._wanted = {*topics, *(f"{COMMITTED}{topic}" for topic in inputs)}
        self._arrivals: defaultdict[TopicPartition, deque[Arrival]] = defaultdict(
            lambda: deque(maxlen=_KEPT)
        )
        self._live: frozenset[TopicPartition] = frozenset()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._read, name="watch", daemon=True),
            *(
                threading.Thread(target=self._ask, args=asked, name="watch", daemon=True)
                for asked in groups.items()
            ),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def _ask(self, group: str, topics: Sequence[str]) -> None:
        """Look what a group has committed; a broker that does not answer is asked again.

        By a consumer that joins nothing: librdkafka's administrator aborts the process if a broker
        dies while it is asked for offsets (an assertion, seen in 2.16.1).
        """
        before, asked_s = dict[tuple[str, int], int](), time.time()
        settings = {"group.id": group, **_UNCOMMITTED}
        with self._kafka.consumer(settings) as consumer:
            places = [Place(*place) for place in self._places(topics)]
            while not self._stopping.wait(_ASK_S):
                begun_s = time.time()
                with suppress(KafkaException):
                    for found in consumer.committed(places, timeout=2):
                        place = f"{COMMITTED}{found.topic}", found.partition
                        if before.get(place, found.offset) < found.offset:
                            self._arrivals[place].append(Arrival(asked_s, time.time()))
                        before[place] = found.offset
                asked_s = begun_s

    def _places(self, topics: Sequence[str]) -> list[TopicPartition]:
        counts = self._kafka.partition_counts()
        return [(topic, number) for topic in topics for number in range(counts[topic])]

    def _read(self) -> None:
        with self._kafka.consumer() as consumer:
            places = self._places(self._topics)
            consumer.assign([Place(*place, OFFSET_END) for place in places])
            while not self._stopping.is_set():
                for message in consumer.consume(1_000, 0.05):
                    if message.error() is None:
                        place = message.topic() or "", message.partition() or 0
                        written_s = message.timestamp()[1] / 1000
                        self._arrivals[place].append(Arrival(written_s, time.time()))

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(20)

    def sees_all(self) -> bool:
        """Whether something has come to each output, and something of each input is committed."""
        return self._wanted <= {topic for topic, _ in self._arrivals.copy()}

    def settle(self) -> None:
        """Take that to which something has come so far for what is live."""
        self._live = frozenset(self._arrivals)

    def recovered_s(self, since_s: float, *, commits: bool = False) -> float | None:
        """Return after how long all that was live had gone on; None if some of it has not yet.

        Parameters
        ----------
        commits
            Whether only committed offsets are looked at: outputs wait for their inputs too.
        """
        live = [place for place in self._live if not commits or place[0].startswith(COMMITTED)]
        firsts = [self._first(place, since_s) for place in live]
        if None in firsts:
            return None
        return max(first for first in firsts if first is not None) - since_s

    def silent(self, since_s: float) -> list[str]:
        """Return what was live and where nothing new has come after a time."""
        places = sorted(place for place in self._live if self._first(place, since_s) is None)
        return [f"{topic}-{number}" for topic, number in places]

    def ends(self, silent: Sequence[str]) -> list[str]:
        """Return how far the broker says that what is silent has come, stable and at all."""
        found = []
        with self._kafka.consumer() as stable, self._kafka.consumer(_UNCOMMITTED) as all_there_is:
            for each in silent:
                topic, _, number = each.removeprefix(COMMITTED).rpartition("-")
                place = Place(topic, int(number))
                _, end = stable.get_watermark_offsets(place, timeout=10)
                _, written = all_there_is.get_watermark_offsets(place, timeout=10)
                found.append(f"{topic}-{number}: stable to {end}, written to {written}")
        return found

    def _first(self, place: TopicPartition, since_s: float) -> float | None:
        later = (seen for written, seen in self._arrivals[place].copy() if written >= since_s)
        return next(later, None)

    def longest_gap_s(self, since_s: float) -> float:
        """Return for how long nothing new came to something live, from a time until now."""
        return max(self._gap_s(place, since_s) for place in self._live)

    def _gap_s(self, place: TopicPartition, since_s: float) -> float:
        seen = [since_s, *(s for _, s in self._arrivals[place].copy() if s > since_s), time.time()]
        return max(later - sooner for sooner, later in pairwise(seen))
