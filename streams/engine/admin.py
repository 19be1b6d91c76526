"""Topics as a pipeline needs them: created if missing, differences said.

Of a topic that exists nothing is changed unless somebody asks for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from headrace.schemas.errors import ServiceError
from headrace.streams.topics import TopicSpec, kept_ms, retention_changes

_REQUEST_S = 15.0
_LOG = logging.getLogger("headrace.kafka")


class TopicState(NamedTuple):
    """What was found of one topic, and what was done.

    Attributes
    ----------
    name
        The topic.
    created
        Whether it was created just now.
    partitions
        How many partitions it has.
    differs
        One sentence for each property that is not as the pipeline would have made it.
    retention
        The settings that it needs to keep its records as long as is declared; none if it does.
    kept_ms
        How long it keeps its records; None if it has just been created, or keeps them for ever.
    """

    name: str
    created: bool
    partitions: int
    differs: tuple[str, ...] = ()
    retention: Mapping[str, str] = MappingProxyType({})
    kept_ms: int | None = None


class Topics:
    """The broker's topics.

    Parameters
    ----------
    brokers
        ``host:port`` of one or more brokers, separated by commas.
    security
        Further client settings, such as ``security.protocol`` and ``sasl.*``.
    """

    def __init__(self, brokers: str, security: Mapping[str, str] | None = None) -> None:
        self._brokers = brokers
        settings: dict[str, str | int | float | bool] = {
            "bootstrap.servers": brokers,
            **(security or {}),
        }
        self._admin = AdminClient(settings, logger=_LOG)

    def partition_counts(self) -> dict[str, int]:
        """Return the partition count of each topic that exists.

        Raises
        ------
        ServiceError
            No broker answers.
        """
        try:
            found = self._admin.list_topics(timeout=_REQUEST_S).topics
        except KafkaException as error:
            raise self._no_answer(error) from error
        return {name: len(topic.partitions) for name, topic in found.items()}

    def ensure(self, specs: Sequence[TopicSpec]) -> list[TopicState]:
        """Create the topics that are missing; say what differs of those that exist."""
        have = self.partition_counts()
        missing = [spec for spec in specs if spec.name not in have]
        created = self._create(missing)
        if missing:
            have = self._settled([spec.name for spec in missing])
        present = self._compared([s for s in specs if s.name not in created], have)
        return [present.get(s.name) or TopicState(s.name, True, have[s.name]) for s in specs]

    def compare(self, specs: Sequence[TopicSpec]) -> list[TopicState]:
        """Say what differs of the topics that exist; create none."""
        have = self.partition_counts()
        return list(self._compared([s for s in specs if s.name in have], have).values())

    def _compared(
        self, specs: Sequence[TopicSpec], have: Mapping[str, int]
    ) -> dict[str, TopicState]:
        configs = self._configs([spec.name for spec in specs])
        return {
            spec.name: TopicState(
                spec.name,
                created=False,
                partitions=have[spec.name],
                differs=tuple(_differences(spec, have[spec.name], configs[spec.name])),
                retention=retention_changes(spec, configs[spec.name]),
                kept_ms=kept_ms(configs[spec.name]),
            )
            for spec in specs
        }

    def alter(self, name: str, settings: Mapping[str, str]) -> None:
        """Change some settings of a topic; the others stay."""
        entries = [
            ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
            for key, value in settings.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
        for future in self._admin.incremental_alter_configs([resource]).values():
            self._wait(name, future, KafkaError.NO_ERROR)

    def _settled(self, names: Sequence[str]) -> dict[str, int]:
        """Wait until new topics are listed and led: a broker says yes some moments before."""
        until = time.monotonic() + _REQUEST_S
        while True:
            have = self.partition_counts()
            lacking = sorted(set(names) - set(have)) or self._unled({n: have[n] for n in names})
            if not lacking:
                return have
            if time.monotonic() > until:
                raise ServiceError(
                    f"Kafka at {self._brokers} created {', '.join(lacking)} and does not serve it"
                    f" after {_REQUEST_S:g} s."
                )
            time.sleep(0.02)

    def _unled(self, counts: Mapping[str, int]) -> list[str]:
        """Return the topics of which a partition does not answer yet."""
        places = [
            TopicPartition(n, number) for n, count in counts.items() for number in range(count)
        ]
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]  # a gap in its types
        asked = self._admin.list_offsets(dict.fromkeys(places, latest), request_timeout=_REQUEST_S)
        return sorted({place.topic for place, future in asked.items() if not _succeeds(future)})

    def delete(self, names: Sequence[str]) -> None:
        """Delete topics; those that do not exist are none of our concern."""
        have = self.partition_counts()
        present = [name for name in names if name in have]
        if not present:
            return
        for name, future in self._admin.delete_topics(present, operation_timeout=10).items():
            self._wait(name, future, KafkaError.UNKNOWN_TOPIC_OR_PART)

    def delete_groups(self, names: Sequence[str]) -> None:
        """Delete consumer groups with their committed offsets; unknown ones are passed over."""
        if not names:
            return
        for name, future in self._admin.delete_consumer_groups(list(names)).items():
            self._wait(name, future, KafkaError.GROUP_ID_NOT_FOUND)

    def _create(self, specs: Sequence[TopicSpec]) -> set[str]:
        """Create topics; return those that nobody else created meanwhile."""
        if not specs:
            return set()
        new = [NewTopic(spec.name, spec.partitions, config=dict(spec.config)) for spec in specs]
        made = self._admin.create_topics(new).items()
        accepted = KafkaError.TOPIC_ALREADY_EXISTS
        return {name for name, future in made if self._wait(name, future, accepted)}

    def _configs(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        if not names:
            return {}
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        found = {}
        for resource, future in self._admin.describe_configs(resources).items():
            try:
                entries = future.result(_REQUEST_S)
            except KafkaException as error:
                raise ServiceError(
                    f"Kafka at {self._brokers}: {resource.name}: {error.args[0].str()}."
                ) from error
            found[resource.name] = {key: str(entry.value) for key, entry in entries.items()}
        return found

    def _wait(self, name: str, future: object, accepted: int) -> bool:
        """Wait for an answer; return whether it was done, and not found done already."""
        try:
            future.result(_REQUEST_S)  # type: ignore[attr-defined]  # confluent's futures are untyped
        except KafkaException as error:
            if error.args[0].code() != accepted:
                raise ServiceError(
                    f"Kafka at {self._brokers}: {name}: {error.args[0].str()}."
                ) from (error)
            return False
        return True

    def _no_answer(self, error: KafkaException) -> ServiceError:
        return ServiceError(
            f"No Kafka broker answers at {self._brokers} ({error.args[0].str()})."
            " Start one with `headrace up`, or name yours in HEADRACE_KAFKA_BROKERS."
        )


def _succeeds(future: Any) -> bool:
    try:
        future.result(_REQUEST_S)
    except KafkaException:
        return False
    return True


def _differences(spec: TopicSpec, partitions: int, config: Mapping[str, str]) -> list[str]:
    differs = []
    if partitions != spec.partitions:
        differs.append(f"has {partitions} partitions, {spec.partitions} would be made")
    for key, value in spec.config.items():
        found = config.get(key)
        if found != value:
            differs.append(f"{key} is {found}, {value} would be set")
    return differs
