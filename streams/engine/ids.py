"""Schema ids on Kafka: a compacted topic is their log; registrars take turns by being fenced.

Registering, and what a crash or another registrar in each gap costs:

1. **Read** all registrations. Everything is known, as on every start but the first: done, and
   nobody is disturbed.
2. **Take the turn**: ``init_transactions`` with the one transactional id of all registrars. It
   ends the transaction of whoever had the turn, by an abort or by waiting for its commit.
3. **Read again.** What anybody has committed is seen now, since nothing of another is open.
4. **One transaction** with the new ids. Whoever took the turn meanwhile has fenced us: nothing of
   ours was written, and we begin again. An unknown outcome: begin again, and find it done or not.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from headrace.schemas.codec import Codec, Schema
from headrace.schemas.errors import SchemaError, ServiceError
from headrace.schemas.ids import Registered, Registration
from headrace.schemas.records import Codecs, codecs_of
from headrace.streams.engine.admin import Topics as Broker
from headrace.streams.engine.connection import REQUEST_S, Connection
from headrace.streams.plan import Plan
from headrace.streams.subjects import input_schemas, schemas_by_subject, subjects_of
from headrace.streams.topics import TopicSpec

SCHEMAS = TopicSpec("_headrace-schemas", 1, {"cleanup.policy": "compact"})
"""The topic of registrations. Each has a key of its own, so compaction drops none."""

_TURN = {
    "transactional.id": "headrace-schemas",
    "transaction.timeout.ms": 10_000,
    # The default waits 100 ms whenever the predecessor's markers are still being written.
    "retry.backoff.ms": 10,
}
_ATTEMPTS = 30
_PAUSE_S = 0.5


class SchemaIds:
    """The registrations of a Kafka cluster.

    Parameters
    ----------
    kafka
        Where it is.
    topic
        Another topic of registrations than ours.
    """

    def __init__(self, kafka: Connection, topic: TopicSpec = SCHEMAS) -> None:
        self._kafka = kafka
        self._topic = topic

    def known(self) -> Registered:
        """Return everything that is registered.

        Raises
        ------
        SchemaError
            A record of the topic is no registration.
        ServiceError
            Kafka does not answer.
        """
        if self._topic.name not in self._kafka.partition_counts():
            return Registered()
        return Registered(self._registration(message) for message in self._read())

    def register(self, wanted: Mapping[str, Schema]) -> Registered:
        """See that each schema has an id; return everything that is registered.

        Parameters
        ----------
        wanted
            Schemas by subject.

        Raises
        ------
        SchemaError
            A schema does not grow from what its subject had.
        ServiceError
            Kafka does not answer, or others kept the turn.
        """
        registered = self.known()
        if not registered.missing(wanted):
            return registered
        registered.allocate(wanted)  # a schema that is refused disturbs nobody
        Broker(self._kafka.brokers, self._kafka.security).ensure([self._topic])
        for attempt in range(_ATTEMPTS):
            try:
                return self._take_turn(wanted)
            except KafkaException as error:
                last = error.args[0]
            # Random, lest two go on fencing each other in step.
            time.sleep(random.uniform(0, _PAUSE_S * min(1, (attempt + 1) / 5)))  # noqa: S311
        raise self._kafka.failure("schema ids could not be registered", last)

    def _take_turn(self, wanted: Mapping[str, Schema]) -> Registered:
        producer = self._kafka.producer(_TURN)
        producer.init_transactions(REQUEST_S)
        registered = self.known()
        new = registered.allocate(wanted)
        if not new:
            return registered
        producer.begin_transaction()
        for registration in new:
            key, value = registration.encode()
            producer.produce(self._topic.name, value, key, partition=0)
        producer.commit_transaction(REQUEST_S)
        for registration in new:
            registered.add(registration)
        return registered

    def _read(self) -> Sequence[Message]:
        """Return all records up to the end."""
        found: list[Message] = []
        what = f"{self._topic.name} could not be read"
        with self._kafka.asking(what), self._kafka.consumer() as consumer:
            first, _ = consumer.get_watermark_offsets(
                TopicPartition(self._topic.name, 0), timeout=REQUEST_S
            )
            consumer.assign([TopicPartition(self._topic.name, 0, first)])
            while True:
                message = consumer.poll(REQUEST_S)
                if message is None:
                    raise ServiceError(f"Kafka at {self._kafka.brokers}: {what}: no answer.")
                error = message.error()
                if error is None:
                    found.append(message)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - a public code
                    return found
                elif not error.retriable():
                    raise self._kafka.failure(what, error)

    def _registration(self, message: Message) -> Registration:
        try:
            return Registration.decode(message.value())
        except SchemaError as error:
            place = f"{self._topic.name}, offset {message.offset()}"
            raise SchemaError(
                f"{place}: {error} Ids that it held could be given twice: write the record again,"
                " or delete the topic (ids come back as they were)."
            ) from error


def register_schemas(ids: SchemaIds, plan: Plan) -> Registered:
    """See that all schemas of a pipeline have ids; return everything that is registered."""
    return ids.register(schemas_by_subject(plan))


def codecs_for(plan: Plan, registered: Registered) -> Codecs:
    """Return a pipeline's codecs with registered ids, and teach its plan to read Avro inputs.

    Raises
    ------
    SchemaError
        A schema has no id.
    """
    subjects = subjects_of(plan.topics)
    ids = {name: _id_of(registered, subjects[name], plan.schemas[name]) for name in plan.schemas}
    older = {name: registered.schemas_of(subjects[name]) for name in plan.schemas}
    use_input_codecs(plan, registered)
    return codecs_of(plan.schemas, ids, older)


def use_input_codecs(plan: Plan, registered: Registered) -> None:
    """Let a plan read and write its Avro inputs with registered ids; JSON inputs need none."""
    codecs = {}
    for name, (subject, schema) in input_schemas(plan).items():
        number = _id_of(registered, subject, schema)
        codecs[name] = Codec(schema, number, registered.schemas_of(subject))
    if codecs:
        plan.use_codecs(codecs.get("event"), codecs.get("label"))


def _id_of(registered: Registered, subject: str, schema: Schema) -> int:
    number = registered.id_of(subject, schema)
    if number is None:
        raise SchemaError(
            f"{subject}: the schema is not registered. Run `headrace topics` with this pipeline's"
            " file first."
        )
    return number
