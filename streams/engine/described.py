"""What the broker says of topics: their ids and partition counts."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from headrace.streams.engine.connection import Connection
from headrace.streams.engine.translation import translated

_REQUEST_S = 10.0
_LOG = logging.getLogger("headrace.kafka")
_FRESH_S = 5.0


class Topic(NamedTuple):
    """A topic's identity: one that was recreated has another id."""

    id: str
    partitions: int


class Described:
    """Topics by name, asked for again after a few seconds.

    Parameters
    ----------
    connection
        Where Kafka is.
    """

    def __init__(self, connection: Connection) -> None:
        settings: dict[str, str | int | float | bool] = {
            "bootstrap.servers": connection.brokers,
            **connection.security,
        }
        self._admin = AdminClient(settings, logger=_LOG)
        self._known: dict[str, tuple[float, Topic]] = {}

    def topic(self, name: str) -> Topic:
        """Return a topic's identity.

        Raises
        ------
        Refused
            There is no such topic.
        Dead
            No broker answers.
        """
        now = time.monotonic()
        asked_s, known = self._known.get(name, (float("-inf"), None))
        if known is None or now - asked_s > _FRESH_S:
            known = self._ask(name)
            self._known[name] = (now, known)
        return known

    def _ask(self, name: str) -> Topic:
        futures = self._admin.describe_topics(TopicCollection([name]), request_timeout=_REQUEST_S)
        try:
            found = futures[name].result(_REQUEST_S + 1)
        except KafkaException as error:
            raise translated(error, f"topic {name}") from error
        return Topic(str(found.topic_id), len(found.partitions))
