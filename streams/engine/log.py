"""Kafka as one worker process sees it: the protocol's ``Log``, and what the engine consumes.

Three clients, all used by the Kafka thread alone: a consumer that is a static member of the role's
group, a transactional producer, and a second consumer without a group that replays ranges in a
restore. Pitfalls that a real broker taught:

- a zombie's transaction whose offsets were accepted can still commit after a rebalance, so start
  offsets are asked for at ``read_committed``, which makes them *stable* or times out;
- a coordinator that has just come back may answer while it still reads its log (Kafka 4.3 takes
  the end of a loading that was broken off for the end of the next): offsets are believed when those
  of all that is assigned have stayed the same for a moment;
- ``send_offsets_to_transaction`` can hang in spite of its time-out: a guard watches from outside;
- a broker that comes back may have forgotten the end of a transaction (``forgotten``): whoever has
  seen no broker for a while, or waited for long, ends the process rather than begin the next one;
- transactions back to back wait 100 ms with the default ``retry.backoff.ms``;
- a full prefetch queue is looked at once in 1,000 ms with the default ``fetch.queue.backoff.ms``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka import TopicPartition as Place

from headrace.schemas.errors import ServiceError
from headrace.streams.engine.clients import (
    Timing,
    client_settings,
    consumer_settings,
    producer_settings,
)
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.described import Described
from headrace.streams.engine.forgotten import Slot, end_forgotten
from headrace.streams.engine.guard import Guard
from headrace.streams.engine.membership import fenced_membership
from headrace.streams.engine.ranges import RangeReader
from headrace.streams.engine.settled import have_settled
from headrace.streams.engine.translation import FORBIDDEN, UNANSWERED, translated
from headrace.streams.protocol.ports import Committed, Dead, Fenced, Unstable
from headrace.streams.records import Emit, Record, TopicPartition

REQUEST_S = 10.0
AWAY_S = 2.0
"""If Kafka takes longer to commit, a broker may have been away, and forgotten a transaction's end.

A healthy one takes milliseconds; one that was killed comes back after 2 s at the earliest.
"""

_PAUSE_S = 0.5
_HEAR_S = 0.5
_log = structlog.get_logger("headrace.kafka")


class KafkaLog:
    """The log of one worker process.

    Parameters
    ----------
    connection
        Where Kafka is.
    group
        The role's consumer group.
    slot
        The worker's place: ``<group>-<slot>`` is its transactional id and its static member id.
    guard
        Watches the transactions' deadlines.
    outputs
        All topics that the slot's transactions may write to.
    """

    def __init__(
        self,
        connection: Connection,
        group: str,
        slot: str,
        guard: Guard,
        timing: Timing,
        outputs: Sequence[str] = (),
    ) -> None:
        self._connection = connection
        self._group = group
        self._instance = f"{group}-{slot}"
        self._guard = guard
        self._timing = timing
        self._outputs = tuple(outputs)
        self._refusal: Exception | None = None
        self._away = self._used = False
        self._heard_s = 0.0
        self._begun_s = self._waited_s = 0.0
        self._unsettled: list[Place] = []
        self._settings = client_settings(connection, self._on_error)
        self._described = Described(connection)

    # -- the process' life

    def open(self, waiting: Callable[[], bool]) -> bool:
        """Make the clients, and end what the slot's predecessor left open.

        Parameters
        ----------
        waiting
            Whether to go on while no broker answers.

        Returns
        -------
        bool
            False if it was given up.
        """
        common = {**self._settings, "error_cb": self._on_producer_error}
        compression = self._connection.compression
        written = producer_settings(common, self._instance, self._timing, compression)
        self._producer = Producer(written)
        slot = Slot(self._instance, self._group, self._timing.transaction_ms, self._written)
        while True:
            self._check()
            try:
                end_forgotten(self._connection, slot)
                self._producer.init_transactions(5)
            except ServiceError as error:
                self._producer.poll(_PAUSE_S)  # and hear why, if no broker may be asked at all
                _log.warning("waiting for Kafka", reason=str(error))
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise translated(error, "init_transactions") from error
                _log.warning("waiting for Kafka", reason=error.args[0].str())
            else:
                break
            if not waiting():
                return False
        self._producer.poll(0)
        self._away = False
        self._consumer = Consumer(
            consumer_settings(self._settings, self._group, self._instance, self._timing)
        )
        self._ranges = RangeReader(self._settings)
        return True

    def _written(self) -> Mapping[str, int]:
        return {topic: self._described.topic(topic).partitions for topic in self._outputs}

    def join(
        self,
        topics: Sequence[str],
        on_assign: Callable[[Sequence[TopicPartition]], None],
        on_gone: Callable[[], None],
    ) -> None:
        """Become a member of the group. The callbacks come out of :meth:`consume`.

        Parameters
        ----------
        on_assign
            Told what this process has been given; nothing is fetched before :meth:`assign`.
        on_gone
            Told that all of it has been taken away: by a rebalance, or since the group forgot us.
        """

        def assigned(consumer: Any, places: Sequence[Place]) -> None:
            consumer.assign([])  # tasks are taken over first, one after another
            self._unsettled = [Place(place.topic, place.partition) for place in places]
            on_assign([(place.topic, place.partition) for place in places])

        def gone(consumer: Any, places: Sequence[Place]) -> None:
            on_gone()

        self._consumer.subscribe(list(topics), on_assign=assigned, on_revoke=gone, on_lost=gone)

    def assign(self, positions: Mapping[TopicPartition, int]) -> None:
        """Fetch these partitions from these offsets on, and no others; pauses stay."""
        places = [Place(topic, number, at) for (topic, number), at in positions.items()]
        self._consumer.assign(places)

    def pause(self, tps: Sequence[TopicPartition]) -> None:
        """Fetch no more of these for now."""
        self._consumer.pause([Place(*tp) for tp in tps])

    def resume(self, tps: Sequence[TopicPartition]) -> None:
        """Fetch these again."""
        self._consumer.resume([Place(*tp) for tp in tps])

    def consume(self, limit: int, wait_s: float) -> list[Any]:
        """Return messages that have arrived; wait for the first one only. Serves the callbacks."""
        self._hear_producer()
        messages: list[Any] = self._consumer.consume(limit, 0)
        if not messages and wait_s > 0:
            first = self._consumer.poll(wait_s)
            if first is not None:
                messages = [first, *self._consumer.consume(limit - 1, 0)]
        return messages

    def _hear_producer(self) -> None:
        """Hear that no broker was there: a slot that is idle must not wait for its next commit."""
        if time.monotonic() - self._heard_s < _HEAR_S:
            return
        self._heard_s = time.monotonic()
        self._do("poll", lambda: self._producer.poll(0))
        if self._away and self._used:
            raise self._was_away()

    def _was_away(self) -> Dead:
        return Dead(f"{self._instance}: Kafka was away: the process begins anew")

    def check_message(self, error: KafkaError) -> None:
        """Hear of an error that came in place of a record; raise unless it passes by itself."""
        if error.fatal() or not error.retriable():
            raise translated(error, f"{self._group}: consume")
        _log.warning("kafka", reason=error.str())

    def lag(self, tp: TopicPartition, position: int) -> int | None:
        """Return how far a position is behind the end that was last seen; control records count."""
        _, end = self._consumer.get_watermark_offsets(Place(*tp), cached=True)
        return max(0, end - position) if end >= 0 else None

    def close(self) -> None:
        """Leave; as a static member, without a rebalance."""
        self._ranges.close()
        self._consumer.close()

    # -- the port

    def topic_id(self, topic: str) -> str:
        """Return the broker's id of a topic."""
        return self._described.topic(topic).id

    def partition_count(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return self._described.topic(topic).partitions

    def bounds(self, tp: TopicPartition) -> tuple[int, int]:
        """Return the first offset that is kept, and the last stable offset."""
        return self._ranges.bounds(tp)

    def committed(self, tps: Sequence[TopicPartition]) -> Mapping[TopicPartition, Committed | None]:
        """Return the group's stable committed offsets.

        Raises
        ------
        Unstable
            Within a second no stable answer came: a transaction is open, no broker answers, or the
            offsets of what is assigned still move, although nobody else may commit them.
        """
        self._check()
        if self._unsettled:
            self._see_that_they_settle()
        with self._asking():
            places = self._consumer.committed([Place(*tp) for tp in tps], self._timing.stable_s)
        for place in places:
            if place.error is not None:
                if place.error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT:
                    raise Unstable(f"{place.topic}: {place.error.str()}")
                raise translated(place.error, f"committed offset of {place.topic}")
        return {
            (place.topic, place.partition): _committed(place.offset, place.metadata)
            for place in places
        }

    def _see_that_they_settle(self) -> None:
        with self._asking():
            same = have_settled(self._settings, self._group, self._unsettled, self._timing)
        if not same:
            raise Unstable(f"{self._group}: its offsets still move")
        self._unsettled = []

    @contextmanager
    def _asking(self) -> Iterator[None]:
        try:
            yield
        except KafkaException as error:
            if error.args[0].code() in UNANSWERED or error.args[0].retriable():
                raise Unstable(f"{self._group}: {error.args[0].str()}") from error
            raise translated(error, "committed offsets") from error

    def wait(self, why: str) -> None:
        """Wait for as long as a request for stable offsets does."""
        _log.warning("waiting for Kafka", reason=why)
        time.sleep(self._timing.stable_s)

    def read(self, tp: TopicPartition, start: int, stop: int) -> Sequence[Record]:
        """Return records of a range, some or all of them."""
        return self._ranges.read(tp, start, stop)

    def begin(self) -> None:
        """Begin a transaction; from here to its end the guard watches.

        Raises
        ------
        Dead
            No broker was there for a while: one may have forgotten the last transaction's end.
        """
        self._begun_s = time.monotonic()
        self._do("poll", lambda: self._producer.poll(0))
        if self._away:
            raise self._was_away()
        self._used = True
        self._waited_s = 0.0
        self._guard.arm("a transaction", self._timing.guard_s)
        self._do("begin_transaction", self._producer.begin_transaction)

    def produce(self, emits: Sequence[Emit]) -> None:
        """Add records to the open transaction."""
        producer, produce = self._producer, self._producer.produce
        for at, (topic, partition, key, value, headers) in enumerate(emits):
            while True:
                try:
                    if headers:
                        produce(topic, value, key, partition, headers=list(headers))
                    else:
                        produce(topic, value, key, partition)
                    break
                except BufferError:
                    producer.poll(0.01)
                except KafkaException as error:
                    raise self._fault(error, f"produce to {topic}") from error
            if at % 1000 == 999:
                producer.poll(0)
        producer.poll(0)

    def send_offsets(self, offsets: Mapping[TopicPartition, Committed]) -> None:
        """Add consumed offsets under the group's fencing."""
        metadata = self._consumer.consumer_group_metadata()
        fenced_membership(metadata)
        places = [Place(*tp, at.offset, at.meta) for tp, at in offsets.items()]
        send = self._producer.send_offsets_to_transaction
        self._await("send_offsets_to_transaction", lambda: send(places, metadata, AWAY_S))

    def end(self) -> None:
        """Commit the open transaction.

        Raises
        ------
        Dead
            It is committed, but Kafka took so long that it may have forgotten the end of this
            transaction or of the one before: the process begins anew, and so ends them.
        """
        limit_s = self._timing.transaction_ms / 1000
        commit, flush = self._producer.commit_transaction, self._producer.flush
        self._do("flush", lambda: flush(limit_s))  # many records may take their time
        self._await("commit_transaction", lambda: commit(limit_s), ending=True)
        self._guard.disarm("a transaction")
        if self._waited_s > AWAY_S:
            raise Dead(f"{self._instance}: Kafka took {self._waited_s:.1f} s to commit")

    # -- errors and settings

    def _await(self, what: str, call: Callable[[], object], *, ending: bool = False) -> None:
        """Do what a healthy broker answers at once, and see how long it takes."""
        begun_s = time.monotonic()
        self._do(what, call, ending=ending)
        self._waited_s += time.monotonic() - begun_s

    def _do(self, what: str, call: Callable[[], object], *, ending: bool = False) -> None:
        try:
            call()
        except KafkaException as error:
            raise self._fault(error, what, ending=ending) from error

    def _fault(self, error: KafkaException, what: str, *, ending: bool = False) -> Exception:
        """Translate. A transaction that was open for too long was fenced by the broker itself."""
        found = translated(error, what, ending=ending)
        if type(found) is Dead and error.args[0].txn_requires_abort():
            found = self._fenced() or found
        overdue = time.monotonic() - self._begun_s > self._timing.transaction_ms / 1000
        return Dead(str(found)) if isinstance(found, Fenced) and overdue else found

    def _fenced(self) -> Fenced | None:
        """Return what an abort is told, if it is that a newer process has the slot.

        Whoever ends a transaction while another takes its id is answered UNKNOWN by Kafka 4.3.
        """
        try:
            self._producer.abort_transaction(AWAY_S)
        except KafkaException as error:
            found = translated(error, "abort_transaction")
            return found if isinstance(found, Fenced) else None
        return None

    def _check(self) -> None:
        if self._refusal is not None:
            raise self._refusal

    def _on_producer_error(self, error: KafkaError) -> None:
        self._away |= error.code() == KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - a public code
        self._on_error(error)

    def _on_error(self, error: KafkaError) -> None:
        """Hear of an error outside of any call: fatal ones end the process."""
        if error.fatal():
            self._guard.end(translated(error, "client"))
        if error.code() in FORBIDDEN:
            self._refusal = translated(error, "client")
        _log.warning("kafka", reason=error.str(), kind=error.name())


def _committed(offset: int, metadata: str | None) -> Committed | None:
    return None if offset < 0 else Committed(offset, metadata or "")
