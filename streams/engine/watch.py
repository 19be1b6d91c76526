"""To look on at several topics at once while they are written: what the demo and tests see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, TopicPartition

from headrace.schemas.codec import Undecodable
from headrace.schemas.errors import ServiceError
from headrace.streams.engine.connection import REQUEST_S, Connection
from headrace.streams.engine.decoder import Decoder
from headrace.streams.engine.ids import SchemaIds
from headrace.streams.engine.messages import fetched, grouped
from headrace.streams.records import Record
from headrace.streams.records import TopicPartition as Place

_WAIT_S = 0.1
_END = KafkaError._PARTITION_EOF  # noqa: SLF001 - a public code

Wanted = Callable[[Record], bool]
"""Whether a record is to be decoded: by its key, perhaps, since decoding costs more than asking."""


class Seen(NamedTuple):
    """A record as it became visible.

    Attributes
    ----------
    fields
        What it holds, times as integers; None of a barrier, of a tombstone, of a record that does
        not decode, and of one that was not to be decoded.
    """

    record: Record
    fields: dict[str, Any] | None


def watch(
    kafka: Connection,
    topics: Mapping[str, Wanted | None],
    go_on: Callable[[], bool],
    *,
    last: int | None = None,
    at_end: Callable[[Place], None] = lambda _: None,
) -> Iterator[Sequence[Seen]]:
    """Go through topics at ``read_committed`` from their beginnings, and wait for more.

    Parameters
    ----------
    kafka
        Where Kafka is.
    topics
        What is read, through one consumer, with what says which of its records are decoded; None:
        none of them.
    go_on
        Asked at least ten times a second; the watch ends when it returns False.
    last
        Begin about so many records before each partition's end, not at its beginning.
    at_end
        Told of each partition whose end is reached with what is yielded next.

    Yields
    ------
    sequence of Seen
        What has come, barriers and tombstones among it; empty when nothing has come for a while.

    Raises
    ------
    ServiceError
        Kafka does not answer, or has no such topic.
    """
    decoders = _decoders(kafka, topics)
    what = f"{', '.join(topics)} could not be read"

    def check(error: Any) -> None:
        if error.code() != _END and not error.retriable():
            raise kafka.failure(what, error)

    with kafka.asking(what), kafka.consumer() as consumer:
        consumer.assign(_beginnings(consumer, topics, kafka, last))
        while go_on():
            messages = fetched(consumer, _WAIT_S)
            batch = [record for _, records in grouped(messages, check) for record in records]
            for place in _ended(messages):
                at_end(place)
            yield [Seen(record, _fields(decoders.get(record.topic), record)) for record in batch]


def every(record: Record) -> bool:
    """Have each record of a topic decoded."""
    return True


def _decoders(
    kafka: Connection, topics: Mapping[str, Wanted | None]
) -> dict[str, tuple[Wanted, Decoder]]:
    return {
        topic: (wanted, Decoder(SchemaIds(kafka), topic, times=False))
        for topic, wanted in topics.items()
        if wanted is not None
    }


def _beginnings(
    consumer: Consumer, topics: Iterable[str], kafka: Connection, last: int | None
) -> list[TopicPartition]:
    have = consumer.list_topics(timeout=REQUEST_S).topics
    places = []
    for topic in topics:
        if topic not in have:
            raise ServiceError(
                f"Kafka at {kafka.brokers} has no topic {topic}. `headrace topics FILE` creates"
                " what a pipeline needs."
            )
        for number in sorted(have[topic].partitions):
            place = TopicPartition(topic, number)
            first, end = consumer.get_watermark_offsets(place, timeout=REQUEST_S)
            place.offset = first if last is None else max(first, end - last)
            places.append(place)
    return places


def _ended(messages: Iterable[Any]) -> list[Place]:
    found = [(each, each.error()) for each in messages]
    return [
        (each.topic(), each.partition())
        for each, error in found
        if error is not None and error.code() == _END
    ]


def _fields(how: tuple[Wanted, Decoder] | None, record: Record) -> dict[str, Any] | None:
    if how is None or record.value is None:
        return None
    wanted, decoder = how
    found = decoder.decode(record.value) if wanted(record) else None
    return None if isinstance(found, Undecodable) else found
