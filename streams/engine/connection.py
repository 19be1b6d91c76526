"""How clients of Kafka are made, and how their errors become ours: the one seam for the doors."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import AdminClient

from headrace.schemas.errors import ServiceError

REQUEST_S = 15.0
"""How long a broker may take to answer."""

COMPRESSION = "zstd"
"""Its records are half as big as lz4's (docs/adr/0016), and it costs the writer no more."""

_LOG = logging.getLogger("headrace.kafka")

_READING = {
    # Positions are our own; a group's name is asked for, and never joined.
    "group.id": "headrace-doors",
    "enable.auto.commit": False,
    "auto.offset.reset": "error",
    "isolation.level": "read_committed",
    "enable.partition.eof": True,
    # The default pauses a second whenever the local queue is full.
    "fetch.queue.backoff.ms": 10,
    # How long a broker holds back its answer at the end of a log, hence how late the end is known.
    "fetch.wait.max.ms": 20,
}


@dataclass(frozen=True, slots=True)
class Connection:
    """Where Kafka is.

    Attributes
    ----------
    brokers
        ``host:port`` of one or more brokers, separated by commas.
    security
        Further client settings, such as ``security.protocol`` and ``sasl.*``.
    compression
        How batches of records are compressed by whoever writes them: ``none``, ``gzip``,
        ``snappy``, ``lz4`` or ``zstd``.
    """

    brokers: str
    security: Mapping[str, str] = field(default_factory=dict)
    compression: str = COMPRESSION

    def producer(self, settings: Mapping[str, object]) -> Producer:
        """Return a producer."""
        own = {"bootstrap.servers": self.brokers, "compression.type": self.compression}
        return Producer({**own, **self.security, **settings}, logger=_LOG)

    @contextmanager
    def consumer(self, settings: Mapping[str, object] | None = None) -> Iterator[Consumer]:
        """Lend a consumer at ``read_committed`` that is assigned by hand and knows the end."""
        config = {"bootstrap.servers": self.brokers, **self.security, **_READING}
        consumer = Consumer({**config, **(settings or {})}, logger=_LOG)
        try:
            yield consumer
        finally:
            consumer.close()

    @contextmanager
    def asking(self, what: str) -> Iterator[None]:
        """Translate the client's errors.

        Raises
        ------
        ServiceError
            Says ``what`` failed, and how.
        """
        try:
            yield
        except KafkaException as error:
            raise self.failure(what, error.args[0]) from error

    def failure(self, what: str, error: KafkaError) -> ServiceError:
        """Return an error of the client as ours."""
        if error.code() in {KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._RESOLVE}:  # noqa: SLF001 - these are librdkafka's public codes
            return ServiceError(
                f"No Kafka broker answers at {self.brokers}: {what} ({error.str()})."
                " Start one with `headrace up`, or name yours in HEADRACE_KAFKA_BROKERS."
            )
        return ServiceError(f"Kafka at {self.brokers}: {what}: {error.str()}.")

    def partition_counts(self) -> dict[str, int]:
        """Return the partition count of each topic that exists."""
        with self.asking("topics could not be listed"), self.consumer() as consumer:
            found = consumer.list_topics(timeout=REQUEST_S).topics
        return {name: len(topic.partitions) for name, topic in found.items()}

    def topic_ids(self, names: Sequence[str]) -> dict[str, str]:
        """Return Kafka's own id of each of some topics: one that is made anew gets another."""
        admin = AdminClient({"bootstrap.servers": self.brokers, **self.security}, logger=_LOG)
        with self.asking("topics could not be described"):
            asked = admin.describe_topics(TopicCollection(list(names)), request_timeout=REQUEST_S)
            return {name: str(asked[name].result(REQUEST_S + 1).topic_id) for name in names}
