"""The door by which events and labels come in: a publisher that loses nothing without a word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from types import TracebackType

from confluent_kafka import KafkaError, KafkaException, Message

from headrace.schemas.errors import InputError, ServiceError
from headrace.streams.engine.connection import Connection
from headrace.streams.engine.ids import SchemaIds, use_input_codecs
from headrace.streams.event import Event
from headrace.streams.outgoing import Outgoing, outgoing_event, outgoing_label
from headrace.streams.partitioner import partition_of
from headrace.streams.plan import Plan
from headrace.streams.records import BARRIER, WATERMARK
from headrace.streams.stages.barriers import NAME_CHARS_MAX
from headrace.streams.stages.repetitions import source_header
from headrace.streams.subjects import input_schemas
from headrace.streams.topics import topics_of
from headrace.streams.watermark import advance, fresh_clock

_DELIVERY_S = 30.0
_CLOSE_S = 5.0
_POLL_EVERY = 500
"""Records between two looks at what has failed."""

_WRITING = {
    "enable.idempotence": True,
    "acks": "all",
    "message.timeout.ms": int(_DELIVERY_S * 1000),
    "message.max.bytes": 4 * 1024 * 1024,
    "linger.ms": 5,
    # What may wait for acknowledgement: at the bound, event() and label() wait.
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 65_536,
    # Successes are counted by what is left; a call for each would cost more than sending it.
    "delivery.report.only.error": True,
}

_GAPLESS = {
    # A place behind one that is not there would have SCORE pass over the one that is sent again:
    # so no record is given up by time, and one that the broker refuses ends the producer.
    "message.timeout.ms": 0,
    "enable.gapless.guarantee": True,
    # Errors alone: else each publication begins with a warning that this setting is experimental.
    "log_level": 3,
}

Headers = list[tuple[str, str | bytes | None]]


class Publisher:
    """Publishes a pipeline's events and labels.

    Each record goes to the partition of its key by Kafka's own partitioner (many clients of Python
    use another one by default); an event's key is its entity's, a label's is the id of its event.
    Records are written idempotently and acknowledged by all replicas in sync. ``event`` and
    ``label`` return at once, and wait when too much is under way; ``flush``, and leaving the
    ``with`` block, wait for all acknowledgements. What could not be delivered raises, at the latest
    there.

    Parameters
    ----------
    plan
        The pipeline.
    kafka
        Where Kafka is.
    on_sent
        Told of each record that was sent. Then the records of a source must be sent in rising
        order of their places (``Outgoing.origin``), and none is sent behind one that failed.

    Attributes
    ----------
    events, labels
        How many were handed over so far.

    Raises
    ------
    ServiceError
        Kafka does not answer, or the pipeline's input topics do not exist.
    """

    def __init__(
        self, plan: Plan, kafka: Connection, on_sent: Callable[[Outgoing], None] | None = None
    ) -> None:
        self.plan = plan
        self.kafka = kafka
        self.events = 0
        self.labels = 0
        self._clocks = [fresh_clock(), fresh_clock()]
        self._partitions = self._count_partitions()
        avro = dict(input_schemas(plan).values())
        if avro:
            use_input_codecs(plan, SchemaIds(kafka).register(avro))
        self._failed: list[str] = []
        self._failures = 0
        self._on_sent = on_sent
        settings = {**_WRITING, "on_delivery": self._on_failure}
        self._producer = kafka.producer(settings | (_GAPLESS if on_sent else {}))

    def _count_partitions(self) -> tuple[tuple[str, int], ...]:
        """Return topic and partition count of events, and of labels if there are any."""
        topics = self.plan.topics
        inputs = [topics.events] + ([topics.labels] if self.plan.labels == "topic" else [])
        have = self.kafka.partition_counts()
        missing = [name for name in inputs if name not in have]
        if missing:
            raise ServiceError(
                f"Kafka at {self.kafka.brokers} has no topic {' and no '.join(missing)}."
                " Create what the pipeline needs with `headrace topics FILE`, or start it with"
                " `headrace run FILE`."
            )
        return tuple((name, have[name]) for name in inputs)

    def topic_ids(self) -> dict[str, str]:
        """Return Kafka's ids of the topics that are published to."""
        return self.kafka.topic_ids([topic for topic, _ in self._partitions])

    def event(self, event: Event) -> None:
        """Publish one event.

        Raises
        ------
        TypeError, InputError
            It is none of this pipeline's events, or one that SCORE would refuse.
        ServiceError
            An earlier record could not be delivered.
        """
        self.send(outgoing_event(self.plan, event))

    def label(self, label: Event) -> None:
        """Publish one label; raises as :meth:`event` does."""
        self.send(outgoing_label(self.plan, label))

    def send(self, record: Outgoing) -> None:
        """Publish an event or label that was made ready before."""
        topic, count = self._partitions[record.is_label]
        headers: Headers = [] if record.origin is None else [source_header(record.origin)]
        if record.after_events:
            headers.append((WATERMARK, str(self._promise(record)).encode()))
        self._produce(topic, partition_of(record.key, count), record.key, record.value, headers)
        self.pass_over(record)
        if self._on_sent is not None:
            self._on_sent(record)
        if record.is_label:
            self.labels += 1
        else:
            self.events += 1
        if (self.events + self.labels) % _POLL_EVERY == 0:
            self._look()

    def pass_over(self, record: Outgoing) -> None:
        """Take in the time of a record that another publisher of the same history has sent."""
        if not record.after_events:
            advance(self._clocks[record.is_label], record.time_ms)

    def _promise(self, label: Outgoing) -> int:
        """Return what a label behind the last event promises: what those before it do.

        If labels may only be so far ahead, as much more as it needs not to be refused.
        """
        watermark, ahead_ms = self._clocks[1][0] or 0, self.plan.label_ahead_ms
        return watermark if ahead_ms is None else max(watermark, label.time_ms - ahead_ms)

    def closed_topics(self) -> list[str]:
        """Return the input topics into which no control records may be written.

        They are not the pipeline's own, and its declaration does not allow it.
        """
        own = topics_of(self.plan.name)
        declared = (self.plan.pipeline.events, self.plan.pipeline.labels)
        return [
            topic
            for (topic, _), source in zip(self._partitions, declared, strict=False)
            if topic not in own and not getattr(source, "control_records", False)
        ]

    def barrier(self, name: str) -> None:
        """Publish a barrier: what was published before has been learned when LEARN announces it.

        Parameters
        ----------
        name
            A name that nobody else uses, of at most 256 characters.

        Raises
        ------
        InputError
            The name cannot be one, or a topic is not the pipeline's own.
        """
        if not 0 < len(name) <= NAME_CHARS_MAX:
            raise InputError(f"A barrier's name has 1 to {NAME_CHARS_MAX} characters, not {name!r}")
        closed = self.closed_topics()
        if closed:
            raise InputError(control_records_fault(self.plan.name, closed))
        self._tell_all([(BARRIER, name.encode())])
        self.flush()

    def mark(self) -> None:
        """Promise on every partition that what comes is no older than what was published so far.

        Less the lateness, and by the watermark of what this publisher has published: so it must be
        the only one, or the one that is behind. Partitions to which no entity belongs hear by it
        how far time has come, and what waits for them can be let go. Barriers promise the same.
        Nothing is written into topics of others (:meth:`closed_topics`).
        """
        self._tell_all([])

    @property
    def watermark_ms(self) -> int | None:
        """How far the published events have come in event time."""
        watermark: int | None = self._clocks[0][0]
        return watermark

    def _tell_all(self, said: Headers) -> None:
        """Write a record without value to every partition, behind what was sent before."""
        closed = self.closed_topics()
        for (topic, count), clock in zip(self._partitions, self._clocks, strict=False):
            headers = list(said)
            if clock[0] is not None:
                headers.append((WATERMARK, str(clock[0]).encode()))
            for partition in range(count if headers and topic not in closed else 0):
                self._produce(topic, partition, None, None, headers)

    def flush(self) -> None:
        """Wait until everything is acknowledged.

        Raises
        ------
        ServiceError
            Something could not be delivered.
        """
        left = self._producer.flush(_DELIVERY_S + _CLOSE_S)
        self._look()
        if left:
            raise self._unacknowledged(left)

    def settle(self) -> bool:
        """Wait a little for what is under way; say whether all of it is acknowledged."""
        left = self._producer.flush(_CLOSE_S)
        return not left and not self._failures

    @property
    def waiting(self) -> int:
        """How many records are not acknowledged yet."""
        return len(self._producer)

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.flush()
        else:
            self._producer.flush(_CLOSE_S)
            if self._on_sent is not None:
                self._producer.purge()  # the same command sends again what is given up here

    def _produce(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
    ) -> None:
        progress = None
        while True:
            try:
                self._producer.produce(topic, value, key, partition, headers=headers)
            except BufferError:  # the queue is full: wait until some of it is delivered, or failed
                self._producer.poll(0.05)
                self._look()
                progress = self._check_progress(progress)
            except KafkaException as error:
                raise self.kafka.failure(f"{topic} takes no record", error.args[0]) from error
            else:
                return

    def _check_progress(self, before: tuple[int, float] | None) -> tuple[int, float]:
        """Return how many records wait, and since when as many; raise if it is for too long."""
        left, now = len(self._producer), monotonic()
        if before is None or left < before[0]:
            return left, now
        if now - before[1] > _DELIVERY_S + _CLOSE_S:
            raise self._unacknowledged(left)
        return before

    def _unacknowledged(self, left: int) -> ServiceError:
        return ServiceError(
            f"Kafka at {self.kafka.brokers} has not acknowledged {left} records for"
            f" {_DELIVERY_S:.0f} s; they may or may not be there."
        )

    def _on_failure(self, error: KafkaError, message: Message) -> None:
        self._failures += 1
        if len(self._failed) < 3:
            self._failed.append(f"{message.topic()}-{message.partition()}: {error.str()}")

    def _look(self) -> None:
        """Serve what the client has to say; raise if a record could not be delivered."""
        self._producer.poll(0)
        if self._failures:
            count, said = self._failures, "; ".join(self._failed)
            self._failures, self._failed = 0, []
            again = "Publish them again: an event that is there is counted as a duplicate."
            if self._on_sent is not None:
                again = "Once that is mended the same command goes on where it stopped."
            raise ServiceError(
                f"Kafka at {self.kafka.brokers} did not take {count} records ({said}). {again}"
            )


def control_records_fault(pipeline: str, topics: Sequence[str]) -> str:
    """Return why no barrier can be written, and what would allow it."""
    verb = "are" if len(topics) > 1 else "is"
    return (
        f"{pipeline}: {' and '.join(topics)} {verb} not the pipeline's own, and a barrier is a"
        " record without key and value, which all who read the topic see."
        " If they can pass over such records, declare it: Source(..., control_records=True), and"
        " Labels(...) likewise. Otherwise publish without --in-step."
    )
