"""A role's consumer group as an administrator sees it: members, committed offsets."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from headrace.schemas.errors import ServiceError
from headrace.streams.engine.connection import REQUEST_S, Connection
from headrace.streams.engine.leaving import let_leave
from headrace.streams.engine.wire import Address, obstacle
from headrace.streams.protocol.ports import Committed

_LOG = logging.getLogger("headrace.kafka")
_log = structlog.get_logger("headrace.kafka")
_PAUSE_S = 0.2
_NOT_YET = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
    }
)
"""Errors of a coordinator that has just begun, or moved: asked again."""

Offsets = Mapping[tuple[str, int], Committed]
"""Committed offsets by topic and partition."""


class Groups:
    """Consumer groups of a Kafka cluster.

    Parameters
    ----------
    kafka
        Where it is.
    """

    def __init__(self, kafka: Connection) -> None:
        self._kafka = kafka
        self._admin = AdminClient(
            {"bootstrap.servers": kafka.brokers, **kafka.security}, logger=_LOG
        )

    def names(self, prefix: str) -> list[str]:
        """Return the groups whose names begin so, in order."""
        with self._kafka.asking("groups could not be listed"):
            found = self._admin.list_consumer_groups(request_timeout=REQUEST_S).result()
        return sorted(g.group_id for g in found.valid if g.group_id.startswith(prefix))

    def members(self, group: str) -> list[str]:
        """Return the ``group.instance.id`` of each static member; empty if there is no group."""
        found = self._described(group)
        if found is None:
            return []
        return sorted(member.group_instance_id or "" for member in found.members)

    def let_leave(self, group: str, instances: Sequence[str]) -> bool:
        """Take static members that are gone for good out of a group.

        Returns
        -------
        bool
            False where the broker cannot be asked so (that is logged, with the reason): they
            leave when their session ends.
        """
        if not instances:
            return True
        if hindrance := obstacle(self._kafka.security):
            said = "members leave the group when their session ends"
            _log.warning(said, group=group, members=list(instances), reason=hindrance)
            return False
        found = self._described(group)
        if found is not None:
            at = Address(found.coordinator.host, found.coordinator.port)
            let_leave(at, self._kafka.security, group, instances)
        return True

    def committed(self, group: str) -> dict[tuple[str, int], Committed]:
        """Return all committed offsets of a group, with their metadata."""
        request = [ConsumerGroupTopicPartitions(group)]
        found = self._answer(
            f"offsets of {group}",
            lambda: self._admin.list_consumer_group_offsets(request, request_timeout=REQUEST_S),
            KafkaError.GROUP_ID_NOT_FOUND,
        )
        if found is None:
            return {}
        return {
            (place.topic, place.partition): Committed(place.offset, place.metadata or "")
            for place in found.topic_partitions
            if place.offset >= 0
        }

    def commit(self, group: str, offsets: Offsets) -> None:
        """Set committed offsets of a group that has no members.

        Raises
        ------
        ServiceError
            It has members, or Kafka does not answer.
        """
        if not offsets:
            return
        places = [
            TopicPartition(topic, number, found.offset, metadata=found.meta)
            for (topic, number), found in offsets.items()
        ]
        request = [ConsumerGroupTopicPartitions(group, places)]
        done = self._answer(
            f"offsets of {group} could not be set",
            lambda: self._admin.alter_consumer_group_offsets(request, request_timeout=REQUEST_S),
        )
        for place in done.topic_partitions:
            if place.error is not None:
                what = f"{place.topic}-{place.partition} of {group} could not be set"
                raise self._kafka.failure(what, place.error)

    def bounds(self, places: Sequence[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
        """Return the first offset that is kept and the end offset of partitions."""
        first = self._offsets(places, OffsetSpec.earliest)
        end = self._offsets(places, OffsetSpec.latest)
        return {place: (first[place], end[place]) for place in places}

    def since(
        self, places: Sequence[tuple[str, int]], moment_ms: int
    ) -> dict[tuple[str, int], int]:
        """Return the first offset whose record is not older than a moment, where there is one."""
        found = self._offsets(places, lambda: OffsetSpec.for_timestamp(moment_ms))
        return {place: offset for place, offset in found.items() if offset >= 0}

    def _offsets(
        self, places: Sequence[tuple[str, int]], spec: Callable[[], OffsetSpec]
    ) -> dict[tuple[str, int], int]:
        asked = {TopicPartition(*place): spec() for place in places}
        found = self._answers("ends of topics", lambda: self._admin.list_offsets(asked))
        return {(place.topic, place.partition): end.offset for place, end in found.items()}

    def _described(self, group: str) -> Any:
        """Return what the coordinator says of a group, None of one that does not exist."""
        found = self._answer(
            f"group {group}",
            lambda: self._admin.describe_consumer_groups([group], request_timeout=REQUEST_S),
            KafkaError.GROUP_ID_NOT_FOUND,
        )
        dead = found is None or found.state == ConsumerGroupState.DEAD
        return None if dead else found

    def _answer(self, what: str, ask: Callable[[], Any], accepted: int | None = None) -> Any:
        """Return the one answer to a request about one group; None for an accepted error."""
        return next(iter(self._answers(what, ask, accepted).values()))

    def _answers(
        self, what: str, ask: Callable[[], Any], accepted: int | None = None
    ) -> dict[Any, Any]:
        """Ask until the coordinator is ready, for a bounded time."""
        until = time.monotonic() + REQUEST_S
        while True:
            try:
                return {key: future.result(REQUEST_S + 1) for key, future in ask().items()}
            except KafkaException as error:
                cause = error.args[0]
                if cause.code() == accepted:
                    return {"": None}
                if cause.code() not in _NOT_YET or time.monotonic() > until:
                    raise self._kafka.failure(what, cause) from error
                time.sleep(_PAUSE_S)
            except TimeoutError as error:
                raise ServiceError(
                    f"No Kafka broker answers at {self._kafka.brokers}: {what}."
                ) from error
