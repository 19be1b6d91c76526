"""How a worker's clients of Kafka are set up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError

from headrace.streams.engine.connection import Connection
from headrace.streams.topics import MESSAGE_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Timing:
    """How long Kafka waits for us, and we for Kafka.

    Attributes
    ----------
    session_ms
        After so long without a heartbeat a member's partitions are given to others.
    heartbeat_ms
        Pause between heartbeats.
    transaction_ms
        After so long the broker aborts a transaction. The guard ends the process 3 s later.
    stable_s
        How long one request for stable offsets waits.
    settled_s
        How long a coordinator's offsets have to stay the same before they are believed.
    """

    session_ms: int = 10_000
    heartbeat_ms: int = 1_000
    transaction_ms: int = 10_000
    stable_s: float = 1.0
    settled_s: float = 0.1

    @property
    def guard_s(self) -> float:
        """How long a transaction may take before the process is ended."""
        return self.transaction_ms / 1000 + 3


def client_settings(
    connection: Connection, on_error: Callable[[KafkaError], None]
) -> dict[str, Any]:
    """Return what all clients of a worker have in common.

    Parameters
    ----------
    on_error
        Told of errors outside of any call.
    """
    return {
        "bootstrap.servers": connection.brokers,
        "reconnect.backoff.max.ms": 1000,
        "log.connection.close": False,
        "log_level": 2,  # what is worth a line comes to on_error too, and so into our own log
        "error_cb": on_error,
        **connection.security,
    }


def consumer_settings(
    common: Mapping[str, Any], group: str, instance: str, timing: Timing
) -> dict[str, Any]:
    """Return the settings of a static member of a role's group."""
    return {
        **common,
        "group.id": group,
        "group.instance.id": instance,
        # Keeps the same partition number of several topics together; cooperative-sticky and
        # KIP-848's uniform split them.
        "partition.assignment.strategy": "range",
        "session.timeout.ms": timing.session_ms,
        "heartbeat.interval.ms": timing.heartbeat_ms,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "queued.max.messages.kbytes": 16384,
        "fetch.queue.backoff.ms": 10,
    }


def producer_settings(
    common: Mapping[str, Any], instance: str, timing: Timing, compression: str
) -> dict[str, Any]:
    """Return the settings of a slot's transactional producer."""
    return {
        **common,
        "transactional.id": instance,
        "transaction.timeout.ms": timing.transaction_ms,
        "compression.type": compression,
        "linger.ms": 0,
        "retry.backoff.ms": 10,
        "queue.buffering.max.messages": 1_000_000,
        "message.max.bytes": MESSAGE_BYTES_MAX,
    }
