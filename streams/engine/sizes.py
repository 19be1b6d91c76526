"""How big topics are on the brokers' disks: one request that librdkafka has no call for.

DescribeLogDirs, version 1, of Kafka's protocol, asked of every broker.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from headrace.schemas.errors import ServiceError
from headrace.streams.engine.connection import REQUEST_S, Connection
from headrace.streams.engine.wire import Address, Answer, can_ask, connected, text

_DESCRIBE_LOG_DIRS = 35
_VERSION = 1


def topic_bytes(kafka: Connection, partitions: Mapping[str, int]) -> dict[str, int] | None:
    """Return how many bytes each topic takes on disk, one replica of each partition counted.

    Parameters
    ----------
    partitions
        How many partitions each topic has.

    Returns
    -------
    dict or None
        By topic; None where brokers can only be asked by SASL.

    Raises
    ------
    ServiceError
        A broker does not answer, or refuses.
    """
    if not can_ask(kafka.security):
        return None
    biggest: dict[tuple[str, int], int] = {}
    for broker in _brokers(kafka):
        for place, size in _asked(kafka, broker, partitions):
            biggest[place] = max(size, biggest.get(place, 0))
    sizes = dict.fromkeys(partitions, 0)
    for (topic, _), size in biggest.items():
        sizes[topic] += size
    return sizes


def _brokers(kafka: Connection) -> list[Address]:
    with kafka.asking("brokers could not be listed"), kafka.consumer() as consumer:
        listed = consumer.list_topics(timeout=REQUEST_S).brokers.values()
    return [Address(each.host, each.port) for each in listed]


def _asked(
    kafka: Connection, broker: Address, partitions: Mapping[str, int]
) -> list[tuple[tuple[str, int], int]]:
    topics = b"".join(
        text(topic) + struct.pack(f">i{count}i", count, *range(count))
        for topic, count in partitions.items()
    )
    what = f"Kafka at {broker.host}:{broker.port}: sizes of topics"
    try:
        with connected(broker, kafka.security) as wire:
            body = struct.pack(">i", len(partitions)) + topics
            answer = wire.ask(_DESCRIBE_LOG_DIRS, _VERSION, body)
            return list(_sizes(answer))
    except (OSError, struct.error, ValueError) as failure:
        raise ServiceError(f"{what} ({failure}).") from failure


def _sizes(answer: Answer) -> Iterator[tuple[tuple[str, int], int]]:
    """Go through an answer: places with their sizes, in bytes."""
    _, folders = answer.read("ii")
    for _ in range(folders):
        error = answer.number("h")
        answer.text()
        if error:
            raise ValueError(f"error code {error} of Kafka's protocol")
        for _ in range(answer.number("i")):
            topic = answer.text()
            for _ in range(answer.number("i")):
                partition, size, _, is_future = answer.read("iqq?")
                if not is_future:
                    yield (topic, partition), size
