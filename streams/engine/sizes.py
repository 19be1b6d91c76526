"""How big topics are on the brokers' disks: one request that librdkafka has no call for.

DescribeLogDirs, version 1, of Kafka's protocol, asked of every broker.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

import structlog

from headrace.schemas.errors import ServiceError
from headrace.streams.engine.connection import REQUEST_S, Connection
from headrace.streams.engine.wire import Address, Answer, connected, error_text, obstacle, text

_DESCRIBE_LOG_DIRS = 35
_VERSION = 1

_log = structlog.get_logger("headrace.kafka")


class _NotPermittedError(Exception):
    """The user may not ask for sizes."""

    def __init__(self) -> None:
        super().__init__(
            "the user may not ask for them: grant Describe on the cluster"
            " (docs/operations.md, Permissions)"
        )


def topic_bytes(kafka: Connection, partitions: Mapping[str, int]) -> dict[str, int] | None:
    """Return how many bytes each topic takes on disk, one replica of each partition counted.

    Parameters
    ----------
    partitions
        How many partitions each topic has.

    Returns
    -------
    dict or None
        By topic; None where brokers cannot be asked, see
        :func:`~headrace.streams.engine.wire.obstacle`, or where one does not permit it: both are
        logged.

    Raises
    ------
    ServiceError
        A broker does not answer, or refuses.
    """
    if hindrance := obstacle(kafka.security):
        _log.warning("sizes of topics are not known", reason=hindrance)
        return None
    biggest: dict[tuple[str, int], int] = {}
    try:
        for broker in _brokers(kafka):
            for place, size in _asked(kafka, broker, partitions):
                biggest[place] = max(size, biggest.get(place, 0))
    except _NotPermittedError as refusal:
        _log.warning("sizes of topics are not known", reason=str(refusal))
        return None
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
    """Go through an answer: places with their sizes, in bytes.

    Raises
    ------
    _NotPermittedError
        The answer is empty.
    ValueError, struct.error
        A folder is out of order, or the answer ends before.
    """
    _, folders = answer.read("ii")
    if folders == 0:  # of this version's answer the only sign: every broker has a folder
        raise _NotPermittedError
    for _ in range(folders):
        error = answer.number("h")
        answer.text()
        if error:
            raise ValueError(error_text(error))
        for _ in range(answer.number("i")):
            topic = answer.text()
            for _ in range(answer.number("i")):
                partition, size, _, is_future = answer.read("iqq?")
                if not is_future:
                    yield (topic, partition), size
