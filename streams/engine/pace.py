"""How fast a history is published: flat out, paced by event time, or in step with the learning.

In step is the way to an honest replay faster than time: no event is scored before the model has
learned every label that was known when it happened, slice by slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

from confluent_kafka import Consumer, KafkaError, TopicPartition

from headrace.schemas.codec import Undecodable
from headrace.schemas.errors import ServiceError
from headrace.streams.engine.connection import REQUEST_S, Connection
from headrace.streams.engine.decoder import Decoder
from headrace.streams.engine.ids import SchemaIds
from headrace.streams.engine.publisher import Publisher
from headrace.streams.outgoing import Outgoing, slices
from headrace.streams.stages.barriers import STEP
from headrace.streams.stages.marks import crossed

_SHOW_S = 0.2
_SILENT_S = 5.0
_WAIT_S = 120.0
_POLL_S = (0.002, 0.02)

Workers = Callable[[], Mapping[str, Mapping[str, Any]]]
"""Asks the board on which each worker writes its state, by ``<role>-<slot>``.

Of a scorer ``role``, ``time`` (which changes with every writing) and ``learned_to`` are read.
"""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a history has been published.

    Attributes
    ----------
    events, labels
        Published so far.
    event_time_ms
        Event time up to which they reach.
    slices
        Slices that were learned, in step.
    learned_to
        The newest model announced at a barrier, in step.
    waiting_for
        What is waited for just now: ``learn``, or a scorer's slot; empty while publishing.
    done
        Whether everything is published, acknowledged and, in step, learned.
    """

    events: int = 0
    labels: int = 0
    event_time_ms: int | None = None
    slices: int = 0
    learned_to: int = 0
    waiting_for: str = ""
    done: bool = False


def publish_flat_out(publisher: Publisher, records: Iterable[Outgoing]) -> Iterator[Progress]:
    """Publish as fast as Kafka takes it, and say how far that is, a few times a second."""
    time_ms = None
    shown = monotonic()
    marks = _Marks(publisher)
    for record in records:
        publisher.send(record)
        marks.keep()
        time_ms = record.time_ms
        if monotonic() - shown > _SHOW_S:
            shown = monotonic()
            yield _progress(publisher, time_ms)
    publisher.mark()
    publisher.flush()
    yield replace(_progress(publisher, time_ms), done=True)


def publish_paced(
    publisher: Publisher, records: Iterable[Outgoing], speed: float
) -> Iterator[Progress]:
    """Publish as time passed, ``speed`` times as fast.

    Parameters
    ----------
    speed
        Seconds of event time in a second.
    """
    begun = monotonic()
    marks = _Marks(publisher)
    first_ms = time_ms = None
    shown = begun
    for record in records:
        first_ms = record.time_ms if first_ms is None else first_ms
        due = begun + (record.time_ms - first_ms) / 1000 / speed
        while (now := monotonic()) < due or now - shown > _SHOW_S:
            if now - shown > _SHOW_S:
                shown = now
                yield _progress(publisher, time_ms)
            sleep(max(0, min(due - now, _SHOW_S)))
        publisher.send(record)
        marks.keep()
        time_ms = record.time_ms
    publisher.mark()
    publisher.flush()
    yield replace(_progress(publisher, time_ms), done=True)


class _Marks:
    """Has a publisher say now and then how far it has come, for partitions that get no event."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._said: int | None = None

    def keep(self) -> None:
        """Mark, if event time has crossed a step since the last time."""
        now = self._publisher.watermark_ms
        if crossed(self._said, now, self._publisher.plan.mark_step_ms):
            self._publisher.mark()
            self._said = now


def publish_in_step(
    publisher: Publisher,
    records: Iterable[Outgoing],
    step_ms: int,
    workers: Workers,
    *,
    wait_s: float = _WAIT_S,
) -> Iterator[Progress]:
    """Publish slice by slice; each waits until the one before is learned, and its model served.

    Parameters
    ----------
    records
        In order (see :func:`headrace.streams.outgoing.interleaved`).
    step_ms
        Length of a slice of event time; empty slices are passed over.
    workers
        Asks the board of workers which model each scorer serves.
    wait_s
        How long a slice may take to be learned and served.

    Raises
    ------
    ServiceError
        Nobody learned or served a slice in time.
    """
    session = uuid4().hex[:12]
    scorers = _Scorers(workers)
    done, time_ms, learned_to = 0, None, 0
    with _announcements(publisher.kafka, publisher.plan.topics.models) as announced:
        for _, part in slices(records, step_ms):
            for record in part:
                publisher.send(record)
                time_ms = record.time_ms
            now = replace(_progress(publisher, time_ms), slices=done, learned_to=learned_to)
            yield now
            barrier = f"{STEP}{session}-{done}"
            publisher.barrier(barrier)
            deadline = monotonic() + wait_s
            while (found := announced(barrier)) is None:
                yield replace(now, waiting_for="learn")
                _check(deadline, now, "learn", wait_s)
            learned_to = found
            yield from _served(scorers, learned_to, now, deadline, wait_s)
            done += 1
        publisher.barrier(f"{session}-end")  # has MONITOR emit all; nobody need wait for it
    now = replace(_progress(publisher, time_ms), slices=done, learned_to=learned_to)
    yield replace(now, done=True)


def _served(
    scorers: _Scorers, learned_to: int, now: Progress, deadline: float, wait_s: float
) -> Iterator[Progress]:
    """Wait until all live scorers serve a model, saying for whom, a few times a second."""
    pause, most = _POLL_S
    shown = monotonic()
    while (behind := scorers.behind(learned_to)) is not None:
        if monotonic() - shown > _SHOW_S:
            shown = monotonic()
            yield replace(now, learned_to=learned_to, waiting_for=behind)
        _check(deadline, now, behind, wait_s)
        sleep(pause)
        pause = min(2 * pause, most)


def _check(deadline: float, now: Progress, whom: str, wait_s: float) -> None:
    if monotonic() <= deadline:
        return
    does = "has announced what it learned" if whom == "learn" else "serves the newest model"
    raise ServiceError(
        f"After slice {now.slices + 1} ({now.events} events, {now.labels} labels) nobody of"
        f" {whom!r} {does} for {wait_s:.0f} s. Is `headrace run` running? `headrace status` shows"
        " each worker."
    )


def _progress(publisher: Publisher, time_ms: int | None) -> Progress:
    return Progress(publisher.events, publisher.labels, time_ms)


class _Scorers:
    """Who scores, and which model each serves.

    A scorer whose entry has not changed for five seconds is not alive: it died, or belongs to a
    run of the past. Its clock is not compared with ours, since they may differ.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._seen: dict[str, tuple[object, float]] = {}

    def behind(self, learned_to: int) -> str | None:
        """Return the name of a live scorer that serves an older model, None if there is none."""
        alive = False
        for slot, state in sorted(self._workers().items()):
            if state.get("role") != "score" or not self._is_alive(slot, state.get("time")):
                continue
            alive = True
            if (state.get("learned_to") or 0) < learned_to:
                return slot
        return None if alive else "score"

    def _is_alive(self, slot: str, time: object) -> bool:
        before, since = self._seen.get(slot, (None, 0.0))
        if time != before:
            since = monotonic()
            self._seen[slot] = (time, since)
        return monotonic() - since <= _SILENT_S


@contextmanager
def _announcements(kafka: Connection, topic: str) -> Iterator[Callable[[str], int | None]]:
    """Lend a function that waits a moment for a barrier's announcement: its ``learned_to``."""
    decoder = Decoder(SchemaIds(kafka), topic, times=False)
    place = TopicPartition(topic, 0)
    with kafka.asking(f"{topic} could not be read"), kafka.consumer() as consumer:
        _, place.offset = consumer.get_watermark_offsets(place, timeout=REQUEST_S)
        consumer.assign([place])
        yield lambda barrier: _announced(consumer, kafka, decoder, barrier)


def _announced(consumer: Consumer, kafka: Connection, decoder: Decoder, barrier: str) -> int | None:
    until = monotonic() + _SHOW_S
    while monotonic() < until:
        message = consumer.poll(max(0.0, until - monotonic()))
        error = None if message is None else message.error()
        if message is None:
            return None
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF and not error.retriable():  # noqa: SLF001 - a public code
                raise kafka.failure("announcements could not be read", error)
            continue
        found = decoder.decode(message.value())
        if not isinstance(found, Undecodable) and found["barrier"] == barrier:
            return int(found["learned_to"])
    return None
