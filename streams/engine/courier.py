"""Hands a topic's records on to whoever may not take them: at least once, each in its turn.

How far a courier has come is the committed offset of a group of its own, and what stands in its way
is that offset's metadata: both are seen from everywhere, and outlive the process.

1. **Hand over** a record. It is not taken: 2. It is: 3.
2. **Commit its own offset** with the reason, pause (1, 2, 4, … 300 s), hand it over again.
3. **Commit the next offset.**

A crash before 3 hands the record over once more: none is lost, one may come twice. Of several
couriers of a group one works, and another takes its place when it has gone.

What will never be taken a person can have passed over (:func:`pass_over`): up to where stands as
the committed offset of a second group, which never has a member. So it can be said from anywhere,
and a courier that works, or one that starts later, finds it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from threading import Event
from typing import Any, NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from headrace.schemas.codec import Undecodable
from headrace.schemas.errors import HeadraceError
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.decoder import Decoder
from headrace.streams.engine.groups import Groups
from headrace.streams.engine.ids import SchemaIds
from headrace.streams.engine.reader import Reading
from headrace.streams.protocol.ports import Committed
from headrace.streams.records import Record

PAUSE_S_MAX = 300.0
REASON_CHARS_MAX = 500
"""Of a reason so much is kept: the broker takes 4,096 bytes of metadata."""

_FOLLOWING = {
    "auto.offset.reset": "earliest",
    "session.timeout.ms": 10_000,  # so soon another takes the place of one that was killed
    "fetch.wait.max.ms": 500,
    # Its threads log by our logger, which needs the interpreter; in a rebalance's callback this
    # thread has that, and waits for one of them: a line then stops both for ever (seen).
    "log_level": 2,
}
_POLL_S = 0.2
_ASK_AGAIN_S = 2.0
_PASSED_OVER = ".passed-over"
"""Behind a group's name: that of the group whose offset says up to where is passed over."""

_log = structlog.get_logger("headrace.courier")

Fields = dict[str, Any]
Deliver = Callable[[Fields], str | None]
"""Hands a record over; returns None, or why it was not taken."""

Due = Callable[[Iterable[tuple[Record, Fields]]], Collection[int]]
"""Says which of the records that are there at the very first start, by offset, are to be handed
over; whatever comes later is."""


class Hindrance(NamedTuple):
    """Why a courier does not go on.

    Attributes
    ----------
    failures
        How often the record was not taken.
    since_s
        When it was not taken first, in seconds since the epoch.
    """

    failures: int
    since_s: float
    reason: str

    def as_text(self) -> str:
        """Return it as an offset's metadata."""
        return json.dumps(self._asdict(), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def of_text(cls, text: str) -> Hindrance | None:
        """Read what :meth:`as_text` wrote; None of anything else.

        Examples
        --------
        >>> Hindrance.of_text(Hindrance(2, 0.0, "no answer").as_text()).failures
        2
        >>> Hindrance.of_text("") is None
        True
        """
        try:
            found = json.loads(text)
            return cls(int(found["failures"]), float(found["since_s"]), str(found["reason"]))
        except (ValueError, KeyError, TypeError):
            return None


def pause_s(failures: int) -> float:
    """Return how long to wait after a record was not taken so often.

    Examples
    --------
    >>> [pause_s(n) for n in (1, 2, 3, 9, 10, 1_000)]
    [1.0, 2.0, 4.0, 256.0, 300.0, 300.0]
    """
    return min(PAUSE_S_MAX, 2.0 ** min(failures - 1, 10))


class Courier:
    """Hands on the records of a topic with one partition.

    Parameters
    ----------
    kafka
        Where Kafka is.
    topic, group
        What is read, and the group whose offset says how far.
    deliver
        Hands a record's fields over; may take its time, though less than five minutes.
    due
        See :data:`Due`.

    Attributes
    ----------
    delivered, failed
        How many records were taken, and how many attempts were not.
    hindrance
        Why it does not go on at present, None if it does.
    """

    def __init__(
        self, kafka: Connection, topic: str, group: str, deliver: Deliver, due: Due
    ) -> None:
        self.delivered = self.failed = 0
        self.hindrance: Hindrance | None = None
        self._kafka = kafka
        self._topic = topic
        self._group = group
        self._deliver = deliver
        self._due = due
        self._not_due: Collection[int] = ()
        self._passed_to = 0
        self._gone = False

    def run(self, stopping: Event) -> None:
        """Hand records on until told to stop; a Kafka that does not answer is asked again."""
        while not stopping.is_set():
            try:
                self._begin()
                self._follow(stopping)
            except HeadraceError as error:
                _log.warning("alerts are not sent for now", group=self._group, reason=str(error))
                stopping.wait(_ASK_AGAIN_S)

    @cached_property
    def _groups(self) -> Groups:
        return Groups(self._kafka)

    def _begin(self) -> None:
        """At the very first start, see what is due of the past, and begin with the first of it."""
        groups, place = self._groups, (self._topic, 0)
        self._passed_to = _passed_to(groups, self._group, self._topic)
        if place in groups.committed(self._group):
            return
        records = list(Reading(self._kafka, self._topic).records())
        there = [record.offset for record, _ in records]
        due = set(self._due(records))
        self._not_due = {offset for offset in there if offset not in due}
        start = min(due, default=there[-1] + 1 if there else groups.bounds([place])[place][0])
        groups.commit(self._group, {place: Committed(start, "")})

    def _follow(self, stopping: Event) -> None:
        decoder = Decoder(SchemaIds(self._kafka), self._topic)
        what = f"{self._topic} could not be followed"
        settings = {"group.id": self._group, "error_cb": _heard, **_FOLLOWING}
        with self._kafka.asking(what), self._kafka.consumer(settings) as consumer:
            consumer.subscribe([self._topic], on_revoke=self._on_gone, on_lost=self._on_gone)
            while not stopping.is_set():
                message = consumer.poll(_POLL_S)
                error = None if message is None else message.error()
                if message is None or (error is not None and _passes(error)):
                    continue
                if error is not None:
                    raise self._kafka.failure(what, error)
                self._gone = False
                self._hand_over(consumer, decoder, message, stopping)

    def _on_gone(self, consumer: Consumer, places: Any) -> None:
        self._gone = True  # another courier has the topic: what is in our hands is its business

    # -- one record

    def _hand_over(
        self, consumer: Consumer, decoder: Decoder, message: Message, stopping: Event
    ) -> None:
        at = message.offset()
        assert at is not None
        found = None if message.value() is None else decoder.decode(message.value())
        if found is None or at in self._not_due:
            return
        if isinstance(found, Undecodable):
            _log.error("passed over: it does not decode", offset=at, reason=found.detail)
            return
        self.hindrance = None
        while not stopping.is_set() and not self._gone:
            if at < self._passed_to:
                _log.warning("passed over, as was asked for", group=self._group, offset=at)
                self.hindrance = None
                self._commit(consumer, at + 1, "")
                return
            reason = self._deliver(found)
            if reason is None:
                self.hindrance = None
                self.delivered += 1
                self._commit(consumer, at + 1, "")
                return
            hindrance = self._noted(reason, at)
            self._commit(consumer, at, hindrance.as_text())
            self._wait(consumer, at, pause_s(hindrance.failures), stopping)

    def _noted(self, reason: str, at: int) -> Hindrance:
        self.failed += 1
        before = self.hindrance
        failures, since_s = (1, time.time()) if before is None else (before[0] + 1, before[1])
        found = self.hindrance = Hindrance(failures, since_s, reason[:REASON_CHARS_MAX])
        _log.warning("not delivered", group=self._group, offset=at, times=failures, reason=reason)
        return found

    def _commit(self, consumer: Consumer, offset: int, meta: str) -> None:
        place = TopicPartition(self._topic, 0, offset, meta)
        consumer.commit(offsets=[place], asynchronous=False)

    def _wait(self, consumer: Consumer, at: int, seconds: float, stopping: Event) -> None:
        """Pause, and stay a member of the group meanwhile; no longer if it is to be passed over."""
        places = [TopicPartition(self._topic, 0)]
        consumer.pause(places)
        until, ask_at = time.monotonic() + seconds, 0.0
        while time.monotonic() < until and not stopping.is_set() and not self._gone:
            if time.monotonic() >= ask_at:
                self._passed_to = _passed_to(self._groups, self._group, self._topic)
                ask_at = time.monotonic() + _ASK_AGAIN_S
            if at < self._passed_to:
                break
            message = consumer.poll(_POLL_S)
            if message is not None and message.error() is None:  # given away and back meanwhile
                self._gone = True
                consumer.seek(TopicPartition(self._topic, 0, message.offset() or 0))
        consumer.resume(places)  # even if it is gone: the client keeps a pause until it comes back


def _heard(error: KafkaError) -> None:
    """Log an error outside of any call: what the client's own log would have said."""
    _log.warning("kafka", reason=error.str(), kind=error.name())


def _passes(error: KafkaError) -> bool:
    end = error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001 - a public code
    return end or bool(error.retriable())


# -- as anybody can see it, and change it


def _passed_to(groups: Groups, group: str, topic: str) -> int:
    """Return the offset before which a group's courier passes everything over."""
    said = groups.committed(group + _PASSED_OVER).get((topic, 0))
    return 0 if said is None else said.offset


def pass_over(kafka: Connection, topic: str, group: str, offset: int) -> None:
    """Have a group's courier pass over all that it has not handed over before an offset.

    A courier that works does so within seconds, another when it starts.
    """
    Groups(kafka).commit(group + _PASSED_OVER, {(topic, 0): Committed(offset, "")})


class Parcels(NamedTuple):
    """How a courier's group stands.

    Attributes
    ----------
    waiting
        The offsets of the records that it has yet to hand over.
    """

    group: str
    waiting: Sequence[int]
    hindrance: Hindrance | None


def parcels(
    kafka: Connection, topic: str, prefix: str, records: Iterable[tuple[Record, Mapping[str, Any]]]
) -> list[Parcels]:
    """Return how the couriers of a topic stand.

    Parameters
    ----------
    prefix
        What the names of their groups begin with.
    records
        All records of the topic.
    """
    groups, offsets = Groups(kafka), [record.offset for record, _ in records]
    found = []
    for name in groups.names(prefix):
        at = groups.committed(name).get((topic, 0))
        if at is None or name.endswith(_PASSED_OVER):
            continue
        passed_to = _passed_to(groups, name, topic)
        waiting = [offset for offset in offsets if offset >= max(at.offset, passed_to)]
        is_held_up = bool(waiting) and at.offset >= passed_to
        found.append(Parcels(name, waiting, Hindrance.of_text(at.meta) if is_held_up else None))
    return found
