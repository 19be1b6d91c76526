"""Whether a broker is ready: its port answers long before it can do anything."""

from __future__ import annotations

from confluent_kafka import KafkaException

from headrace.streams.engine.connection import Connection

_ASK_S = 2.0
_INIT_S = 10.0
_PROBE = {
    "transactional.id": "headrace-ready",
    "socket.timeout.ms": 5_000,
    "retry.backoff.ms": 20,
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "log_level": 0,  # that nobody answers yet is what we ask, and no news
}


def is_ready(kafka: Connection) -> bool:
    """Return whether metadata lists a broker, and transactions can be made."""
    producer = kafka.producer(_PROBE)
    try:
        if not producer.list_topics(timeout=_ASK_S).brokers:
            return False
        producer.init_transactions(_INIT_S)
    except KafkaException:
        return False
    return True
