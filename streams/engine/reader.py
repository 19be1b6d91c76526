"""The door by which predictions, metrics and all else go out: any topic, decoded."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from headrace.schemas.codec import Undecodable
from headrace.schemas.errors import ServiceError
from headrace.streams.engine.connection import REQUEST_S, Connection
from headrace.streams.engine.decoder import Decoder
from headrace.streams.engine.ids import SchemaIds
from headrace.streams.engine.messages import fetched
from headrace.streams.records import Record
from headrace.streams.topics import Topics

if TYPE_CHECKING:
    import polars

_WAIT_S = 0.1
_SILENCE_S = 30.0
_SKIPPED_MAX = 1_000


class Skipped(NamedTuple):
    """A record that did not decode."""

    partition: int
    offset: int
    code: str
    detail: str


def read(
    kafka: Connection,
    topics: Topics,
    what: str,
    *,
    follow: bool = False,
    last: int | None = None,
) -> Reading:
    """Return the records of one of a pipeline's topics, decoded.

    Parameters
    ----------
    kafka
        Where Kafka is.
    topics
        The pipeline's topics.
    what
        ``predictions``, ``examples``, ``metrics``, ``dead-letters`` or another one's name.
    follow
        Whether to wait for more at the end, for ever.
    last
        Begin about so many records before each partition's end, not at its beginning.

    Raises
    ------
    ValueError
        There is no such topic in a pipeline.
    """
    names = [name.replace("_", "-") for name in Topics._fields]
    if what not in names:
        near = get_close_matches(what, names, 1)
        hint = f'Did you mean "{near[0]}"?' if near else f"There are {', '.join(names)}."
        raise ValueError(f'A pipeline has no "{what}". {hint}')
    return Reading(kafka, topics[names.index(what)], follow=follow, last=last)


class Reading:
    """A topic's records at ``read_committed``; each iteration starts anew.

    Records of one partition come in their order; partitions come as they are fetched. Barriers
    and tombstones are left out. The end of what is read is each partition's end as the broker says
    it, never a count: on transactional topics offsets have gaps.

    Parameters
    ----------
    kafka, topic, follow, last
        As for :func:`read`.

    Attributes
    ----------
    skipped
        Records that did not decode, the first thousand of them.
    """

    def __init__(
        self, kafka: Connection, topic: str, *, follow: bool = False, last: int | None = None
    ) -> None:
        self.topic = topic
        self.skipped: list[Skipped] = []
        self._kafka = kafka
        self._follow = follow
        self._last = last
        self._decoder: Decoder | None = None

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (fields for _, fields in self.records())

    def records(self) -> Iterator[tuple[Record, dict[str, Any]]]:
        """Go through the records as they lie in the log, with what they hold."""
        decoder = self._decoder = self._decoder or Decoder(SchemaIds(self._kafka), self.topic)
        for message in self._messages():
            if message.value() is None:
                continue
            found = decoder.decode(message.value())
            if not isinstance(found, Undecodable):
                yield _record_of(message), found
            elif len(self.skipped) < _SKIPPED_MAX:
                record = _record_of(message)
                self.skipped.append(Skipped(record.partition, record.offset, *found))

    def to_polars(self) -> polars.DataFrame:
        """Return everything up to the end as a data frame; needs ``pip install polars``."""
        import polars as pl  # noqa: PLC0415 - optional, and slow to load

        from headrace.streams.engine.frames import column_types  # noqa: PLC0415 - needs polars

        if self._follow:
            raise ValueError("What is followed has no end, so it is no data frame.")
        rows = list(self)
        schema = self._decoder.schema if self._decoder else None
        types = column_types(schema) if schema else {}
        if not rows:
            return pl.DataFrame(schema={name: kind or pl.Null for name, kind in types.items()})
        known = {name: kind for name, kind in types.items() if kind is not None}
        return pl.from_dicts(rows, schema_overrides=known, infer_schema_length=None)

    def _messages(self) -> Iterator[Message]:
        what = f"{self.topic} could not be read"
        with self._kafka.asking(what), self._kafka.consumer() as consumer:
            partitions = self._starts(consumer)
            consumer.assign(partitions)
            ended: set[int | None] = set()
            heard = monotonic()
            while self._follow or len(ended) < len(partitions):
                for message in fetched(consumer, _WAIT_S):
                    heard = monotonic()
                    error = message.error()
                    if error is None:
                        yield message
                    elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - a public code
                        ended.add(message.partition())
                    elif not error.retriable():
                        raise self._kafka.failure(what, error)
                if not self._follow and monotonic() - heard > _SILENCE_S:
                    raise ServiceError(
                        f"Kafka at {self._kafka.brokers}: {what}: no answer for {_SILENCE_S:.0f} s."
                    )

    def _starts(self, consumer: Consumer) -> list[TopicPartition]:
        found = consumer.list_topics(timeout=REQUEST_S).topics.get(self.topic)
        if found is None:
            raise ServiceError(
                f"Kafka at {self._kafka.brokers} has no topic {self.topic}. Was the pipeline ever"
                " started? `headrace topics FILE` creates what it needs."
            )
        starts = []
        for partition in sorted(found.partitions):
            place = TopicPartition(self.topic, partition)
            first, end = consumer.get_watermark_offsets(place, timeout=REQUEST_S)
            place.offset = first if self._last is None else max(first, end - self._last)
            starts.append(place)
        return starts


def _record_of(message: Any) -> Record:
    # Any: by its types, a message of the client may lack what every fetched one has.
    headers = tuple((name, value or b"") for name, value in message.headers() or ())
    return Record(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers,
    )
